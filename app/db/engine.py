"""One `Database` per process: a lazily opened pool per class of caller, and `transaction(caller)`.

The transaction commits when the block ends and rolls back when it raises; the door answers after the block
(ARCHITECTURE habit 6: commit, then answer).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, bindparam, create_engine, text
from sqlalchemy.engine import URL, make_url

from app.core.settings import Settings
from app.db.arrays import use_quick_lists
from app.db.callers import Caller, Login
from app.refusals import DatabaseUnfit

_PREPARE_AFTER, _MOST_PREPARED = 2, 500
_SET_PROVIDER = text("SELECT set_config('app.provider', :provider_id, true)").bindparams(bindparam("provider_id"))


class Database:
    """Connections to one installation's schema.

    `url` is the owner's. `revive` is called once before a connection attempt is repeated: the embedded server may
    have been another process's that has ended meanwhile. Thread-safe. Close it when done.
    """

    def __init__(
        self,
        url: str | URL,
        settings: Settings,
        *,
        revive: Callable[[], None] | None = None,
        on_close: Callable[[], None] | None = None,
        passwordless: bool = False,
    ) -> None:
        self.url = make_url(url).set(drivername="postgresql+psycopg")
        self.settings = settings
        self.schema = settings.db_schema
        self.passwordless = passwordless
        self._revive = revive
        self._on_close = on_close
        self._engines: dict[Login, Engine] = {}
        self._lock = threading.Lock()

    def login_name(self, login: Login) -> str:
        """The name of the login in PostgreSQL; for batch the owner's."""
        if login is Login.BATCH:
            return self.url.username or ""
        return f"{self.settings.login_prefix}{login.value}"

    def engine(self, login: Login) -> Engine:
        """The pool of one class of caller, opened at the first use."""
        with self._lock:
            engine = self._engines.get(login)
            if engine is None:
                engine = self._engines[login] = self._create_engine(login)
            return engine

    @contextmanager
    def transaction(self, caller: Caller, *, read_only: bool = False) -> Iterator[Connection]:
        """A connection in one transaction on behalf of `caller`: committed at the end, rolled back when it raises.

        `read_only` makes PostgreSQL refuse writes. Raises sqlalchemy.exc.DBAPIError; a failing commit raises too.
        """
        with self.engine(caller.login).connect() as connection:
            if read_only:
                connection.execution_options(postgresql_readonly=True)
            with connection.begin():
                if caller.login is Login.PROVIDER:
                    connection.execute(_SET_PROVIDER, {"provider_id": caller.provider_id})
                yield connection

    @contextmanager
    def question(self, caller: Caller) -> Iterator[Connection]:
        """A connection on which every statement stands alone: a single question costs one round trip, not three.

        Not for a provider, whose wall is a setting of the transaction: ValueError. Raises DBAPIError.
        """
        if caller.login is Login.PROVIDER:
            raise ValueError("a provider's questions need a transaction")
        with self.engine(caller.login).connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")

    @property
    def owner(self) -> Engine:
        """The owner's pool: migrations, prepare, check and the batch commands."""
        return self.engine(Login.BATCH)

    def close(self) -> None:
        """Close every pool, and stop the embedded server if this process started it. Safe to call twice."""
        with self._lock:
            engines, self._engines = list(self._engines.values()), {}
        for engine in engines:
            engine.dispose()
        if self._on_close is not None:
            self._on_close()

    def _create_engine(self, login: Login) -> Engine:
        parameters = self._parameters(login)

        def connect() -> psycopg.Connection[Any]:
            try:
                connection = psycopg.connect(**parameters)
            except psycopg.OperationalError:
                if self._revive is None:
                    raise
                self._revive()
                connection = psycopg.connect(**parameters)
            use_quick_lists(connection)
            # A derivation asks nearly a hundred questions: with psycopg's hundred statements kept, each pushed another
            # out and was planned anew, over every month's partition.
            connection.prepare_threshold, connection.prepared_max = _PREPARE_AFTER, _MOST_PREPARED
            return connection

        return create_engine(
            self.url,
            creator=connect,
            pool_size=self.settings.pool_size,
            max_overflow=self.settings.pool_size,
            pool_timeout=10,
            pool_pre_ping=True,
            # Compiled statements, some 36 KiB each, of five logins: every combination of a list's filters is one. At
            # the default of 500 (kept up to 750) a server would grow for weeks.
            query_cache_size=128,
            # An error that is logged names the statement, never the values.
            hide_parameters=True,
        )

    def _parameters(self, login: Login) -> dict[str, Any]:
        """libpq's parameters: search_path confines everything to the schema, time is UTC."""
        batch = login is Login.BATCH
        options = {
            "search_path": self.schema,
            "TimeZone": "UTC",
            "statement_timeout": 0 if batch else self.settings.statement_timeout_ms,
            "idle_in_transaction_session_timeout": 0 if batch else self.settings.idle_in_transaction_timeout_ms,
            "lock_timeout": 0 if batch else self.settings.lock_timeout_ms,
        }
        own = dict(self.url.query)
        parameters: dict[str, Any] = {
            **own,
            "host": self.url.host or own.get("host"),
            "port": self.url.port or own.get("port"),
            "dbname": self.url.database,
            "user": self.login_name(login),
            "password": self.url.password if batch else self._password(login),
            "options": " ".join(
                [*([str(own["options"])] if "options" in own else []), *(f"-c {k}={v}" for k, v in options.items())]
            ),
            "application_name": f"komgick-{login.value}",
            "connect_timeout": own.get("connect_timeout", 10),
        }
        return {name: value for name, value in parameters.items() if value is not None}

    def _password(self, login: Login) -> str | None:
        if self.passwordless:
            return None
        passwords = read_passwords(self.settings.passwords_file)
        if login.value not in passwords:
            raise DatabaseUnfit(f"no password for the login {login.value}: run `komgick db prepare`")
        return passwords[login.value]


def read_passwords(file: Path) -> dict[str, str]:
    """The logins' passwords by class of caller; empty when `komgick db prepare` has not run yet."""
    if not file.exists():
        return {}
    if file.stat().st_mode & 0o077:
        raise DatabaseUnfit(f"{file} can be read by others: chmod 600 {file}")
    passwords: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    return passwords
