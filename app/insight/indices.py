"""Indices of continuity per client, exact (DOMAIN.md 6; vectors: tests/vectors/continuity.json).

UPC, COC and SECON are over meetings: the largest share of meetings with one person; the share of pairs of meetings, and
of consecutive meetings, that share a person. HI, K, MMCI and entropy are over person-meetings, N = sum of n_i, M
different persons. With one carer at a time these are the published formulas (Bice-Boxerman; Steinwachs; Ejlertsson and
Berg; Magill and Senf). None where undefined, never 0: the client must not pull a mean down.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import log2
from typing import Literal, get_args

import numpy as np

from app.insight.meetings import Meetings
from app.insight.numbers import ratio
from app.insight.stays import Flags, Ints, different, different_with_counts

ExactIndex = Literal["upc", "coc", "hi", "secon", "k", "mmci"]
EXACT_INDICES: tuple[ExactIndex, ...] = get_args(ExactIndex)


@dataclass(frozen=True, slots=True)
class Indices:
    """What one client's meetings amount to, as whole numbers; the indices follow from them exactly."""

    meetings: int
    distinct_staff: int
    person_meetings: int
    """N: every person counted once per meeting."""
    most_with_one: int
    """Meetings with the person met most often."""
    squares: int
    """Sum of n_i squared."""
    pairs_sharing: int
    """Pairs of meetings that share at least one person."""
    consecutive_sharing: int
    entropy_sum: float
    """Sum of n_i log2 n_i."""

    def parts(self, name: ExactIndex) -> tuple[int, int]:
        """The index as (part, whole), not shortened; whole is 0 where the index is undefined.

        A city has 100,000 of them, and a sum or a decimal of whole numbers is cheaper than one of fractions.
        """
        n, meetings, distinct = self.person_meetings, self.meetings, self.distinct_staff
        match name:
            case "upc":
                return self.most_with_one, meetings
            case "coc":  # Bice-Boxerman, as pairs of meetings
                return self.pairs_sharing, meetings * (meetings - 1) // 2
            case "hi":
                return self.squares, n * n
            case "secon":
                return self.consecutive_sharing, max(meetings - 1, 0)
            case "k":
                return n - distinct, max(n - 1, 0)
            case "mmci":
                return 10 * n + 1 - 10 * distinct, 10 * n - 9 if n > 1 else 0

    def exact(self, name: ExactIndex) -> Fraction | None:
        """The index as a fraction; None where undefined."""
        return ratio(*self.parts(name))

    @property
    def entropy_bits(self) -> float | None:
        """The only index without an exact value."""
        n = self.person_meetings
        return max(log2(n) - self.entropy_sum / n, 0.0) if n else None


