"""What a rebuild writes: only what differs, found line by line, whatever was stored, whoever it was stored under."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text

from app import pipeline_derive
from app.db.callers import Caller
from app.db.engine import Database
from app.db.processes import Processes
from app.visits import rebuild as rebuilding
from app.visits import store
from app.visits.lines import visit_line
from app.visits.queue import Change, enqueue
from app.visits.rebuild_groups import TAPS_AT_ONCE
from app.visits.staging import Difference, merge, stored_lines
from tests.diary import moment, read
from tests.flows.stored_world import store_registry, store_taps

NOW = moment("2026-02-01T12:00")
LATER = NOW + timedelta(hours=1)
CARLS = "client_id = 'eva' AND staff_id = 'carl'"
# A household, a KOM without GICK that another proposes an end for, visits that are held.
STORY = read(
    """
    tag T9 bo,eva from=2026-01-01T00:00
    order bo P1 2026-01-01.. 600/month
    order eva P1 2026-01-01.. 600/month
    2026-01-05 08:00 KOM anna bo
    2026-01-05 08:15 GICK anna bo
    2026-01-05 09:00 KOM anna bo
    2026-01-05 10:00 KOM anna eva
    2026-01-05 10:20:30 GICK anna eva
    2026-01-06 08:00 KOM anna bo grade=D
    2026-01-06 23:50 GICK anna bo
    2026-01-07 08:00:01 KOM anna tag:T9
    2026-01-07 08:21 GICK anna tag:T9
    2026-01-06 08:00 KOM carl eva
    2026-01-06 08:01 GICK carl eva
    """
)


@pytest.fixture
def derived(database: Database) -> Database:
    with database.transaction(Caller.batch()) as connection:
        store_registry(connection, STORY.registry, STORY.book)
        store_taps(connection, STORY.statements.taps)
        enqueue(connection, [Change("all")])
    pipeline_derive.catch_up(database, NOW)
    assert everything(database) != []
    return database


def everything(database: Database) -> list[tuple[Any, ...]]:
    """The living visits, without when they were written."""
    with database.transaction(Caller.batch()) as connection:
        rows = connection.execute(text("SELECT * FROM visits WHERE NOT ceased ORDER BY visit_id")).mappings()
        return [tuple(value for name, value in row.items() if name != "changed_at") for row in rows]


def damage(database: Database, statement: str) -> None:
    with database.transaction(Caller.batch()) as connection:
        assert connection.execute(text(statement)).rowcount > 0


def staged(database: Database, monkeypatch: pytest.MonkeyPatch) -> tuple[Difference, int]:
    """A rebuild, and how many visits it wrote beside the stored ones before it compared."""
    seen: list[int] = []

    def counting(connection: Connection, *given: Any, **named: Any) -> Difference:
        seen.append(connection.execute(text("SELECT count(*) FROM rebuild_visits")).scalar_one())
        return merge(connection, *given, **named)

    monkeypatch.setattr(rebuilding, "merge", counting)
    difference = pipeline_derive.rebuild(database, LATER)
    return difference, seen[0]


def test_where_nothing_differs_no_visit_is_even_written_beside(
    derived: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    difference, written = staged(derived, monkeypatch)
    assert (difference.total, written) == (0, 0)
    assert difference.rows["visits"] == len(everything(derived))


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE visits SET minutes = minutes + 1 WHERE visit_id = (SELECT min(visit_id) FROM visits)", "changed"),
        (
            "UPDATE visits SET holds = '{}' WHERE visit_id = (SELECT min(visit_id) FROM visits WHERE holds <> '{}')",
            "changed",
        ),
        (f"UPDATE visits SET client_id = 'bo' WHERE {CARLS}", "changed"),
        (f"UPDATE visits SET client_id = 'nobody we know' WHERE {CARLS}", "changed"),
        (f"UPDATE visits SET visit_id = 'invented' WHERE {CARLS}", "gone"),
        (f"UPDATE visits SET visit_id = 'invented', client_id = 'nobody' WHERE {CARLS}", "gone"),
        (f"DELETE FROM visits WHERE {CARLS}", "new"),
    ],
)
def test_what_differs_is_named_and_put_right(derived: Database, statement: str, found: str) -> None:
    right = everything(derived)
    damage(derived, statement)
    assert everything(derived) != right
    difference = pipeline_derive.rebuild(derived, LATER)
    assert getattr(difference, found)["visits"] == 1
    assert everything(derived) == right
    assert pipeline_derive.rebuild(derived, LATER).total == 0


def test_in_two_processes_and_many_parts_it_is_the_same(derived: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    right = everything(derived)
    damage(derived, "DELETE FROM visits WHERE staff_id = 'anna'")
    monkeypatch.setattr(rebuilding, "TAPS_AT_ONCE", 1)
    monkeypatch.setattr("app.visits.rebuild_groups.TAPS_AT_ONCE", 1)
    with Processes(derived, 2) as processes:
        difference = rebuilding.rebuild(derived, LATER, processes)
    assert difference.new["visits"] > 1
    assert everything(derived) == right
    assert TAPS_AT_ONCE > 1


def test_a_month_that_comes_whole_gets_its_partition_filled_and_what_lay_elsewhere_moves_into_it(
    derived: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = everything(derived)
    with derived.transaction(Caller.batch()) as connection:
        for statement in (
            "ALTER TABLE visits DETACH PARTITION visits_2026_01",
            # As taps of a month leave them that no rebuild has seen: one as it shall be, one wrong, one that is none.
            "INSERT INTO visits SELECT * FROM visits_2026_01 WHERE staff_id = 'carl'",
            "INSERT INTO visits SELECT * FROM visits_2026_01 WHERE staff_id = 'anna' ORDER BY visit_id LIMIT 1",
            "UPDATE visits SET minutes = minutes + 1 WHERE staff_id = 'anna'",
            "INSERT INTO visits SELECT * FROM visits_2026_01 WHERE staff_id = 'anna' ORDER BY visit_id DESC LIMIT 1",
            "UPDATE visits SET visit_id = 'invented' WHERE visit_id = (SELECT max(visit_id) FROM visits)",
            "DROP TABLE visits_2026_01",
        ):
            connection.execute(text(statement))
    kept = sum(one in right for one in everything(derived))
    assert kept > 0
    monkeypatch.setattr("app.visits.staging._LARGE", 2)
    difference = pipeline_derive.rebuild(derived, LATER)
    counts = tuple(found.get("visits") for found in (difference.new, difference.changed, difference.gone))
    assert counts == (len(right) - kept - 1, 1, 1)
    assert everything(derived) == right
    with derived.transaction(Caller.batch()) as connection:
        rows = connection.execute(
            text("SELECT tableoid::regclass::text AS name, ceased, count(*) FROM visits GROUP BY 1, 2")
        )
        assert {tuple(row) for row in rows} == {("visits_2026_01", False, len(right)), ("visits_2026_01", True, 1)}
    has_every_index_and_wall(derived, "visits_2026_01")
    assert pipeline_derive.rebuild(derived, LATER).total == 0


@pytest.mark.parametrize(("large", "exchanged"), [(2, True), (1000, False)])
def test_an_empty_partition_gives_its_place_to_a_full_one_where_that_is_worth_it(
    derived: Database, monkeypatch: pytest.MonkeyPatch, large: int, exchanged: bool
) -> None:
    right = everything(derived)
    partition = text("SELECT CAST('visits_2026_01' AS regclass)::oid")
    with derived.transaction(Caller.batch()) as connection:
        connection.execute(text("TRUNCATE visits_2026_01"))
        empty = connection.execute(partition).scalar_one()
    monkeypatch.setattr("app.visits.staging._LARGE", large)
    assert pipeline_derive.rebuild(derived, LATER).new["visits"] == len(right)
    assert everything(derived) == right
    with derived.transaction(Caller.batch()) as connection:
        assert (connection.execute(partition).scalar_one() != empty) is exchanged
    has_every_index_and_wall(derived, "visits_2026_01")
    assert pipeline_derive.rebuild(derived, LATER).total == 0


def has_every_index_and_wall(database: Database, partition: str) -> None:
    """As the partition that the migrations made."""
    query = text(
        "SELECT count(*) FILTER (WHERE indisvalid), relrowsecurity FROM pg_class c JOIN pg_index ON indrelid = c.oid "
        "WHERE indrelid = CAST(:name AS regclass) GROUP BY relrowsecurity"
    )
    with database.transaction(Caller.batch()) as connection:
        found = [tuple(connection.execute(query, {"name": name}).one()) for name in (partition, "visits_default")]
    assert found[0] == found[1]
    assert found[0][1]


def test_a_line_is_what_the_database_says_of_a_stored_visit_whatever_the_names(derived: Database) -> None:
    with derived.transaction(Caller.batch()) as connection:
        found = store.load(connection)
        odd = ["\\N", "tab\there", "line\nbreak", "return\r", 'quote"d', "back\\slash", "åäö {a,b}", "NULL", ""]
        for (visit, _), name in zip(found, odd, strict=False):
            connection.execute(
                text("UPDATE visits SET unit_id = :name, care_service = :name WHERE visit_id = :visit_id"),
                {"name": name, "visit_id": visit.visit_id},
            )
        changed = store.load(connection)
        assert {visit.unit_id for visit, _ in changed} >= set(odd[: len(found)])
        lines = stored_lines(connection, {visit.client_id for visit, _ in changed})
    assert lines == {visit.visit_id.encode(): visit_line(visit, paired) for visit, paired in changed}
