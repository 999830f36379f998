"""How cost grows: with the size of a city, and with the months that are stored."""

from __future__ import annotations

from collections.abc import Iterator

from app.core.clock import utc_now
from app.core.localtime import local_date
from tests.bench.figures import LINEAR, Figure, slope
from tests.bench.history import derived_anew, grown, imported
from tests.bench.import_derive import MONTH
from tests.bench.world import World


def measure(world: World) -> Iterator[Figure]:
    """Both series; reads.py and long_memory.py have their own over the months."""
    yield from _sizes(world)
    yield from _months(world)


def _sizes(world: World) -> Iterator[Figure]:
    """A month of 1/16, 1/4 and 1 city, imported and derived, each in a database of its own."""
    costs = {}
    for clients in sorted(max(1, world.sizes.clients // part) for part in world.sizes.fractions):
        # The whole city's was measured before, unless this group runs alone.
        known = world.found.get("import_and_derive_cpu") if clients == world.sizes.clients else None
        costs[clients] = known or world.found[imported(world, clients)]
        yield Figure(f"import_of_{clients}_clients", costs[clients], "CPU-s", None, None, f"{MONTH}, stored, derived")
    yield Figure(
        "growth_with_city", slope(list(costs), list(costs.values())), "slope", LINEAR, None, "import and derivation"
    )


def _months(world: World) -> Iterator[Figure]:
    """A small town derived again with more and more months stored: from all its taps."""
    clients = world.sizes.clients // world.sizes.rebuild_part
    data = imported(world, clients)
    taps, costs = list[int](), list[float]()
    for wanted in world.sizes.months:
        months = len(grown(world, data, wanted, local_date(utc_now())))
        with world.served(data) as served:
            taps.append(served.count("SELECT count(*) FROM taps"))
        costs.append(derived_anew(world, data).cpu_s)
        note = f"{clients} clients, {taps[-1]} taps"
        yield Figure(f"rebuild_of_{months}_months", costs[-1], "CPU-s", None, None, note)
    yield Figure("growth_with_months_rebuild", slope(taps, costs), "slope", LINEAR, None, "CPU-s against taps")
