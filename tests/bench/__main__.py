"""`deploy/run bench [--quick] [--json] [--only GROUP ...]`: PERFORMANCE's table, measured, beside measured limits."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.bench import agent, growth, import_derive, ingest, insight, limits, long_memory, peers, reads, startup
from tests.bench.figures import Figure, as_json, as_table
from tests.bench.machine import commit, describe
from tests.bench.world import FULL, QUICK, Sizes, World

GROUPS: dict[str, Callable[[World], Iterator[Figure]]] = {
    "limits": limits.measure,
    "ingest": ingest.measure,
    "peers": peers.measure,
    "agent": agent.measure,
    "startup": startup.measure,
    "import_derive": import_derive.measure,
    "growth": growth.measure,
    "reads": reads.measure,
    "long_memory": long_memory.measure,
    "insight": insight.measure,
}


def main(arguments: Sequence[str] | None = None, sizes: Sizes | None = None) -> int:
    """Measure, print the table, and with --json one object on the last line."""
    parser = argparse.ArgumentParser(prog="deploy/run bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, under three minutes on a quiet machine")
    parser.add_argument(
        "--json", action="store_true", help="the last line is {name: {value, unit, target, limit, ratio}}"
    )
    parser.add_argument("--only", action="append", choices=list(GROUPS), help="these groups; repeatable")
    parser.add_argument(
        "--data", type=Path, metavar="FOLDER",
        help="an installation with an imported month for reads, instead of making one; IT IS CHANGED",
    )  # fmt: skip
    wanted = parser.parse_args(arguments)
    chosen = sizes or (QUICK if wanted.quick else FULL)
    with tempfile.TemporaryDirectory(prefix="komgick-bench-") as folder:
        Path(folder).chmod(0o711)
        world = World(chosen, Path(folder), given=wanted.data and wanted.data.resolve())
        figures = list(_measured(world, [name for name in GROUPS if name in (wanted.only or GROUPS)]))
    sys.stdout.write(f"\nKomGick {commit()} on {describe()}\n\n{as_table(figures)}\n")
    for note in world.notes:
        sys.stdout.write(f"NOT MEASURED: {note}\n")
    if wanted.json:
        sys.stdout.write(json.dumps(as_json(figures)) + "\n")
    return 0


def _measured(world: World, groups: Sequence[str]) -> Iterator[Figure]:
    for name in groups:
        begun = time.monotonic()
        for figure in GROUPS[name](world):
            world.found[figure.name] = figure.value
            sys.stderr.write(f"{name}: {figure.name} {figure.value:.4g} {figure.unit}\n")
            yield figure
        sys.stderr.write(f"{name}: took {time.monotonic() - begun:.0f} s\n")


if __name__ == "__main__":
    sys.exit(main())
