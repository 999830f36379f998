"""The rules about irregularities (DOMAIN.md 7): deterministic, each with its explanation and known false alarms."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any

from app.core.localtime import local_date
from app.core.minutes import cut
from app.facts import PlannedVisit, Visit
from app.insight.irregularity import (
    Irregularity,
    Scene,
    Share,
    local_days,
    plain_object,
    shares_of,
    unusual,
)
from app.policies import Policy

_FEW = 5
_PERSONS_A_DAY = 3
_READS = 10
_CLOSE_PERCENT = 2
"""Within so many percent of ordered under the ceiling counts as hugging it."""

_SV_EN = tuple[str, str, str]


def _by_finding(code: str, floor: Fraction) -> Callable[[Scene, Policy], list[Irregularity]]:
    """Providers with far more visits that have a finding than the others."""

    def rule(scene: Scene, policy: Policy) -> list[Irregularity]:  # noqa: ARG001 - every rule has this shape
        hits = [visit.visit_id for visit in scene.visits if code in visit.findings]
        return unusual(code, "provider", shares_of(scene.visits, hits), least=_FEW, floor=floor)

    return rule


def _implausible_moves(scene: Scene, policy: Policy) -> list[Irregularity]:  # noqa: ARG001 - every rule has this shape
    """Devices with far more taps at two sites within a minute than others."""
    moved = Counter(finding.taps[-1][0] for finding in scene.findings if finding.code == "implausible_move")
    provider = {tap.device_id: tap.provider_id for tap in scene.taps}
    taps = Counter(tap.device_id for tap in scene.taps)
    shares = [Share(name, provider[name], moved[name], max(taps[name], moved[name])) for name in sorted(taps)]
    return unusual("implausible_move", "device", shares, least=3, floor=Fraction(1, 2000))


def _tag_counters(scene: Scene, policy: Policy) -> list[Irregularity]:  # noqa: ARG001 - every rule has this shape
    """Tags whose counter was replayed or ran backwards: no chance about it."""
    counted: dict[str, list[str]] = defaultdict(list)
    for finding in scene.findings:
        if finding.code in ("tag_counter_replay", "tag_counter_order"):
            counted[finding.fact("tag_uid") or finding.client_id].append(finding.provider_id)
    return [
        Irregularity("tag_counter", "tag", tag, providers[0], len(providers), len(providers), Fraction(0), None)
        for tag, providers in sorted(counted.items())
    ]


def _device_of_many(scene: Scene, policy: Policy) -> list[Irregularity]:  # noqa: ARG001 - every rule has this shape
    """A phone on which three or more persons tap within a day, on two or more days."""
    people: dict[tuple[str, date], set[str]] = defaultdict(set)
    provider: dict[str, str] = {}
    for tap in scene.taps:
        if tap.device_id not in scene.shared_devices:
            people[tap.device_id, local_date(tap.at)].add(tap.staff_id)
            provider[tap.device_id] = tap.provider_id
    days = Counter(device for (device, _), staff in people.items() if len(staff) >= _PERSONS_A_DAY)
    of = Counter(device for device, _ in people)
    return [
        Irregularity("device_of_many", "device", name, provider[name], count, of[name], Fraction(0), None)
        for name, count in sorted(days.items())
        if count > 1
    ]


def _manual_share(scene: Scene, policy: Policy) -> list[Irregularity]:
    """Providers above the share of manual and corrected visits that one person may state alone."""
    stated = [visit.visit_id for visit in scene.visits if visit.source != "taps"]
    found = []
    for share in shares_of(scene.visits, stated):
        allowed = max(Fraction(policy.manual_share_percent * share.of, 100), Fraction(policy.manual_share_floor))
        if share.hits > allowed:
            found.append(
                Irregularity(
                    "manual_share", "provider", share.name, share.name, share.hits, share.of, allowed, None,
                    share.visit_ids,
                )
            )  # fmt: skip
    return found


def _ends_as_planned(scene: Scene, policy: Policy) -> list[Irregularity]:  # noqa: ARG001 - every rule has this shape
    """Somebody whose visits begin and end at the planned minute far more often than everybody else's."""
    matched = [visit for visit in scene.visits if visit.planned_id in scene.plans and visit.status == "complete"]
    hits = [visit.visit_id for visit in matched if _as_planned(visit, scene.plans[visit.planned_id])]
    return unusual("ends_as_planned", "staff", shares_of(matched, hits, "staff_id"), least=_FEW, floor=Fraction(1, 50))


