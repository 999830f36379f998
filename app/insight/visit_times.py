"""Times that visits show about a unit: between visits, and how much starts vary. Columns in, sums per unit out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from fractions import Fraction
from itertools import pairwise

import numpy as np

from app.core.localtime import instant_of, local_time
from app.insight.numbers import median_of
from app.insight.quality import Between, Spread
from app.insight.stays import Ints, Stays, different, microseconds
from app.insight.windows import Window

LONGEST_BETWEEN = timedelta(minutes=90)
"""What is longer is a break or the end of a shift, not travel [D]."""
FEWEST_IN_SLOT = 3
_HOUR_US = 3_600_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class PlannedStarts:
    """Visits matched to a plan: whose slot, when planned, when begun (microseconds)."""

    units: Sequence[str]
    providers: Sequence[str]
    unit: Ints
    provider: Ints
    client: Ints
    planned_us: Ints
    start_us: Ints


def between_visits(stays: Stays, window: Window) -> list[Between]:
    """Per unit and local hour of a visit's end: how many persons, and the median time to their next visit.

    Two visits of one person in one unit on one local day, to different clients, both with both ends.
    """
    whole = stays.only(~stays.incomplete)
    order = np.lexsort((whole.start_us, whole.person))
    client, person, unit = whole.client[order], whole.person[order], whole.unit[order]
    left_us, next_us = whole.end_us[order][:-1], whole.start_us[order][1:]
    day = window.day_index(whole.start_us[order])
    gap = next_us - left_us
    travel = (person[1:] == person[:-1]) & (unit[1:] == unit[:-1]) & (client[1:] != client[:-1])
    travel &= (day[1:] == day[:-1]) & (gap >= 0) & (gap <= LONGEST_BETWEEN // timedelta(microseconds=1))
    rows = np.flatnonzero(travel)
    hour = _local_hour(left_us[rows])
    cells: dict[tuple[int, int], list[int]] = defaultdict(list)
    people: dict[tuple[int, int], set[int]] = defaultdict(set)
    for at, u, p, g in zip(hour.tolist(), unit[rows].tolist(), person[rows].tolist(), gap[rows].tolist(), strict=True):
        cells[u, at].append(g)
        people[u, at].add(p)
    provider_of = dict(zip(whole.unit.tolist(), whole.provider.tolist(), strict=True))
    return [
        Between(whole.units[u], whole.providers[provider_of[u]], at, len(people[u, at]), median_of(gaps) or Fraction(0))
        for (u, at), gaps in sorted(cells.items())
    ]


def start_spreads(planned: PlannedStarts, window: Window) -> list[Spread]:
    """Per unit: the distances of starts from the median start of their slot, slots with at least three visits.

    A slot is one client's planned time of day; a start counts as its distance from the plan.
    """
    day = window.day_index(planned.planned_us).clip(0, window.day_count - 1)
    noons = np.array(
        [microseconds(instant_of(window.from_on + timedelta(days=n), time(12))) for n in range(window.day_count)]
    )
    minute = (planned.planned_us - noons[day]) // 60_000_000
    order = np.lexsort((minute, planned.client, planned.unit))
    unit, client, minute = planned.unit[order], planned.client[order], minute[order]
    late_us = (planned.start_us - planned.planned_us)[order]
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = (unit[1:] != unit[:-1]) | (client[1:] != client[:-1]) | (minute[1:] != minute[:-1])
    borders = np.append(np.flatnonzero(new), len(order)).tolist()
    distance: dict[int, int] = defaultdict(int)
    visits: dict[int, int] = defaultdict(int)
    for first, after in pairwise(borders):
        if after - first >= FEWEST_IN_SLOT:
            slot = np.sort(late_us[first:after])
            distance[int(unit[first])] += int(np.abs(slot - slot[len(slot) // 2]).sum())
            visits[int(unit[first])] += after - first
    provider_of = dict(zip(planned.unit.tolist(), planned.provider.tolist(), strict=True))
    return [Spread(planned.units[u], planned.providers[provider_of[u]], distance[u], visits[u]) for u in sorted(visits)]


def _local_hour(at_us: Ints) -> Ints:
    """Hour of the wall clock; each different hour is asked once."""
    hour_us = at_us // _HOUR_US
    hours = different(hour_us)
    local = np.array([local_time(_EPOCH + timedelta(hours=value)).hour for value in hours.tolist()], dtype=np.int64)
    return local[np.searchsorted(hours, hour_us)] if len(hours) else hour_us
