"""A town to crash: a real `komgick serve` with its embedded PostgreSQL, and several real devices that tap all day."""

from __future__ import annotations

import contextlib
import csv
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg

from app.db.embedded import EmbeddedServer
from tests.acceptance.processes import KOMGICK, Watched, rows, run
from tests.crash.device import Device, tag_uid
from tests.crash.ledger import Held, Ledger, read_held, read_outbox

SERVE_S, HEALTHY_S = 120.0, 90.0
KNOWN_TAGS = 100
"""So many of each device's tags hang on a door; the later ones nobody knows, and are stored all the same."""
_SINCE = "2020-01-01"


class Town:
    """Server, database and devices. `folder` must be passable for the database's user."""

    def __init__(self, folder: Path, devices: int, seed: str) -> None:
        self.folder, self.data = folder, folder / "data"
        self.ledger = Ledger()
        self.devices = [Device(number, folder, self.ledger, seed) for number in range(1, devices + 1)]
        self.server: Watched | None = None
        self._http = httpx.Client(timeout=10)
        self.address = ""

    def open(self) -> None:
        """Serve, import the registry, enrol every device and start its agent."""
        self.start_server()
        run(KOMGICK, "import", str(write_registry(self.folder / "town", len(self.devices))), "--data", str(self.data))
        with ThreadPoolExecutor() as pool:
            list(pool.map(self._enrol, self.devices))
        for device in self.devices:
            device.wait_ready()

    def _enrol(self, device: Device) -> None:
        made = rows(KOMGICK, "device", "create", "--provider", "p_1", "--confirm-at-once", "--data", str(self.data))
        device.proxy.kind = True
        device.enrol(made[0]["device_id"], made[0]["token"])
        device.proxy.kind = False
        device.start()

    def close(self) -> None:
        """End every process."""
        for device in self.devices:
            device.close()
        if self.server is not None:
            self.server.end(signal.SIGKILL)
        self._http.close()

    # server

    def start_server(self) -> None:
        """A new server process; the devices' networks lead to it once it answers."""
        self.server = Watched(KOMGICK, "serve", "--port", "0", "--data", str(self.data))
        self.address = self.server.line("KomGick: ", SERVE_S).split()[1]
        for device in self.devices:
            device.proxy.upstream = int(self.address.rpartition(":")[2])

    def wait_healthy(self) -> None:
        """Until the server can store a tap. AssertionError when it cannot in time."""
        until = time.monotonic() + HEALTHY_S
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if self._http.get(f"{self.address}/readyz").status_code == 200:
                    return
            assert time.monotonic() < until, f"not healthy again within {HEALTHY_S} s"
            time.sleep(0.05)

    def signal_server(self, number: int) -> None:
        """To the server's process alone."""
        assert self.server is not None
        self.server.process.send_signal(number)

    def kill_server(self) -> None:
        """SIGKILL; it is gone when this returns."""
        assert self.server is not None
        self.server.end(signal.SIGKILL)

    # database

    def postgres_processes(self) -> list[int]:
        """Process ids of this town's PostgreSQL, its head first: who works in the cluster's folder."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (process / "cwd").readlink() == self.data / "postgres" / "cluster":
                    found.append(int(process.name))
        return sorted(found, key=lambda pid: _parent(pid) in found)

    def kill_postgres(self, *, whole: bool) -> None:
        """SIGKILL the head of PostgreSQL, or all of it."""
        for pid in self.postgres_processes()[: None if whole else 1]:
            _kill(pid)

    def kill_backend(self, chance: random.Random) -> None:
        """SIGKILL one of the processes that serve connections."""
        others = self.postgres_processes()[1:]
        backends = [pid for pid in others if b"komgick" in _command_line(pid)]
        if backends or others:
            _kill(chance.choice(backends or others))

    @contextmanager
    def database_alone(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """The database while no server works on it: started by us where it is down, ended again afterwards."""
        database = EmbeddedServer(self.data / "postgres")
        try:
            with _connected(database) as connection:
                yield connection
        finally:
            database.stop()

    # what is checked

    def acked_missing(self, connection: psycopg.Connection[tuple[Any, ...]]) -> list[str]:
        """Statements that a device takes for received and the database does not hold, now."""
        acked = [key for device in self.devices for key in self.look_at(device)]
        held = read_held(connection).statements
        return [f"{key[0]} {key[1]}" for key in acked if key not in held]

    def look_at(self, device: Device) -> set[tuple[str, int, str]]:
        """What a device takes for received; everything in its outbox is remembered."""
        return self.ledger.look_at(device.device_id, read_outbox(device.folder))

    def held(self) -> Held:
        """What the database holds."""
        with self.database_alone() as connection:
            return read_held(connection)

    def wait_drained(self, seconds: float) -> int:
        """How many statements still wait on devices when all are through or the time is up."""
        until = time.monotonic() + seconds
        while (waiting := sum(device.waiting() for device in self.devices)) and time.monotonic() < until:
            time.sleep(0.2)
        return waiting

    # copies

    def back_up(self) -> None:
        """A copy of the database's files; the database must not run."""
        shutil.rmtree(self.folder / "backup", ignore_errors=True)
        subprocess.run(["cp", "-a", str(self.data / "postgres" / "cluster"), str(self.folder / "backup")], check=True)

    def restore_backup(self) -> None:
        """The database as it was at the backup; it must not run."""
        shutil.rmtree(self.data / "postgres" / "cluster")
        subprocess.run(["cp", "-a", str(self.folder / "backup"), str(self.data / "postgres" / "cluster")], check=True)


