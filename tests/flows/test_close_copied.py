"""A copy of an installation loses nothing: closed months come along frozen, and later changes settle alike."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Table, select

from app import pipeline
from app.billing.tables import billing_lines, closed_fee_lines
from app.core.month import Month
from app.db.callers import Caller
from app.db.engine import Database
from app.months.store import load_current
from app.months.tables import closed_accounts, month_accounts, reopened_accounts
from app.pipeline_months import complete_month
from app.refusals import BundleRefused
from tests.flows.month_town import accounts, close, tell
from tests.flows.test_month_accounts import EMPTY
from tests.scenarios.story import Story, Told

NOW = datetime(2026, 11, 6, 17, tzinfo=UTC)
OCTOBER, NOVEMBER = Month(2026, 10), Month(2026, 11)
STORY = """
    tag tag-bo bo
    tag tag-cia cia
    staff anna
    staff bea
    order bo P1 2026-01-01.. 100/month id=o1
    order cia P1 2026-01-01.. 300/month id=o2
    price day care hour 51600
    price day meal visit 4500
    reason r1 bo P1 2026-10 70 approved submitted=2026-11-03
    2026-10-05 08:00 KOM  anna bo device=d seq=1
    2026-10-05 11:00 GICK anna bo device=d seq=2
    2026-10-06 12:00 KOM  anna cia device=d seq=3 service=meal
    2026-10-06 12:10 GICK anna cia device=d seq=4
    2026-10-31 23:30 KOM  bea cia device=d seq=5
    2026-11-01 00:30 GICK bea cia device=d seq=6
"""
LATER = """
    correct c1 d/1 end=2026-10-05T09:00 by=anna ok=chef made=2026-11-10T09:00
    2026-10-07 08:00 KOM  bea cia device=d seq=7
    2026-10-07 08:20 GICK bea cia device=d seq=8
"""


def story_of(text: str) -> Story:
    story = Story()
    for line in text.splitlines():
        story.read(line)
    return story


def told(text: str) -> Told:
    return story_of(text).told()


@pytest.fixture
def town(make_database: Callable[..., Database]) -> Database:
    """October closed, with excess carried into November and a visit over the border."""
    database = make_database()
    tell(database, EMPTY, told(STORY), NOW)
    close(database, OCTOBER, NOW + timedelta(minutes=1))
    return database


def stored(database: Database, table: Table, month: Month | None = None) -> list[str]:
    """The rows of a table, as texts."""
    query = select(table) if month is None else select(table).where(table.c.month_on == month.first_on)
    with database.transaction(Caller.batch(), read_only=True) as connection:
        return sorted(map(repr, connection.execute(query)))


def shown(database: Database, month: Month) -> list[str]:
    """`month show`, with when each account became known."""
    complete_month(database, month, NOW)
    with database.transaction(Caller.batch(), read_only=True) as connection:
        return [repr(one.account) for one in load_current(connection, month_accounts.c.month_on == month.first_on)]


def copied(
    town: Database, make_database: Callable[..., Database], folder: Path, month: Month | None = None
) -> Database:
    pipeline.export_bundle(town, folder, month=month)
    copy = make_database()
    pipeline.import_bundle(copy, folder, now=NOW + timedelta(hours=1))
    return copy


@pytest.mark.parametrize("month", [None, OCTOBER, NOVEMBER])
def test_a_copy_has_the_closed_month_as_it_was_frozen(
    town: Database, make_database: Callable[..., Database], tmp_path: Path, month: Month | None
) -> None:
    copy = copied(town, make_database, tmp_path / "out", month)
    for table in (closed_accounts, closed_fee_lines):
        assert stored(copy, table) == stored(town, table) != []
    assert stored(copy, billing_lines, OCTOBER) == stored(town, billing_lines, OCTOBER) != []
    assert shown(copy, OCTOBER) == shown(town, OCTOBER) != []
    assert accounts(copy, NOVEMBER, NOW) == accounts(town, NOVEMBER, NOW)
    # Imported orders touch every account; those that are as frozen are let go, a meal's fixed minutes are the fee's.
    assert not [row for row in stored(copy, reopened_accounts) if "'bo'" in row]
    again = pipeline.import_bundle(copy, tmp_path / "out", now=NOW + timedelta(hours=2))
    assert all(counts.added == counts.changed == 0 for counts in again.counts.values())


def test_a_later_correction_makes_the_same_adjustment_in_both(
    town: Database, make_database: Callable[..., Database], tmp_path: Path
) -> None:
    copy = copied(town, make_database, tmp_path / "out")
    before, after = told(STORY), told(STORY + LATER)
    for database in (town, copy):
        tell(database, before, after, NOW + timedelta(days=4))
    # bo: 60 executed now, so free 60 - 110 and approved 0 - 0 (nothing carried in yet); cia: +20.
    assert {key: one.adjustment_minutes for key, one in accounts(town, NOVEMBER, NOW).items()} == {
        ("bo", "P1"): -50, ("cia", "P1"): 20,
    }  # fmt: skip
    assert accounts(copy, NOVEMBER, NOW) == accounts(town, NOVEMBER, NOW)
    assert shown(copy, OCTOBER) == shown(town, OCTOBER)


def test_what_was_frozen_cannot_be_brought_in_otherwise(
    town: Database, make_database: Callable[..., Database], tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    copy = copied(town, make_database, folder)
    path = folder / "closed_accounts.csv"
    path.write_text(path.read_text("utf-8").replace('""free_minutes"": 110', '""free_minutes"": 111'), "utf-8")
    for database in (copy, make_database()):
        with pytest.raises(BundleRefused, match=r"closed_accounts\.csv.*"):
            pipeline.import_bundle(database, folder, now=NOW)


def test_lines_that_the_months_hash_does_not_seal_are_refused(
    town: Database, make_database: Callable[..., Database], tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    pipeline.export_bundle(town, folder)
    path = folder / "billing_lines.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows[:-1])
    with pytest.raises(BundleRefused, match=r"billing_lines\.csv.*seals"):
        pipeline.import_bundle(make_database(), folder, now=NOW)
