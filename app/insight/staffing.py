"""Education and turnover of a group's carers: persons, not employments (DOMAIN.md 6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Any

from app.core.month import Month
from app.facts import Employment
from app.insight.numbers import decimal, ratio

TRAINED = ("usk", "vardbitrade", "600p")
"""What counts as trained [S0]; `other_higher` does not, being no care education by itself."""


@dataclass(frozen=True, slots=True)
class Education:
    """How many are trained: by headcount (as applied in 2022) and by minutes with clients (the lesson)."""

    staff: int
    trained: int
    usk: int
    client_minutes: int
    trained_minutes: int
    usk_minutes: int
    without_document: int
    """Trained persons whose document is missing."""

    @property
    def trained_share(self) -> Fraction | None:
        return ratio(self.trained, self.staff)

    @property
    def usk_share(self) -> Fraction | None:
        return ratio(self.usk, self.staff)

    @property
    def trained_time_share(self) -> Fraction | None:
        return ratio(self.trained_minutes, self.client_minutes)

    @property
    def usk_time_share(self) -> Fraction | None:
        return ratio(self.usk_minutes, self.client_minutes)

    def as_object(self) -> dict[str, Any]:
        return {
            "headcount": {"trained_share": decimal(self.trained_share), "usk_share": decimal(self.usk_share)},
            "client_time": {
                "trained_share": decimal(self.trained_time_share),
                "usk_share": decimal(self.usk_time_share),
            },
            "without_document": self.without_document,
        }


@dataclass(frozen=True, slots=True)
class Turnover:
    """Who came and who left in the month."""

    at_start: int
    at_end: int
    joined: int
    left: int

    @property
    def share(self) -> Fraction | None:
        return ratio(2 * self.left, self.at_start + self.at_end)

    def as_object(self) -> dict[str, Any]:
        return {
            "at_start": self.at_start, "at_end": self.at_end, "joined": self.joined, "left": self.left,
            "share": decimal(self.share),
        }  # fmt: skip


def latest_in(employments: Iterable[Employment], month: Month) -> dict[str, Employment]:
    """person -> the last employment with a day in the month; of several that day the one with the last staff_id."""
    latest: dict[str, Employment] = {}
    for row in sorted(employments, key=lambda row: (row.valid_from, row.staff_id)):
        if row.valid_from <= month.last_on and (row.valid_to is None or row.valid_to >= month.first_on):
            latest[row.person] = row
    return latest


def latest_by_staff(employments: Iterable[Employment], month: Month) -> list[Employment]:
    """Each staff_id's last row with a day in the month."""
    latest: dict[str, Employment] = {}
    for row in sorted(employments, key=lambda row: row.valid_from):
        if row.valid_from <= month.last_on and (row.valid_to is None or row.valid_to >= month.first_on):
            latest[row.staff_id] = row
    return list(latest.values())


def education_of(
    members: Sequence[Employment], carried_by: Mapping[str, int], by_staff: Mapping[str, Employment], month: Month
) -> Education:
    """Of the group's carers with an employment day in the month, and of its minutes with clients by staff_id."""
    people = latest_in(members, month).values()
    minutes = {staff_id: n for staff_id, n in carried_by.items() if n}
    education = {staff_id: by_staff[staff_id].education if staff_id in by_staff else "none" for staff_id in minutes}
    return Education(
        len(people),
        sum(1 for row in people if row.education in TRAINED),
        sum(1 for row in people if row.education == "usk"),
        sum(minutes.values()),
        sum(n for staff_id, n in minutes.items() if education[staff_id] in TRAINED),
        sum(n for staff_id, n in minutes.items() if education[staff_id] == "usk"),
        sum(1 for row in people if row.education in TRAINED and not row.education_document),
    )


def turnover_of(members: Sequence[Employment], month: Month) -> Turnover:
    """Persons at the group on the first day, on the first day of the next month, and the difference."""
    start, end = _on(members, month.first_on), _on(members, month.next.first_on)
    during = set(latest_in(members, month))
    return Turnover(len(start), len(end), len(during - start), len(during - end))


def _on(members: Iterable[Employment], on: date) -> set[str]:
    return {row.person for row in members if row.valid_from <= on and (row.valid_to is None or row.valid_to >= on)}
