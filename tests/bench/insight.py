"""What the visits of a city's month show, each figure by its command: continuity, quality, premium, shadow, cases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.bench.figures import Figure
from tests.bench.import_derive import MONTH, bundle_of, simulate
from tests.bench.world import World

MEASURES: Mapping[str, tuple[str, ...]] = {
    "insight_stockholm_month": ("continuity", "--measure", "stockholm_month", "--month", MONTH),
    "insight_kolada_14d": ("continuity", "--measure", "kolada_14d", "--month", MONTH),
    "insight_by_unit": ("continuity", "--measure", "stockholm_month", "--month", MONTH, "--by", "unit"),
    "insight_quality": ("quality", MONTH),
    "insight_premium": ("quality", MONTH, "--premium", "stockholm_2022", "--threshold", "continuity=12"),
    "insight_shadow": ("shadow", MONTH, "--model", "executed_time", "--model", "care_services"),
    "insight_irregularities": ("irregularities", MONTH),
}
"""Name of the figure -> its command."""
TARGET_S = 5.0
"""PERFORMANCE.md: continuity, any measure, whole city."""


def measure(world: World) -> Iterator[Figure]:
    """Every figure once, with the start of the command and of the embedded database; the month is made if it is not."""
    clients = world.sizes.clients
    if not (world.folder / "city").exists():
        simulate(world, clients, MONTH)
        world.komgick("city", "import", str(bundle_of(world, clients, MONTH)))
    for name, command in MEASURES.items():
        spent = world.komgick("city", *command, "--format", "json")
        note = f"{clients} clients, {MONTH}, {len(spent.stdout) / 2**20:.1f} MiB of answer"
        target = TARGET_S if command[0] == "continuity" else None
        yield Figure(f"{name}_wall", spent.wall_s, "s wall", target, None, note)
        yield Figure(f"{name}_cpu", spent.cpu_s, "CPU-s", None, None, "application and database")
        yield Figure(f"{name}_memory", spent.memory_mib, "MiB", None, None, "application and database, most")
