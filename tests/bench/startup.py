"""Start-up and footprint of an installed komgick."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

from tests.bench.figures import Figure
from tests.bench.machine import memory_mib, run
from tests.bench.world import World


def measure(world: World) -> Iterator[Figure]:
    """`serve` cold and warm, what it holds when idle, and what `--help` takes."""
    with world.served("startup") as served:
        yield Figure("serve_first_start", served.started_s, "s wall", None, None, "makes and migrates the database")
    with world.served("startup") as served:
        started = served.started_s
        time.sleep(1)
        memory = memory_mib(served.pid)
        before = served.cpu_seconds()
        time.sleep(2)
        idle = (served.cpu_seconds() - before) / 2
    yield Figure("serve_warm_start", started, "s wall", 3, None, "until it prints its address")
    yield Figure("serve_idle_memory", memory, "MiB", None, None, "application and database, shared pages once")
    yield Figure("serve_idle_cpu", 100 * idle, "% of a core", None, None, "application and database")
    helps = [run([sys.executable, "-m", "app.cli", "--help"], world.environment("startup")) for _ in range(3)]
    yield Figure("help", min(one.wall_s for one in helps), "s wall", 0.5, None, "komgick --help, best of 3")
