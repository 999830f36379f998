"""The scene of a month out of plain lists, counted in Python: what the database counts must be the same."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from app.core.localtime import local_date
from app.core.month import Month
from app.facts import Absence, Correction, DeclineOutcome, Employment, PlannedVisit, Visit
from app.insight.irregularity import (
    CorrectedVisit,
    DeclinedVisit,
    DeviceMonth,
    Hit,
    LatePerson,
    LoneTag,
    Scene,
    StaffMonth,
)


@dataclass(frozen=True, slots=True)
class TapSeen:
    """A tap: whose phone, which tag, who, the tag's first holder then (empty: none)."""

    device_id: str
    tag_uid: str
    staff_id: str
    client_id: str
    provider_id: str
    at: datetime


def scene_of(
    month: Month,
    visits: Sequence[Visit] = (),
    *,
    plans: Mapping[str, PlannedVisit] | None = None,
    taps: Sequence[TapSeen] = (),
    absences: Iterable[Absence] = (),
    declines: Iterable[DeclineOutcome] = (),
    corrections: Iterable[tuple[Correction, str]] = (),
    employments: Sequence[Employment] = (),
    **given: Any,
) -> Scene:
    """Everything the rules look at; `given` goes into the scene as it is."""
    planned = plans or {}
    return Scene(
        month,
        staff_months=_staff_months(visits, planned),
        merged=_merged(visits, planned),
        in_absence=sorted(
            {
                Hit(visit.provider_id, visit.visit_id)
                for absence in absences
                for visit in visits
                if visit.client_id == absence.client_id
                and visit.status != "cancelled"
                and absence.holds_visit_on(local_date(visit.at))
            },
            key=lambda hit: (hit.provider_id, hit.visit_id),
        ),
        declines=[
            DeclinedVisit(row.provider_id, row.made_up_minutes > 0, _redone(visits, row))
            for row in declines
            if row.compensation_minutes
        ],
        corrections=[
            CorrectedVisit(visit.provider_id, visit.visit_id, _states(made, planned[visit.planned_id]))
            for made, visit_id in corrections
            for visit in visits
            if visit.visit_id == visit_id and visit.planned_id in planned
        ],
        devices=_devices(taps, given.pop("shared_devices", frozenset())),
        lone_tags=_lone_tags(taps),
        late=_late(taps, employments),
        employments=employments,
        **given,
    )


def _minute(at: datetime | None) -> datetime | None:
    return at and at.replace(second=0, microsecond=0)


def _as_planned(visit: Visit, plan: PlannedVisit) -> bool:
    ends = (_minute(visit.start_at), _minute(visit.end_at))
    return visit.status == "complete" and ends == (_minute(plan.start_at), _minute(plan.end_at))


def _states(made: Correction, plan: PlannedVisit) -> bool:
    return (_minute(made.new_start_at), _minute(made.new_end_at)) == (_minute(plan.start_at), _minute(plan.end_at))


def _staff_months(visits: Sequence[Visit], plans: Mapping[str, PlannedVisit]) -> list[StaffMonth]:
    of: dict[tuple[str, str], list[Visit]] = defaultdict(list)
    for visit in visits:
        of[visit.provider_id, visit.staff_id].append(visit)
    return [
        StaffMonth(
            *key,
            len(made),
            sum(visit.planned_id in plans for visit in made),
            sum(visit.planned_id in plans and visit.status == "complete" for visit in made),
            tuple(v.visit_id for v in made if v.planned_id in plans and _as_planned(v, plans[v.planned_id])),
            tuple(visit.visit_id for visit in made if visit.source != "taps"),
            tuple(visit.visit_id for visit in made if "overlap" in visit.findings),
        )
        for key, made in sorted(of.items())
    ]


def _merged(visits: Sequence[Visit], plans: Mapping[str, PlannedVisit]) -> list[Hit]:
    taken = {visit.planned_id for visit in visits}
    missed = [plan for plan in plans.values() if plan.planned_id not in taken and plan.withdrawn_at is None]
    found = {
        (visit.provider_id, visit.visit_id)
        for plan in missed
        for visit in visits
        if (visit.client_id, visit.provider_id) == (plan.client_id, plan.provider_id)
        and visit.planned_id in plans
        and visit.start_at is not None
        and visit.end_at is not None
        and local_date(visit.start_at) == local_date(plan.start_at)
        and visit.start_at <= plan.start_at
        and plan.end_at <= visit.end_at + timedelta(minutes=5)
    }
    return [Hit(*pair) for pair in sorted(found)]


def _redone(visits: Sequence[Visit], decline: DeclineOutcome) -> str:
    later = [
        visit
        for visit in visits
        if (visit.client_id, visit.provider_id) == (decline.client_id, decline.provider_id)
        and not visit.planned_id
        and visit.status == "complete"
        and visit.at > decline.planned_start_at
        and local_date(visit.at) == local_date(decline.planned_start_at)
    ]
    return min(later, key=lambda visit: visit.at).visit_id if later else ""


def _devices(taps: Sequence[TapSeen], shared: frozenset[str]) -> list[DeviceMonth]:
    people: dict[str, dict[date, set[str]]] = defaultdict(lambda: defaultdict(set))
    provider: dict[str, str] = {}
    for tap in taps:
        people[tap.device_id][local_date(tap.at)].add(tap.staff_id)
        provider[tap.device_id] = tap.provider_id
    count = Counter(tap.device_id for tap in taps)
    found = []
    for device, days in sorted(people.items()):
        looked_at = device not in shared and len(set().union(*days.values())) > 1
        crowded = sum(len(staff) >= 3 for staff in days.values())
        found.append(DeviceMonth(device, provider[device], count[device], *((len(days), crowded) if looked_at else ())))
    return found


def _lone_tags(taps: Sequence[TapSeen]) -> list[LoneTag]:
    readers: dict[tuple[str, str], list[TapSeen]] = defaultdict(list)
    of_client: dict[str, set[str]] = defaultdict(set)
    for tap in taps:
        readers[tap.client_id, tap.tag_uid].append(tap)
        of_client[tap.client_id].add(tap.staff_id)
    return [
        LoneTag(tag, read[0].provider_id, len(read))
        for (client, tag), read in sorted(readers.items())
        if client and len({tap.staff_id for tap in read}) == 1 and len(read) >= 10 and len(of_client[client]) > 1
    ]


def _late(taps: Sequence[TapSeen], employments: Sequence[Employment]) -> list[LatePerson]:
    last = {
        staff: max(row.valid_to or date.max for row in employments if row.staff_id == staff)
        for staff in {row.staff_id for row in employments}
    }
    late = [tap for tap in taps if local_date(tap.at) > last.get(tap.staff_id, date.max)]
    providers = {tap.staff_id: tap.provider_id for tap in late}
    return [LatePerson(name, providers[name], n) for name, n in sorted(Counter(t.staff_id for t in late).items())]
