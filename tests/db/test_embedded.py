"""The embedded server with real processes: it dies with its owner, is shared, and is never half made."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from app.core.settings import Settings
from app.db.binaries import find_bindir, reachable_bindir, reachable_folder, unprivileged_user
from app.db.check import require_durable
from app.db.embedded import EmbeddedServer
from app.db.engine import Database
from app.db.opening import open_database
from app.refusals import DatabaseUnfit
from tests.db.processes import Opener, server_pids, wait_until

SHORT_LIVED_THREAD = """
import sys, threading
from pathlib import Path
from app.db.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
starter = threading.Thread(target=server.start)
starter.start()
starter.join()
print("owned", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def opener() -> Iterator[Callable[..., Opener]]:
    made: list[Opener] = []

    def make(folder: Path, *script: str) -> Opener:
        made.append(Opener(folder, *script))
        return made[-1]

    yield make
    for one in made:
        one.end()


def answers(server: EmbeddedServer) -> bool:
    try:
        psycopg.connect(server.url(), connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def test_the_server_dies_with_an_owner_that_is_killed(tmp_path: Path, opener: Callable[..., Opener]) -> None:
    owner = opener(tmp_path / "postgres")
    assert owner.said() == "owned"
    cluster = EmbeddedServer(tmp_path / "postgres").cluster
    assert server_pids(cluster)
    owner.process.send_signal(signal.SIGKILL)
    wait_until(lambda: not server_pids(cluster))


def test_the_server_stops_when_its_owner_ends(tmp_path: Path, opener: Callable[..., Opener]) -> None:
    owner = opener(tmp_path / "postgres")
    owner.said()
    owner.go_on()
    owner.said()
    owner.go_on()
    assert owner.process.wait(30) == 0
    server = EmbeddedServer(tmp_path / "postgres")
    assert not server_pids(server.cluster)
    assert "database system is shut down" in (server.folder / "postgres.log").read_text()


def test_the_server_outlives_the_thread_that_started_it(tmp_path: Path, opener: Callable[..., Opener]) -> None:
    owner = opener(tmp_path / "postgres", SHORT_LIVED_THREAD)
    assert owner.said() == "owned"
    threading.Event().wait(0.5)
    assert answers(EmbeddedServer(tmp_path / "postgres"))


def test_a_second_process_shares_and_takes_over_when_the_owner_is_gone(
    tmp_path: Path, opener: Callable[..., Opener]
) -> None:
    owner = opener(tmp_path / "postgres")
    assert owner.said() == "owned"
    second = opener(tmp_path / "postgres")
    assert second.said() == "shared"
    owner.process.kill()
    cluster = EmbeddedServer(tmp_path / "postgres").cluster
    wait_until(lambda: not server_pids(cluster))  # until then the dying server may still answer once
    second.go_on()
    assert second.said() == "owned"
    second.go_on()
    assert second.process.wait(30) == 0


def test_processes_that_start_together_make_one_server(tmp_path: Path, opener: Callable[..., Opener]) -> None:
    openers = [opener(tmp_path / "postgres") for _ in range(4)]
    assert sorted(one.said() for one in openers) == ["owned", "shared", "shared", "shared"]


def test_a_shared_server_that_ends_is_started_again_by_the_next_connection(
    tmp_path: Path, opener: Callable[..., Opener]
) -> None:
    owner = opener(tmp_path / "postgres")
    owner.said()
    db = open_database(Settings(data=tmp_path))
    try:
        cluster = EmbeddedServer(tmp_path / "postgres").cluster
        owner.process.kill()
        wait_until(lambda: not server_pids(cluster))
        with db.owner.connect() as connection:
            assert connection.exec_driver_sql("SELECT 1").scalar_one() == 1
    finally:
        db.close()
    assert not server_pids(cluster)


def test_half_an_initdb_is_never_taken_for_a_cluster(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "postgres")
    unfinished = server.folder / "unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    server.start()
    try:
        assert answers(server)
        assert not unfinished.exists()
    finally:
        server.stop()


def test_a_pid_file_whose_number_is_another_living_process_does_not_stop_the_start(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "postgres").start()
    server.stop()
    stale = server.cluster / "postmaster.pid"
    stale.write_text(f"{os.getpid()}\n{server.cluster}\n1\n5432\n{server.socket}\n\n1 1\nready\n")
    if server.user is not None:
        os.chown(stale, server.user.pw_uid, server.user.pw_gid)
    server.start()
    server.stop()


def _kill_everything(cluster: Path) -> None:
    for pid in server_pids(cluster):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _crash_a_child(server: EmbeddedServer) -> None:
    """Kill a process of the server; it begins to recover, for some time."""
    log = server.folder / "postgres.log"
    before = log.read_text().count("reinitializing")
    with psycopg.connect(server.url()) as connection:
        row = connection.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'").fetchone()
    assert row is not None
    os.kill(row[0], signal.SIGKILL)
    wait_until(lambda: log.read_text().count("reinitializing") > before)


def test_a_server_that_is_killed_is_started_again_by_whoever_owned_it(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "postgres").start()
    try:
        for _ in range(3):  # a moment after the kill it still counts as running
            _kill_everything(server.cluster)
            server.start(timeout_s=30)
            assert answers(server)
    finally:
        server.stop()


def test_a_server_told_to_stop_while_it_recovers_is_ended_all_the_same(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "postgres").start()
    _crash_a_child(server)
    server.stop(patience_s=5)
    assert not server_pids(server.cluster)


def test_a_recovering_server_whose_owner_is_killed_leaves_the_folder_free(
    tmp_path: Path, opener: Callable[..., Opener]
) -> None:
    owner = opener(tmp_path / "postgres")
    assert owner.said() == "owned"
    server = EmbeddedServer(tmp_path / "postgres")
    _crash_a_child(server)
    owner.process.kill()
    server.start(timeout_s=30)
    assert answers(server)
    server.stop()


def test_a_killed_server_that_nobody_has_buried_does_not_stop_the_next_start(
    tmp_path: Path, opener: Callable[..., Opener]
) -> None:
    owner = opener(tmp_path / "postgres")
    assert owner.said() == "owned"
    server = EmbeddedServer(tmp_path / "postgres")
    owner.process.send_signal(signal.SIGSTOP)  # it cannot bury its child: the number stays taken
    head = min(server_pids(server.cluster))
    os.kill(head, signal.SIGKILL)
    wait_until(lambda: not server_pids(server.cluster))
    try:
        server.start(timeout_s=30)
        assert answers(server)
        assert server.owned
    finally:
        server.stop()
        owner.process.send_signal(signal.SIGCONT)


def test_it_is_durable_and_open_to_its_own_user_only(postgres: EmbeddedServer) -> None:
    with psycopg.connect(postgres.url()) as connection:
        for name in ("fsync", "full_page_writes", "synchronous_commit", "data_checksums"):
            assert connection.execute(f"SHOW {name}").fetchone() == ("on",)
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
    assert postgres.folder.stat().st_mode & 0o077 == 0
    assert postgres.socket.stat().st_mode & 0o077 == 0


def test_root_runs_the_server_as_somebody_else(postgres: EmbeddedServer) -> None:
    owner = os.stat(postgres.cluster).st_uid  # noqa: PTH116 -- the owner's number is what is asked
    assert owner != 0
    assert all(os.stat(f"/proc/{pid}").st_uid == owner for pid in server_pids(postgres.cluster))  # noqa: PTH116


def test_a_long_path_gets_a_short_socket_folder_that_others_find(tmp_path: Path, opener: Callable[..., Opener]) -> None:
    long = tmp_path / ("a" * 60) / ("b" * 60)
    server = EmbeddedServer(long).start()
    try:
        assert len(str(server.socket)) < 60
        assert opener(long).said() == "shared"
    finally:
        server.stop()


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / 'Min dator, 50 % ÅÄÖ it\'s+"here"'
    folder.mkdir(mode=0o711)
    db = open_database(Settings(data=folder))
    try:
        with db.owner.connect() as connection:
            assert connection.exec_driver_sql("SELECT 1").scalar_one() == 1
    finally:
        db.close()


def test_the_socket_lies_beside_the_cluster_in_a_folder_with_odd_letters() -> None:
    with tempfile.TemporaryDirectory(prefix="Å %+ 'a' ") as name:  # short: a longer path has its socket elsewhere
        Path(name).chmod(0o711)
        server = EmbeddedServer(Path(name) / "pg").start()
        try:
            assert answers(server)
            assert server.socket == server.folder / "s"
        finally:
            server.stop()


def test_a_folder_the_servers_user_cannot_reach_is_kept_elsewhere(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    user = unprivileged_user(closed / "postgres")
    place = reachable_folder(closed / "postgres", user)
    place.mkdir(parents=True, exist_ok=True)
    assert place == reachable_folder(closed / "postgres", user) == (closed / "postgres").resolve()
    assert (place.parent == closed) == (os.geteuid() != 0)
    place.rmdir()
    bindir = reachable_bindir(find_bindir(), user)
    assert (bindir / "postgres").exists()


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes", "synchronous_commit"])
def test_a_start_on_a_server_that_may_lose_commits_is_refused(tmp_path: Path, setting: str) -> None:
    server = EmbeddedServer(tmp_path / "postgres", options={setting: "off"}).start()
    try:
        db = Database(server.url(), Settings(data=tmp_path), passwordless=True)
        with pytest.raises(DatabaseUnfit, match=f"{setting} is off"):
            require_durable(db)
        with pytest.raises(DatabaseUnfit, match=f"{setting} is off"):
            open_database(Settings(data=tmp_path))
        db.close()
    finally:
        server.stop()


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "postgres", options={"shared_buffers": "nonsense"})
    with pytest.raises(DatabaseUnfit, match="shared_buffers"):
        server.start()


def test_a_named_bindir_without_postgresql_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOMGICK_PG_BINDIR", str(tmp_path))
    with pytest.raises(DatabaseUnfit, match="KOMGICK_PG_BINDIR"):
        find_bindir()
