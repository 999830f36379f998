"""The schema's version: Alembic run from the program, so that an installed komgick needs no alembic command.

Revisions lie in `migrations/versions`, file names beginning with the date. Alembic's own command works as well from a
checkout (`alembic check`, `alembic revision --autogenerate -m ...`): its configuration is in pyproject.toml.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

import app
from app.db.callers import Caller
from app.db.engine import Database

# One number for the whole project: two processes that start together migrate one after the other.
_MIGRATION_LOCK = 0x4B4F4D4749434B


def migrations_folder() -> Path:
    """Where the revisions are: beside `app`, in a checkout and in an installation alike."""
    return Path(app.__file__).resolve().parents[1] / "migrations"


def alembic_config(db: Database, connection: Connection | None = None) -> Config:
    """Alembic's configuration for this installation; with `connection` it runs there instead of opening its own."""
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["login_prefix"] = db.settings.login_prefix
    return config


def head() -> str | None:
    """The newest revision this program knows."""
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    return ScriptDirectory.from_config(config).get_current_head()


def current(db: Database) -> str | None:
    """The revision the database stands at; None before the first."""
    with db.transaction(Caller.batch()) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def behind(db: Database) -> bool:
    """Whether the database needs migrating."""
    return current(db) != head()


def migrate(db: Database, revision: str = "head", *, lock_timeout_ms: int = 10_000) -> None:
    """Bring the schema to `revision`; waits at most `lock_timeout_ms` for any lock, and nothing is half done then.

    Needs the schema and the logins (`prepare` makes them). Raises sqlalchemy.exc.OperationalError on a lock timeout.
    """
    with db.owner.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _MIGRATION_LOCK})
        connection.execute(text(f"SET lock_timeout = {int(lock_timeout_ms)}"))
        connection.commit()
        try:
            command.upgrade(alembic_config(db, connection), revision)
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _MIGRATION_LOCK})
            connection.execute(text("RESET lock_timeout"))
            connection.commit()
