"""How cost grows: with the size of a city, with the months that are stored, with a carer's own history.

A slope is that of log(cost) against log(size) between the smallest and the largest: 1 is linear, less is better.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import timedelta

from app.core.clock import utc_now
from app.core.month import Month
from app.db.callers import Caller
from app.evidence import device_store
from app.visits.queue import Change, enqueue
from tests.bench.figures import Figure
from tests.bench.import_derive import MONTH, bundle_of, simulate
from tests.bench.ingest import cost_per_tap
from tests.bench.reads import measure_at
from tests.bench.street import CLIENTS_EACH, Street, tag_of
from tests.bench.world import Served, World

LINEAR = 1.1
"""At most: linear, with what two runs on a shared machine differ anyway."""


def measure(world: World) -> Iterator[Figure]:
    """The three series."""
    yield from _sizes(world)
    yield from _months(world)
    yield from _history(world)


def _sizes(world: World) -> Iterator[Figure]:
    """A month of 1/16, 1/4 and 1 city, imported and derived, each in a database of its own."""
    sizes = sorted({max(1, world.sizes.clients // part) for part in world.sizes.fractions})
    costs = []
    for clients in sizes:
        simulate(world, clients, MONTH)
        spent = world.komgick(f"size-{clients}", "import", str(bundle_of(world, clients, MONTH)))
        costs.append(spent.cpu_s)
        yield Figure(f"import_of_{clients}_clients", spent.cpu_s, "CPU-s", None, None, f"{MONTH}, stored and derived")
    yield Figure("growth_with_city", _slope(sizes, costs), "slope", LINEAR, None, "import and derivation")


def _months(world: World) -> Iterator[Figure]:
    """The same clients with more and more months stored; what is asked is always about the newest."""
    clients, stored, newest = world.sizes.months_clients, set[str](), MONTH
    p99: dict[str, list[float]] = {}
    costs = []
    for months in world.sizes.months:
        for month in _months_until(months):
            if month not in stored:
                simulate(world, clients, month)
                world.komgick("months", "import", str(bundle_of(world, clients, month)))
                stored.add(month)
        costs.append(world.komgick("months", "rebuild").cpu_s)
        yield Figure(f"rebuild_of_{months}_months", costs[-1], "CPU-s", None, None, f"{clients} clients")
        with world.served("months") as served:
            for figure in measure_at(world, served, newest, months):
                if figure.name.endswith("p50"):
                    p99.setdefault(figure.name.partition(f"_{months}_")[0], []).append(figure.value)
                yield figure
    yield Figure("growth_with_months_rebuild", _slope(world.sizes.months, costs), "slope", LINEAR, None, "")
    for name, values in p99.items():
        slope = _slope(world.sizes.months, values)
        yield Figure(f"growth_with_months_{name}", slope, "slope", LINEAR, None, "p50 of reads of one month")


def _history(world: World) -> Iterator[Figure]:
    """A tap of people with a day behind them, and of people with a year."""
    long = 365 * max(world.sizes.months) // 12
    costs = []
    with world.served("history") as served:
        for days in (1, long):
            street = Street(world.sizes.devices, utc_now(), prefix=f"h{days:03d}")
            with served.database() as database:
                street.furnish(database)
            _remember(served, street, days)
            costs.append(cost_per_tap(served, street, world.sizes.singles, 1, world.sizes.connections))
            yield Figure(f"tap_after_{days}_days", costs[-1], "CPU-ms", None, None, "one a request, derived")
    yield Figure("tap_with_history", costs[1] / costs[0], "ratio", 1.2, None, f"{long} days of history against one")


def _remember(served: Served, street: Street, days: int) -> None:
    """16 taps of every carer on each of the days before today, as rows that were imported from elsewhere."""
    with served.database() as database:
        for day in range(days, 0, -1):
            rows = []
            for place in range(street.count):
                staff, device = f"{street.prefix}a{place:06d}", f"{street.prefix}old{place:06d}"
                for index in range(16):
                    at = street.until - timedelta(days=day) + timedelta(minutes=20 * index - 240, seconds=place % 60)
                    client = f"{street.prefix}c{place * CLIENTS_EACH + index // 2 % CLIENTS_EACH:06d}"
                    seq = (days - day) * 16 + index + 1
                    rows.append(
                        (device, seq, f"{device}/{seq}".encode(), f"P{street.prefix}", "GICK" if index % 2 else "KOM",
                         tag_of(client), staff, "", "", "care", at, at, at, None, None, at, "", 0, "C", "", "uid", "",
                         "")
                    )  # fmt: skip
            with database.transaction(Caller.batch()) as connection:
                device_store.TAPS.append(connection, rows)
        with database.transaction(Caller.batch()) as connection:
            enqueue(connection, [Change("all")])
    served.wait_until_derived()


def _months_until(count: int) -> list[str]:
    return [str(Month.parse(MONTH).plus(-count + 1 + number)) for number in range(count)]


def _slope(sizes: Sequence[float], costs: Sequence[float]) -> float:
    return math.log(costs[-1] / costs[0]) / math.log(sizes[-1] / sizes[0])
