"""What only shows at the client: class and plan, declines, orders, absences, disputes, two at once (DOMAIN.md 2, 4).

Everything here is per client and provider. The result of a visit can be computed again from an earlier result: only
`stated_service`, `stated_status` and what the taps gave are read, so settling twice changes nothing.

Readings chosen where DOMAIN.md leaves a doubt: a visit without start is judged on the day of its end; digital and phone
visits are not "there" for row 13; carers are counted as persons.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

from app.core.localtime import format_instant
from app.core.minutes import whole_minutes
from app.facts import Decline, DeclineOutcome, Directory, Dispute, Finding, PlannedVisit, Visit
from app.facts.derived import Status
from app.facts.statements import VisitClass
from app.policies import Policy, PolicyBook
from app.visits.rules.about import Pairs, about_visit
from app.visits.rules.changed import changed
from app.visits.rules.declines import Door, judge_declines
from app.visits.rules.plans import match_plans, missed_visits, visit_order
from app.visits.rules.spans import hours, local_day, minutes


@dataclass(frozen=True, slots=True)
class ClientEvents:
    """What happened and was said about one client, all providers, whole or one cluster of it; any order."""

    visits: tuple[Visit, ...] = ()
    plans: tuple[PlannedVisit, ...] = ()
    declines: tuple[Decline, ...] = ()
    disputes: tuple[Dispute, ...] = ()


@dataclass(frozen=True, slots=True)
class Settled:
    """The visits with class, plan, decline and status; the findings of this step; what became of the declines."""

    visits: tuple[Visit, ...]
    findings: tuple[Finding, ...]
    outcomes: tuple[DeclineOutcome, ...]


def settle_client(events: ClientEvents, directory: Directory, book: PolicyBook) -> Settled:
    """Settle all events of one client; visits come back in `visit_order`, cancelled ones last and unchanged."""
    visits: list[Visit] = []
    findings: list[Finding] = []
    outcomes: list[DeclineOutcome] = []
    cancelled = tuple(visit for visit in events.visits if visit.stated_status == "cancelled")
    ordered = sorted((visit for visit in events.visits if visit.stated_status != "cancelled"), key=visit_order)
    disputed = {row.on_date for row in events.disputes if row.state in ("open", "upheld")}
    providers = {row.provider_id for rows in (ordered, events.plans, events.declines) for row in rows}
    for provider_id in sorted(providers):
        settled = _settle(
            [visit for visit in ordered if visit.provider_id == provider_id],
            [plan for plan in events.plans if plan.provider_id == provider_id],
            [decline for decline in events.declines if decline.provider_id == provider_id],
            directory,
            book,
        )
        visits.extend(settled.visits)
        findings.extend(settled.findings)
        outcomes.extend(settled.outcomes)
        findings.extend(_findings_of(settled.visits, settled.plan_ends, disputed, directory, book))
    if len(providers) > 1:
        visits.sort(key=visit_order)
    return Settled((*visits, *cancelled), tuple(findings), tuple(outcomes))


class _OfProvider(NamedTuple):
    visits: list[Visit]
    findings: list[Finding]
    outcomes: list[DeclineOutcome]
    plan_ends: Mapping[str, datetime]
    """visit_id -> planned end of its plan."""


def _settle(
    visits: list[Visit],
    plans: list[PlannedVisit],
    declines: list[Decline],
    directory: Directory,
    book: PolicyBook,
) -> _OfProvider:
    """Class, plan, decline and status of the visits of one provider."""
    matched = match_plans(visits, plans, book) if plans and visits else {}
    findings = missed_visits(plans, matched, declines, directory) if plans else []
    outcomes: list[DeclineOutcome] = []
    decline_of: dict[str, str] = {}
    if declines:
        executed = {visit.visit_id: _executed(visit, matched.get(visit.visit_id), book) for visit in visits}
        outcomes, contradicted = judge_declines(declines, Door(visits, matched, executed), plans, directory, book)
        findings.extend(contradicted)
        decline_of = {visit_id: outcome.decline_id for outcome in outcomes for visit_id in outcome.visit_ids}
    settled = [_settled(visit, matched.get(visit.visit_id), decline_of.get(visit.visit_id, "")) for visit in visits]
    ends = {visit_id: plan.end_at for visit_id, plan in matched.items()}
    return _OfProvider(settled, findings, outcomes, ends)


def _class_of(visit: Visit, plan: PlannedVisit | None) -> VisitClass:
    """The class stated at KOM or by hand, else the matched plan's, else care."""
    return visit.stated_service or (plan.service if plan is not None else "care")


