"""Plans and the visits they meet (DOMAIN.md 2.4): planned against executed, and the class of a visit.

Readings chosen where DOMAIN.md leaves a doubt: "within 2 h" is between starts, for a visit without start between ends;
a withdrawn plan matches nothing; the class of a visit does not limit what it matches.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from app.core import ids
from app.facts import Decline, Directory, Finding, PlannedVisit, Visit
from app.policies import PolicyBook
from app.visits.rules.spans import hours, local_day

VisitOrder = tuple[datetime, bool, str, int]
"""Start (else end), then (device_id, seq); a manual visit after tapped ones of the same instant, by manual_id."""


def visit_order(visit: Visit) -> VisitOrder:
    """The order of visits wherever one must be the earlier."""
    end = visit.kom or visit.gick
    at = visit.start_at or visit.at
    return (at, False, end.device_id, end.seq) if end is not None else (at, True, visit.manual_id, 0)


def match_plans(visits: Sequence[Visit], plans: Iterable[PlannedVisit], book: PolicyBook) -> dict[str, PlannedVisit]:
    """visit_id -> its plan. `visits` are the living ones of one client and provider, in `visit_order`; `plans` theirs.

    Each plan up to `staff_count` visits, each visit one plan; pairs are taken in the order same staff, smallest
    difference, earlier plan, planned_id, earlier KOM.
    """
    ats = [visit.start_at or visit.at for visit in visits]
    pairs = []
    for plan in plans:
        if plan.withdrawn_at is not None:
            continue
        reach = match_reach(plan, book)
        for index in range(bisect_left(ats, plan.start_at - reach), len(visits)):
            if ats[index] > plan.end_at + reach:
                break
            visit = visits[index]
            away = abs(visit.start_at - plan.start_at if visit.start_at is not None else visit.at - plan.end_at)
            if away <= reach:
                pairs.append((visit.staff_id != plan.staff_id, away, plan.start_at, plan.planned_id, index, plan))
    if len(pairs) == 1:
        return {visits[pairs[0][4]].visit_id: pairs[0][5]}
    pairs.sort(key=lambda pair: pair[:5])
    matched: dict[str, PlannedVisit] = {}
    taken: dict[str, int] = {}
    for *_, index, plan in pairs:
        visit_id = visits[index].visit_id
        count = taken.get(plan.planned_id, 0)
        if visit_id not in matched and count < plan.staff_count:
            matched[visit_id] = plan
            taken[plan.planned_id] = count + 1
    return matched


def match_reach(plan: PlannedVisit, book: PolicyBook) -> timedelta:
    """How far from a plan a visit may be."""
    return hours(book.on(local_day(plan.start_at)).plan_match_h)


def missed_visits(
    plans: Iterable[PlannedVisit],
    matched: Mapping[str, PlannedVisit],
    declines: Iterable[Decline],
    directory: Directory,
) -> list[Finding]:
    """`visit_missed` for plans of one client and provider neither matched, withdrawn, declined nor in an absence."""
    met = {plan.planned_id for plan in matched.values()}
    declined = {decline.planned_start_at for decline in declines}
    found = []
    for plan in plans:
        if plan.planned_id in met or plan.withdrawn_at is not None or plan.start_at in declined:
            continue
        absences = directory.absences(plan.client_id)
        if absences and any(absence.excuses_plan_on(local_day(plan.start_at)) for absence in absences):
            continue
        found.append(
            Finding(
                finding_id=ids.finding_id("visit_missed", plan.planned_id),
                code="visit_missed",
                at=plan.start_at,
                client_id=plan.client_id,
                staff_id=plan.staff_id,
                provider_id=plan.provider_id,
                facts=(("planned_id", plan.planned_id),),
            )
        )
    return found
