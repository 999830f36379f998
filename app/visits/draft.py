"""The part of the derived data that a change touches: as it is stored, and as it shall be.

The flow puts new visits and findings into the draft, reads its neighbours through it, and writes only what differs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection

from app.core.localtime import local_month
from app.core.month import Month
from app.evidence.store import among
from app.facts import DeclineOutcome, Finding, Visit
from app.findings import store as finding_store
from app.findings.tables import findings
from app.visits import store
from app.visits.stretch import Span

Step = str
"""tap, visit, manual, client, person, share, correction."""


class AccountSpan(NamedTuple):
    """Whose month accounts a change may touch: of a client with a provider, from a local month to another."""

    client_id: str
    provider_id: str
    first: Month
    last: Month

    @classmethod
    def of(cls, client_id: str, provider_id: str, from_at: datetime, to_at: datetime) -> AccountSpan:
        """The months from one instant to another."""
        return cls(client_id, provider_id, local_month(from_at), local_month(to_at))


class Draft:
    """Stored and new state of the touched visits and findings; one transaction, one thread."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.stored: dict[str, Visit] = {}
        self.visits: dict[str, Visit] = {}
        self.paired: dict[str, str] = {}
        self.stored_findings: dict[str, tuple[Step, Finding]] = {}
        self.findings: dict[str, tuple[Step, Finding]] = {}
        self.outcomes: dict[tuple[str, str], DeclineOutcome] = {}
        self.stored_outcomes: dict[tuple[str, str], DeclineOutcome] = {}
        self._ids_of: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._findings_of: dict[tuple[str, str], set[str]] = defaultdict(set)

    # -- visits

    def load(self, *conditions: object) -> None:
        """Take the stored visits under the conditions, with the findings about them, into the draft."""
        self._take(store.load(self.connection, *conditions))

    def load_stretches(self, column: str, stretches: Sequence[tuple[str, datetime, datetime]]) -> None:
        """Take the stored visits whose `column` has one of the keys and any part of which lies in its stretch."""
        if stretches:
            self._take(store.load_stretches(self.connection, column, stretches, self.stored.keys()))

    def load_reaching(
        self, points: Sequence[tuple[str, datetime]], far: timedelta, touch: timedelta, retry: timedelta
    ) -> None:
        """Take the stored visits that began before an instant and that a tap after it may still meet."""
        if points:
            self._take(store.load_reaching(self.connection, points, far, touch, retry))

    def _take(self, rows: Iterable[tuple[Visit, str]]) -> None:
        fresh = [(visit, paired) for visit, paired in rows if visit.visit_id not in self.stored]
        for visit, paired in fresh:
            self.stored[visit.visit_id] = visit
            if visit.visit_id not in self.visits:
                self.put(visit, paired)
        if fresh:
            self.load_findings(among(findings.c.visit_id, [visit.visit_id for visit, _ in fresh]))

    def put(self, visit: Visit, paired_staff_id: str | None = None) -> None:
        """The visit as it shall be."""
        self.take_away(visit.visit_id)
        self.visits[visit.visit_id] = visit
        if paired_staff_id is not None:
            self.paired[visit.visit_id] = paired_staff_id
        for index in self._indexes(visit):
            self._ids_of[index].add(visit.visit_id)

    def take_away(self, visit_id: str) -> None:
        """The visit shall not be."""
        visit = self.visits.pop(visit_id, None)
        if visit is not None:
            for index in self._indexes(visit):
                self._ids_of[index].discard(visit_id)

    def of(self, kind: str, key: str) -> list[Visit]:
        """The draft's visits of a `client`, `person` or `paired` staff_id (load the stretch first)."""
        return [self.visits[visit_id] for visit_id in self._ids_of[kind, key]]

    def _indexes(self, visit: Visit) -> tuple[tuple[str, str], ...]:
        return (
            ("client", visit.client_id),
            ("person", visit.person),
            ("paired", self.paired.get(visit.visit_id, "")),
        )

    # -- findings

    def load_findings(self, *conditions: object) -> None:
        """Take stored findings into the draft."""
        self._take_findings(finding_store.load(self.connection, *conditions))

    def load_tap_findings(self, stretches: Sequence[tuple[str, datetime, datetime]]) -> None:
        """Take the stored findings about taps of staff_ids outside visits, from_at <= at < to_at."""
        if stretches:
            self._take_findings(finding_store.load_tap_findings(self.connection, stretches))

    def findings_of_visits(self, visit_ids: Iterable[str]) -> list[str]:
        """Ids of the draft's findings about these visits, of every step."""
        return [one for visit_id in visit_ids for one in self._findings_of["visit", visit_id]]

    def findings_about(self, visit_id: str) -> list[Finding]:
        """The draft's findings about a visit, of every step."""
        return [self.findings[one][1] for one in sorted(self._findings_of["visit", visit_id])]

    def findings_of(self, kind: str, key: str, step: Step) -> list[Finding]:
        """The draft's findings of a step about a `staff` or `client`."""
        found = [self.findings[one] for one in self._findings_of[kind, key]]
        return [finding for made_by, finding in found if made_by == step]

    def replace_findings(self, step: Step, old: Iterable[str], new: Iterable[Finding]) -> None:
        """The step's findings among `old` (ids) go, `new` come."""
        for finding_id in list(old):
            if finding_id in self.findings and self.findings[finding_id][0] == step:
                self._forget(finding_id)
        for finding in new:
            self._remember(step, finding)

    def _take_findings(self, rows: Iterable[tuple[Step, Finding]]) -> None:
        for step, finding in rows:
            if finding.finding_id not in self.stored_findings:
                self.stored_findings[finding.finding_id] = (step, finding)
                if finding.finding_id not in self.findings:
                    self._remember(step, finding)

    def _remember(self, step: Step, finding: Finding) -> None:
        self._forget(finding.finding_id)
        self.findings[finding.finding_id] = (step, finding)
        for index in _finding_indexes(finding):
            self._findings_of[index].add(finding.finding_id)

    def forget_findings(self, finding_ids: Iterable[str]) -> None:
        """Findings of whatever step that shall not be."""
        for finding_id in list(finding_ids):
            self._forget(finding_id)

    def load_client_step(
        self, stretches: Sequence[tuple[str, Span]], decline_ids: Collection[str], finding_ids: Collection[str]
    ) -> None:
        """Take what the client step said of clients within their spans, about these declines, and these findings."""
        if not stretches:
            return
        given = [(client_id, span.from_at, span.to_at) for client_id, span in stretches]
        if finding_ids:
            self.load_findings(findings.c.step == "client", among(findings.c.finding_id, finding_ids))
        self._take_findings(finding_store.load_client_findings(self.connection, given))
        for outcome in store.load_outcomes(self.connection, given, decline_ids):
            key = (outcome.provider_id, outcome.decline_id)
            if key not in self.stored_outcomes:
                self.stored_outcomes[key] = outcome
                self.outcomes.setdefault(key, outcome)

    def put_outcomes(self, outcomes: Iterable[DeclineOutcome]) -> None:
        """What became of declines."""
        self.outcomes.update({(one.provider_id, one.decline_id): one for one in outcomes})

    def drop_outcomes(self, keys: Iterable[tuple[str, str]]) -> None:
        """Declines that are no longer there."""
        for key in keys:
            self.outcomes.pop(key, None)

    def _forget(self, finding_id: str) -> None:
        known = self.findings.pop(finding_id, None)
        if known is not None:
            for index in _finding_indexes(known[1]):
                self._findings_of[index].discard(finding_id)

    # -- what differs

    def changed_visits(self) -> list[Visit]:
        """New and different visits."""
        stored = self.stored
        # Most stand as they were taken in: the very same object, without looking at its thirty fields.
        return [
            visit
            for visit_id, visit in self.visits.items()
            if (before := stored.get(visit_id)) is not visit and before != visit
        ]

    def moved_visits(self) -> list[tuple[Visit, str]]:
        """Those that are somebody else's now (`store.PLACE`), as they were, with their paired staff_id."""
        known = [(self.stored.get(visit.visit_id), visit) for visit in self.changed_visits()]
        return [
            (before, self.paired.get(before.visit_id, ""))
            for before, visit in known
            if before is not None and any(getattr(before, name) != getattr(visit, name) for name in store.PLACE)
        ]

    def ceased_visits(self) -> list[Visit]:
        """Stored visits that shall not be any more."""
        return [visit for visit_id, visit in self.stored.items() if visit_id not in self.visits]

    def changed_findings(self) -> dict[Step, list[Finding]]:
        """New and different findings by step."""
        result: dict[Step, list[Finding]] = defaultdict(list)
        for finding_id, (step, finding) in self.findings.items():
            if self.stored_findings.get(finding_id) != (step, finding):
                result[step].append(finding)
        return result

    def changed_outcomes(self) -> list[DeclineOutcome]:
        """New and different outcomes of declines."""
        return [one for key, one in self.outcomes.items() if self.stored_outcomes.get(key) != one]

    def gone_outcomes(self) -> list[DeclineOutcome]:
        """Stored outcomes that shall not be any more."""
        return [one for key, one in self.stored_outcomes.items() if key not in self.outcomes]

    def outcomes_before(self) -> list[DeclineOutcome]:
        """Stored outcomes that shall be otherwise or not at all, as they were."""
        return [one for key, one in self.stored_outcomes.items() if self.outcomes.get(key) != one]

    def gone_findings(self) -> list[str]:
        """Ids of stored findings that shall not be any more."""
        return [finding_id for finding_id in self.stored_findings if finding_id not in self.findings]


def _finding_indexes(finding: Finding) -> tuple[tuple[str, str], ...]:
    return ("visit", finding.visit_id), ("staff", finding.staff_id), ("client", finding.client_id)


def replaced_by(ceased: Visit, living: Sequence[Visit]) -> str:
    """The id of the visit that the ceased one's taps belong to now; empty when there is none."""
    taps = {ref for ref in (ceased.kom, ceased.gick) if ref is not None}
    heirs = [visit for visit in living if taps & {ref for ref in (visit.kom, visit.gick) if ref is not None}]
    heirs.sort(key=lambda visit: (visit.client_id != ceased.client_id, visit.visit_id))
    return heirs[0].visit_id if heirs else ""
