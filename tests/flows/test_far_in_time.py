"""A derivation asks only the months around what changed; whatever lies elsewhere is found all the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, select

from app.core.month import Month
from app.db.callers import Caller
from app.db.engine import Database
from app.facts import Correction, ManualVisit, Tap
from app.registry.store import load_directory, load_policy_book
from app.visits.queue import Change
from app.visits.rules.derive import DerivationInput, derive
from app.visits.tables import visits
from tests.diary import moment, read
from tests.flows.stored_world import (
    NOW,
    drain,
    findings_of,
    learn,
    store_registry,
    store_statement,
    store_taps,
    visits_of,
)

TOWN = read(
    """
    staff anna person=a from=1970-01-01
    staff anna2 person=a provider=P2 from=1970-01-01
    client bo
    client cia
    tag tag-bo bo from=1970-01-01
    tag tag-cia cia from=1970-01-01
    order bo P1 1970-01-01.. 600/month max_staff=2
    order cia P1 1970-01-01.. 600/month
    """
)
MORNING = moment("2026-03-02T08:00")
HOUR = timedelta(hours=1)


def tap(
    seq: int, act: str, at: datetime, tag_uid: str = "tag-bo", *, staff_id: str = "anna", device: str = "d1"
) -> Tap:
    return Tap(device, seq, act, tag_uid, staff_id, at, at + HOUR)  # type: ignore[arg-type]  # one of the acts


def times(correction_id: str, seq: int, start: datetime | None, end: datetime | None) -> Correction:
    return Correction(
        correction_id, NOW, "set_times", "d1", seq, "", "", None, None, start, end, "", "", "wrong_time", "", "x", "y"
    )


def by_hand(manual_id: str, start: datetime, end: datetime, staff_id: str) -> ManualVisit:
    return ManualVisit(manual_id, "bo", "P1", staff_id, start, end, None, "", "no_phone", "", "x", "y")


VISIT = (tap(1, "KOM", MORNING), tap(2, "GICK", MORNING + HOUR))
AUGUST = moment("2025-08-05T08:00")
STORIES: dict[str, Sequence[Any]] = {
    # A GICK that comes late ends a visit whose times have been set to another year; found by its tap.
    "a late GICK of a visit corrected to last August": (
        VISIT[0], times("c1", 1, AUGUST, AUGUST + HOUR), tap(2, "GICK", MORNING + HOUR),
    ),
    "a late KOM between the taps of a visit corrected to last August": (
        *VISIT, times("c1", 1, AUGUST, AUGUST + HOUR), tap(3, "KOM", MORNING + HOUR / 2, "tag-cia"),
    ),
    "a GICK long after a KOM corrected to last August": (
        VISIT[0], times("c1", 1, AUGUST, None), tap(3, "GICK", MORNING + 20 * HOUR),
    ),
    "a tap beside a visit corrected to next year": (
        *VISIT, times("c1", 1, MORNING + timedelta(days=400), MORNING + timedelta(days=400) + HOUR),
        tap(3, "KOM", MORNING + timedelta(seconds=30)), tap(4, "GICK", MORNING + timedelta(days=400, minutes=20)),
    ),
    "a stay of months that a tapped visit overlaps": (
        by_hand("m1", AUGUST, MORNING + timedelta(days=30), "anna2"), *VISIT,
    ),
    "a visit corrected to last for months, and another at its client": (
        *VISIT, times("c1", 1, AUGUST, MORNING + 2 * HOUR), tap(3, "KOM", MORNING + 3 * HOUR),
        tap(1, "KOM", MORNING - timedelta(days=20), staff_id="anna2", device="d2"),
        tap(2, "GICK", MORNING - timedelta(days=20) + HOUR, staff_id="anna2", device="d2"),
    ),
    "a clock that began in 1970, a tap from 2031, and the day between": (
        tap(3, "KOM", moment("1970-01-01T01:00")), *VISIT, tap(5, "KOM", moment("2031-05-01T08:00")),
        tap(4, "GICK", moment("1970-01-01T02:00")), tap(6, "GICK", moment("2031-05-01T09:00")),
    ),
    "late taps of an older month after those of a newer one": (
        *VISIT, tap(3, "KOM", moment("2025-12-31T23:50")), tap(4, "GICK", moment("2026-01-01T00:20")),
    ),
}  # fmt: skip


@pytest.mark.parametrize("said", STORIES.values(), ids=STORIES.keys())
def test_what_lies_months_from_a_change_is_derived_as_from_nothing(database: Database, said: Sequence[Any]) -> None:
    with database.transaction(Caller.batch()) as connection:
        store_registry(connection, TOWN.registry, TOWN.book)
        for one in said:
            drain(
                connection, store_taps(connection, [one]) if isinstance(one, Tap) else store_statement(connection, one)
            )
        story = DerivationInput(
            taps=tuple(one for one in said if isinstance(one, Tap)),
            corrections=tuple(one for one in said if isinstance(one, Correction)),
            manual_visits=tuple(one for one in said if isinstance(one, ManualVisit)),
        )
        expected = derive(story, load_directory(connection), load_policy_book(connection))
        assert visits_of(connection) == set(expected.visits)
        assert findings_of(connection) == set(expected.findings)


def test_a_visit_that_ceased_in_another_month_leaves_no_row_there_when_it_comes_back(database: Database) -> None:
    """Its tag had no holder for a while, and meanwhile the correction was taken back."""
    tag = next(one for one in TOWN.registry.tags if one.tag_uid == "tag-bo")
    away = times("c1", 1, AUGUST, AUGUST + HOUR)
    with database.transaction(Caller.batch()) as connection:
        store_registry(connection, TOWN.registry, TOWN.book)
        drain(connection, store_taps(connection, VISIT))
        drain(connection, store_statement(connection, away))
        connection.exec_driver_sql("DELETE FROM tags WHERE tag_uid = 'tag-bo'")
        drain(connection, [Change("tag", "tag-bo")])
        assert [(row.month_on, row.ceased) for row in _rows(connection)] == [(Month.of(AUGUST.date()).first_on, True)]
        store_statement(connection, replace(away, new_start_at=None, new_end_at=MORNING + 2 * HOUR))
        drain(connection, learn(connection, TOWN.registry, tag))
        assert [(row.month_on, row.ceased) for row in _rows(connection)] == [(Month.of(MORNING.date()).first_on, False)]


def _rows(connection: Connection) -> Sequence[Any]:
    return connection.execute(select(visits.c.month_on, visits.c.ceased)).all()
