"""Where the bench works: sizes, a folder of its own, komgick's commands and its server as real processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from app.core.settings import Settings
from app.db.embedded import EmbeddedServer
from app.db.engine import Database
from app.db.opening import EMBEDDED_DATABASE, open_database
from tests.bench.machine import Spent, cpu_seconds, run


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured. Times of a city are those of `clients` clients, whatever that is."""

    devices: int
    singles: int
    """Taps a device says one a request."""
    batches: int
    """Requests of 20, and of 100, a device makes."""
    connections: int
    steady_s: int
    backlog_devices: int
    backlog_taps: int
    clients: int
    fractions: tuple[int, ...]
    """Towns of so many parts of `clients` for the series over size; the larger ones serve the other series."""
    months: tuple[int, ...]
    rebuild_part: int
    """What part of the city is derived again with more and more months stored."""
    year_part: int
    """What part of the city is read, and tapped in, with more and more months stored."""
    reads: int
    touches: int
    """Of the agent's reader."""
    pgbench_s: int
    divisor: int = 1
    """By what loops of limits are shortened."""
    peers: bool = True
    begun_town: bool = True
    """Whether a town with only the begun month stands between yesterday and a year."""


FULL = Sizes(
    devices=200, singles=20, batches=2, connections=32, steady_s=300, backlog_devices=400, backlog_taps=80,
    clients=16000, fractions=(16, 4, 1), months=(1, 3, 12), rebuild_part=16, year_part=4,
    reads=400, touches=300, pgbench_s=5,
)  # fmt: skip
QUICK = Sizes(
    devices=64, singles=12, batches=1, connections=32, steady_s=4, backlog_devices=400, backlog_taps=10,
    clients=128, fractions=(4, 1), months=(1, 3), rebuild_part=4, year_part=1,
    reads=40, touches=60, pgbench_s=1, divisor=2, begun_town=False,
)  # fmt: skip
MINIATURE = Sizes(
    devices=2, singles=2, batches=1, connections=2, steady_s=1, backlog_devices=2, backlog_taps=4,
    clients=48, fractions=(2, 1), months=(1, 2), rebuild_part=2, year_part=1, reads=3, touches=4, pgbench_s=1,
    divisor=50, peers=False,
)  # fmt: skip


@dataclass
class World:
    """One run of the bench. `limits`: what limits.py measured, by name, for the figures that follow."""

    sizes: Sizes
    folder: Path
    limits: dict[str, float] = field(default_factory=dict)
    found: dict[str, float] = field(default_factory=dict)
    """The values of the figures so far, and CPU-seconds of imports by their data."""
    derived: set[str] = field(default_factory=set)
    """Data whose visits and accounts are those that its taps give, not copies."""
    given: Path | None = None
    """The data folder of an imported town that stands in for the year's; it is changed."""
    notes: list[str] = field(default_factory=list)
    """What could not be measured, and why."""

    def komgick(self, data: str, *arguments: str, good: Collection[int] = (0,)) -> Spent:
        """A komgick command to its end, with the embedded database under the folder's `data`."""
        return self.python(data, "app.cli", *arguments, good=good)

    def python(self, data: str, module: str, *arguments: str, good: Collection[int] = (0,)) -> Spent:
        """A module run to its end as a command is."""
        return run([sys.executable, "-m", module, *arguments], self.environment(data), good)

    def environment(self, data: str) -> dict[str, str]:
        """That of a komgick process, without the developer's own settings."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("KOMGICK_")}
        if "KOMGICK_PG_BINDIR" in os.environ:
            kept["KOMGICK_PG_BINDIR"] = os.environ["KOMGICK_PG_BINDIR"]
        root = str(Path(__file__).parents[2])
        return {**kept, "KOMGICK_DATA": str(self.folder / data), "PYTHONPATH": root}

    @contextmanager
    def database(self, data: str) -> Iterator[Database]:
        """The database under the folder's `data`, its embedded server as this process's child."""
        opened = open_database(Settings(data=self.folder / data))
        try:
            yield opened
        finally:
            opened.close()

    @contextmanager
    def served(self, data: str) -> Iterator[Served]:
        """A real `komgick serve` on a free port, ended by SIGTERM."""
        begun = time.monotonic()
        with (self.folder / f"{Path(data).name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "app.cli", "serve", "--port", "0"],
                stdout=subprocess.PIPE, stderr=log, env=self.environment(data), text=True,
            )  # fmt: skip
        assert process.stdout is not None
        try:
            said = process.stdout.readline()
            if not said.startswith("KomGick: http://"):
                raise RuntimeError(f"komgick serve said {said!r}; see {Path(data).name}.log")
            host, _, port = said.split("http://")[1].strip().rpartition(":")
            threading.Thread(target=process.stdout.read, daemon=True).start()
            yield Served(process.pid, host, int(port), time.monotonic() - begun, self.folder / data)
        finally:
            process.terminate()
            process.wait(60)


@dataclass
class Served:
    """A running server with the embedded database as its child."""

    pid: int
    host: str
    port: int
    started_s: float
    data: Path

    def cpu_seconds(self) -> float:
        """Application and database so far."""
        return cpu_seconds(self.pid)

    @contextmanager
    def database(self) -> Iterator[Database]:
        """The same database from here; its server is the served process's child and stays so."""
        url = EmbeddedServer(self.data / "postgres").url(EMBEDDED_DATABASE)
        opened = Database(url, Settings(data=self.data), passwordless=True)
        try:
            yield opened
        finally:
            opened.close()

    def wait_until_derived(self) -> None:
        """Return when nothing waits to become visits and accounts."""
        with self._asking() as asking:
            # A drain removes what it took in the transaction that derives it: an empty queue is a finished one.
            while asking.execute("SELECT FROM derive_queue WHERE failed = '' LIMIT 1").fetchone() is not None:
                time.sleep(0.2)

    def count(self, query: str) -> int:
        """One number out of the database."""
        with self._asking() as asking:
            found = asking.execute(query.encode()).fetchone()
            return int(found[0]) if found else 0

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Rows out of the database."""
        with self._asking() as asking:
            return asking.execute(query.encode()).fetchall()

    def _asking(self) -> psycopg.Connection[tuple[Any, ...]]:
        url = EmbeddedServer(self.data / "postgres").url(EMBEDDED_DATABASE)
        schema = Settings(data=self.data).db_schema
        return psycopg.connect(url, autocommit=True, options=f"-c search_path={schema}")
