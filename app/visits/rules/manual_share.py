"""Two persons, and the share of manual visits that needs no second one (DOMAIN.md 2.2 rows 30-33, 37).

Readings chosen where DOMAIN.md leaves a doubt: cancelled visits are in neither number; above the share *every* visit
with an unconfirmed statement is held, the exempt ones too (row 33's last but one sentence); row 31 exempts manual
visits, for only they name a care service.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime

from app.facts import Correction, Directory, Finding, ManualVisit, Visit
from app.facts.derived import VisitMark
from app.policies import Policy
from app.visits.rules.about import about_visit


def marks_of(
    effective: Sequence[Correction],
    times_by: Iterable[Correction | None],
    manual: ManualVisit | None = None,
    *,
    exempt: bool,
) -> tuple[VisitMark, ...]:
    """What later steps must know about the hands a visit went through. `times_by`: who stated its ends by hand."""
    marks: list[VisitMark] = []
    by = [correction for correction in times_by if correction is not None]
    if manual is not None and manual.reason == "tag_refused":
        marks.append("by_code")
    if manual is not None or by:
        marks.append("by_hand")
    counted = manual is not None or any(one.kind != "set_staff_of_device" for one in effective)
    if counted and not exempt:
        marks.append("in_share")
    if by and all(one.confirmed for one in by):
        marks.append("times_confirmed")
    manual_confirmed = manual is None or (bool(manual.approved_by) and manual.approved_by != manual.made_by)
    if not (manual_confirmed and all(one.confirmed for one in effective)):
        marks.append("unconfirmed")
    return tuple(marks)


def exempt_from_share(client_id: str, provider_id: str, at: datetime, on: date, directory: Directory) -> bool:
    """Rows 30, 37: the client refuses the tag that day, or an outage at the start (else end)."""
    return directory.refuses_tag(client_id, on) or directory.in_outage(provider_id, at)


def needs_no_tag(client_id: str, provider_id: str, on: date, care_service: str, directory: Directory) -> bool:
    """Row 31: a care service granted that day whose proof is one end or none."""
    return bool(care_service) and any(
        service.care_service == care_service and service.proof != "both"
        for order in directory.orders_on(client_id, provider_id, on)
        for service in directory.order_services(order.order_id)
    )


def share_exceeded(in_share: int, visits: int, policy: Policy) -> bool:
    """Is the number above the larger of the floor and the percent of the provider's visits of the month?"""
    return in_share > policy.manual_share_floor and in_share * 100 > policy.manual_share_percent * visits


def may_exceed(visits: Iterable[Visit], policy: Policy) -> bool:
    """Whether the share of these visits is exceeded if only the percent is."""
    in_share = sum("in_share" in visit.marks for visit in visits if visit.status != "cancelled")
    return in_share > policy.manual_share_floor


def unconfirmed_findings(
    visits: Sequence[Visit], policy: Policy, *, all_living: int | None = None
) -> tuple[Finding, ...]:
    """Row 33 for all visits of one provider and local month of start (else end): `unconfirmed`, held, on every visit
    of which a statement that took effect lacks a confirmer; none while the share is not exceeded.

    `visits` may leave out those without marks when `all_living` says how many there are that are not cancelled."""
    living = [visit for visit in visits if visit.status != "cancelled"]
    in_share = sum("in_share" in visit.marks for visit in living)
    share = (in_share, len(living) if all_living is None else all_living)
    return tuple(unconfirmed_finding(visit, share) for visit in living if in_exceeded_share(visit, share, policy))


def in_exceeded_share(visit: Visit, share: tuple[int, int], policy: Policy) -> bool:
    """Is this one of the visits that an exceeded share, (in the share, visits in all), holds?"""
    unconfirmed = visit.status != "cancelled" and "unconfirmed" in visit.marks
    return unconfirmed and share_exceeded(*share, policy)


def unconfirmed_finding(visit: Visit, share: tuple[int, int]) -> Finding:
    """`unconfirmed`, with the figures that led to it."""
    return about_visit(visit, "unconfirmed", (("in_share", str(share[0])), ("visits", str(share[1]))), holds=True)