def indices_by_client(meetings: Meetings) -> dict[int, Indices]:
    """Client index -> its indices, for every client with at least one meeting."""
    if not len(meetings):
        return {}
    clients, counts = different_with_counts(meetings.client)
    people = int(meetings.met_person.max()) + 1
    together, n_i = different_with_counts(meetings.met_client * people + meetings.met_person)
    owner = np.searchsorted(clients, together // people)
    size = len(clients)
    pairs = np.bincount(owner, weights=n_i * (n_i - 1) // 2, minlength=size).astype(np.int64)
    most = np.zeros(size, dtype=np.int64)
    np.maximum.at(most, owner, n_i)
    columns = (
        counts,
        np.bincount(owner, minlength=size),
        _sums(owner, n_i, size),
        most,
        _sums(owner, n_i * n_i, size),
        pairs - _counted_too_often(meetings, clients),
        _consecutive_sharing(meetings, clients, people),
    )
    entropy = np.bincount(owner, weights=n_i * np.log2(n_i), minlength=size)
    rows = zip(clients.tolist(), *(column.tolist() for column in columns), entropy.tolist(), strict=True)
    return {client: Indices(*values) for client, *values in rows}


def indices_of(meetings: Sequence[Sequence[str]]) -> Indices | None:
    """The indices of one client's meetings in order of time, each the persons there; None without any meeting."""
    names = sorted({person for persons in meetings for person in persons})
    place = {name: index for index, name in enumerate(names)}
    met = sorted({(at, place[person]) for at, persons in enumerate(meetings) for person in persons})
    columns = Meetings(
        np.zeros(len(meetings), dtype=np.int64),
        np.arange(len(meetings), dtype=np.int64),
        np.array([at for at, _ in met], dtype=np.int64),
        np.array([person for _, person in met], dtype=np.int64),
    )
    return indices_by_client(columns).get(0)


def _sums(owner: Ints, values: Ints, size: int) -> Ints:
    """Whole-number sums per owner (bincount adds floats: exact below 2**53, which no month reaches)."""
    return np.bincount(owner, weights=values, minlength=size).astype(np.int64)


def _counted_too_often(meetings: Meetings, clients: Ints) -> Ints:
    """How often sum of C(n_i, 2) counts a pair of meetings beyond once: pairs that share two or more persons.

    Two meetings of two persons share both or fewer than two: so those are pairs of meetings with the same two persons.
    Clients with larger meetings are few; theirs are compared cast by cast.
    """
    sizes = np.bincount(meetings.met_meeting, minlength=len(meetings))
    has_large = np.isin(clients, meetings.client[sizes > 2])
    surplus = np.zeros(len(clients), dtype=np.int64)
    owner = np.searchsorted(clients, meetings.client)
    first = np.flatnonzero((sizes == 2)[meetings.met_meeting] & ~has_large[owner[meetings.met_meeting]])[::2]
    if len(first):
        people = int(meetings.met_person.max()) + 1
        both = meetings.met_person[first] * people + meetings.met_person[first + 1]
        same, times = different_with_counts(owner[meetings.met_meeting[first]] * people * people + both)
        surplus = _sums(same // (people * people), times * (times - 1) // 2, len(clients))
    for client, casts in _casts_of(meetings, has_large[owner] & (sizes > 1)):
        surplus[np.searchsorted(clients, client)] = _surplus_of(casts)
    return surplus


def _surplus_of(casts: Counter[frozenset[int]]) -> int:
    entries = list(casts.items())
    extra = 0
    for index, (cast, times) in enumerate(entries):
        extra += (len(cast) - 1) * (times * (times - 1) // 2)
        for other, other_times in entries[index + 1 :]:
            extra += max(len(cast & other) - 1, 0) * times * other_times
    return extra


def _casts_of(meetings: Meetings, wanted: Flags) -> Iterator[tuple[int, Counter[frozenset[int]]]]:
    """Client -> the casts of its wanted meetings, and how often each."""
    rows = np.flatnonzero(wanted[meetings.met_meeting])
    persons_of: dict[int, list[int]] = defaultdict(list)
    for meeting, person in zip(meetings.met_meeting[rows].tolist(), meetings.met_person[rows].tolist(), strict=True):
        persons_of[meeting].append(person)
    casts: dict[int, Counter[frozenset[int]]] = defaultdict(Counter)
    for meeting, persons in persons_of.items():
        casts[int(meetings.client[meeting])][frozenset(persons)] += 1
    yield from casts.items()


def _consecutive_sharing(meetings: Meetings, clients: Ints, people: int) -> Ints:
    """Per client: pairs of consecutive meetings that share a person."""
    keys = meetings.met_meeting * people + meetings.met_person
    place = np.searchsorted(keys, keys + people).clip(max=len(keys) - 1)
    again = keys[place] == keys + people
    earlier = different(meetings.met_meeting[again])
    earlier = earlier[earlier + 1 < len(meetings)]
    earlier = earlier[meetings.client[earlier] == meetings.client[earlier + 1]]
    return np.bincount(np.searchsorted(clients, meetings.client[earlier]), minlength=len(clients)).astype(np.int64)
