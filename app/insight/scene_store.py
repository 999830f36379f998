"""What the rules about irregularities ask the database: one month as a `Scene`. Reads only."""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import Connection, func, or_, select

from app.core.localtime import month_bounds
from app.core.month import Month
from app.evidence.store import is_current
from app.evidence.tables import corrections, planned_visits, taps
from app.facts import Absence, Correction, DeclineOutcome, PlannedVisit, Visit
from app.findings import store as findings_store
from app.findings.tables import findings
from app.insight.figures_store import load_employments, load_ordered
from app.insight.irregularity import AccountSeen, Scene, TapSeen
from app.insight.stays import COUNTED_CLASSES
from app.registry.tables import absences, devices, staff_hours, tags
from app.visits.store import from_row
from app.visits.tables import decline_outcomes, visits

_SHARED_KINDS = ("reader", "shared", "imported")
"""Kinds of device that several persons are meant to use, or whose kind is unknown."""


def load_scene(connection: Connection, month: Month) -> Scene:
    """Everything the rules look at, of one month."""
    from_at, to_at = month_bounds(month)
    made = [
        from_row(row)
        for row in connection.execute(select(visits).where(visits.c.month_on == month.first_on, ~visits.c.ceased))
    ]
    plans = select(planned_visits).where(
        planned_visits.c.start_at >= from_at, planned_visits.c.start_at < to_at, is_current(planned_visits)
    )
    outcomes = select(decline_outcomes).where(
        decline_outcomes.c.planned_start_at >= from_at, decline_outcomes.c.planned_start_at < to_at
    )
    away = select(absences).where(
        absences.c.from_on <= month.last_on, or_(absences.c.to_on.is_(None), absences.c.to_on >= month.first_on)
    )
    declined = [
        DeclineOutcome(
            row.decline_id, row.client_id, row.provider_id, row.planned_start_at, row.notice,
            tuple(row.visit_ids), row.planned_minutes, row.executed_minutes, row.share_percent,
            row.compensation_minutes, row.made_up_minutes, row.made_up_on,
        )
        for row in connection.execute(outcomes)
    ]  # fmt: skip
    worked = select(staff_hours.c.staff_id).where(staff_hours.c.worked_on.between(month.first_on, month.last_on))
    shared = select(devices.c.device_id).where(devices.c.kind.in_(_SHARED_KINDS))
    return Scene(
        month=month,
        visits=made,
        plans={
            row.planned_id: PlannedVisit(
                row.planned_id, row.client_id, row.provider_id, row.staff_id, row.start_at, row.end_at, row.service,
                row.staff_count, row.withdrawn_at,
            )
            for row in connection.execute(plans)
        },
        taps=_taps(connection, month),
        findings=[row for _, row in findings_store.load(connection, findings.c.at >= from_at, findings.c.at < to_at)],
        accounts=_accounts(connection, month, made, declined),
        declines=declined,
        corrections=_corrections(connection, made),
        absences=[Absence(row.client_id, row.from_on, row.kind, row.to_on) for row in connection.execute(away)],
        employments=load_employments(connection),
        worked_staff=frozenset(connection.execute(worked.distinct()).scalars()),
        shared_devices=frozenset(connection.execute(shared).scalars()),
    )  # fmt: skip


def _taps(connection: Connection, month: Month) -> list[TapSeen]:
    """Every tap with the first holder of its tag then; empty where nobody held it."""
    from_at, to_at = month_bounds(month)
    holder = (
        select(func.min(tags.c.client_id))
        .where(
            tags.c.tag_uid == taps.c.tag_uid,
            tags.c.valid_from_at <= taps.c.at,
            or_(tags.c.valid_to_at.is_(None), tags.c.valid_to_at > taps.c.at),
        )
        .scalar_subquery()
    )
    query = select(
        taps.c.device_id, taps.c.tag_uid, taps.c.staff_id, func.coalesce(holder, ""), taps.c.provider_id, taps.c.at
    ).where(taps.c.at >= from_at, taps.c.at < to_at)
    return [TapSeen(*row) for row in connection.execute(query)]


def _accounts(
    connection: Connection, month: Month, made: list[Visit], declined: list[DeclineOutcome]
) -> list[AccountSeen]:
    """Reported time is executed and compensated declined time (DOMAIN.md 3)."""
    reported: dict[tuple[str, str], int] = defaultdict(int)
    for decline in declined:
        reported[decline.client_id, decline.provider_id] += decline.compensation_minutes - min(
            decline.made_up_minutes, decline.compensation_minutes
        )
    for visit in made:
        if visit.accepted and visit.role == "carer" and visit.service in COUNTED_CLASSES:
            reported[visit.client_id, visit.provider_id] += visit.minutes
    return [
        AccountSeen(*account, row.minutes, row.ceiling_minutes, reported[account])
        for account, row in load_ordered(connection, month).items()
    ]


def _corrections(connection: Connection, made: list[Visit]) -> list[tuple[Correction, str]]:
    """Corrections of times with the visit they name, by its KOM, its GICK or its manual_id."""
    by_tap = {(end.device_id, end.seq): visit.visit_id for visit in made for end in (visit.kom, visit.gick) if end}
    by_manual = {visit.manual_id: visit.visit_id for visit in made if visit.manual_id}
    query = select(corrections).where(corrections.c.kind == "set_times", is_current(corrections))
    found = []
    for row in connection.execute(query):
        visit_id = by_tap.get((row.kom_device_id, row.kom_seq)) or by_manual.get(row.manual_id)
        if visit_id:
            correction = Correction(
                row.correction_id, row.made_at, row.kind, row.kom_device_id, row.kom_seq, row.manual_id,
                row.device_id, row.from_at, row.to_at, row.new_start_at, row.new_end_at, row.new_staff_id,
                row.new_client_id, row.reason, row.note, row.made_by, row.approved_by,
            )  # fmt: skip
            found.append((correction, visit_id))
    return found
