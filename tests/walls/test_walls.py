"""Row-level security by itself: what each login of PostgreSQL sees and may write, whatever the program asks.

Each hole that a trial once found open has its test here (EVIDENCE.md section 4).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from app.access.logs import note_change, note_reading
from app.access.principals import Principal
from app.access.tables import audit_event, reading
from app.core.clock import utc_now
from app.db.callers import Caller
from app.db.check import check
from app.db.engine import Database
from app.db.walls import OPEN_TABLES
from app.evidence.tables import manual_visits
from app.registry.tables import clients, contacts, employments, orders, tags, units
from app.visits.tables import visits
from tests.walls.world import World, build

NOW = utc_now()


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    return build(database, tmp_path)


def test_the_check_finds_nothing_wrong_with_a_migrated_database(database: Database) -> None:
    assert check(database) == []


def test_no_row_of_any_table_that_a_provider_reads_tells_of_another(world: World) -> None:
    read = 0
    with world.database.transaction(Caller.provider("P1"), read_only=True) as connection:
        for table in _readable(connection):
            rows = connection.execute(text(f"SELECT t::text FROM {table} t")).scalars().all()
            read += len(rows)
            for canary in world.canaries(2):
                assert not [row for row in rows if canary in row], f"{table} shows {canary}"
    assert read > 20, "the own rows are there"


def test_a_provider_login_without_its_provider_sees_nothing(world: World) -> None:
    open_ones = {*OPEN_TABLES, "prices", "policies", "catalogue", "external_indicators", "closes", "alembic_version"}
    with world.database.transaction(Caller.provider("P9"), read_only=True) as connection:
        connection.execute(text("SELECT set_config('app.provider', '', true)"))
        for table in set(_readable(connection)) - open_ones:
            condition = " WHERE provider_id IS NOT NULL" if table == "outages" else ""
            assert connection.execute(text(f"SELECT count(*) FROM {table}{condition}")).scalar_one() == 0, table


def test_every_table_about_people_that_providers_read_is_bounded_in_what_they_write(world: World) -> None:
    written = 0
    with world.database.transaction(Caller.batch()) as connection:
        policies = connection.execute(
            text("SELECT tablename, cmd, coalesce(qual, '') AS qual, coalesce(with_check, qual, '') AS writes"
                 " FROM pg_policies WHERE schemaname = current_schema() AND 'provider' = ANY(roles::text[])")
        ).all()  # fmt: skip
        may_write = set(
            connection.execute(
                text("SELECT table_name FROM information_schema.role_table_grants WHERE grantee = 'provider'"
                     " AND table_schema = current_schema() AND privilege_type IN ('INSERT', 'UPDATE')")
            ).scalars()
        )  # fmt: skip
    for policy in policies:
        if policy.tablename in may_write and policy.tablename != "derive_queue":
            written += 1
            assert "app.provider" in policy.writes or "SELECT" in policy.writes, policy.tablename
    assert written > 10


def test_a_provider_does_not_write_rows_of_another(world: World) -> None:
    since = {"valid_from": date(2026, 1, 1)}
    attempts = [
        insert(units).values(unit_id="new", provider_id="P2"),
        insert(employments).values(staff_id="new", unit_id=world.ids[2]["unit_id"], provider_id="P2", **since),
        insert(tags).values(tag_uid="04AA", client_id=world.ids[2]["client_id"], valid_from_at=NOW),
        insert(orders).values(
            order_id="new", client_id=world.ids[2]["client_id"], provider_id="P1", minutes_per_month=1, **since
        ),
        update(clients).values(name="mine"),
    ]
    for attempt in attempts:
        with pytest.raises(DBAPIError, match=r"row-level security|permission denied"), _as_p1(world) as connection:
            connection.execute(attempt)
    with _as_p1(world) as connection:
        moved = update(units).where(units.c.provider_id == "P2").values(name="mine")
        assert connection.execute(moved).rowcount == 0
        with pytest.raises(DBAPIError, match="row-level security"):
            connection.execute(update(units).values(provider_id="P2"))


def test_a_foreign_key_does_not_tell_whether_a_foreign_client_exists(world: World) -> None:
    said = []
    for client_id in (world.ids[2]["client_id"], "nobody"):
        row = {"client_id": client_id, "provider_id": "P1", "kind": "contact", "valid_from": date(2026, 1, 1)}
        with pytest.raises(DBAPIError) as refused, _as_p1(world) as connection:
            connection.execute(insert(contacts), row)
        said.append(type(refused.value.orig).__name__ + str(refused.value.orig))
    assert said[0] == said[1]
    assert "row-level security" in said[0]


def test_a_unit_of_another_provider_cannot_be_pointed_at(world: World) -> None:
    row = {"staff_id": "new", "valid_from": date(2026, 1, 1), "provider_id": "P1"}
    said = []
    for unit_id in (world.ids[2]["unit_id"], "nowhere"):
        with pytest.raises(DBAPIError) as refused, _as_p1(world) as connection:
            connection.execute(insert(employments), {**row, "unit_id": unit_id})
        said.append(str(refused.value.orig).replace(unit_id, "X"))
    assert said[0] == said[1]


def test_nobody_makes_a_client_visible_by_claiming_a_visit(world: World) -> None:
    row = {
        "manual_id": "new", "client_id": world.ids[2]["client_id"], "provider_id": "P1", "version": 1, "stored_at": NOW,
    }  # fmt: skip
    with pytest.raises(DBAPIError, match="row-level security"), _as_p1(world) as connection:
        connection.execute(insert(manual_visits), row)


def test_a_client_is_seen_for_ninety_days_after_an_own_visit_and_no_longer(world: World) -> None:
    seen = select(clients.c.name).where(clients.c.client_id == world.ids[2]["client_id"])
    with world.database.transaction(Caller.batch()) as connection:
        visit = connection.execute(select(visits).where(visits.c.provider_id == "P2").limit(1)).mappings().one()
    for days, expected in ((89, 1), (91, 0)):
        at = NOW - timedelta(days=days)
        own = {**visit, "visit_id": f"own{days}", "provider_id": "P1", "at": at, "month_on": at.date().replace(day=1)}
        with world.database.transaction(Caller.batch()) as connection:
            connection.execute(visits.delete().where(visits.c.visit_id.in_(["own89", "own91"])))
            connection.execute(insert(visits), own)
        with _as_p1(world) as connection:
            assert len(connection.execute(seen).all()) == expected, days


def test_the_class_of_caller_is_the_login_and_no_setting_makes_it_another(world: World) -> None:
    with _as_p1(world) as connection:
        for bent in (
            "SET ROLE city",
            "SET SESSION AUTHORIZATION city",
            "SET row_security = off; SELECT * FROM clients",
        ):
            with pytest.raises(DBAPIError), connection.begin_nested():
                connection.execute(text(bent))


def test_a_view_runs_as_who_asks_or_is_found_out(world: World) -> None:
    with world.database.transaction(Caller.batch()) as connection:
        connection.execute(text("CREATE VIEW everybody AS SELECT name FROM clients"))
        connection.execute(text("GRANT SELECT ON everybody TO provider"))
    assert any("everybody runs as its owner" in line for line in check(world.database))
    with world.database.transaction(Caller.batch()) as connection:
        connection.execute(text("ALTER VIEW everybody SET (security_invoker = true)"))
    assert check(world.database) == []
    with _as_p1(world) as connection:
        assert "HEMLIG2" not in str(connection.execute(text("SELECT * FROM everybody")).all())


def test_no_policy_looks_row_by_row(world: World) -> None:
    with world.database.transaction(Caller.batch()) as connection:
        quals = connection.execute(
            text("SELECT coalesce(qual, '') || coalesce(with_check, '') FROM pg_policies"
                 " WHERE schemaname = current_schema()")
        ).scalars()  # fmt: skip
        assert not [qual for qual in quals if "EXISTS" in qual.upper()]
    with _as_p1(world) as connection:
        plan = "\n".join(connection.execute(text("EXPLAIN SELECT * FROM clients")).scalars())
    assert "hashed SubPlan" in plan


def test_logs_are_appended_by_everybody_and_changed_by_nobody(world: World) -> None:
    manager = Principal("person", "u_1", role="manager", provider_id="P1")
    with _as_p1(world) as connection:
        note_change(connection, manager, "test", "x", NOW)
        note_reading(connection, manager, "clients", ["a", "b"], NOW)
    for table in (audit_event, reading):
        with pytest.raises(DBAPIError), world.database.transaction(Caller.batch()) as connection:
            connection.execute(table.delete())
        with pytest.raises(DBAPIError, match="permission denied"), _as_p1(world) as connection:
            connection.execute(select(table))
    forged = Principal("person", "u_1", role="manager", provider_id="P2")
    with pytest.raises(DBAPIError, match="row-level security"), _as_p1(world) as connection:
        note_change(connection, forged, "test", "x", NOW)


def _as_p1(world: World) -> Any:
    return world.database.transaction(Caller.provider("P1"))


def _readable(connection: Connection) -> Iterator[str]:
    """Every table and view the current login may read."""
    yield from connection.execute(
        text("SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
             " AND relkind IN ('r', 'p', 'v', 'm') AND NOT relispartition AND has_table_privilege(oid, 'SELECT')")
    ).scalars().all()  # fmt: skip
