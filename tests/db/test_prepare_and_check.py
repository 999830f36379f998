"""`db prepare` and `db check` on a server by URL (TCP, passwords), and what check refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.core.settings import Settings
from app.db import walls
from app.db.callers import DOOR_LOGINS, Caller
from app.db.check import check, require_fit
from app.db.embedded import EmbeddedServer
from app.db.engine import Database
from app.db.opening import open_database, open_unmigrated
from app.db.prepare import prepare
from app.refusals import DatabaseUnfit
from app.visits.staging import Staging

# Every address of 127/8 is this machine; an unusual one does not meet a PostgreSQL that happens to run here.
ADDRESS = "127.31.7.23"


@pytest.fixture(scope="module")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an owner who is not a superuser, on a server that asks for passwords over TCP."""
    folder = tmp_path_factory.mktemp("server")
    for place in (folder.parent, folder):
        place.chmod(0o711)
    rules = folder / "pg_hba.conf"
    rules.write_text("local all all trust\nhost all all 127.0.0.0/8 scram-sha-256\n")
    rules.chmod(0o644)
    server = EmbeddedServer(folder / "pg", options={"listen_addresses": ADDRESS, "hba_file": str(rules)}).start()
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("CREATE ROLE city_owner LOGIN CREATEROLE PASSWORD 'fictional'")
        connection.execute("CREATE DATABASE care OWNER city_owner")
    yield f"postgresql://city_owner:fictional@{ADDRESS}:5432/care"
    server.stop()


def environment(url: str, data: Path) -> dict[str, str]:
    return {**os.environ, "KOMGICK_DATABASE_URL": url, "KOMGICK_DATA": str(data)}


def komgick(url: str, data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "app.cli", *arguments]
    root = Path(__file__).parents[2]
    return subprocess.run(command, capture_output=True, text=True, env=environment(url, data), cwd=root, check=False)


def test_prepare_makes_logins_with_passwords_in_a_private_file(server_url: str, tmp_path: Path) -> None:
    refused = komgick(server_url, tmp_path, "db", "check")
    assert refused.returncode == 1
    assert "login provider is missing: run `komgick db prepare`" in refused.stdout
    prepared = komgick(server_url, tmp_path, "db", "prepare", "--format", "json")
    assert prepared.returncode == 0, prepared.stderr
    assert {"done": "login provider created"} in json.loads(prepared.stdout)
    secrets = tmp_path / "logins.json"
    assert secrets.stat().st_mode & 0o777 == 0o600
    assert set(json.loads(secrets.read_text())) == {login.value for login in DOOR_LOGINS}
    again = komgick(server_url, tmp_path, "db", "prepare")
    assert again.returncode == 0, again.stderr
    checked = komgick(server_url, tmp_path, "db", "check", "--format", "json")
    assert (checked.returncode, json.loads(checked.stdout)) == (0, []), checked.stderr
    db = open_database(Settings(data=tmp_path, database_url=server_url))
    try:
        with db.transaction(Caller.provider("p1")) as tx:
            assert tx.execute(text("SELECT session_user::text")).scalar_one() == "provider"
    finally:
        db.close()


def test_a_lost_password_file_is_noticed_and_prepare_heals_it(server_url: str, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, database_url=server_url)
    db = open_unmigrated(settings)
    try:
        prepare(db)
        assert check(db) == []
        settings.passwords_file.write_text(json.dumps(dict.fromkeys(["provider", "city", "ingest", "auth"], "wrong")))
        other = Database(server_url, settings)
        assert any("cannot log in" in problem for problem in check(other))
        settings.passwords_file.unlink()
        prepare(db)
        other.close()
        assert check(db) == []
    finally:
        db.close()


def test_a_password_file_that_others_can_read_is_refused(server_url: str, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, database_url=server_url)
    settings.passwords_file.write_text("{}")
    settings.passwords_file.chmod(0o644)
    db = open_unmigrated(settings)
    with pytest.raises(DatabaseUnfit, match="can be read by others"):
        prepare(db)
    db.close()


def test_a_server_that_does_not_answer_is_a_refusal_not_a_traceback(tmp_path: Path) -> None:
    done = komgick("postgresql://nobody@127.31.7.24:1/none", tmp_path, "db", "check")
    assert done.returncode == 1
    assert done.stderr.startswith("database_unfit: the database does not answer")


def test_a_fresh_installation_is_fit(database: Database) -> None:
    assert check(database) == []


