"""Times that visits show about a unit: between visits, and how much starts vary. Columns in, sums per unit out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from fractions import Fraction

import numpy as np

from app.core.localtime import instant_of, local_time
from app.insight.quality import Between, Spread
from app.insight.stays import Ints, Stays, different, different_with_counts, microseconds
from app.insight.windows import Window

LONGEST_BETWEEN = timedelta(minutes=90)
"""What is longer is a break or the end of a shift, not travel [D]."""
FEWEST_IN_SLOT = 3
_HOUR_US = 3_600_000_000
_HOURS = 24
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
    if not len(rows):
        return []
    cell = unit[rows] * _HOURS + _local_hour(left_us[rows])
    people = int(person.max()) + 1
    staffed, staff = different_with_counts(different(cell * people + person[rows]) // people)
    by_gap = np.lexsort((gap[rows], cell))
    gaps, begins, sizes = gap[rows][by_gap], *_runs(cell[by_gap])
    low, high = gaps[begins + (sizes - 1) // 2], gaps[begins + sizes // 2]
    provider_of = _providers_of(whole.unit, whole.provider)
    return [
        Between(
            whole.units[key // _HOURS], whole.providers[provider_of[key // _HOURS]], key % _HOURS, heads,
            Fraction(one + other, 2),
        )
        for key, heads, one, other in zip(staffed.tolist(), staff.tolist(), low.tolist(), high.tolist(), strict=True)
    ]  # fmt: skip


def start_spreads(planned: PlannedStarts, window: Window) -> list[Spread]:
    """Per unit: the distances of starts from the median start of their slot, slots with at least three visits.

    A slot is one client's planned time of day; a start counts as its distance from the plan.
    """
    day = window.day_index(planned.planned_us).clip(0, window.day_count - 1)
    noons = np.array(
        [microseconds(instant_of(window.from_on + timedelta(days=n), time(12))) for n in range(window.day_count)]
    )
    minute = (planned.planned_us - noons[day]) // 60_000_000
    late_us = planned.start_us - planned.planned_us
    low, people = int(minute.min(initial=0)), int(planned.client.max(initial=0)) + 1
    minutes = int(minute.max(initial=0)) - low + 1
    slot = (planned.unit * people + planned.client) * minutes + minute - low
    order = np.lexsort((late_us, slot))
    unit, slot, late_us = planned.unit[order], slot[order], late_us[order]
    begins, sizes = _runs(slot)
    usual = np.repeat(late_us[begins + sizes // 2], sizes) if len(order) else late_us
    kept = np.flatnonzero(np.repeat(sizes, sizes) >= FEWEST_IN_SLOT)
    distance = np.zeros(len(planned.units), dtype=np.int64)
    np.add.at(distance, unit[kept], np.abs(late_us - usual)[kept])  # exact, unlike bincount's weights
    visits = np.bincount(unit[kept], minlength=len(planned.units))
    provider_of = _providers_of(planned.unit, planned.provider)
    return [
        Spread(planned.units[u], planned.providers[provider_of[u]], int(distance[u]), int(visits[u]))
        for u in np.flatnonzero(visits).tolist()
    ]


def _runs(ordered: Ints) -> tuple[Ints, Ints]:
    """Where each run of equal values begins, and how long it is."""
    begins = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))) if len(ordered) else ordered
    return begins, np.diff(np.append(begins, len(ordered)))


def _providers_of(unit: Ints, provider: Ints) -> Mapping[int, int]:
    """unit -> its provider."""
    units, first = np.unique(unit, return_index=True)
    return dict(zip(units.tolist(), provider[first].tolist(), strict=True))


def _local_hour(at_us: Ints) -> Ints:
    """Hour of the wall clock; each different hour is asked once."""
    hour_us = at_us // _HOUR_US
    hours = different(hour_us)
    local = np.array([local_time(_EPOCH + timedelta(hours=value)).hour for value in hours.tolist()], dtype=np.int64)
    return local[np.searchsorted(hours, hour_us)] if len(hours) else hour_us
