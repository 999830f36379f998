"""The processes of a rebuild end, whoever they were born of: a server derives everything again after a large import.

Each case is a process of its own, as a server is: what a test run has going on in other threads is not born along.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.visits.rebuild import _spread

ROOT = Path(__file__).parents[2]


def has_default_handlers(_part: int) -> bool:
    return {signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)} == {signal.SIG_DFL}


def fail_or_wait(part: int) -> int:
    if part == 0:
        raise ValueError("a rule's fault")
    time.sleep(600)
    return part


def spread_in_a_thread(work: Callable[[int], Any]) -> list[Any]:
    """As the server's deriver does it, below handlers that only take note, as uvicorn's do."""
    found: list[Any] = []

    def spread() -> None:
        try:
            found.extend(_spread(work, range(2), 2))
        except ValueError as error:
            found.append(str(error))

    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, lambda *_: None)
    thread = threading.Thread(target=spread, daemon=True)
    thread.start()
    thread.join()
    return found


@pytest.mark.parametrize(
    ("work", "found"), [("has_default_handlers", "[True, True]"), ("fail_or_wait", '["a rule\'s fault"]')]
)
def test_they_can_be_ended_and_a_fault_in_one_ends_the_others(work: str, found: str) -> None:
    told = f"from tests.flows import test_rebuild_processes as here; print(here.spread_in_a_thread(here.{work}))"
    done = subprocess.run(
        [sys.executable, "-c", told], capture_output=True, text=True, cwd=ROOT, timeout=60, check=True
    )
    assert done.stdout.strip() == found