@pytest.mark.parametrize(
    ("harm", "complaint"),
    [
        ("CREATE TABLE strays (client_id text)", "strays holds data about people without row-level security"),
        ("CREATE TABLE strays (n int); GRANT SELECT ON strays TO provider", "login provider reads strays"),
        ("CREATE TABLE strays (n int); GRANT SELECT ON strays TO PUBLIC", "everybody has rights on strays"),
        ("CREATE TABLE strays (n int); GRANT TRUNCATE ON strays TO city", "login city has TRUNCATE on strays"),
        ("CREATE VIEW sight AS SELECT 1 AS n", "view sight runs as its owner"),
        (
            (
                "CREATE TABLE strays (client_id text); ALTER TABLE strays ENABLE ROW LEVEL SECURITY;"
                "GRANT SELECT ON strays TO provider; CREATE POLICY everything ON strays TO provider USING (true)"
            ),
            "every provider sees all of strays",
        ),
        (
            (
                "CREATE TABLE strays (n int); ALTER TABLE strays ENABLE ROW LEVEL SECURITY;"
                "CREATE POLICY shut ON strays TO city USING (true)"
            ),
            "login city has a policy but no rights on strays",
        ),
        (
            (
                "CREATE TABLE strays (n int); ALTER TABLE strays ENABLE ROW LEVEL SECURITY;"
                "CREATE POLICY shut ON strays USING (true)"
            ),
            "a policy of strays is for everybody",
        ),
        ("ALTER ROLE provider BYPASSRLS", "login provider has rights beyond"),
        ("ALTER ROLE provider NOLOGIN", "login provider may not log in"),
        ("GRANT CREATE ON SCHEMA komgick TO ingest", "login ingest may create tables"),
        ("REVOKE USAGE ON SCHEMA komgick FROM ingest", "login ingest may not enter the schema"),
        ("ALTER ROLE city SET synchronous_commit = off", "synchronous_commit is off for city"),
        ("ALTER TABLE taps DISABLE TRIGGER refuse_change", "the trigger refuse_change of taps is switched off"),
        ("GRANT DELETE ON taps TO city", "login city has DELETE on taps"),
        ("ALTER TABLE clients DISABLE ROW LEVEL SECURITY", "clients holds data about people without row-level"),
        ("DROP POLICY clients_provider ON clients", "policy clients_provider of clients is gone"),
        (
            "ALTER POLICY clients_provider ON clients USING (name <> '')",
            "policy clients_provider of clients was changed",
        ),
        ("ALTER POLICY units_provider ON units WITH CHECK (true)", "policy units_provider of units was changed"),
        (
            "CREATE POLICY more ON clients TO provider USING (name <> '')",
            "policy more of clients was added since the last migration",
        ),
        ("DROP TRIGGER refuse_change ON taps", "trigger refuse_change of taps is gone"),
        (
            "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
            "function refuse_change was changed",
        ),
        (
            "CREATE FUNCTION peek() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT max(name) FROM clients'",
            "function peek with its owner's rights was added",
        ),
        ("GRANT SELECT (name) ON clients TO ingest; GRANT UPDATE ON clients TO ingest", "rights of ingest on clients"),
        ("COMMENT ON TABLE alembic_version IS NULL", "nobody knows what the walls were built like"),
    ],
)
def test_check_sees_what_is_wrong(database: Database, harm: str, complaint: str) -> None:
    with database.owner.connect() as connection:
        try:
            connection.exec_driver_sql(harm)
            connection.commit()
            problems = check(database)
        finally:  # logins belong to the whole server, so they are healed for the next test
            connection.rollback()
            connection.exec_driver_sql("ALTER ROLE provider NOBYPASSRLS LOGIN; ALTER ROLE city RESET ALL")
            connection.commit()
    assert [line for line in problems if complaint in line], problems


def test_a_start_is_refused_when_a_wall_is_missing(database: Database, cli_environment: dict[str, str]) -> None:
    with database.transaction(Caller.batch()) as tx:
        tx.exec_driver_sql("CREATE TABLE strays (client_id text)")
    settings = Settings(data=database.settings.data, database_url=cli_environment["KOMGICK_DATABASE_URL"])
    with pytest.raises(DatabaseUnfit, match="strays holds data about people"):
        open_database(settings)


def test_statements_are_never_changed_not_even_by_the_owner(database: Database) -> None:
    for harm in ("UPDATE taps SET seq = 1", "DELETE FROM taps", "TRUNCATE taps CASCADE"):
        with (
            pytest.raises(DBAPIError, match="statements are never changed"),
            database.transaction(Caller.batch()) as tx,
        ):
            tx.exec_driver_sql(harm)


def test_a_table_of_a_later_migration_has_grants_walls_and_trigger(database: Database) -> None:
    with database.transaction(Caller.batch()) as tx:
        tx.exec_driver_sql("CREATE TABLE later (provider_id text NOT NULL)")
        with Operations.context(MigrationContext.configure(tx)):
            walls.statement("later", sees=walls.own())
    assert check(database) == []
    with database.transaction(Caller.provider("p1")) as tx:
        tx.exec_driver_sql("INSERT INTO later VALUES ('p1')")
    with pytest.raises(DBAPIError, match="row-level security"), database.transaction(Caller.provider("p1")) as tx:
        tx.exec_driver_sql("INSERT INTO later VALUES ('p2')")
    with database.transaction(Caller.provider("p2")) as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM later").scalar_one() == 0
    with pytest.raises(DBAPIError, match="permission denied"), database.transaction(Caller.auth()) as tx:
        tx.exec_driver_sql("SELECT count(*) FROM later")
    with pytest.raises(DBAPIError, match="never changed"), database.transaction(Caller.batch()) as tx:
        tx.exec_driver_sql("TRUNCATE later")


def test_two_municipalities_in_one_database_have_logins_of_their_own(server_url: str, tmp_path: Path) -> None:
    opened = []
    for name in ("norrby", "soderby"):
        settings = Settings.model_validate(
            {
                "data": tmp_path / name,
                "database_url": server_url,
                "KOMGICK_SCHEMA": name,
                "login_prefix": f"{name}_",
            }
        )
        db = open_unmigrated(settings)
        opened.append(db)
        prepare(db)
        assert check(db) == []
    try:
        with opened[0].transaction(Caller.city()) as tx:
            assert tx.execute(text("SELECT current_user::text")).scalar_one() == "norrby_city"
            assert tx.exec_driver_sql("SELECT count(*) FROM taps").scalar_one() == 0
        with pytest.raises(DBAPIError, match="permission denied"), opened[0].transaction(Caller.city()) as tx:
            tx.exec_driver_sql("SELECT count(*) FROM soderby.taps")
    finally:
        for db in opened:
            db.close()


def test_what_a_killed_rebuild_left_behind_keeps_no_command_out(database: Database) -> None:
    Staging(database).create()
    require_fit(database)
    assert check(database) == []
