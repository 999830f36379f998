"""The quantities of a shadow run out of visits, declines and care services: a month's, week by week.

A visit belongs whole to the month and week of its start (unlike a month account, which splits it at midnight of the
last day): models are compared with each other, not with the invoice [D].
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import time, timedelta
from typing import NamedTuple

import numpy as np

from app.core.month import Month
from app.insight.meetings import latest_so_far
from app.insight.shadow import AccountMonth, Quantities
from app.insight.stays import Flags, Ints, Stays, different, different_with_counts
from app.insight.windows import Window

_MINUTE_US = 60_000_000
_BANDS = ("day", "night")
Account = tuple[str, str]
"""(client_id, provider_id)."""


class Declined(NamedTuple):
    """A decline's staff-minutes that were not executed."""

    client_id: str
    provider_id: str
    notice: str
    planned_us: int
    minutes: int


class Done(NamedTuple):
    """Care services of one kind carried out within a week, the first of them when."""

    client_id: str
    provider_id: str
    done_us: int
    care_service: str
    times: int


@dataclass(frozen=True, slots=True)
class ShadowFacts:
    """Everything the quantities of one month follow from."""

    month: Month
    stays: Stays
    """Counted visits of the month; only accepted ones give anything."""
    night_from: time
    night_to: time
    ordered: Mapping[Account, tuple[int, int]] = field(default_factory=dict)
    """(ordered minutes, ceiling minutes)."""
    declined: Iterable[Declined] = ()
    done: Iterable[Done] = ()
    standard_minutes: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    """(client_id, provider_id, care_service) -> granted minutes each time."""
    operations: Mapping[str, str] = field(default_factory=dict)


def account_months(facts: ShadowFacts) -> list[AccountMonth]:
    """One row per client and provider with a visit, a decline, a care service or ordered time in the month."""
    window = Window.of_month(facts.month)
    weeks: dict[Account, dict[str, Quantities]] = defaultdict(lambda: defaultdict(Quantities))
    _add_visits(facts, window, weeks)
    labels, declined, carried_out = _weeks(window), list(facts.declined), list(facts.done)
    planned_us = np.array([row.planned_us for row in declined], dtype=np.int64)
    nights = _starts_at_night(facts, window, planned_us).tolist()
    for row, day, night in zip(declined, _days(window, planned_us), nights, strict=True):
        part = weeks[row.client_id, row.provider_id][labels[day]]
        part.declined[row.notice, _BANDS[int(night)]] += row.minutes
    done_us = np.array([done.done_us for done in carried_out], dtype=np.int64)
    for done, day in zip(carried_out, _days(window, done_us), strict=True):
        part = weeks[done.client_id, done.provider_id][labels[day]]
        part.services[done.care_service] += done.times
        each = facts.standard_minutes.get((done.client_id, done.provider_id, done.care_service), 0)
        part.standard_minutes += each * done.times
    return [
        AccountMonth(
            client_id, provider_id, facts.operations.get(provider_id, ""), str(facts.month), facts.month.first_on,
            *facts.ordered.get((client_id, provider_id), (0, 0)), weeks.get((client_id, provider_id), {}),
        )
        for client_id, provider_id in sorted({*weeks, *facts.ordered})
    ]  # fmt: skip


