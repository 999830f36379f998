"""The queue of changes: nothing that waits is lost, and one change that cannot be derived stops no other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pytest
from sqlalchemy import Connection, text

from app import pipeline_derive
from app.db.callers import Caller
from app.db.check import check
from app.db.engine import Database
from app.evidence.imports import ImportReport, Touched
from app.registry.bundle.storing import Counts
from app.visits import queue
from app.visits.flow import Derived, derive
from app.visits.queue import Change
from app.visits.staging import Staging
from tests.diary import moment, read
from tests.flows.stored_world import store_registry, store_taps, visits_of

NOW = moment("2026-02-01T12:00")
STORY = read(
    """
    order bo P1 2026-01-01.. 600/month
    2026-01-05 08:00 KOM anna bo
    2026-01-05 08:15 GICK anna bo
    """
)


def _store(database: Database, *changes: Change) -> None:
    with database.transaction(Caller.batch()) as connection:
        store_registry(connection, STORY.registry, STORY.book)
        queue.enqueue(connection, [*changes, *store_taps(connection, STORY.statements.taps)])


def test_a_change_that_cannot_be_derived_is_set_aside_and_the_others_go_on(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    _store(database, Change("chain", "poison"))
    honest = derive

    def poisoned(connection: Connection, changes: Sequence[Change], now: datetime) -> Derived:
        """Stands for a fault in a rule."""
        if any(change.key == "poison" for change in changes):
            raise ZeroDivisionError
        return honest(connection, changes, now)

    monkeypatch.setattr(pipeline_derive, "derive", poisoned)
    assert pipeline_derive.catch_up(database, NOW) == 3
    with database.transaction(Caller.batch()) as connection:
        assert [visit.minutes for visit in visits_of(connection)] == [15]
        assert queue.failed(connection) == 1
        assert not queue.is_waiting(connection)
    monkeypatch.undo()
    pipeline_derive.rebuild(database, NOW)
    with database.transaction(Caller.batch()) as connection:
        assert queue.failed(connection) == 0


def test_who_derives_is_not_disturbed_and_what_waits_stays(database: Database) -> None:
    _store(database)
    with database.transaction(Caller.batch()) as deriving:
        pipeline_derive.lock(deriving)
        assert pipeline_derive.catch_up(database, NOW, patience_s=0.1) == 0
    with database.transaction(Caller.batch()) as connection:
        assert queue.is_waiting(connection)
    assert pipeline_derive.catch_up(database, NOW) == 2


def test_a_wished_rebuild_is_done_by_whoever_drains_next(database: Database) -> None:
    with database.transaction(Caller.batch()) as connection:
        store_registry(connection, STORY.registry, STORY.book)
        store_taps(connection, STORY.statements.taps)
        queue.enqueue(connection, [Change("all")])
    pipeline_derive.catch_up(database, NOW)
    with database.transaction(Caller.batch()) as connection:
        assert [visit.minutes for visit in visits_of(connection)] == [15]
        assert connection.execute(text("SELECT count(*) FROM derive_queue")).scalar() == 0
        assert connection.execute(text("SELECT executed_minutes FROM month_accounts")).scalars().all() == [15]


@pytest.mark.parametrize(("added", "everything"), [(2, False), (3, True)])
def test_new_taps_are_derived_by_themselves_unless_a_rebuild_of_all_that_is_stored_is_quicker(
    database: Database, monkeypatch: pytest.MonkeyPatch, added: int, everything: bool
) -> None:
    with database.transaction(Caller.batch()) as connection:
        store_registry(connection, STORY.registry, STORY.book)
        store_taps(connection, STORY.statements.taps)
    assert len(STORY.statements.taps) == 2
    monkeypatch.setattr(pipeline_derive, "MANY_TAPS", 0)
    monkeypatch.setattr(pipeline_derive, "DEARER", 1)
    first, last = moment("2026-01-05T08:00"), moment("2026-01-05T08:15")
    report = ImportReport({"taps.csv": Counts(added=added)}, touched=Touched(taps={"anna": (first, last)}))
    with database.transaction(Caller.batch()) as connection:
        assert pipeline_derive.queue_import(connection, report) is not everything
        waiting = [one.change for one in queue.look(connection, 10)]
    assert waiting == [Change("all") if everything else Change("staff", "anna", first, last)]
    told: list[tuple[str, int, int]] = []
    pipeline_derive.catch_up(database, NOW, progress=lambda *what: told.append(what))
    assert told[-1] == (("accounts", 1, 1) if everything else ("derive", 1, 1))
    with database.transaction(Caller.batch()) as connection:
        assert [visit.minutes for visit in visits_of(connection)] == [15]


def test_a_rebuild_under_way_makes_no_other_command_refuse_the_database(database: Database) -> None:
    staging = Staging(database)
    staging.create()
    assert check(database) == []
    staging.drop()