def _hugs_ceiling(scene: Scene, policy: Policy) -> list[Irregularity]:  # noqa: ARG001 - every rule has this shape
    """Providers whose accounts end just under the ceiling far more often than the others'."""
    of: Counter[str] = Counter()
    hits: Counter[str] = Counter()
    for account in scene.accounts:
        if account.ordered_minutes:
            of[account.provider_id] += 1
            gap = account.ceiling_minutes - account.reported_minutes
            hits[account.provider_id] += 0 <= gap * 100 <= _CLOSE_PERCENT * account.ordered_minutes
    shares = [Share(name, name, hits[name], of[name]) for name in sorted(of)]
    return unusual("hugs_ceiling", "provider", shares, least=_FEW, floor=Fraction(1, 20))


def _declined_then_redone(scene: Scene, policy: Policy) -> list[Irregularity]:  # noqa: ARG001 - every rule has this shape
    """Providers where a compensated decline is followed by an unplanned visit on the same day, not linked to it."""
    by_day = local_days(visit for visit in scene.visits if not visit.planned_id and visit.status == "complete")
    of: Counter[str] = Counter()
    hits: dict[str, list[str]] = defaultdict(list)
    for decline in scene.declines:
        if decline.compensation_minutes:
            of[decline.provider_id] += 1
            key = (decline.client_id, decline.provider_id, local_date(decline.planned_start_at))
            later = [visit for visit in by_day.get(key, ()) if visit.at > decline.planned_start_at]
            if later and decline.made_up_minutes == 0:
                hits[decline.provider_id].append(later[0].visit_id)
    shares = [Share(name, name, len(hits[name]), of[name], tuple(hits[name])) for name in sorted(of)]
    return unusual("declined_then_redone", "provider", shares, least=3, floor=Fraction(1, 50))


def _merged_plans(scene: Scene, policy: Policy) -> list[Irregularity]:  # noqa: ARG001 - every rule has this shape
    """Providers where one visit spans two planned ones, the other missed, far more often than elsewhere."""
    taken = {visit.planned_id for visit in scene.visits if visit.planned_id}
    missed: dict[tuple[str, str, date], list[PlannedVisit]] = defaultdict(list)
    for plan in scene.plans.values():
        if plan.planned_id not in taken and plan.withdrawn_at is None:
            missed[plan.client_id, plan.provider_id, local_date(plan.start_at)].append(plan)
    planned = [visit for visit in scene.visits if visit.planned_id in scene.plans]
    hits = [
        visit.visit_id
        for visit in planned
        if visit.start_at is not None
        and visit.end_at is not None
        and any(
            visit.start_at <= plan.start_at and plan.end_at <= visit.end_at + timedelta(minutes=5)
            for plan in missed.get((visit.client_id, visit.provider_id, local_date(visit.at)), ())
        )
    ]
    return unusual("merged_plans", "provider", shares_of(planned, hits), least=3, floor=Fraction(1, 500))


def _visits_of_the_absent(scene: Scene, policy: Policy) -> list[Irregularity]:  # noqa: ARG001 - every rule has this shape
    """Visits on days when the client was away: about the provider, each one shown."""
    absent = scene.absent_on()
    hits = [
        visit.visit_id
        for visit in scene.visits
        if visit.status != "cancelled"
        and any(absence.holds_visit_on(local_date(visit.at)) for absence in absent.get(visit.client_id, ()))
    ]
    return [
        Irregularity(
            "visit_in_absence", "provider", share.name, share.name, share.hits, share.of, Fraction(0), None,
            share.visit_ids,
        )
        for share in shares_of(scene.visits, hits)
        if share.hits
    ]  # fmt: skip


