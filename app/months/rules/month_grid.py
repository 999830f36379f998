"""A local month cut at midnight and at the borders of the price bands, as whole minutes since 1970-01-01 UTC.

DOMAIN.md 2.1 rows 22 and 23: one visit, minutes split at the local boundary, elapsed time across a clock change. The
grid is made once per month and policy version; a visit then costs one bisection.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

from app.core.localtime import instant_of, local_date, local_time
from app.core.month import Month
from app.facts.accounts import epoch_minute
from app.policies import Policy, PolicyBook


class Cell(NamedTuple):
    """Minutes between two borders: one local day, one band, one policy."""

    first: int
    after: int
    day: int
    """Index of the day in the month."""
    on: date
    band: str
    policy: Policy


@dataclass(frozen=True, slots=True)
class MonthGrid:
    """The cells of a month, joined without a gap."""

    month: Month
    first: int
    after: int
    days: tuple[date, ...]
    cells: tuple[Cell, ...]
    starts: tuple[int, ...]
    day_ends: tuple[int, ...]
    """Epoch minute after each day's last one."""
    plain_classes: frozenset[str]
    """Classes whose accepted minutes all count, whatever the band and however many carers: no cell need be asked."""
    policy: Policy
    """Valid on the month's first day: for what is decided once a month (ceiling, deadlines)."""

    def cell_at(self, minute: int) -> Cell:
        """The cell of an epoch minute inside the month."""
        return self.cells[bisect_right(self.starts, minute) - 1]


_GRIDS: dict[tuple[Month, str], MonthGrid] = {}


def month_grid(month: Month, book: PolicyBook) -> MonthGrid:
    """The grid of a local month under a policy book; the same answer is remembered."""
    key = (month, book.version)
    grid = _GRIDS.get(key)
    if grid is None:
        if len(_GRIDS) > 500:
            _GRIDS.clear()
        grid = _GRIDS[key] = _make(month, book)
    return grid


def band_at(minute: int, book: PolicyBook) -> tuple[date, str]:
    """(local day, band) of any epoch minute: for a visit that began in the month before."""
    instant = datetime.fromtimestamp(minute * 60, UTC)
    on = local_date(instant)
    return on, _band(local_time(instant), book.on(on))


def _make(month: Month, book: PolicyBook) -> MonthGrid:
    days = month.days()
    after = epoch_minute(instant_of(month.next.first_on))
    borders: dict[int, tuple[int, date, str, Policy]] = {}
    for index, on in enumerate(days):
        policy = book.on(on)
        next_day = epoch_minute(instant_of(on + timedelta(days=1)))
        for at in sorted({time(0), policy.night_from, policy.night_to}):
            minute = epoch_minute(instant_of(on, at))
            if minute < next_day:  # a band border inside the hour that the clock skips
                borders[minute] = (index, on, _band(at, policy), policy)
    starts = tuple(sorted(borders))
    ends = (*starts[1:], after)
    cells = tuple(Cell(first, end, *borders[first]) for first, end in zip(starts, ends, strict=True))
    day_ends = tuple(epoch_minute(instant_of(on + timedelta(days=1))) for on in days)
    return MonthGrid(
        month, starts[0], after, days, cells, starts, day_ends, _plain_classes(cells), book.on(month.first_on)
    )


def _plain_classes(cells: tuple[Cell, ...]) -> frozenset[str]:
    policies = [cell.policy for cell in cells]
    if not all(policy.per_visit_band_counts and policy.second_staff_counts for policy in policies):
        return frozenset()
    night_patrol = all(policy.night_patrol_counts for policy in policies)
    return frozenset({"care", "night_patrol"} if night_patrol else {"care"})


def _band(at: time, policy: Policy) -> str:
    start, end = policy.night_from, policy.night_to
    if start <= end:
        return "night" if start <= at < end else "day"
    return "night" if at >= start or at < end else "day"
