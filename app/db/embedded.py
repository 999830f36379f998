"""PostgreSQL as a child of this process: no installation, nothing left running, shared by a second process.

Promises: the server is this process's direct child and dies with it, also on SIGKILL; one server per folder, however
many processes ask; a half-made cluster is never taken for one; a Unix socket only, behind folders of mode 0700; fsync,
full_page_writes and checksums on; as root the server runs as an unprivileged user. Sharing decides by a file lock that
the server itself holds: no process-id is ever trusted. Reasons: deploy/decisions/0001-embedded-postgres.md.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

import psycopg

from app.db.binaries import find_bindir, reachable_bindir, reachable_folder, unprivileged_user
from app.refusals import DatabaseUnfit

_PR_SET_PDEATHSIG = 1
# Longest path of a Unix socket is 107 bytes; PostgreSQL adds "/.s.PGSQL.5432.lock".
_LONGEST_SOCKET_FOLDER = 107 - len("/.s.PGSQL.5432.lock")
_LOG_LIMIT_BYTES = 10_000_000
OWNER = "postgres"

_OPTIONS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "wal_compression": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class EmbeddedServer:
    """The PostgreSQL of one data folder. `start` returns when a query works; `stop` ends only what this object started.

    `options` are further settings of the server (tests use them); `bindir` the folder with `initdb` and `postgres`.
    """

    def __init__(self, folder: Path, *, bindir: Path | None = None, options: Mapping[str, str] | None = None) -> None:
        self.user = unprivileged_user(folder)
        self.folder = reachable_folder(folder, self.user)
        self.bindir = reachable_bindir(bindir or find_bindir(), self.user)
        self.cluster = self.folder / "cluster"
        self.options = {**_OPTIONS, **(options or {})}
        self._server: subprocess.Popen[bytes] | None = None
        self._starting = threading.Lock()
        self._pid = os.getpid()

    @property
    def socket(self) -> Path:
        """The folder of the server's socket: `s` beside the cluster, or the short one recorded in `socket_at`."""
        recorded = self.folder / "socket_at"
        return Path(recorded.read_text(encoding="utf-8")) if recorded.exists() else self.folder / "s"

    @property
    def owned(self) -> bool:
        """Whether the running server is this process's child."""
        return self._server is not None and self._pid == os.getpid() and self._server.poll() is None

    def url(self, database: str = "postgres") -> str:
        """The owner's URL of a database on this server."""
        return f"postgresql://{OWNER}@/{database}?host={quote(str(self.socket))}"

    def start(self, timeout_s: float = 120) -> EmbeddedServer:
        """Start the server, or wait for and share the one that runs. DatabaseUnfit with the server's last words."""
        with self._starting:
            try:
                self._make_folders()
            except PermissionError as error:
                raise DatabaseUnfit(f"{self.folder} belongs to another user: {error}") from error
            deadline = time.monotonic() + timeout_s
            while True:
                if not self.owned:
                    self._take_over_if_free()
                try:
                    self._query()
                except psycopg.OperationalError as error:
                    self._refuse_if_hopeless(error, deadline)
                    time.sleep(0.02)
                else:
                    return self

    def stop(self, patience_s: float = 60) -> None:
        """A clean, fast shutdown of the server this object started; a shared one is left alone. Safe to call twice.

        One that does not heed it in `patience_s` is ended at once: what is committed is in its log.
        """
        server, self._server = self._server, None
        atexit.unregister(self.stop)
        if server is None or self._pid != os.getpid():
            return
        # Told to shut down while it recovers from the death of a child, PostgreSQL 18 waits for ever; not so if told to
        # end immediately.
        for number, seconds in ((signal.SIGINT, patience_s), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0)):
            if server.poll() is not None:
                return
            server.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(seconds)

    def _make_folders(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        recorded = self.folder / "socket_at"
        beside = os.fsencode(self.folder / "s")
        # A comma parts hosts for libpq, and nothing escapes it.
        unfit = len(beside) > _LONGEST_SOCKET_FOLDER or b"," in beside
        if unfit and not self.socket.is_dir():
            recorded.unlink(missing_ok=True)
        if unfit and not recorded.exists():
            short = tempfile.mkdtemp(prefix="komgick-", dir="/tmp")  # TMPDIR itself may be long
            partly = self.folder / f"socket_at.{os.getpid()}"
            partly.write_text(short, encoding="utf-8")
            partly.rename(recorded)
        self.socket.mkdir(mode=0o700, exist_ok=True)
        if self.user is not None:
            for folder in (self.folder, self.socket):
                os.chown(folder, self.user.pw_uid, self.user.pw_gid)

    def _take_over_if_free(self) -> None:
        """Start a server if nobody holds the lock. The server inherits the lock; we let go of our copy of it."""
        with (self.folder / "lock").open("w", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            self._make_cluster()
            self._forget_dead_server()
            self._server, self._pid = self._spawn(lock.fileno()), os.getpid()
            atexit.register(self.stop)

    def _make_cluster(self) -> None:
        """Initdb beside, then rename: what is called `cluster` is whole."""
        if self.cluster.exists():
            return
        unfinished = self.folder / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        command = [str(self.bindir / "initdb"), "-D", str(unfinished), "-U", OWNER, "-A", "trust", "-E", "UTF8"]
        made = subprocess.run(
            [*command, "--locale=C.UTF-8", "--data-checksums"],
            capture_output=True,
            env=_environment(),
            preexec_fn=self._become_child(die_with_parent=False),
            cwd="/",
            check=False,
        )
        if made.returncode != 0:
            raise DatabaseUnfit(f"initdb failed: {made.stderr.decode(errors='replace').strip()[-600:]}")
        unfinished.rename(self.cluster)
        folder = os.open(self.folder, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    def _forget_dead_server(self) -> None:
        """Remove the pid files of a killed server, whose number may be another process's by now.

        We hold the lock, so no server of ours lives; one started by hand is seen by its working directory.
        """
        for process in Path("/proc").glob("[0-9]*"):
            try:
                in_use = (process / "cwd").readlink() == self.cluster
            except OSError:
                continue
            if in_use:
                raise DatabaseUnfit(f"a PostgreSQL that KomGick did not start works in {self.cluster}: stop it first")
        (self.cluster / "postmaster.pid").unlink(missing_ok=True)
        # Beside its socket lies a second one, believed just as readily.
        (self.socket / ".s.PGSQL.5432.lock").unlink(missing_ok=True)

    def _spawn(self, lock: int) -> subprocess.Popen[bytes]:
        """The server as a direct child of a thread that lives as long as the process.

        PR_SET_PDEATHSIG fires when the *thread* that forked ends, so a passing worker thread must not be the parent.
        """
        listed = '"{}"'.format(str(self.socket).replace('"', '""'))  # one of a list
        options = {**self.options, "unix_socket_directories": listed}
        command = [str(self.bindir / "postgres"), "-D", str(self.cluster)]
        command += [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        started: list[subprocess.Popen[bytes]] = []
        failed: list[OSError | subprocess.SubprocessError] = []
        ready = threading.Event()

        def keep() -> None:
            log_file = self.folder / "postgres.log"
            too_big = log_file.exists() and log_file.stat().st_size > _LOG_LIMIT_BYTES
            try:
                with log_file.open("wb" if too_big else "ab") as log:
                    server = subprocess.Popen(
                        command,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        pass_fds=(lock,),
                        env=_environment(),
                        preexec_fn=self._become_child(die_with_parent=True),  # noqa: PLW1509 -- prepared calls only
                        cwd="/",
                    )
                started.append(server)
            except (OSError, subprocess.SubprocessError) as error:
                failed.append(error)
                return
            finally:
                ready.set()
            server.wait()

        threading.Thread(target=keep, name="embedded-postgres", daemon=True).start()
        ready.wait()
        if failed:
            raise DatabaseUnfit(f"{command[0]} cannot be started: {failed[0]}")
        return started[0]

    def _become_child(self, *, die_with_parent: bool) -> Callable[[], None]:
        """What the forked child does before exec; whatever allocates or imports is done here, before the fork."""
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        user, parent = self.user, os.getpid()
        groups = os.getgrouplist(user.pw_name, user.pw_gid) if user is not None else []

        def become() -> None:
            os.setsid()  # Ctrl-C in the terminal reaches us; we stop the server
            if user is not None:
                os.setgroups(groups)
                os.setgid(user.pw_gid)
                os.setuid(user.pw_uid)
            if die_with_parent:
                # After setuid, which clears it. Immediate: a fast shutdown may hang (see `stop`) and nobody is left to
                # see it; its lock would keep every later server out.
                prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)
                if os.getppid() != parent:
                    os._exit(1)

        return become

    def _query(self) -> None:
        with psycopg.connect(self.url(), connect_timeout=5) as connection:
            connection.execute("SELECT 1")

    def _refuse_if_hopeless(self, error: Exception, deadline: float) -> None:
        if self._server is not None and self._server.poll() is not None:
            code, self._server = self._server.returncode, None
            if code == -signal.SIGKILL and time.monotonic() <= deadline:
                return  # killed, not unfit (the kernel short of memory, an operator): the next round starts it again
            raise DatabaseUnfit(f"PostgreSQL ended with {code}: {self._last_words()}")
        if time.monotonic() > deadline:
            raise DatabaseUnfit(f"PostgreSQL in {self.folder} does not answer: {error}; {self._last_words()}")

    def _last_words(self) -> str:
        try:
            return (self.folder / "postgres.log").read_text(encoding="utf-8", errors="replace")[-600:].strip()
        except OSError:
            return ""


def _environment() -> dict[str, str]:
    """Ours without PG*: a PGDATA or PGOPTIONS of the user must not reach the server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG") and name != "LC_ALL"}
    return {**kept, "LC_ALL": "C.UTF-8"}