def _ended_employment(scene: Scene, policy: Policy) -> list[Irregularity]:  # noqa: ARG001 - every rule has this shape
    """Taps under a staff_id whose employment had ended: somebody uses what should have been taken back."""
    ends: dict[str, date] = {}
    for row in scene.employments:
        ends[row.staff_id] = max(ends.get(row.staff_id, date.min), row.valid_to or date.max)
    late: dict[str, list[str]] = defaultdict(list)
    for tap in scene.taps:
        if tap.staff_id in ends and local_date(tap.at) > ends[tap.staff_id]:
            late[tap.staff_id].append(tap.provider_id)
    return [
        Irregularity("ended_employment", "staff", name, where[0], len(where), len(where), Fraction(0), None)
        for name, where in sorted(late.items())
    ]


def _tag_of_one(scene: Scene, policy: Policy) -> list[Irregularity]:  # noqa: ARG001 - every rule has this shape
    """A tag only one person ever reads, while the client's other tag is read by others: it may hang elsewhere."""
    readers: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    of_client: dict[str, set[str]] = defaultdict(set)
    provider: dict[str, str] = {}
    for tap in scene.taps:
        readers[tap.client_id, tap.tag_uid][tap.staff_id] += 1
        of_client[tap.client_id].add(tap.staff_id)
        provider[tap.tag_uid] = tap.provider_id
    return [
        Irregularity(
            "tag_of_one", "tag", tag, provider[tag], sum(staff.values()), sum(staff.values()), Fraction(0), None
        )
        for (client_id, tag), staff in sorted(readers.items())
        if client_id and len(staff) == 1 and sum(staff.values()) >= _READS and len(of_client[client_id]) > 1
    ]


def _corrections_to_plan(scene: Scene, policy: Policy) -> list[Irregularity]:  # noqa: ARG001 - every rule has this shape
    """Providers whose corrections set the planned time, to the minute, far more often than the others'."""
    by_id = {visit.visit_id: visit for visit in scene.visits}
    of: Counter[str] = Counter()
    hits: dict[str, list[str]] = defaultdict(list)
    for correction, visit_id in scene.corrections:
        visit = by_id.get(visit_id)
        plan = scene.plans.get(visit.planned_id) if visit else None
        if visit is not None and plan is not None:
            of[visit.provider_id] += 1
            if _same(correction.new_start_at, plan.start_at) and _same(correction.new_end_at, plan.end_at):
                hits[visit.provider_id].append(visit_id)
    shares = [Share(name, name, len(hits[name]), of[name], tuple(hits[name])) for name in sorted(of)]
    return unusual("corrections_to_plan", "provider", shares, least=_FEW, floor=Fraction(1, 10))


def _staff_inactive(scene: Scene, policy: Policy) -> list[Irregularity]:  # noqa: ARG001 - every rule has this shape
    """Providers with carers registered all month who neither visit nor work: staff on paper."""
    active = {visit.staff_id for visit in scene.visits} | scene.worked_staff
    of: Counter[str] = Counter()
    idle: Counter[str] = Counter()
    for row in scene.employments:
        whole = row.valid_from <= scene.month.first_on and (row.valid_to is None or row.valid_to >= scene.month.last_on)
        if row.role == "carer" and whole:
            of[row.provider_id] += 1
            idle[row.provider_id] += row.staff_id not in active
    shares = [Share(name, name, idle[name], of[name]) for name in sorted(of)]
    return unusual("staff_inactive", "provider", shares, least=2, floor=Fraction(1, 25))


def _as_planned(visit: Visit, plan: PlannedVisit) -> bool:
    return _same(visit.start_at, plan.start_at) and _same(visit.end_at, plan.end_at)


def _same(stated: datetime | None, planned: datetime) -> bool:
    return stated is not None and cut(stated) == cut(planned)


