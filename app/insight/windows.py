"""The stretch of local days a figure is about, and which of its days and hours an instant lies in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, time, timedelta
from itertools import pairwise

import numpy as np

from app.core.localtime import instant_of
from app.core.month import Month
from app.insight.stays import Flags, Ints, microseconds


@dataclass(frozen=True, slots=True)
class Window:
    """Local days from `from_on` to `to_on`, both inclusive."""

    from_on: date
    to_on: date

    @classmethod
    def of_month(cls, month: Month) -> Window:
        return cls(month.first_on, month.last_on)

    @classmethod
    def of_days(cls, from_on: date, days: int) -> Window:
        return cls(from_on, from_on + timedelta(days=days - 1))

    @property
    def day_count(self) -> int:
        return (self.to_on - self.from_on).days + 1

    @property
    def bounds_us(self) -> tuple[int, int]:
        """[start, end) in microseconds since 1970."""
        return microseconds(instant_of(self.from_on)), microseconds(instant_of(self.to_on + timedelta(days=1)))

    def touches(self, from_on: date, to_on: date | None) -> bool:
        """Whether a period of local days (None: open) has a day in the window."""
        return from_on <= self.to_on and (to_on is None or to_on >= self.from_on)

    def day_index(self, at_us: Ints) -> Ints:
        """0 for an instant on the first day, 1 on the second; -1 before, `day_count` after the window."""
        borders = self.clock_us(time(0), self.day_count + 1)
        return np.searchsorted(borders, at_us, side="right") - 1

    def starts_within(self, start_us: Ints, from_time: time, to_time: time) -> Flags:
        """from_time <= local time of the start < to_time, for starts inside the window."""
        day = self.day_index(start_us).clip(0, self.day_count - 1)
        opens, shuts = self.clock_us(from_time, self.day_count), self.clock_us(to_time, self.day_count)
        within: Flags = (opens[day] <= start_us) & (start_us < shuts[day])
        return within

    def overlaps_hours(self, start_us: Ints, end_us: Ints, from_time: time, to_time: time) -> Flags:
        """Whether any part of [start, end) lies in those hours of any local day; a point: whether it does."""
        opens, shuts = self.clock_us(from_time, self.day_count + 1), self.clock_us(to_time, self.day_count + 1)
        day = self.day_index(start_us).clip(0, self.day_count - 1)
        after_us = np.maximum(end_us, start_us + 1)
        today = (start_us < shuts[day]) & (after_us > opens[day])
        either: Flags = today | (after_us > opens[day + 1])
        return either

    def clock_us(self, at: time, days: int) -> Ints:
        """That local time on the first `days` days from the window's first one."""
        return np.array(
            [microseconds(instant_of(self.from_on + timedelta(days=day), at)) for day in range(days)], dtype=np.int64
        )


def fortnights(year: int) -> list[Window]:
    """Every stretch of 14 days that begins on a Monday of the year: none can be chosen to please."""
    first = date(year, 1, 1)
    monday = first + timedelta(days=-first.weekday() % 7)
    starts = [monday + timedelta(weeks=week) for week in range(54)]
    return [Window.of_days(start, 14) for start, _ in pairwise(starts) if start.year == year]
