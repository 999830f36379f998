"""Declined visits (DOMAIN.md 4): was it at the door, which visits are its, what is compensated.

The planned date picks the rule. Made-up minutes are only handed on: each minute is linked once per account, which the
month decides.

Readings chosen where DOMAIN.md leaves a doubt:
- both ends of the window count as inside; the KOM of its visits lies from its beginning to the planned end;
- the code given is a manual visit with reason `tag_refused`; other manual visits prove no presence at the door, but
  are among the visits of a decline by their start;
- `absent` with a tap is `notice_contradicted` with or without a refused tag;
- "executed" counts carers' minutes of the classes that count (2.4), held ones too;
- of several fitting rows of shares the most specific one stands, of equals the first; a row's care service is compared
  with the class of the declined plan, for a decline names none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple

from app.core import ids
from app.core.minutes import whole_minutes
from app.facts import Decline, DeclineOutcome, Directory, Finding, PlannedVisit, Visit
from app.facts.registry import Absence
from app.policies import Policy, PolicyBook
from app.visits.rules.spans import local_day, minutes


class Door(NamedTuple):
    """What judging a client's declines needs of the visits of the same provider."""

    visits: Sequence[Visit]
    """The living ones, in order of start."""
    matched: Mapping[str, PlannedVisit]
    executed: Mapping[str, int]
    """visit_id -> minutes that count as executed."""


def window_from(decline: Decline, policy: Policy) -> datetime:
    """From when on a KOM shows that staff came for this visit."""
    return decline.planned_start_at - minutes(policy.decline_window_min)


def judge_declines(
    declines: Iterable[Decline], door: Door, plans: Sequence[PlannedVisit], directory: Directory, book: PolicyBook
) -> tuple[list[DeclineOutcome], list[Finding]]:
    """Outcomes and `notice_contradicted` for the declines of one client and provider, earlier ones first."""
    outcomes: list[DeclineOutcome] = []
    findings: list[Finding] = []
    taken: set[str] = set()
    for decline in sorted(declines, key=lambda row: (row.planned_start_at, row.decline_id)):
        on = local_day(decline.planned_start_at)
        policy = book.on(on)
        notice, contradicted = _notice(decline, door.visits, policy, directory)
        if contradicted:
            findings.append(_contradicted(decline, notice))
        its = _visits(decline, door, policy, taken) if notice == "at_door" else []
        taken.update(its)
        planned = whole_minutes(decline.planned_start_at, decline.planned_end_at) * decline.staff_count
        executed = sum(door.executed.get(visit_id, 0) for visit_id in its)
        service = next((plan.service for plan in plans if plan.start_at == decline.planned_start_at), "care")
        percent = share_percent(policy, notice, service, on, directory.absences(decline.client_id))
        outcomes.append(
            DeclineOutcome(
                decline_id=decline.decline_id,
                client_id=decline.client_id,
                provider_id=decline.provider_id,
                planned_start_at=decline.planned_start_at,
                notice=notice,
                visit_ids=tuple(its),
                planned_minutes=planned,
                executed_minutes=executed,
                share_percent=percent,
                compensation_minutes=max(0, planned - executed) * percent // 100,
                made_up_minutes=decline.made_up_minutes if decline.made_up_on is not None else 0,
                made_up_on=decline.made_up_on,
            )
        )
    return outcomes, findings


def _notice(decline: Decline, visits: Sequence[Visit], policy: Policy, directory: Directory) -> tuple[str, bool]:
    """(notice as judged, is it contradicted?)"""
    since = window_from(decline, policy)
    came = any(_shows_presence(visit, decline, since) for visit in visits)
    if decline.notice == "absent":
        return "absent", came
    if directory.refuses_tag(decline.client_id, local_day(decline.noticed_at)) or directory.in_outage(
        decline.provider_id, decline.noticed_at
    ):
        return decline.notice, False
    notice = "at_door" if came else "in_advance"
    return notice, notice != decline.notice


def _shows_presence(visit: Visit, decline: Decline, since: datetime) -> bool:
    """Staff tapped KOM (or GICK without KOM, or gave the code) between `since` and `noticed_at`, and no visit begun by
    that KOM ended before the planned start."""
    if visit.kom is not None or "by_code" in visit.marks:
        if visit.start_at is None or not since <= visit.start_at <= decline.noticed_at:
            return False
        return not _ended_before(visit, decline)
    return visit.gick is not None and visit.end_at is not None and since <= visit.end_at <= decline.noticed_at


def _ended_before(visit: Visit, decline: Decline) -> bool:
    return visit.end_at is not None and visit.end_at < decline.planned_start_at


def _visits(decline: Decline, door: Door, policy: Policy, taken: Collection[str]) -> list[str]:
    """The ids of its visits: earliest KOM first, at most `staff_count`, of no other plan and no earlier decline."""
    since = window_from(decline, policy)
    its: list[str] = []
    for visit in door.visits:
        if len(its) >= decline.staff_count:
            break
        start_at = visit.start_at
        if start_at is None or not since <= start_at <= decline.planned_end_at or _ended_before(visit, decline):
            continue
        plan = door.matched.get(visit.visit_id)
        other_plan = plan is not None and plan.start_at != decline.planned_start_at
        if visit.visit_id not in taken and not other_plan:
            its.append(visit.visit_id)
    return its


def share_percent(policy: Policy, notice: str, service: str, on: date, absences: Iterable[Absence]) -> int:
    """What percent of the declined minutes is compensated by the policy of the planned date; 0 without a row."""
    best, percent = -1, 0
    days: dict[str, int] = {
        absence.kind: (on - absence.from_on).days + 1 for absence in absences if absence.excuses_plan_on(on)
    }
    for row in policy.decline_shares:
        if row.notice != notice or (row.care_service and row.care_service != service):
            continue
        if row.absence and row.absence not in days:
            continue
        day = days.get(row.absence, 0)
        if (row.day_from is not None and day < row.day_from) or (row.day_to is not None and day > row.day_to):
            continue
        specific = bool(row.care_service) + bool(row.absence) + (row.day_from is not None) + (row.day_to is not None)
        if specific > best:
            best, percent = specific, row.percent
    return percent


def _contradicted(decline: Decline, notice: str) -> Finding:
    return Finding(
        finding_id=ids.finding_id("notice_contradicted", decline.decline_id),
        code="notice_contradicted",
        at=decline.planned_start_at,
        client_id=decline.client_id,
        provider_id=decline.provider_id,
        facts=(("decline_id", decline.decline_id), ("stated", decline.notice), ("judged", notice)),
    )
