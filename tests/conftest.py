"""A real PostgreSQL for every test that asks: one embedded server a session (and worker), one fresh database a test.

`database` is a migrated, walled database of its own (a copy of a template, ~0.1 s). `cli_environment` lets a komgick
process use the same database. `tmp_path` can be entered by the server's system user, so that `--data` may lie in it.
KOMGICK_PG_BINDIR chooses another PostgreSQL (`deploy/run test --all` does). A missing PostgreSQL is a failure, never a
skip.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import hypothesis
import psycopg
import pytest
from psycopg import sql

from app.core.settings import Settings
from app.db.embedded import EmbeddedServer
from app.db.engine import Database
from app.db.opening import create_database
from app.db.prepare import prepare

for _name in [name for name in os.environ if name.startswith("KOMGICK_") and name != "KOMGICK_PG_BINDIR"]:
    del os.environ[_name]  # the developer's own installation must not be seen by a test

hypothesis.settings.register_profile("komgick", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("komgick")

_TEMPLATE = "komgick_template"
_numbers = itertools.count(1)


def _roomy_memory() -> str | None:
    """The file system in memory, where there is room on it: the same durable settings, but no disk to wait for."""
    memory = Path("/dev/shm")  # noqa: S108 -- mkdtemp makes a private folder of its own in it
    if "KOMGICK_PG_BINDIR" in os.environ or not memory.is_dir():
        return None  # the run on the system's PostgreSQL (`test --all`) is on a disk
    status = os.statvfs(memory)
    free = status.f_bavail * status.f_frsize
    available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return str(memory) if min(free, available) > 6 * 2**30 and not status.f_flag & os.ST_NOEXEC else None


def pytest_configure(config: pytest.Config) -> None:
    """Temporary files lie where the database server's system user can go; they are removed at the end."""
    if not config.option.basetemp:
        folder = tempfile.mkdtemp(prefix="komgick-test-", dir=os.environ.get("TMPDIR") or _roomy_memory())
        config.option.basetemp = folder
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


@pytest.fixture(scope="session", autouse=True)
def _passable(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The session's folder can be entered by the server's system user; a worker's (`-n 2`) lies in the session's."""
    own = tmp_path_factory.getbasetemp()
    for folder in (own.parent, own) if "PYTEST_XDIST_WORKER" in os.environ else (own,):
        folder.chmod(0o711)


@pytest.fixture
def tmp_path(tmp_path: Path) -> Path:
    """Pytest's folder for one test, passable (not readable) for the server's system user."""
    for folder in (tmp_path.parent, tmp_path):
        folder.chmod(0o711)
    return tmp_path


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """The session's PostgreSQL, durable as in production."""
    server = EmbeddedServer(tmp_path_factory.getbasetemp() / "postgres").start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def template(postgres: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a prepared and migrated database to copy."""
    create_database(postgres, _TEMPLATE)
    settings = Settings(data=tmp_path_factory.getbasetemp())
    db = Database(postgres.url(_TEMPLATE), settings, passwordless=True)
    try:
        prepare(db)
    finally:
        db.close()
    return _TEMPLATE


def copy_database(server: EmbeddedServer, name: str, template: str) -> None:
    """A database of its own, file by file: a sixth of the time that a copy through the log takes."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        words = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
        connection.execute(words.format(sql.Identifier(name), sql.Identifier(template)))


@pytest.fixture
def make_database(postgres: EmbeddedServer, template: str, tmp_path: Path) -> Iterator[Callable[..., Database]]:
    """Makes databases of a test's own: `make_database()` migrated, `make_database(empty=True)` with nothing in it."""
    made: list[tuple[str, Database]] = []

    def make(*, empty: bool = False) -> Database:
        name = f"test_{os.getpid()}_{next(_numbers)}"
        copy_database(postgres, name, "template1" if empty else template)
        db = Database(postgres.url(name), Settings(data=tmp_path), passwordless=True)
        made.append((name, db))
        return db

    yield make
    for _, db in made:
        db.close()
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        for name, _ in made:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def database(make_database: Callable[..., Database]) -> Database:
    """A migrated database of this test's own."""
    return make_database()


@pytest.fixture
def cli_environment(database: Database, tmp_path: Path) -> Mapping[str, str]:
    """The environment for a komgick process that uses the test's `database`, by URL as on a server."""
    environment = {**os.environ, "KOMGICK_DATABASE_URL": database.url.render_as_string(hide_password=False)}
    environment["KOMGICK_DATABASE_URL"] = environment["KOMGICK_DATABASE_URL"].replace("+psycopg", "")
    environment["KOMGICK_DATA"] = str(tmp_path)
    environment["KOMGICK_LOGINS_FILE"] = str(tmp_path / "logins.json")
    (tmp_path / "logins.json").write_text('{"provider": "-", "city": "-", "ingest": "-", "auth": "-"}', "utf-8")
    (tmp_path / "logins.json").chmod(0o600)  # the test server trusts its socket: no password is asked
    return environment
