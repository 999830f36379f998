"""Open the installation's database: the embedded one, or the server of KOMGICK_DATABASE_URL; migrate it when behind."""

from __future__ import annotations

import psycopg
from psycopg import sql

from app.core.settings import Settings
from app.db.check import lacks_logins, require_durable, require_fit
from app.db.embedded import EmbeddedServer
from app.db.engine import Database
from app.db.migrate import behind, migrate
from app.db.prepare import prepare

# The embedded server's database; a server's is named by its URL.
EMBEDDED_DATABASE = "komgick"


def open_unmigrated(settings: Settings) -> Database:
    """A `Database` whose schema may be missing or behind: for prepare, check and migrations."""
    if settings.database_url:
        return Database(settings.database_url, settings)
    server = EmbeddedServer(settings.data / "postgres").start()
    try:
        create_database(server, EMBEDDED_DATABASE)
    except BaseException:
        server.stop()
        raise
    return Database(
        server.url(EMBEDDED_DATABASE),
        settings,
        revive=lambda: _start_again(server),
        on_close=server.stop,
        passwordless=True,
    )


def open_database(settings: Settings) -> Database:
    """A `Database` ready for use: durable, migrated, walled. DatabaseUnfit with what is wrong and what to do.

    The embedded database prepares itself; on a server `komgick db prepare` makes the logins first.
    """
    db = open_unmigrated(settings)
    try:
        require_durable(db)
        if db.passwordless:
            if lacks_logins(db) or behind(db):
                prepare(db)
        else:
            require_fit(db, only_logins=True)
            if behind(db):
                migrate(db)
        require_fit(db)
    except BaseException:
        db.close()
        raise
    return db


def create_database(server: EmbeddedServer, name: str) -> None:
    """Create a database on the embedded server unless it is there."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
            try:
                connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template1").format(sql.Identifier(name)))
            except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                return  # another process was first


def _start_again(server: EmbeddedServer) -> None:
    server.start(timeout_s=30)
