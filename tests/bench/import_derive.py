"""A simulated city's month through the operators' commands, as processes: in, derived, counted, closed, measured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from tests.bench.figures import Figure
from tests.bench.machine import Spent
from tests.bench.world import World

MONTH = "2026-10"


def measure(world: World) -> Iterator[Figure]:
    """simulate, import, rebuild, month accounts, continuity, close. Targets are a city's, whatever is measured."""
    clients = world.sizes.clients
    spent = world.komgick("city", "simulate", *_simulation(world, clients, MONTH))
    note = f"{clients} clients, {MONTH}"
    yield from _spent("simulate", spent, (180.0, None), note)
    bundle = str(bundle_of(world, clients, MONTH))
    spent = world.komgick("city", "import", bundle)
    # Storing and deriving in one command: both targets together.
    yield from _spent("import_and_derive", spent, (90.0 + 120.0, 1024.0), note)
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
