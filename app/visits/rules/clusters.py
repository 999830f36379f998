"""How a client's events fall apart into clusters that have nothing to do with each other.

Two events meet when a plan may match a visit, a decline may claim a visit or is of a plan, or two visits of a provider
are there at once; a cluster is all that meets, directly or through others. Settling each cluster by itself gives
exactly what settling the whole gives, so a change needs only the clusters it touches.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.core.localtime import local_date
from app.facts import Decline, PlannedVisit, Visit
from app.policies import PolicyBook
from app.visits.rules.clients import ClientEvents
from app.visits.rules.declines import window_from
from app.visits.rules.plans import match_reach

Event = Visit | PlannedVisit | Decline
Reach = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Cluster:
    """Events that belong together, with the client's disputes.

    `from_at`..`to_at` (both inclusive) is as far as they reach: an event that lies wholly outside cannot meet any of
    them. So what a window of time gives is a whole cluster when the window contains this reach.
    """

    events: ClientEvents
    from_at: datetime
    to_at: datetime


def clusters(events: ClientEvents, book: PolicyBook) -> tuple[Cluster, ...]:
    """The clusters of one client's events, in order of `from_at`."""
    everything: list[Event] = [*events.visits, *events.plans, *events.declines]
    reaches = [_reach(event, book) for event in everything]
    groups = _Groups(len(everything))
    by_provider: dict[str, list[int]] = {}
    for index, event in enumerate(everything):
        by_provider.setdefault(event.provider_id, []).append(index)
    for indexes in by_provider.values():
        _join(indexes, everything, reaches, groups)
    members: dict[int, list[int]] = {}
    for index in range(len(everything)):
        members.setdefault(groups.top(index), []).append(index)
    found = [_cluster([everything[i] for i in its], [reaches[i] for i in its], events) for its in members.values()]
    return tuple(sorted(found, key=lambda cluster: (cluster.from_at, cluster.to_at)))


def _reach(event: Event, book: PolicyBook) -> Reach:
    if isinstance(event, PlannedVisit):
        reach = match_reach(event, book)
        return event.start_at - reach, max(event.start_at, event.end_at) + reach
    if isinstance(event, Decline):
        since = window_from(event, book.on(local_date(event.planned_start_at)))
        return since, max(event.planned_start_at, event.planned_end_at, event.noticed_at)
    return event.start_at or event.at, event.end_at or event.at


def _join(indexes: Iterable[int], everything: Sequence[Event], reaches: Sequence[Reach], groups: _Groups) -> None:
    """Join what meets among one provider's events: visits that lie in a reach, visits at once, declines and plans."""
    visits: list[tuple[datetime, datetime, int]] = []
    others: list[int] = []
    starts: dict[datetime, int] = {}
    for index in indexes:
        event = everything[index]
        if isinstance(event, Visit):
            visits.append((*reaches[index], index))
        else:
            others.append(index)
            start = event.start_at if isinstance(event, PlannedVisit) else event.planned_start_at
            groups.join(starts.setdefault(start, index), index)
    visits.sort()
    _join_visits(visits, groups)
    firsts = [first for first, _, _ in visits]
    longest = max((last - first for first, last, _ in visits), default=timedelta(0))
    for index in others:
        since, until = reaches[index]
        for first, last, visit in visits[bisect_left(firsts, since - longest) : bisect_right(firsts, until)]:
            if first <= until and last >= since:
                groups.join(index, visit)


def _join_visits(visits: Iterable[tuple[datetime, datetime, int]], groups: _Groups) -> None:
    """Visits at once; `visits` sorted."""
    latest: datetime | None = None
    holder = -1
    for first, last, index in visits:
        if latest is not None and first <= latest:
            groups.join(holder, index)
        if latest is None or last > latest:
            latest, holder = last, index


class _Groups:
    """Which events belong together so far (union-find)."""

    def __init__(self, count: int) -> None:
        self._above = list(range(count))

    def top(self, index: int) -> int:
        while self._above[index] != index:
            self._above[index] = self._above[self._above[index]]
            index = self._above[index]
        return index

    def join(self, one: int, other: int) -> None:
        self._above[self.top(one)] = self.top(other)


def _cluster(its: Sequence[Event], reaches: Sequence[Reach], whole: ClientEvents) -> Cluster:
    events = replace(
        whole,
        visits=tuple(event for event in its if isinstance(event, Visit)),
        plans=tuple(event for event in its if isinstance(event, PlannedVisit)),
        declines=tuple(event for event in its if isinstance(event, Decline)),
    )
    return Cluster(events, min(since for since, _ in reaches), max(until for _, until in reaches))
