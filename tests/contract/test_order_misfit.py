"""`order_misfit` (DOMAIN.md 3): three months above 110 % or under 75 % in a row, by import and commands."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import pytest

from app.db.callers import Caller
from app.db.engine import Database
from app.registry.store import load_policy_book
from app.visits import findings_shown
from tests.contract.commands import Komgick
from tests.contract.month_bundles import MonthBundle
from tests.contract.vector_bundles import Ids
from tests.diary import moment

THREE = ("2026-03", "2026-04", "2026-05")


@pytest.fixture
def komgick(cli_environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Komgick:
    for name, value in cli_environment.items():
        monkeypatch.setenv(name, value)
    return Komgick()


def misfits(database: Database, now: datetime) -> list[tuple[str, str]]:
    """(client, side) as doors show them at an instant."""
    with database.transaction(Caller.batch(), read_only=True) as connection:
        asked = findings_shown.Asked(now, code="order_misfit")
        shown = findings_shown.load_page(connection, asked, load_policy_book(connection), 100)
    return sorted((one.finding.client_id, one.finding.fact("side")) for one in shown)


def test_three_months_in_a_row_are_found_when_the_last_is_over(
    database: Database, tmp_path: Path, komgick: Komgick
) -> None:
    town, koms = MonthBundle(), {}
    # Minutes of March, April and May where 100 are ordered: exactly 110 % and exactly 75 % fit.
    for name, minutes in {
        "above": (111, 120, 200), "at the ceiling": (111, 110, 111), "under": (74, 10, 74), "at 75": (74, 75, 74),
        "both": (111, 74, 111),
    }.items():  # fmt: skip
        ids = town.client(name, 100)
        for month, much in zip(THREE, minutes, strict=True):
            koms[name, month] = town.visit(ids, f"{month}-10 08:00", f"{8 + much // 60:02d}:{much % 60:02d}")
    town.put(komgick, tmp_path / "one")
    over = moment("2026-06-01T00:00")
    assert misfits(database, moment("2026-05-31T23:58")) == []
    assert misfits(database, over) == [("K-above", "above"), ("K-under", "under")]
    found = [one for one in komgick.json("findings", "--month", "2026-05") if one["code"] == "order_misfit"]
    assert [(one["client_id"], one["at"], one["state"]) for one in found] == [
        ("K-above", "2026-05-31T21:59:00Z", "open"), ("K-under", "2026-05-31T21:59:00Z", "open"),
    ]  # fmt: skip

    # April put right: 110 fits, so its row is broken; and what fitted exactly does no more.
    for name, end in (("above", "09:50"), ("at the ceiling", "09:51")):
        town.new_end(Ids(name), koms[name, "2026-04"], f"2026-04-10 {end}", "2026-06-02 08:00")
    town.put(komgick, tmp_path / "two")
    assert misfits(database, over) == [("K-at the ceiling", "above"), ("K-under", "under")]
    komgick("month", "close", "2026-03", "--on", "2026-04-06")
    assert misfits(database, over) == [("K-at the ceiling", "above"), ("K-under", "under")]
    assert komgick.json("rebuild") == []
