"""The schema's version: Alembic run from the program, so that an installed komgick needs no alembic command.

Revisions lie in `migrations/versions`, file names beginning with the date. Alembic's own command works as well from a
checkout (`alembic check`, `alembic revision --autogenerate -m ...`): its configuration is in pyproject.toml.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text

import app
from app.db.callers import Caller
from app.db.engine import Database
from app.db.walls_record import record_walls, walls_recorded

if TYPE_CHECKING:
    from alembic.config import Config

# One number for the whole project: two processes that start together migrate one after the other.
_MIGRATION_LOCK = 0x4B4F4D4749434B
_REVISION = re.compile(
    r"""^revision(?:: str)? = ["'](?P<own>[^"']+)["']\s+down_revision[^=]* = (?:None|["'](?P<before>[^"']+)["'])""",
    re.MULTILINE,
)


def migrations_folder() -> Path:
    """Where the revisions are: beside `app`, in a checkout and in an installation alike."""
    return Path(app.__file__).resolve().parents[1] / "migrations"


def alembic_config(db: Database, connection: Connection | None = None) -> Config:
    """Alembic's configuration for this installation; with `connection` it runs there instead of opening its own."""
    from alembic.config import Config  # noqa: PLC0415 -- half of a command's start, and rarely needed

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["login_prefix"] = db.settings.login_prefix
    return config


def head() -> str | None:
    """The newest revision this program knows, read from the files without Alembic, which is slow to import.

    ValueError when two revisions claim to be the newest: one of them must be rebased.
    """
    known, followed = set(), set()
    for file in (migrations_folder() / "versions").glob("*.py"):
        revision = _REVISION.search(file.read_text(encoding="utf-8"))
        if revision is not None:
            known.add(revision["own"])
            followed.add(revision["before"])
    heads = known - followed
    if len(heads) > 1:
        raise ValueError(f"several newest revisions: {', '.join(sorted(heads))}")
    return heads.pop() if heads else None


def current(db: Database) -> str | None:
    """The revision the database stands at; None before the first."""
    with db.transaction(Caller.batch(), read_only=True) as connection:
        if connection.execute(text("SELECT to_regclass('alembic_version')")).scalar_one() is None:
            return None
        found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
        return found


def behind(db: Database) -> bool:
    """Whether the database needs migrating, or was migrated before walls were recorded."""
    if current(db) != head():
        return True
    with db.transaction(Caller.batch(), read_only=True) as connection:
        return not walls_recorded(connection)


def migrate(db: Database, revision: str = "head", *, lock_timeout_ms: int = 10_000) -> None:
    """Bring the schema to `revision`; waits at most `lock_timeout_ms` for any lock, and nothing is half done then.

    Needs the schema and the logins (`prepare` makes them). The walls are recorded then. Raises
    sqlalchemy.exc.OperationalError on a lock timeout.
    """
    from alembic import command  # noqa: PLC0415 -- as above

    with db.owner.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _MIGRATION_LOCK})
        connection.execute(text(f"SET lock_timeout = {int(lock_timeout_ms)}"))
        connection.commit()
        try:
            before = current(db)
            command.upgrade(alembic_config(db, connection), revision)
            connection.rollback()
            if current(db) != before or not walls_recorded(connection):
                record_walls(connection, db.schema)
            connection.commit()
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _MIGRATION_LOCK})
            connection.execute(text("RESET lock_timeout"))
            connection.commit()
