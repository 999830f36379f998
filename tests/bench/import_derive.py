"""A simulated city's month through the operators' commands, as processes: in, derived, counted, closed, measured.

Only the import is a process of this file's own (`python -m tests.bench.import_derive DATA BUNDLE`): it calls what the
command calls, and tells storing from deriving.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from app import pipeline
from app.cli.context import opened
from app.core.clock import utc_now
from tests.bench.figures import Figure
from tests.bench.machine import Spent, cpu_seconds
from tests.bench.world import World

MONTH = "2026-10"


def measure(world: World) -> Iterator[Figure]:
    """simulate, import, rebuild, month accounts, continuity, close. Targets are a city's, whatever is measured."""
    clients = world.sizes.clients
    spent = world.komgick("city", "simulate", *_simulation(world, clients, MONTH))
    note = f"{clients} clients, {MONTH}"
    yield from _spent("simulate", spent, (180.0, None), note)
    bundle = str(bundle_of(world, clients, MONTH))
    spent = world.python("city", "tests.bench.import_derive", str(world.folder / "city"), bundle)
    for name, target in (("storing", 90.0), ("deriving", 120.0)):
        wall_s, cpu_s = json.loads(spent.stdout)[name]
        yield Figure(f"import_{name}_wall", wall_s, "s wall", target, None, note)
        yield Figure(f"import_{name}_cpu", cpu_s, "CPU-s", None, None, "application and database")
    yield from _spent("import", spent, (90.0 + 120.0, 1024.0), f"{note}, stored and derived")
    again = world.komgick("city", "rebuild")
    floor = world.limits.get("sort_s", 0) + world.limits.get("pair_s", 0)
    yield from _spent("rebuild", again, (120.0, 1024.0), f"{note}; nothing may differ", floor)
    spent = world.komgick("city", "month", "show", MONTH, "--format", "json")
    accounts = json.loads(spent.stdout)
    yield from _spent("month_accounts", spent, (5.0, None), f"{len(accounts)} accounts shown")
    one = accounts[len(accounts) // 2]
    spent = world.komgick(
        "city", "explain", MONTH, "--client", one["client_id"], "--provider", one["provider_id"], "--format", "json"
    )
    yield from _spent("explain_command", spent, (None, None), "one account, with the start of the command")
    for name in ("kolada_14d", "stockholm_month"):
        spent = world.komgick("city", "continuity", "--measure", name, "--month", MONTH, "--format", "json")
        yield from _spent(f"continuity_{name}", spent, (5.0, None), note)
    spent = world.komgick("city", "month", "close", MONTH, "--carry-open", "--format", "json")
    yield from _spent("close", spent, (60.0, None), f"{note}, one transaction")


def simulate(world: World, clients: int, month: str) -> None:
    """The bundle of `bundle_of`, made unless it is there."""
    if not bundle_of(world, clients, month).exists():
        world.komgick("city", "simulate", *_simulation(world, clients, month))


def bundle_of(world: World, clients: int, month: str) -> Path:
    """Where a simulated bundle lies."""
    return world.folder / f"{clients}-{month}.zip"


def _simulation(world: World, clients: int, month: str) -> tuple[str, ...]:
    bundle = str(bundle_of(world, clients, month))
    return ("--clients", str(clients), "--month", month, "--seed", "1", "--out", bundle)


def _spent(
    name: str, spent: Spent, targets: tuple[float | None, float | None], note: str, floor: float = 0.0
) -> Iterator[Figure]:
    """A command's seconds and memory beside the targets (seconds of wall, MiB)."""
    yield Figure(f"{name}_wall", spent.wall_s, "s wall", targets[0], None, note)
    yield Figure(f"{name}_cpu", spent.cpu_s, "CPU-s", None, floor or None, "application and database")
    if targets[1] is not None:
        yield Figure(f"{name}_memory", spent.memory_mib, "MiB", targets[1], None, "application and database, most")


def main() -> None:
    """The command line above: one line of JSON, {what: [seconds of wall, CPU-seconds of the process tree]}."""
    borders: list[tuple[float, float]] = []

    def pass_border() -> None:
        borders.append((time.monotonic(), cpu_seconds(os.getpid())))

    def derivation(_phase: str, _done: int, _total: int) -> None:
        if len(borders) == 1:
            pass_border()

    with opened(Path(sys.argv[1])) as database:
        pass_border()
        pipeline.import_bundle(database, Path(sys.argv[2]), now=utc_now(), derivation=derivation)
        pass_border()
    spans = [(after[0] - before[0], after[1] - before[1]) for before, after in pairwise(borders)]
    sys.stdout.write(json.dumps(dict(zip(("storing", "deriving"), spans, strict=True))) + "\n")


if __name__ == "__main__":
    main()
