"""Migrations lead from nothing to the tables of the code and back; statements refuse to be changed."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.db.callers import Caller
from app.db.engine import Database
from app.db.migrate import alembic_config, current, head, migrate
from app.db.prepare import prepare

STATEMENTS = (
    "taps", "tap_forks", "heads", "voids", "device_statements", "receipts", "rejected_input", "planned_visits",
    "declines", "manual_visits", "corrections", "disputes", "excess_reasons", "resolutions", "attests", "closes",
)  # fmt: skip


def with_config(database: Database, run: Callable[[Config], None]) -> None:
    with database.owner.connect() as connection:
        run(alembic_config(database, connection))
        connection.commit()


def tables_of(database: Database) -> set[str]:
    with database.transaction(Caller.batch()) as connection:
        found = connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"))
        return {str(row[0]) for row in found}


def test_up_down_and_up_again(make_database: Callable[..., Database]) -> None:
    database = make_database(empty=True)
    prepare(database)
    everything = tables_of(database)
    with_config(database, lambda config: command.downgrade(config, "base"))
    assert tables_of(database) == {"alembic_version"}
    assert current(database) is None
    migrate(database)
    assert current(database) == head()
    assert tables_of(database) == everything


def test_the_migrated_database_is_what_the_code_says(database: Database) -> None:
    with_config(database, command.check)  # raises where a table, column, index or default differs


def test_nobody_changes_a_statement(database: Database) -> None:
    for table in STATEMENTS:
        column = "hash" if table == "closes" else "stated_by" if table == "disputes" else "provider_id"
        for change in (f"UPDATE {table} SET {column} = ''", f"DELETE FROM {table}", f"TRUNCATE {table}"):
            with pytest.raises(DBAPIError) as refused, database.transaction(Caller.batch()) as connection:
                connection.execute(text(change))
            assert isinstance(refused.value.orig, psycopg.errors.RestrictViolation), change
