"""deploy/server/replica.md, done: a streaming replica that is read, and takes over when the primary dies."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app import pipeline
from app.api.wire import UploadBody
from app.core.clock import utc_now
from app.core.settings import Settings
from app.db.callers import Caller
from app.db.embedded import EmbeddedServer
from app.db.engine import Database
from app.db.opening import create_database
from app.db.prepare import prepare
from app.pipeline_derive import catch_up
from tests.bench.street import Street


def make_replica(primary: EmbeddedServer, folder: Path) -> EmbeddedServer:
    """`pg_basebackup -R`: a copy of the running primary that follows it from then on."""
    replica = EmbeddedServer(folder)
    replica.folder.mkdir(parents=True)
    user = primary.user
    if user is not None:
        os.chown(replica.folder, user.pw_uid, user.pw_gid)
    subprocess.run(
        [str(primary.bindir / "pg_basebackup"), "-h", str(primary.socket), "-U", "postgres", "-D",
         str(replica.cluster), "-R", "-X", "stream", "-C", "-S", "replica_one", "--checkpoint=fast"],
        check=True, user=user.pw_uid if user else None, group=user.pw_gid if user else None, cwd="/",
        env={"LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    return replica.start()


def ask(server: EmbeddedServer, query: str) -> str:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        found = connection.execute(query.encode()).fetchone()
        return str(found[0]) if found else ""


def wait_for(server: EmbeddedServer, query: str, answer: str) -> None:
    deadline = time.monotonic() + 30
    while ask(server, query) != answer:
        assert time.monotonic() < deadline, f"{query} is {ask(server, query)}"
        time.sleep(0.05)


@pytest.fixture
def primary(tmp_path: Path) -> Iterator[EmbeddedServer]:
    server = EmbeddedServer(tmp_path / "one").start()
    yield server
    server.stop()


@pytest.mark.slow
def test_a_replica_is_read_and_takes_over_without_losing_what_was_receipted(
    primary: EmbeddedServer, tmp_path: Path
) -> None:
    create_database(primary, "care")
    settings = Settings(data=tmp_path / "data")
    with ExitStack() as stack:
        database = Database(primary.url("care"), settings, passwordless=True)
        stack.callback(database.close)
        prepare(database)
        street = Street(3, utc_now())
        street.furnish(database)
        replica = make_replica(primary, tmp_path / "two")
        stack.callback(replica.stop)
        # From here on a commit waits until the replica has it on disk: a receipt survives either machine.
        with psycopg.connect(primary.url(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            connection.execute("SELECT pg_reload_conf()")
        wait_for(primary, "SELECT sync_state FROM pg_stat_replication", "sync")
        rounds = [
            [UploadBody.model_validate_json(body).from_wire() for body in bodies] for bodies in street.uploads(6, 2)
        ]
        for uploads in rounds[:2]:
            assert {answer.status for answer in pipeline.receive_taps(database, uploads, utc_now())} == {200}
        catch_up(database, utc_now())

        copy = Database(replica.url("care"), settings, passwordless=True)
        stack.callback(copy.close)
        count = text("SELECT count(*) FROM visits WHERE status = 'complete'")
        wait_for(replica, "SELECT pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn()", "True")
        with copy.transaction(Caller.city(), read_only=True) as connection:
            assert connection.execute(count).scalar_one() == 6
        with pytest.raises(DBAPIError, match="read-only"), copy.transaction(Caller.batch()) as connection:
            connection.execute(text("DELETE FROM derive_queue"))

        server_pid = int((primary.cluster / "postmaster.pid").read_text("ascii").split()[0])
        os.kill(server_pid, signal.SIGKILL)
        assert ask(replica, "SELECT pg_promote()") == "True"
        # Devices that got no answer say everything again; nothing is there twice, nothing is missing.
        for uploads in rounds:
            assert {answer.status for answer in pipeline.receive_taps(copy, uploads, utc_now())} == {200}
        catch_up(copy, utc_now() + timedelta(seconds=1))
        with copy.transaction(Caller.city(), read_only=True) as connection:
            assert connection.execute(count).scalar_one() == 9
            assert connection.execute(text("SELECT count(*) FROM taps")).scalar_one() == 18
