"""What a run of the bench found: one figure a line, with its target, and the limit measured in the same run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

LINEAR = 1.1
"""A slope of at most that: linear, with what two runs on a shared machine differ anyway."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value. `target`: PERFORMANCE's, at most that (at least with `at_least`). `limit`: what the machine or
    a bare library did of the same in this run, in the same unit. `note`: how it was measured."""

    name: str
    value: float
    unit: str
    target: float | None = None
    limit: float | None = None
    note: str = ""
    at_least: bool = False

    @property
    def ratio(self) -> float | None:
        """How many times the limit."""
        return self.value / self.limit if self.limit else None

    @property
    def verdict(self) -> str:
        """met, MISSED, or nothing where there is no target."""
        if self.target is None:
            return ""
        met = self.value >= self.target if self.at_least else self.value <= self.target
        return "met" if met else "MISSED"


def slope(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """How cost grows between the smallest and the largest: log(cost) against log(size). 1 is linear, less is better."""
    return math.log(costs[-1] / costs[0]) / math.log(sizes[-1] / sizes[0])


def as_json(figures: Iterable[Figure]) -> dict[str, dict[str, Any]]:
    """{name: {value, unit, target, limit, ratio}}."""
    return {
        one.name: {
            "value": _rounded(one.value), "unit": one.unit, "target": one.target, "limit": _rounded(one.limit),
            "ratio": _rounded(one.ratio),
        }
        for one in figures
    }  # fmt: skip


def as_table(figures: Sequence[Figure]) -> str:
    """The same for people, one line a figure."""
    heads = ("what", "measured", "unit", "target", "", "limit", "x limit", "how")
    rows = [heads]
    for one in figures:
        target = "" if one.target is None else f"{'>=' if one.at_least else '<='} {_text(one.target)}"
        rows.append(
            (one.name, _text(one.value), one.unit, target, one.verdict, _text(one.limit), _text(one.ratio), one.note)
        )
    widths = [max(len(row[place]) for row in rows) for place in range(len(heads) - 1)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=True)), row[-1]]).rstrip()
        for row in rows
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def _text(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{float(f'{value:.3g}'):g}"
