"""The visits continuity counts, as columns: a city's month is 1.2 million of them, too many for one object each.

Who is in (DOMAIN.md 2.4 and 6): role `carer`; class care or night_patrol; complete, incomplete and at-the-door visits,
held and unpaid ones too; cancelled ones not. Persons are counted, not accounts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from app.facts import Visit

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

COUNTED_CLASSES = ("care", "night_patrol")
COUNTED_ROLE = "carer"
COUNTED_STATUSES = ("complete", "incomplete", "declined")


def different(values: Ints) -> Ints:
    """The different values in order. By sorting: `numpy.unique` hashes, which is several times slower here."""
    ordered = np.sort(values)
    first = np.ones(len(ordered), dtype=np.bool_)
    first[1:] = ordered[1:] != ordered[:-1]
    return ordered[first]


def different_with_counts(values: Ints) -> tuple[Ints, Ints]:
    """The different values in order, and how often each occurs."""
    ordered = np.sort(values)
    first = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))) if len(ordered) else ordered
    return ordered[first], np.diff(np.append(first, len(ordered)))


def summed(keys: Ints, values: Ints) -> tuple[Ints, Ints]:
    """The different keys in order, and the exact sum of the values of each."""
    order = np.argsort(keys)
    ordered = keys[order]
    first = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))) if len(ordered) else ordered
    return ordered[first], np.add.reduceat(values[order], first) if len(ordered) else values


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(instant: datetime) -> int:
    """Microseconds since 1970 of an instant, exact."""
    return (instant - _EPOCH) // _MICROSECOND


def counts_for_continuity(visit: Visit) -> bool:
    """DOMAIN.md 2.4, 6: this visit's person was met."""
    return visit.role == COUNTED_ROLE and visit.service in COUNTED_CLASSES and visit.status in COUNTED_STATUSES


@dataclass(frozen=True, slots=True)
class Stays:
    """Counted visits as parallel columns. `client`, `person`, `unit`, `provider` index into the names beside them.

    `start_us`, `end_us` are microseconds since 1970; a visit with one tap is a point (end = start). `minutes` are
    the visit's executed minutes of this client.
    """

    clients: Sequence[str]
    persons: Sequence[str]
    units: Sequence[str]
    providers: Sequence[str]
    client: Ints
    person: Ints
    unit: Ints
    provider: Ints
    start_us: Ints
    end_us: Ints
    minutes: Ints
    manual: Flags
    corrected: Flags
    incomplete: Flags
    accepted: Flags
    """DOMAIN.md 2.3: its minutes are executed; nothing continuity asks."""

    def __len__(self) -> int:
        return len(self.client)

    def only(self, keep: Flags | Ints) -> Stays:
        """The rows where `keep` is true; the names stay as they are."""
        return Stays(
            self.clients, self.persons, self.units, self.providers,
            self.client[keep], self.person[keep], self.unit[keep], self.provider[keep],
            self.start_us[keep], self.end_us[keep], self.minutes[keep],
            self.manual[keep], self.corrected[keep], self.incomplete[keep], self.accepted[keep],
        )  # fmt: skip

    def compact(self) -> Stays:
        """The same rows with only the names that occur in them: what is asked of a group costs what the group has."""
        client, clients = _occurring(self.client, self.clients)
        person, persons = _occurring(self.person, self.persons)
        unit, units = _occurring(self.unit, self.units)
        provider, providers = _occurring(self.provider, self.providers)
        return replace(
            self, clients=clients, persons=persons, units=units, providers=providers,
            client=client, person=person, unit=unit, provider=provider,
        )  # fmt: skip

    @classmethod
    def of_visits(cls, visits: Iterable[Visit]) -> Stays:
        """The counted ones of any visits."""
        counted = [visit for visit in visits if counts_for_continuity(visit)]
        client, clients = _coded([visit.client_id for visit in counted])
        person, persons = _coded([visit.person for visit in counted])
        unit, units = _coded([visit.unit_id for visit in counted])
        provider, providers = _coded([visit.provider_id for visit in counted])
        return cls(
            clients, persons, units, providers, client, person, unit, provider,
            np.array([microseconds(visit.at) for visit in counted], dtype=np.int64),
            np.array([microseconds(visit.end_at or visit.at) for visit in counted], dtype=np.int64),
            np.array([visit.minutes for visit in counted], dtype=np.int64),
            np.array([visit.source == "manual" for visit in counted], dtype=np.bool_),
            np.array([visit.source == "corrected" for visit in counted], dtype=np.bool_),
            np.array([visit.status == "incomplete" for visit in counted], dtype=np.bool_),
            np.array([visit.accepted for visit in counted], dtype=np.bool_),
        )  # fmt: skip


def _occurring(column: Ints, names: Sequence[str]) -> tuple[Ints, list[str]]:
    present = different(column)
    return np.searchsorted(present, column), [names[place] for place in present.tolist()]


def _coded(names: Sequence[str]) -> tuple[Ints, list[str]]:
    """Each name's place in the list of the different ones, in order of name."""
    different = sorted(set(names))
    place: Mapping[str, int] = {name: index for index, name in enumerate(different)}
    return np.array([place[name] for name in names], dtype=np.int64), different