def _executed(visit: Visit, plan: PlannedVisit | None, book: PolicyBook) -> int:
    """Minutes that count as executed, held or not."""
    if visit.role != "carer" or visit.start_at is None or visit.end_at is None:
        return 0
    service = _class_of(visit, plan)
    if service != "care" and not (service == "night_patrol" and book.on(local_day(visit.start_at)).night_patrol_counts):
        return 0
    total = whole_minutes(visit.start_at, visit.end_at)
    return total if visit.share is None else visit.share.minutes_between(0, total)


def _settled(visit: Visit, plan: PlannedVisit | None, decline_id: str) -> Visit:
    """The visit with what this step decides; the same object when nothing changes."""
    service = _class_of(visit, plan)
    planned_id = plan.planned_id if plan is not None else ""
    status: Status = "declined" if decline_id else visit.stated_status
    if (
        visit.service == service
        and visit.planned_id == planned_id
        and visit.decline_id == decline_id
        and visit.status == status
    ):
        return visit
    return changed(visit, service=service, planned_id=planned_id, decline_id=decline_id, status=status)


def _findings_of(
    visits: Sequence[Visit],
    plan_ends: Mapping[str, datetime],
    disputed: Collection[date],
    directory: Directory,
    book: PolicyBook,
) -> Iterator[Finding]:
    """The findings on single visits of one client and provider, and row 13 between them."""
    there: list[Visit] = []
    for visit in visits:
        on = local_day(visit.at)
        policy = book.on(on)
        yield from _of_times(visit, plan_ends.get(visit.visit_id), policy)
        orders = directory.orders_on(visit.client_id, visit.provider_id, on)
        if visit.role == "carer" and not orders:
            yield about_visit(visit, "no_order")
        absences = directory.absences(visit.client_id)
        if absences and any(absence.holds_visit_on(on) for absence in absences):
            yield about_visit(visit, "visit_in_absence", holds=True)
        if on in disputed:
            yield about_visit(visit, "client_disputes", holds=True)
        if _is_there(visit):
            there = [other for other in there if _still_there(other, visit)]
            if there and orders:
                yield from _second_staff(visit, there, max(order.max_staff for order in orders))
            there.append(visit)


def _second_staff(visit: Visit, there: Iterable[Visit], most: int) -> Iterator[Finding]:
    """Row 13: with this one, are more carers there than the largest max_staff of the day?"""
    count = len({other.person for other in there} | {visit.person})
    if count > most:
        yield about_visit(visit, "unordered_second_staff", (("staff", str(count)), ("most", str(most))))


def _is_there(visit: Visit) -> bool:
    return (
        visit.role == "carer"
        and visit.start_at is not None
        and visit.end_at is not None
        and visit.service not in ("digital", "phone")
    )


def _still_there(other: Visit, visit: Visit) -> bool:
    return other.end_at is not None and visit.start_at is not None and other.end_at > visit.start_at


def _of_times(visit: Visit, planned_end: datetime | None, policy: Policy) -> Iterator[Finding]:
    """Rows 2, 9, 11: a missing end; too short, too long by elapsed seconds."""
    start_at, end_at = visit.start_at, visit.end_at
    if start_at is None:
        return
    if end_at is None:
        if visit.status == "incomplete":
            yield _kom_without_gick(visit, start_at, planned_end)
        return
    elapsed = end_at - start_at
    short = elapsed < minutes(policy.too_short_min) or bool(visit.proposal)
    if short and visit.status != "declined":
        yield about_visit(visit, "too_short", _seconds(elapsed), visit.proposal)
    above = elapsed > hours(policy.hold_above_h)
    if above or (visit.service == "care" and elapsed >= hours(policy.too_long_h)):
        yield about_visit(visit, "too_long", _seconds(elapsed), holds=above and "times_confirmed" not in visit.marks)


def _seconds(elapsed: timedelta) -> Pairs:
    return (("seconds", str(int(elapsed.total_seconds()))),)


def _kom_without_gick(visit: Visit, start_at: datetime, planned_end: datetime | None) -> Finding:
    """Row 2: an end is proposed (the next KOM elsewhere, else the planned end), never filled in."""
    proposal = visit.proposal
    if not proposal and planned_end is not None and planned_end > start_at:
        kom = visit.kom
        named: Pairs = (("manual_id", visit.manual_id),)
        if kom is not None:
            named = (("kom_device_id", kom.device_id), ("kom_seq", str(kom.seq)))
        proposal = (("kind", "set_times"), *named, ("new_end_at", format_instant(planned_end)))
    return about_visit(visit, "kom_without_gick", (("kom_at", format_instant(start_at)),), proposal)
