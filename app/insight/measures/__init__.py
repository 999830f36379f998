"""The measures there are: every file of this package with a `MEASURE`. A new measure is one new file, nothing else.

The national one was discontinued after 2024 and a successor is expected in 2027 (DOMAIN.md 6).
"""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pkgutil import iter_modules

from app.insight.measure import Measure
from app.policies import PolicyBook
from app.refusals import NotFound


def all_measures() -> dict[str, Measure]:
    """Name -> measure, in order of name."""
    modules = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]
    measures: list[Measure] = [module.MEASURE for module in modules]
    return {measure.name: measure for measure in sorted(measures, key=lambda measure: measure.name)}


def measure_named(name: str, book: PolicyBook | None = None) -> Measure:
    """The measure of that name under the municipality's policies; NotFound with the names there are."""
    known = all_measures()
    if name not in known:
        raise NotFound(f"there is no measure {name!r}; there are: {', '.join(known)}")
    return known[name] if book is None else replace(known[name], book=book)
