"""A calendar month as a value: `2026-10`."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import date, timedelta

_PATTERN = re.compile(r"^(\d{4})-(0[1-9]|1[0-2])$")


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A local calendar month; ordered, hashable, printed as YYYY-MM."""

    year: int
    number: int

    @classmethod
    def parse(cls, text: str) -> Month:
        """The month written as YYYY-MM. Raises ValueError on anything else."""
        match = _PATTERN.match(text)
        if match is None or match.group(1) == "0000":
            raise ValueError(f"a month is written YYYY-MM, not {text!r}")
        return cls(int(match.group(1)), int(match.group(2)))

    @classmethod
    def of(cls, on: date) -> Month:
        """The month a local date lies in."""
        return cls(on.year, on.month)

    @property
    def first_on(self) -> date:
        return date(self.year, self.number, 1)

    @property
    def last_on(self) -> date:
        return date(self.year, self.number, self.day_count)

    @property
    def day_count(self) -> int:
        return calendar.monthrange(self.year, self.number)[1]

    def days(self) -> tuple[date, ...]:
        first = self.first_on
        return tuple(first + timedelta(days=offset) for offset in range(self.day_count))

    def plus(self, months: int) -> Month:
        index = self.year * 12 + self.number - 1 + months
        return Month(index // 12, index % 12 + 1)

    @property
    def next(self) -> Month:
        return self.plus(1)

    @property
    def previous(self) -> Month:
        return self.plus(-1)

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.number:02d}"