def _add_visits(facts: ShadowFacts, window: Window, weeks: dict[Account, dict[str, Quantities]]) -> None:
    stays = facts.stays.only(facts.stays.accepted)
    if not len(stays):
        return
    labels = _weeks(window)
    names = sorted(set(labels))
    week_of_day = np.array([names.index(label) for label in labels], dtype=np.int64)
    day = window.day_index(stays.start_us).clip(0, window.day_count - 1)
    account = stays.client * len(stays.providers) + stays.provider
    night_start = _starts_at_night(facts, window, stays.start_us).astype(np.int64)
    key = (account * len(names) + week_of_day[day]) * 2 + night_start
    by_day = _day_minutes(facts, window, stays, day)
    union = client_minutes(stays, account)
    keys, counts = different_with_counts(key)
    place = np.searchsorted(keys, key)
    sums = [_sums(place, values, len(keys)) for values in (by_day, stays.minutes - by_day, union)]
    for number, visits, day_sum, night_sum, clients in zip(
        keys.tolist(), counts.tolist(), *(column.tolist() for column in sums), strict=True
    ):
        part = _part(stays, names, number // 2, weeks)
        start = _BANDS[number % 2]
        part.visits[start] += visits
        for band, minutes in zip(_BANDS, (day_sum, night_sum), strict=True):
            if minutes:
                part.minutes[start, band] += minutes
        part.client_minutes += clients
    days_key = different(account * window.day_count + day)
    whose_weeks = days_key // window.day_count * len(names) + week_of_day[days_key % window.day_count]
    for number, days in zip(*(column.tolist() for column in different_with_counts(whose_weeks)), strict=True):
        _part(stays, names, number, weeks).client_days += days


def _part(stays: Stays, names: list[str], number: int, weeks: dict[Account, dict[str, Quantities]]) -> Quantities:
    whose, week = divmod(number, len(names))
    client, provider = divmod(whose, len(stays.providers))
    return weeks[stays.clients[client], stays.providers[provider]][names[week]]


def client_minutes(stays: Stays, account: Ints) -> Ints:
    """Each visit's minutes beyond those of earlier visits of the same account: two staff at once count once.

    A household's visit keeps its dealt part of what is left.
    """
    start, end = stays.start_us // _MINUTE_US, stays.end_us // _MINUTE_US
    order = np.lexsort((start, account))
    latest = latest_so_far(account[order], end[order])
    covered = start[order].copy()
    same = account[order][1:] == account[order][:-1]
    covered[1:] = np.where(same, np.maximum(covered[1:], latest[:-1]), covered[1:])
    left = np.zeros(len(order), dtype=np.int64)
    left[order] = np.maximum(end[order] - covered, 0)
    span = np.maximum(end - start, 1)
    dealt: Ints = left * stays.minutes // span
    return dealt


def _day_minutes(facts: ShadowFacts, window: Window, stays: Stays, day: Ints) -> Ints:
    """Of each visit's minutes those between the end and the beginning of the night."""
    days = window.day_count + 2  # a visit lasts at most to the day after the next
    opens = window.clock_us(facts.night_to, days) // _MINUTE_US
    shuts = window.clock_us(facts.night_from, days) // _MINUTE_US
    start, end = stays.start_us // _MINUTE_US, stays.end_us // _MINUTE_US
    inside = np.zeros(len(stays), dtype=np.int64)
    for later in range(3):
        at = np.minimum(day + later, days - 1)
        part = np.minimum(end, shuts[at]) - np.maximum(start, opens[at])
        inside += np.where(day + later < days, np.maximum(part, 0), 0)
    span = np.maximum(end - start, 1)
    dealt: Ints = inside * stays.minutes // span
    return dealt


def _starts_at_night(facts: ShadowFacts, window: Window, at_us: Ints) -> Flags:
    return ~window.starts_within(at_us, facts.night_to, facts.night_from)


def _sums(place: Ints, values: Ints, size: int) -> Ints:
    return np.bincount(place, weights=values, minlength=size).astype(np.int64)


def _days(window: Window, at_us: Ints) -> list[int]:
    """The window's day of each instant."""
    days: list[int] = window.day_index(at_us).clip(0, window.day_count - 1).tolist()
    return days


def _weeks(window: Window) -> list[str]:
    """The ISO week of each day of the window."""
    labels = []
    for day in range(window.day_count):
        year, week, _ = (window.from_on + timedelta(days=day)).isocalendar()
        labels.append(f"{year}-W{week:02d}")
    return labels
