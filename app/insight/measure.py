"""What a named measure of continuity is, and how any of them is computed (DOMAIN.md 6).

A measure says which visits count and which clients are left out and why; meetings, indices, means and data quality are
the same for all. One measure is one file under `measures/` with a `MEASURE` in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import Protocol

import numpy as np

from app.facts import Absence
from app.insight.contacts import ContactPerson, contact_minutes
from app.insight.indices import ExactIndex, Indices, indices_by_client
from app.insight.meetings import Meetings, meetings_of
from app.insight.numbers import mean_of, mean_of_parts, median_of, ratio
from app.insight.stays import Flags, Ints, Stays, different
from app.insight.windows import Window
from app.policies import PolicyBook

NO_MEETING = "no_counted_meeting"
MANY = 20
"""Kolada U21436: the share of clients who meet more than this many persons."""


class Source(Protocol):
    """Where a measure's facts come from. `insight.store` asks the database; tests hold lists."""

    def stays(self, window: Window) -> Stays:
        """The counted visits whose start (else end) lies on a local day of the window."""

    def ordered_clients(self, window: Window) -> Iterable[str]:
        """Clients with an order day in the window."""

    def birth_dates(self) -> Mapping[str, date | None]: ...

    def absences(self, window: Window) -> Iterable[Absence]:
        """Absences with a day in the window."""

    def planned_starts(self, window: Window) -> Iterable[tuple[str, int]]:
        """(client_id, start in microseconds) of planned care visits, not withdrawn."""

    def contact_persons(self) -> Mapping[str, Sequence[ContactPerson]]:
        """By client_id."""

    def unknown_taps(self, window: Window) -> int:
        """Taps in the window that are outside any visit: unknown tag or unknown staff."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a measure's rules are asked about: the source, the window, the chosen variants, what was counted."""

    source: Source
    window: Window
    variants: frozenset[str]
    counted: Stays
    meetings: Meetings
    candidates: frozenset[str]
    """Clients with an order or a counted class of visit in the window."""


def _all_visits(stays: Stays, window: Window, variants: frozenset[str]) -> Flags:  # noqa: ARG001 - a measure's shape
    return np.ones(len(stays), dtype=np.bool_)


def _nobody(question: Question) -> dict[str, str]:  # noqa: ARG001 - a measure's shape
    return {}


@dataclass(frozen=True, slots=True)
class Measure:
    """A named, versioned measure. `window_days` None means a calendar month.

    `variants` are the choices [policy] that change the counting, each with its description. `excluded` gives
    client_id -> why for candidates that are left out; clients without a counted meeting always are.
    """

    name: str
    version: str
    definition_sv: str
    definition_en: str
    population_sv: str
    population_en: str
    window_days: int | None = None
    variants: Mapping[str, str] = field(default_factory=dict)
    counts: Callable[[Stays, Window, frozenset[str]], Flags] = _all_visits
    excluded: Callable[[Question], dict[str, str]] = _nobody
    official: Callable[[int, PolicyBook], date] | None = None
    """First day of the official period of a year, where there is one."""
    book: PolicyBook = field(default_factory=PolicyBook.built_in)
    """What the municipality decided about it."""

    def official_from(self, year: int) -> date | None:
        """First day of the year's official period; None where the measure has none."""
        return self.official(year, self.book) if self.official else None

    def standing_variants(self, on: date) -> frozenset[str]:
        """The variants that apply where none is asked for [policy]."""
        return frozenset(self.book.on(on).continuity_variants) & self.variants.keys()


@dataclass(frozen=True, slots=True)
class ClientMeasured:
    """One included client."""

    client_id: str
    indices: Indices
    contact_minutes: tuple[int, int]
    """(Minutes with the contact, all minutes); the latter 0 where the share is undefined."""

    @property
    def contact_share(self) -> Fraction | None:
        return ratio(*self.contact_minutes)


@dataclass(frozen=True, slots=True)
class DataQuality:
    """What the figure rests on: of the included clients' counted visits."""

    visits: int
    manual: int
    corrected: int
    incomplete: int
    unknown_taps: int


@dataclass(frozen=True, slots=True)
class Measured:
    """A measure's answer, exact."""

    measure: Measure
    variants: frozenset[str]
    window: Window
    clients: tuple[ClientMeasured, ...]
    excluded: tuple[tuple[str, str], ...]
    quality: DataQuality

    @property
    def mean(self) -> Fraction | None:
        return mean_of([client.indices.distinct_staff for client in self.clients])

    @property
    def median(self) -> Fraction | None:
        return median_of([client.indices.distinct_staff for client in self.clients])

    @property
    def share_over_20(self) -> Fraction | None:
        over = sum(1 for client in self.clients if client.indices.distinct_staff > MANY)
        return ratio(over, len(self.clients))

    def mean_index(self, name: ExactIndex) -> Fraction | None:
        """Mean of an index over the clients for whom it is defined."""
        return mean_of_parts(client.indices.parts(name) for client in self.clients)


def compute(
    measure: Measure,
    source: Source,
    window: Window,
    variants: frozenset[str] = frozenset(),
    *,
    stays: Stays | None = None,
) -> Measured:
    """The measure over a window. `stays` narrows it to some visits (a unit's): then only their clients are asked."""
    every = source.stays(window) if stays is None else stays
    counted = every.only(measure.counts(every, window, variants))
    meetings = meetings_of(counted)
    seen = {every.clients[index] for index in different(every.client).tolist()}
    candidates = frozenset(seen if stays is not None else seen.union(source.ordered_clients(window)))
    indices = {counted.clients[client]: found for client, found in indices_by_client(meetings).items()}
    excluded = measure.excluded(Question(source, window, variants, counted, meetings, candidates))
    for client_id in candidates - indices.keys():
        excluded.setdefault(client_id, NO_MEETING)
    contact = contact_minutes(counted, window, source.contact_persons())
    return Measured(
        measure, variants, window,
        tuple(
            ClientMeasured(client_id, indices[client_id], contact.get(client_id, (0, 0)))
            for client_id in sorted(indices.keys() - excluded.keys())
        ),
        tuple(sorted(excluded.items())),
        _quality(counted, excluded.keys(), source.unknown_taps(window)),
    )  # fmt: skip


Grouping = Callable[[Stays], Mapping[str, Ints]]
"""Group name -> the rows that belong to it."""


def compute_groups(
    measure: Measure, source: Source, window: Window, variants: frozenset[str], grouping: Grouping
) -> dict[str, Measured]:
    """The measure for each group of visits; a client of two groups is measured in each by its own visits."""
    every = source.stays(window)
    return {
        name: compute(measure, source, window, variants, stays=every.only(rows).compact())
        for name, rows in sorted(grouping(every).items())
    }


def _quality(counted: Stays, excluded: Iterable[str], unknown_taps: int) -> DataQuality:
    left_out = set(excluded)
    included = np.array([name not in left_out for name in counted.clients], dtype=np.bool_)
    kept = included[counted.client] if len(counted) else counted.manual
    manual, corrected, incomplete = (
        int(np.count_nonzero(kept & flags)) for flags in (counted.manual, counted.corrected, counted.incomplete)
    )
    return DataQuality(int(np.count_nonzero(kept)), manual, corrected, incomplete, unknown_taps)
