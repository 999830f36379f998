"""Deliberate faults, to show that the harness sees them. They exist here only: the shipped code has no switch.

A fault is a function that replaces a part of the product in **its own process**, forked by nursery.py; the name of its
scenario says which check must catch it. The same scenario runs without any fault first and must find nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.crash.mutants.agent import AGENT_FAULTS
from tests.crash.mutants.server import SERVER_FAULTS

FAULTS: dict[str, tuple[str, Callable[[], None]]] = SERVER_FAULTS | AGENT_FAULTS
"""name -> (scenario, what switches it on)"""


def switch_on(name: str) -> None:
    """Make this process the mutant of that name."""
    FAULTS[name][1]()
