"""Derive again what a change touches, and write only what differs (ARCHITECTURE.md "Re-deriving").

    taps, manual visits -> visits        pairing_flow (stages A, B)
    plans, declines, orders, disputes    client_flow  (stage C)
    overlaps of a person                 here         (stage D)
    the manual share of a provider       here         (stage E)
    holds and resolutions                here         (stage F)

The same pure rules as the full rebuild, over the smallest part that gives the same result.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, select, tuple_

from app.core.month import Month
from app.evidence import store as evidence
from app.facts import Visit
from app.findings import store as finding_store
from app.findings.tables import findings
from app.policies import PolicyBook
from app.registry.store import DirectoryReader, load_policy_book
from app.visits import store
from app.visits.client_flow import settle_clients
from app.visits.device_flow import derive_device
from app.visits.draft import AccountSpan, Draft, replaced_by
from app.visits.pairing_flow import (
    TapReader,
    base_of,
    derive_manuals,
    derive_stretches,
    find_stretches,
    judge_corrections,
)
from app.visits.queue import Change
from app.visits.rules.accepted import judged, may_hold
from app.visits.rules.manual_share import may_exceed, unconfirmed_findings
from app.visits.rules.overlap import overlap_findings
from app.visits.stretch import MARGIN, Span, merged
from app.visits.tables import visits
from app.visits.work import Work, expand

ProviderMonth = tuple[str, date]


@dataclass(slots=True)
class Derived:
    """What a drain changed, for the stages above, and the registry as it has read it."""

    registry: DirectoryReader
    accounts: set[AccountSpan] = field(default_factory=set)
    visits: int = 0
    findings: int = 0


def derive(connection: Connection, changes: Sequence[Change], now: datetime) -> Derived:
    """Derive what the changes touch. The caller holds the derivation lock and commits."""
    book = load_policy_book(connection)
    reader = TapReader(connection)
    work = expand(connection, changes, reader)
    draft = Draft(connection)
    for part in _parts(work.staff):
        derive_stretches(draft, find_stretches(draft, reader, part, book), reader, book)
    derive_manuals(draft, work.manual_ids, book, reader.registry)
    judge_corrections(draft, work.corrections, reader.registry)
    if work.visit_ids:
        draft.load(evidence.among(visits.c.visit_id, work.visit_ids))
    settle_clients(draft, _client_spans(draft, work), book, reader.registry)
    _overlaps(draft, work)
    _judge(draft, [*draft.changed_visits(), *_with_changed_findings(draft), *_named(draft, work.visit_ids)], book)
    for device_id in sorted(work.device_ids):
        derive_device(connection, device_id, now)
    derived = Derived(reader.registry, _accounts(draft, work))
    months = _provider_months(draft) | work.provider_months
    _write(draft, derived, now)
    _share(connection, months, book, derived, now)
    return derived


def _parts(staff: dict[str, list[Span]]) -> Iterable[dict[str, Span]]:
    """Rounds in which every staff_id has one span."""
    spans = {staff_id: merged(its, MARGIN) for staff_id, its in staff.items()}
    for number in range(max(map(len, spans.values()), default=0)):
        yield {staff_id: its[number] for staff_id, its in spans.items() if number < len(its)}


def _client_spans(draft: Draft, work: Work) -> dict[str, list[Span]]:
    """Which clients to settle, and when: what was said about them, and where their visits have changed."""
    spans: dict[str, list[Span]] = defaultdict(list)
    for client_id, its in work.clients.items():
        spans[client_id].extend(its)
    for visit in _changed_base(draft):
        spans[visit.client_id].append(Span(visit.start_at or visit.at, max(visit.end_at or visit.at, visit.at)))
    return spans


def _changed_base(draft: Draft) -> list[Visit]:
    """Visits as they were and as they shall be, where stage B made them differently."""
    changed: list[Visit] = []
    for visit in draft.changed_visits():
        before = draft.stored.get(visit.visit_id)
        if before is None:
            changed.append(visit)
        elif base_of(before) != base_of(visit):
            changed += [before, visit]
    return changed + draft.ceased_visits()


def _overlaps(draft: Draft, work: Work) -> None:
    """Stage D: row 20 for everybody whose visits have changed."""
    spans: dict[str, list[Span]] = defaultdict(list)
    for person, its in work.persons.items():
        spans[person].extend(its)
    for visit in _changed_base(draft):
        if visit.start_at is not None and visit.end_at is not None:
            spans[visit.person].append(Span(visit.start_at, visit.end_at))
    near = [(person, span.from_at, span.to_at) for person, its in spans.items() for span in merged(its, MARGIN)]
    draft.load_stretches("person", near)
    affected = {person: _meeting(draft.of("person", person), its) for person, its in spans.items()}
    draft.load_stretches(
        "person",
        [
            (person, min(visit.at for visit in its), max(visit.end_at or visit.at for visit in its))
            for person, its in affected.items()
            if its
        ],
    )
    ceased = [visit.visit_id for visit in draft.ceased_visits()]
    draft.replace_findings("person", draft.findings_of_visits(ceased), ())
    for person, theirs in affected.items():
        ids = {visit.visit_id for visit in theirs}
        found = [one for one in overlap_findings(draft.of("person", person)) if one.visit_id in ids]
        draft.replace_findings("person", draft.findings_of_visits(ids), found)


def _meeting(found: Iterable[Visit], spans: Iterable[Span]) -> list[Visit]:
    """The visits that have an instant in common with one of the spans."""
    apart = merged(spans, timedelta(0))
    begins = [span.from_at for span in apart]
    meeting = []
    for visit in found:
        begun = bisect_right(begins, visit.end_at or visit.at)
        if begun and apart[begun - 1].to_at >= visit.at:  # of spans apart the last that has begun ends last
            meeting.append(visit)
    return meeting


def _with_changed_findings(draft: Draft) -> list[Visit]:
    ids = {finding.visit_id for made in draft.changed_findings().values() for finding in made}
    ids |= {draft.stored_findings[one][1].visit_id for one in draft.gone_findings()}
    return _named(draft, ids)


def _named(draft: Draft, visit_ids: Iterable[str]) -> list[Visit]:
    return [draft.visits[visit_id] for visit_id in visit_ids if visit_id in draft.visits]


def _judge(draft: Draft, judging: Sequence[Visit], book: PolicyBook) -> None:
    """Stage F: the codes of each visit, and what holds it now."""
    unique = {visit.visit_id: visit for visit in judging}
    about = {visit_id: draft.findings_about(visit_id) for visit_id in unique}
    holding = [finding.finding_id for its in about.values() for finding in its if may_hold(finding)]
    resolved = {row.finding_id for row in evidence.load_resolutions(draft.connection, holding)} if holding else set()
    for visit_id, visit in unique.items():
        draft.put(judged(visit, about[visit_id], resolved, book))


def _accounts(draft: Draft, work: Work) -> set[AccountSpan]:
    """Whose accounts may differ now."""
    spans = set(work.accounts)
    changed = [draft.stored[v.visit_id] for v in draft.changed_visits() if v.visit_id in draft.stored]
    for visit in (*draft.changed_visits(), *changed, *draft.ceased_visits()):
        spans.add(AccountSpan.of(visit.client_id, visit.provider_id, visit.at, visit.end_at or visit.at))
    for outcome in (*draft.changed_outcomes(), *draft.outcomes_before()):
        at = outcome.planned_start_at
        spans.add(AccountSpan.of(outcome.client_id, outcome.provider_id, at, at))
        if outcome.made_up_on is not None:  # other months' declines may be linked to that day as well
            linked = Month.of(outcome.made_up_on)
            spans.add(AccountSpan(outcome.client_id, outcome.provider_id, linked, linked))
    for made in draft.changed_findings().values():
        for finding in made:
            if finding.client_id and finding.provider_id:
                spans.add(AccountSpan.of(finding.client_id, finding.provider_id, finding.at, finding.at))
    for one in draft.gone_findings():
        finding = draft.stored_findings[one][1]
        if finding.client_id and finding.provider_id:
            spans.add(AccountSpan.of(finding.client_id, finding.provider_id, finding.at, finding.at))
    return spans


def _provider_months(draft: Draft) -> set[ProviderMonth]:
    changed = [*_changed_base(draft)]
    return {(visit.provider_id, store.month_on(visit)) for visit in changed}


def _write(draft: Draft, derived: Derived, now: datetime) -> None:
    """Store what differs."""
    changed, ceased = draft.changed_visits(), draft.ceased_visits()
    draft.forget_findings(draft.findings_of_visits(visit.visit_id for visit in ceased))
    living = list(draft.visits.values()) if ceased else []
    store.note_moves(draft.connection, draft.moved_visits(), now)
    paired = ((visit, draft.paired.get(visit.visit_id, "")) for visit in changed)
    store.put(draft.connection, paired, draft.stored, now)
    store.bury(draft.connection, ((visit, replaced_by(visit, living)) for visit in ceased), now)
    finding_store.drop(draft.connection, draft.gone_findings())
    for step, made in draft.changed_findings().items():
        finding_store.put(draft.connection, step, made, now)
        derived.findings += len(made)
    store.put_outcomes(draft.connection, draft.changed_outcomes(), draft.gone_outcomes())
    derived.visits += len(changed) + len(ceased)


def _share(
    connection: Connection, months: Collection[ProviderMonth], book: PolicyBook, derived: Derived, now: datetime
) -> None:
    """Stage E: row 33 for the providers' months whose visits have changed, from what is stored now."""
    if not months:
        return
    draft = Draft(connection)
    place = tuple_(visits.c.provider_id, visits.c.month_on)
    found = select(visits.c.provider_id, visits.c.month_on).where(place.in_(months), visits.c.marks != []).distinct()
    marked = [(row.provider_id, row.month_on) for row in connection.execute(found)]
    if not marked:
        return
    draft.load(place.in_(marked), visits.c.marks != [])
    of_month: dict[ProviderMonth, list[Visit]] = defaultdict(list)
    for visit in draft.visits.values():
        of_month[visit.provider_id, store.month_on(visit)].append(visit)
    for month, its in of_month.items():
        policy = book.on(month[1])
        # Counting a provider's month is worth it only where its share may be exceeded at all.
        living = store.count_living(connection, *month) if may_exceed(its, policy) else len(its)
        made = unconfirmed_findings(its, policy, all_living=living)
        draft.replace_findings("share", draft.findings_of_visits(visit.visit_id for visit in its), made)
    _judge(draft, _with_changed_findings(draft), book)
    derived.accounts |= _accounts(draft, Work())
    _write(draft, derived, now)


def resolve(connection: Connection, finding_ids: Sequence[str]) -> list[Change]:
    """What a resolution of findings touches: the visits whose holds it may end, the accounts that count open ones."""
    c = findings.c
    query = select(c.visit_id, c.client_id, c.provider_id, c.at).where(evidence.among(c.finding_id, finding_ids))
    changes: list[Change] = []
    for row in connection.execute(query):
        changes += [Change("visit", row.visit_id)] if row.visit_id else []
        if row.client_id and row.provider_id:
            changes.append(Change("account", row.client_id, row.at, row.at, row.provider_id))
    return changes
