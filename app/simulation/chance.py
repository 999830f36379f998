"""Chance that is the same everywhere: named streams of random numbers, and even spreads that need no stream."""

from __future__ import annotations

import hashlib
from random import Random


def stream(seed: int, *names: object) -> Random:
    """A random stream of its own for a named thing of a town: what one thing draws never shifts another."""
    return Random("/".join(map(str, (seed, *names))))  # noqa: S311 -- invented people, repeatable by design


def spread(number: int, step: float, phase: float = 0.0) -> float:
    """A value in [0, 1) for a number; consecutive numbers fill the interval evenly: shares hold in small towns."""
    return (number * step + phase) % 1.0


def tag_serial(seed: int, *names: object) -> str:
    """A 7-byte NXP serial as 14 hex digits: begins 04 (never 08, the random kind), no long run of digits."""
    digest = hashlib.blake2b("/".join(map(str, (seed, *names))).encode(), digest_size=5).hexdigest().upper()
    return f"04{digest[:4]}C{digest[4:8]}A{digest[8:]}"


GOLDEN, SILVER, PLASTIC, ROOT7 = 0.6180339887, 0.4142135624, 0.7548776662, 0.6457513111
"""Irrational steps for `spread`: different properties of one number use different steps and so do not go together."""
