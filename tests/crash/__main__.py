"""`python -m tests.crash [--kills N] [--seed S] [--json]`: see the package.

The last line of stdout is one JSON object; exit status 0 when its zeros are zeros and every mutant was caught.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.crash.disks import try_disks
from tests.crash.kills import Run
from tests.crash.mutants.hunt import hunt
from tests.crash.result import Result, say
from tests.crash.torn import tear

TORN_FILES = 500
_MEMORY = Path("/dev/shm")  # noqa: S108 -- a file system in memory: fsync costs nothing there, and tears are made by hand


def main() -> int:
    """Runs all parts; 0 when everything is as it must be."""
    asked = argparse.ArgumentParser(prog="deploy/run crash", description=__doc__)
    asked.add_argument("--kills", type=int, default=60, help="how many processes to kill (60)")
    asked.add_argument("--seed", type=int, default=1, help="decides the schedule (1)")
    asked.add_argument("--devices", type=int, default=4, help="how many devices tap (4)")
    asked.add_argument("--json", action="store_true", help="nothing but the JSON object, on stdout")
    given = asked.parse_args()
    logging.basicConfig(level=logging.ERROR)  # that a torn outbox is set aside is what is wanted here
    result = Result()
    with tempfile.TemporaryDirectory(prefix="komgick-crash-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        run = Run(folder / "town", result, kills=given.kills, seed=given.seed, devices=given.devices)
        _part("kills", run, result)
        torn = Result()  # its own, for it is counted beside the others, which mostly wait
        tearing = threading.Thread(target=_part, args=("torn files", lambda: _tear(torn, given.seed), torn))
        tearing.start()
        _part("disks", lambda: try_disks(folder / "disks", result), result)
        _part("mutants", lambda: hunt(folder / "mutants", result), result)
        tearing.join()
    result.add(torn)
    say("good" if result.good else "NOT GOOD")
    sys.stdout.write((result.as_json() if given.json else result.as_text() + result.as_json()) + "\n")
    return 0 if result.good else 1


def _tear(result: Result, seed: int) -> None:
    with tempfile.TemporaryDirectory(dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None) as name:
        tear(Path(name), result, files=TORN_FILES, seed=seed)


def _part(name: str, what: Callable[[], object], result: Result) -> None:
    """One part; what ends it counts against the whole, and the others run all the same."""
    try:
        what()
    except Exception as error:  # noqa: BLE001 -- whatever it is, it is told and makes the run bad
        traceback.print_exc()
        result.problem(f"{name} ended with {type(error).__name__}: {error}")


if __name__ == "__main__":
    sys.exit(main())
