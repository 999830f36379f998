"""A backup is one file from which another database becomes the same installation, or nothing at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from app import pipeline
from app.cli import COMMANDS
from app.cli.registry import run
from app.db.backup import BackupUnfit, DatabaseNotEmpty, backup, restore
from app.db.callers import Caller
from app.db.check import check
from app.db.engine import Database
from app.db.migrate import head
from tests.contract.test_review_months import town
from tests.flows.bundles import write

NOW = datetime(2026, 2, 6, 18, tzinfo=UTC)


def everything(database: Database) -> dict[str, list[str]]:
    """Every row of every table, as text."""
    with database.transaction(Caller.batch(), read_only=True) as connection:
        named = "SELECT tablename FROM pg_tables WHERE schemaname = :schema ORDER BY 1"
        names = [row.tablename for row in connection.execute(text(named), {"schema": database.schema})]
        return {
            name: sorted(row[0] for row in connection.execute(text(f'SELECT one::text FROM "{name}" AS one')))
            for name in names
        }


def test_another_database_becomes_the_same_installation(
    database: Database, make_database: Callable[..., Database], tmp_path: Path
) -> None:
    pipeline.import_bundle(database, write(tmp_path / "town", town()), now=NOW)
    file = tmp_path / "night.backup"
    assert backup(database, file) == file.stat().st_size > 10_000
    assert file.stat().st_mode & 0o777 == 0o600, "it holds personal data"
    copy = make_database(empty=True)
    assert restore(copy, file) == head()
    before = everything(database)
    assert len(before["taps"]) == 2
    assert len(before["visits"]) == 1
    assert everything(copy) == before
    assert check(copy) == [], "walls, triggers and partitions came along"
    with pytest.raises(DatabaseNotEmpty):
        restore(copy, file)


def test_a_torn_backup_leaves_nothing_behind(
    database: Database, make_database: Callable[..., Database], tmp_path: Path
) -> None:
    file = tmp_path / "torn.backup"
    backup(database, file)
    file.write_bytes(file.read_bytes()[:-2000])
    copy = make_database(empty=True)
    with pytest.raises(BackupUnfit):
        restore(copy, file)
    assert everything(copy) == {}


def test_a_backup_that_fails_keeps_the_one_of_yesterday(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "night.backup"
    backup(database, file)
    yesterday = file.read_bytes()
    with psycopg.connect(database.url.set(drivername="postgresql").render_as_string(False), autocommit=True) as raw:
        raw.execute(f"ALTER SCHEMA {database.schema} RENAME TO elsewhere")
    with pytest.raises(BackupUnfit):
        backup(database, file)
    assert file.read_bytes() == yesterday
    assert list(tmp_path.glob("*.partly")) == []


def test_the_commands_do_it(
    cli_environment: Mapping[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for name, value in cli_environment.items():
        monkeypatch.setenv(name, value)
    file = tmp_path / "night.backup"
    assert run(COMMANDS, ["db", "backup", str(file), "--format", "csv"]) == 0
    assert capfd.readouterr().out.splitlines()[1] == f"{file},{file.stat().st_size}"
    assert run(COMMANDS, ["db", "restore", str(file)]) == 1
    assert capfd.readouterr().err.startswith("database_not_empty: ")