def _connected(database: EmbeddedServer) -> psycopg.Connection[tuple[Any, ...]]:
    """A connection that works; the database of a killed server may still have answered once."""
    until = time.monotonic() + 60
    while True:
        try:
            database.start()
            connection = psycopg.connect(database.url("komgick"))
            connection.execute("SELECT 1")
        except psycopg.OperationalError:
            assert time.monotonic() < until, "the database does not come back"
            time.sleep(0.05)
        else:
            return connection


def write_registry(folder: Path, devices: int) -> Path:
    """A provider, a carer per device with a client whose doors have the carer's first tags."""
    staff = {"valid_from": _SINCE, "unit_id": "u_1", "employment": "monthly", "education": "usk", "role": "carer"}
    order = {"provider_id": "p_1", "unit_id": "u_1", "valid_from": _SINCE, "minutes_per_month": 1200, "max_staff": 1}
    tag = {"valid_from_at": f"{_SINCE}T00:00:00+01:00", "kind": "uid"}
    numbers = range(1, devices + 1)
    files: dict[str, list[dict[str, Any]]] = {
        "providers": [{"provider_id": "p_1", "name": "Utföraren", "operation": "private"}],
        "units": [{"unit_id": "u_1", "provider_id": "p_1", "name": "Enheten"}],
        "staff": [{"staff_id": f"s_{number}", "name": f"Vårdare {number}", **staff} for number in numbers],
        "clients": [{"client_id": f"c_{number}", "name": f"Kund {number}"} for number in numbers],
        "tags": [
            {"tag_uid": tag_uid(number, laid), "client_id": f"c_{number}", **tag}
            for number in numbers for laid in range(1, KNOWN_TAGS + 1)
        ],
        "orders": [
            {"order_id": f"o_{number}", "client_id": f"c_{number}", "service": "hemtjanst", **order}
            for number in numbers
        ],
    }  # fmt: skip
    folder.mkdir()
    for name, found in files.items():
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as out:
            writer = csv.DictWriter(out, list(found[0]))
            writer.writeheader()
            writer.writerows(found)
    return folder


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _parent(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int((Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
    return 0


def _command_line(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return (Path("/proc") / str(pid) / "cmdline").read_bytes()
    return b""