RULES: Mapping[str, tuple[Callable[[Scene, Policy], list[Irregularity]], _SV_EN]] = {
    "overlap": (_by_finding("overlap", Fraction(1, 1000)), (
        "Samma person är på två ställen samtidigt oftare än hos andra utförare.",
        "One person is at two places at once more often than at other providers.",
        "Glömt GICK som rättats för hand; två anställningar med fel tid.")),
    "implausible_move": (_implausible_moves, (
        "Telefonen registrerar på två adresser inom en minut oftare än andra.",
        "The device taps at two addresses within a minute more often than others.",
        "Trapphus utan gemensam adress i registret.")),
    "tag_counter": (_tag_counters, (
        "Taggens räknare har upprepats eller gått baklänges: läsningen kan vara kopierad.",
        "The tag's counter was repeated or ran backwards: the reading may be a copy.",
        "En telefon som varit utan nät länge skickar i annan ordning.")),
    "device_of_many": (_device_of_many, (
        "Tre eller fler personer registrerar med samma telefon samma dag, flera dagar.",
        "Three or more persons tap on one phone within a day, on several days.",
        "Delad telefon på kontoret som inte är anmäld som delad.")),
    "manual_share": (_manual_share, (
        "Andelen besök som skrivits in eller rättats för hand är över gränsen.",
        "The share of visits stated or corrected by hand is above the limit.",
        "Driftstörning som inte är registrerad; brukare som inte vill ha tagg.")),
    "ends_as_planned": (_ends_as_planned, (
        "Besöken börjar och slutar på den planerade minuten långt oftare än slumpen ger.",
        "Visits begin and end at the planned minute far more often than chance gives.",
        "Planering som skrivits efter besöken.")),
    "hugs_ceiling": (_hugs_ceiling, (
        "Rapporterad tid hamnar strax under 110 % långt oftare än hos andra utförare.",
        "Reported time ends just under 110 % far more often than at other providers.",
        "För låg beställd tid för en grupp brukare.")),
    "declined_then_redone": (_declined_then_redone, (
        "Avböjda besök som ersätts följs av oplanerade besök samma dag utan koppling.",
        "Compensated declines are followed by unplanned visits on the same day, not linked.",
        "Brukaren ångrade sig och kopplingen glömdes.")),
    "merged_plans": (_merged_plans, (
        "Två planerade besök utförs som ett oftare än hos andra utförare.",
        "Two planned visits are carried out as one more often than elsewhere.",
        "Brukaren bad om det; planeringen är inte uppdaterad.")),
    "visit_in_absence": (_visits_of_the_absent, (
        "Besök är registrerade när brukaren var borta.",
        "Visits are registered while the client was away.",
        "Hemkomst som meddelats sent.")),
    "ended_employment": (_ended_employment, (
        "Registreringar görs med en anställning som har upphört.",
        "Taps are made under an employment that has ended.",
        "Förlängd anställning som inte är registrerad.")),
    "tag_of_one": (_tag_of_one, (
        "Taggen läses bara av en person, fast brukaren besöks av flera: den kan sitta på fel plats.",
        "Only one person reads the tag though others visit the client: it may hang elsewhere.",
        "Extra tagg vid en andra ingång.")),
    "corrections_to_plan": (_corrections_to_plan, (
        "Rättelser sätts till den planerade tiden på minuten oftare än hos andra utförare.",
        "Corrections set the planned time to the minute more often than at other providers.",
        "En enhet som rättar i efterhand med planen som minnesstöd.")),
    "staff_inactive": (_staff_inactive, (
        "Personal är registrerad hela månaden utan besök och utan arbetad tid.",
        "Staff are registered all month without visits and without worked time.",
        "Föräldraledighet och sjukskrivning som inte är registrerad.")),
}  # fmt: skip


def irregularities(scene: Scene, policy: Policy) -> list[Irregularity]:
    """What every rule says about the month, in order of rule and what it is about."""
    found: list[Irregularity] = []
    for rule, _ in RULES.values():
        found.extend(rule(scene, policy))
    return sorted(found, key=lambda row: (row.rule, row.about, row.about_id))


def irregularities_object(
    scene: Scene, found: Iterable[Irregularity], opened: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """For a controller: each with its explanation, expected number and known false alarms; names hidden.

    `opened`: the case_ids that have been opened; only those show a staff_id.
    """
    rows = []
    for row in found:
        sv, en, false_alarms = RULES[row.rule][1]
        texts = {"explanation": {"sv": sv, "en": en}, "false_alarms_sv": false_alarms}
        rows.append(plain_object(row, scene, texts, opened=row.case_id(scene.month) in opened))
    return {"month": str(scene.month), "rules": list(RULES), "irregularities": rows}
