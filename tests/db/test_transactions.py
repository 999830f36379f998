"""transaction(caller): who asks decides the login, what is seen, and when it is stored."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from app.core.settings import Settings
from app.db.callers import DOOR_LOGINS, Caller, Login
from app.db.engine import Database

MAKE_NOTES = """
CREATE TABLE notes (id int PRIMARY KEY, provider_id text NOT NULL);
INSERT INTO notes VALUES (1, 'p1'), (2, 'p2');
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
GRANT SELECT, INSERT, UPDATE ON notes TO provider, city;
CREATE POLICY notes_provider ON notes TO provider
    USING (provider_id = (SELECT nullif(current_setting('app.provider', true), '')));
CREATE POLICY notes_city ON notes TO city USING (true);
"""


@pytest.fixture
def notes(database: Database) -> Database:
    with database.transaction(Caller.batch()) as tx:
        tx.exec_driver_sql(MAKE_NOTES)
    return database


def test_every_class_of_caller_is_a_login_of_its_own(database: Database) -> None:
    for caller, login in (
        (Caller.provider("p1"), "provider"),
        (Caller.city("d1"), "city"),
        (Caller.ingest(), "ingest"),
        (Caller.auth(), "auth"),
        (Caller.batch(), "postgres"),
    ):
        with database.transaction(caller) as tx:
            assert tx.execute(text("SELECT current_user::text")).scalar_one() == login


def test_a_pool_is_opened_only_when_its_class_calls(database: Database) -> None:
    with database.transaction(Caller.city()) as tx:
        users = tx.execute(text("SELECT usename FROM pg_stat_activity WHERE datname = current_database()")).scalars()
        assert set(users) == {"city"}


def test_a_provider_sees_and_writes_its_own_rows_only(notes: Database) -> None:
    with notes.transaction(Caller.provider("p1")) as tx:
        assert tx.execute(text("SELECT id FROM notes")).scalars().all() == [1]
        assert tx.execute(text("UPDATE notes SET id = id + 10 WHERE id = 2")).rowcount == 0
    with pytest.raises(ProgrammingError, match="row-level security"), notes.transaction(Caller.provider("p1")) as tx:
        tx.execute(text("INSERT INTO notes VALUES (3, 'p2')"))
    with notes.transaction(Caller.city()) as tx:
        assert tx.execute(text("SELECT count(*) FROM notes")).scalar_one() == 2


def test_the_provider_of_one_transaction_is_forgotten_in_the_next(notes: Database) -> None:
    with notes.transaction(Caller.provider("p1")) as tx:
        backend = tx.execute(text("SELECT pg_backend_pid()")).scalar_one()
    with notes.engine(Login.PROVIDER).connect() as connection:
        assert connection.execute(text("SELECT pg_backend_pid()")).scalar_one() == backend
        assert connection.execute(text("SELECT id FROM notes")).all() == []


def test_a_provider_caller_without_an_id_is_refused() -> None:
    with pytest.raises(ValueError, match="provider_id"):
        Caller.provider("")


def test_a_transaction_commits_at_the_end_and_rolls_back_when_it_raises(notes: Database) -> None:
    with notes.transaction(Caller.city()) as tx:
        tx.execute(text("INSERT INTO notes VALUES (3, 'p3')"))
    with pytest.raises(RuntimeError), notes.transaction(Caller.city()) as tx:
        tx.execute(text("INSERT INTO notes VALUES (4, 'p4')"))
        raise RuntimeError
    with notes.transaction(Caller.city()) as tx:
        assert tx.execute(text("SELECT max(id) FROM notes")).scalar_one() == 3


def test_a_commit_that_fails_raises_out_of_the_block(notes: Database) -> None:
    with notes.transaction(Caller.batch()) as tx:
        tx.exec_driver_sql("ALTER TABLE notes ADD CONSTRAINT late UNIQUE (provider_id) DEFERRABLE INITIALLY DEFERRED")
    after = []
    with pytest.raises(DBAPIError):
        with notes.transaction(Caller.city()) as tx:
            tx.execute(text("INSERT INTO notes VALUES (3, 'p1')"))
        after.append("answered")
    assert after == []


def test_a_read_only_transaction_refuses_writes(notes: Database) -> None:
    with pytest.raises(DBAPIError, match="read-only"), notes.transaction(Caller.city(), read_only=True) as tx:
        tx.execute(text("INSERT INTO notes VALUES (3, 'p3')"))
    with notes.transaction(Caller.city()) as tx:
        tx.execute(text("INSERT INTO notes VALUES (3, 'p3')"))


def test_a_door_login_makes_no_tables(database: Database) -> None:
    for login in DOOR_LOGINS:
        with pytest.raises(ProgrammingError), database.transaction(Caller(login, provider_id="p1")) as tx:
            tx.exec_driver_sql("CREATE TABLE stray (id int)")


def test_statements_and_idle_transactions_time_out_but_not_for_batch(database: Database) -> None:
    settings = Settings(data=database.settings.data, statement_timeout_ms=100, idle_in_transaction_timeout_ms=200)
    hurried = Database(database.url, settings, passwordless=True)
    try:
        with pytest.raises(OperationalError, match="statement timeout"), hurried.transaction(Caller.city()) as tx:
            tx.execute(text("SELECT pg_sleep(5)"))
        with hurried.transaction(Caller.batch()) as tx:
            tx.execute(text("SELECT pg_sleep(0.3)"))
        with pytest.raises((DBAPIError, psycopg.Error)), hurried.transaction(Caller.city()) as tx:
            tx.execute(text("SELECT 1"))
            time.sleep(0.6)
            tx.execute(text("SELECT 1"))
    finally:
        hurried.close()


def test_nothing_outside_the_schema_is_found(database: Database) -> None:
    with database.transaction(Caller.batch()) as tx:
        tx.exec_driver_sql("CREATE TABLE public.outside (id int)")
        assert tx.execute(text("SELECT current_schemas(false)::text[]")).scalar_one() == ["komgick"]
        assert tx.execute(text("SELECT to_regclass('outside')")).scalar_one() is None


def test_another_schema_name_holds_everything(make_database: Callable[..., Database]) -> None:
    from app.db.prepare import prepare

    plain = make_database(empty=True)
    settings = Settings.model_validate({"data": plain.settings.data, "KOMGICK_SCHEMA": "sollentuna"})
    db = Database(plain.url, settings, passwordless=True)
    try:
        prepare(db)
        with db.transaction(Caller.batch()) as tx:
            schemas = tx.execute(
                text("SELECT DISTINCT relnamespace::regnamespace::text FROM pg_class WHERE relkind IN ('r', 'p')")
            ).scalars()
            assert set(schemas) - {"pg_catalog", "information_schema"} == {"sollentuna"}
    finally:
        db.close()


def test_many_threads_share_one_pool(notes: Database) -> None:
    seen: list[int] = []

    def read(number: int) -> None:
        with notes.transaction(Caller.provider(f"p{number % 2 + 1}")) as tx:
            (row,) = tx.execute(text("SELECT id FROM notes")).scalars().all()
            assert row == number % 2 + 1
            seen.append(row)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 24


def test_a_provider_has_no_question_outside_a_transaction_where_its_wall_stands(database: Database) -> None:
    with database.question(Caller.batch()) as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1
    with pytest.raises(ValueError, match="transaction"), database.question(Caller.provider("p1")):
        pass
