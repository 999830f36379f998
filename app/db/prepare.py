"""`komgick db prepare`: schema, logins, passwords, migrations; may be run again at any time."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

import psycopg
from psycopg import sql

from app.db.callers import DOOR_LOGINS, Login
from app.db.engine import Database, read_passwords
from app.db.migrate import migrate
from app.refusals import DatabaseUnfit


def prepare(db: Database) -> list[str]:
    """Make what the owner's URL can make, migrate, and say what was done, one line each.

    On a server the owner needs CREATEROLE; the passwords go to `settings.passwords_file` (0600) and, hashed on this
    side (SCRAM), to the server. DatabaseUnfit when the owner may not.
    """
    done: list[str] = []
    with db.owner.connect() as connection:
        raw = connection.connection.driver_connection
        assert isinstance(raw, psycopg.Connection)  # noqa: S101 -- the engine's creator makes psycopg connections only
        try:
            done += _make_schema(raw, db)
            done += make_logins(raw, db)
            _open_schema(raw, db)
        except psycopg.errors.InsufficientPrivilege as error:
            raise DatabaseUnfit(f"the owner may not prepare the database: {error.diag.message_primary}") from error
        raw.commit()
    migrate(db)
    done.append("migrated")
    return done


def _make_schema(raw: psycopg.Connection[tuple[object, ...]], db: Database) -> list[str]:
    schema = sql.Identifier(db.schema)
    known = raw.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [db.schema]).fetchone()
    if known is None:
        raw.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
    raw.execute(sql.SQL("REVOKE ALL ON SCHEMA {} FROM PUBLIC").format(schema))
    # For exclusion constraints over a text column and a period. Trusted: the database's owner may create it.
    raw.execute(sql.SQL("CREATE EXTENSION IF NOT EXISTS btree_gist SCHEMA {}").format(schema))
    return [] if known else [f"schema {db.schema} created"]


def make_logins(raw: psycopg.Connection[tuple[object, ...]], db: Database) -> list[str]:
    """Make the logins of the doors that are missing and set their passwords; what was made, one line each."""
    passwords = {} if db.passwordless else _passwords(db.settings.passwords_file)
    done = []
    for login in DOOR_LOGINS:
        name = db.login_name(login)
        role = sql.Identifier(name)
        if raw.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone() is None:
            raw.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
            done.append(f"login {name} created")
        if passwords:
            hashed = raw.pgconn.encrypt_password(
                passwords[login.value].encode(), name.encode(), b"scram-sha-256"
            ).decode()
            raw.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, sql.Literal(hashed)))
        raw.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(str(db.url.database)), role))
    return done


def _open_schema(raw: psycopg.Connection[tuple[object, ...]], db: Database) -> None:
    for login in DOOR_LOGINS:
        role = sql.Identifier(db.login_name(login))
        raw.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(db.schema), role))


def _passwords(file: Path) -> dict[str, str]:
    """The passwords of the file, completed by new ones; written before the server learns them, so a rerun heals."""
    passwords = read_passwords(file)
    missing: list[Login] = [login for login in DOOR_LOGINS if login.value not in passwords]
    if missing:
        passwords.update({login.value: secrets.token_urlsafe(32) for login in missing})
        file.parent.mkdir(parents=True, exist_ok=True)
        partly = file.with_name(f"{file.name}.{os.getpid()}")
        descriptor = os.open(partly, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            json.dump(passwords, out, indent=1)
            out.flush()
            os.fsync(out.fileno())
        partly.rename(file)
    return passwords
