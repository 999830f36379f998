"""The national measure of fourteen days: Kolada U21401 (mean), U21402 (median), U21436 (share above 20) [L].

65 or older at the start of the period, two or more counted meetings every day of 14, 07:00 <= start < 22:00; clients
away any part are left out. Discontinued after 2024; kept for comparison.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, time

import numpy as np

from app.insight.measure import NO_MEETING, Measure, Question
from app.insight.stays import Flags, Ints, Stays, different, different_with_counts
from app.insight.windows import Window
from app.policies import PolicyBook

_DAYS = 14
_FROM, _TO = time(7), time(22)
_AGE = 65
_MEETINGS_A_DAY = 2

TWO_BY_PLAN = "two_by_plan"
HOURS_BY_OVERLAP = "hours_by_overlap"


def _counts(stays: Stays, window: Window, variants: frozenset[str]) -> Flags:
    if HOURS_BY_OVERLAP in variants:
        return window.overlaps_hours(stays.start_us, stays.end_us, _FROM, _TO)
    return window.starts_within(stays.start_us, _FROM, _TO)


def _excluded(question: Question) -> dict[str, str]:
    """In this order the first that fits: age unknown, under 65, away, no meeting, too few on some day."""
    born = question.source.birth_dates()
    away = {absence.client_id for absence in question.source.absences(question.window)}
    often = _every_day(question)
    met = {question.counted.clients[index] for index in different(question.meetings.client).tolist()}
    why: dict[str, str] = {}
    for client_id in question.candidates:
        birth_date = born.get(client_id)
        if birth_date is None:
            why[client_id] = "birth_date_unknown"
        elif not _has_turned(birth_date, question.window.from_on):
            why[client_id] = "under_65"
        elif client_id in away:
            why[client_id] = "away"
        elif client_id not in met:
            why[client_id] = NO_MEETING
        elif client_id not in often:
            why[client_id] = "under_two_a_day"
    return why


def _every_day(question: Question) -> set[str]:
    """Clients with two or more meetings (by plan: planned visits in the hours) on every day of the window."""
    window = question.window
    if TWO_BY_PLAN in question.variants:
        return _planned_every_day(question.source.planned_starts(window), window)
    meetings, clients = question.meetings, question.counted.clients
    return {clients[index] for index in _enough(meetings.client, window.day_index(meetings.start_us), window)}


def _planned_every_day(planned: Iterable[tuple[str, int]], window: Window) -> set[str]:
    rows = list(planned)
    names = sorted({client_id for client_id, _ in rows})
    place = {name: index for index, name in enumerate(names)}
    client = np.array([place[client_id] for client_id, _ in rows], dtype=np.int64)
    start_us = np.array([at for _, at in rows], dtype=np.int64)
    keep = window.starts_within(start_us, _FROM, _TO)
    return {names[index] for index in _enough(client[keep], window.day_index(start_us[keep]), window)}


def _enough(client: Ints, day: Ints, window: Window) -> list[int]:
    """Client indices with at least two rows on each day."""
    if not len(client):
        return []
    per_day, count = different_with_counts(client * window.day_count + day)
    good = per_day[count >= _MEETINGS_A_DAY] // window.day_count
    owner, days = different_with_counts(good)
    return [int(index) for index in owner[days == window.day_count]]


def _has_turned(birth_date: date, on: date) -> bool:
    """65 or older; a birthday on 29 February is reached on 1 March of other years."""
    return (on.year - birth_date.year - ((on.month, on.day) < (birth_date.month, birth_date.day))) >= _AGE


def _official(year: int, book: PolicyBook) -> date:
    """Monday of the week that was decided beforehand [policy; no source says which two weeks of the autumn]."""
    return date.fromisocalendar(year, book.on(date(year, 1, 1)).continuity_official_week, 1)


MEASURE = Measure(
    name="kolada_14d",
    version="2024",
    definition_sv=(
        "Antal olika personer i hemtjänstpersonalen som en brukare möter under 14 dagar kl. 07-22: medelvärde "
        "(U21401), median (U21402) och andel brukare som möter fler än 20 (U21436)."
    ),
    definition_en=(
        "Number of different home care staff a client meets in 14 days, 07-22: mean (U21401), median (U21402) and "
        "share of clients who meet more than 20 (U21436)."
    ),
    population_sv=(
        "Brukare som är 65 år eller äldre vid periodens början, med två eller fler möten varje dag i perioden. Den som "
        "är borta någon del av perioden räknas inte. Hälso- och sjukvårdspersonal, larm och måltider räknas inte."
    ),
    population_en=(
        "Clients who are 65 or older at the start, with two or more meetings every day of the period. Whoever is away "
        "any part of it is left out. Health care staff, alarms and meals do not count."
    ),
    window_days=_DAYS,
    variants={
        TWO_BY_PLAN: "two or more planned visits every day, instead of carried-out meetings",
        HOURS_BY_OVERLAP: "a visit counts when any part of it lies between 07 and 22, instead of its start",
    },
    counts=_counts,
    excluded=_excluded,
    official=_official,
)
