"""A copy of the whole schema in one file, and the way back: PostgreSQL's own pg_dump and pg_restore.

The file is pg_dump's custom format: one consistent snapshot, taken while the installation works. It holds the schema
with its data, walls and triggers, but neither the logins (`prepare` makes them) nor the keys under `secrets`.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psycopg
from sqlalchemy.engine import URL

from app.db.binaries import find_bindir
from app.db.engine import Database
from app.db.migrate import current
from app.db.prepare import make_logins
from app.refusals import DatabaseUnfit, Refused


class BackupUnfit(Refused):
    """The backup could not be written or read."""

    code = "backup_unfit"


class DatabaseNotEmpty(Refused):
    """There is an installation in this database already: restore into an empty one."""

    code = "database_not_empty"


def backup(database: Database, file: Path) -> int:
    """Write the schema to `file` (mode 0600, whole or not at all); its size in bytes. BackupUnfit."""
    partly = file.with_name(f"{file.name}.partly")
    partly.unlink(missing_ok=True)
    os.close(os.open(partly, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        _run(database, "pg_dump", ["--format=custom", f"--schema={database.schema}", "--extension=btree_gist",
                                   f"--file={partly}"])  # fmt: skip
        with partly.open("rb+") as written:
            os.fsync(written.fileno())
        partly.rename(file)
    finally:
        partly.unlink(missing_ok=True)
    return file.stat().st_size


def restore(database: Database, file: Path) -> str:
    """Bring a backup into a database without an installation, all or nothing; its revision. DatabaseNotEmpty.

    Afterwards devices resend what the backup does not know: their outboxes are the witness of the hours since.
    """
    with database.owner.connect() as connection:
        raw = connection.connection.driver_connection
        assert isinstance(raw, psycopg.Connection)  # noqa: S101 -- the engine's creator makes psycopg connections only
        schema = raw.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [database.schema]).fetchone()
        if schema is not None:
            raise DatabaseNotEmpty
        make_logins(raw, database)
        raw.commit()
    _run(database, "pg_restore", ["--single-transaction", "--exit-on-error", f"--dbname={database.url.database}",
                                  str(file)])  # fmt: skip
    return current(database) or ""


def _run(database: Database, program: str, arguments: Sequence[str]) -> None:
    path = find_bindir() / program
    if not path.exists():
        raise DatabaseUnfit(f"no program `{program}` beside `postgres`: install the system's postgresql-client")
    done = subprocess.run(
        [str(path), "--no-password", *arguments], capture_output=True, text=True, env=_environment(database.url),
        check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise BackupUnfit(f"{program}: {done.stderr.strip()[-500:] or f'status {done.returncode}'}")


def _environment(url: URL) -> dict[str, str]:
    """How libpq's programs find the database: by the environment, so that no password stands in a list of processes."""
    query = {name: value for name, value in url.query.items() if isinstance(value, str)}
    named = {
        "PGHOST": query.get("host") or url.host or "",
        "PGPORT": query.get("port") or str(url.port or ""),
        "PGUSER": url.username or "",
        "PGPASSWORD": str(url.password or ""),
        "PGDATABASE": url.database or "",
        "PGSSLMODE": query.get("sslmode", ""),
        "PGSSLROOTCERT": query.get("sslrootcert", ""),
    }
    return {**os.environ, **{name: value for name, value in named.items() if value}}
