"""Planned against executed on a local day (DOMAIN.md 2.4): matched, missed, declined, withdrawn, excused, unplanned."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, select, union

from app.core import ids
from app.core.localtime import day_bounds, format_instant
from app.evidence.store import among, is_current
from app.evidence.tables import declines, planned_visits
from app.facts import PlannedVisit, Visit
from app.findings.tables import findings
from app.policies import PolicyBook
from app.visits.store import from_row
from app.visits.tables import visits

_DAY = timedelta(days=1)
Row = dict[str, Any]
Key = tuple[str, str]
"""provider_id, planned_id."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which rows: conditions (walls and filters) over plans and over visits; at most so many clients from one on."""

    plans: Sequence[ColumnElement[bool]] = ()
    visits: Sequence[ColumnElement[bool]] = ()
    first_client: str = ""
    most_clients: int = 200


def outcome_of_day(connection: Connection, on: date, now: datetime, book: PolicyBook, asked: Asked) -> list[Row]:
    """Every plan that starts that day with what became of it, and visits of the day without one; by client and time."""
    first, after = day_bounds(on)
    of_day = (visits.c.at >= first, visits.c.at < after, visits.c.month_on == on.replace(day=1))
    living = (visits.c.ceased.is_(False), visits.c.status != "cancelled")
    planned = (planned_visits.c.start_at >= first, planned_visits.c.start_at < after, is_current(planned_visits))
    clients = union(
        select(planned_visits.c.client_id).where(
            *planned, *asked.plans, planned_visits.c.client_id >= asked.first_client
        ),
        select(visits.c.client_id).where(*of_day, *living, *asked.visits, visits.c.client_id >= asked.first_client),
    ).subquery()
    chosen = select(clients.c.client_id).order_by(clients.c.client_id).limit(asked.most_clients)
    plan_query = select(planned_visits).where(*planned, *asked.plans, planned_visits.c.client_id.in_(chosen))
    plans = list(connection.execute(plan_query))
    unplanned = select(visits).where(
        *of_day, *living, *asked.visits, visits.c.planned_id == "", visits.c.client_id.in_(chosen)
    )
    met = _met(connection, [row.planned_id for row in plans], (first, after))
    declined = _declined(connection, (first, after))
    missed = _missed(connection, [row.planned_id for row in plans])
    rows = []
    for plan in plans:
        its = met.get((plan.provider_id, plan.planned_id), [])
        late = now >= plan.start_at + timedelta(minutes=book.on(on).missed_after_min)
        outcome = "withdrawn"
        if plan.withdrawn_at is None:
            if (plan.client_id, plan.provider_id, plan.start_at) in declined:
                outcome = "declined"
            elif its:
                outcome = "matched"
            elif plan.planned_id in missed:
                outcome = "missed" if late else "expected"
            else:
                outcome = "excused"
        rows.append(_of_plan(plan, outcome, its))
    rows += [_of_visit(from_row(row)) for row in connection.execute(unplanned)]
    return sorted(rows, key=_order)


def _met(
    connection: Connection, planned_ids: Sequence[str], bounds: tuple[datetime, datetime]
) -> dict[Key, list[Visit]]:
    """The visits of each plan; a visit may begin a few hours beside its plan, in the day before or after."""
    first, after = bounds[0] - _DAY, bounds[1] + _DAY
    query = select(visits).where(
        among(visits.c.planned_id, planned_ids), visits.c.planned_id != "", visits.c.ceased.is_(False),
        visits.c.at >= first, visits.c.at < after, visits.c.month_on >= first.date().replace(day=1),
        visits.c.month_on <= after.date().replace(day=1),
    )  # fmt: skip
    found: dict[Key, list[Visit]] = defaultdict(list)
    for row in connection.execute(query.order_by(visits.c.at, visits.c.visit_id)):
        found[row.provider_id, row.planned_id].append(from_row(row))
    return found


def _declined(connection: Connection, bounds: tuple[datetime, datetime]) -> set[tuple[str, str, datetime]]:
    c = declines.c
    query = select(c.client_id, c.provider_id, c.planned_start_at).where(
        is_current(declines), c.planned_start_at >= bounds[0], c.planned_start_at < bounds[1]
    )
    return {(row.client_id, row.provider_id, row.planned_start_at) for row in connection.execute(query)}


def _missed(connection: Connection, planned_ids: Iterable[str]) -> set[str]:
    wanted = {ids.finding_id("visit_missed", one): one for one in planned_ids}
    found = connection.execute(select(findings.c.finding_id).where(among(findings.c.finding_id, list(wanted))))
    return {wanted[row.finding_id] for row in found}


def _of_plan(plan: PlannedVisit | Any, outcome: str, its: Sequence[Visit]) -> Row:
    starts = [visit.start_at for visit in its if visit.start_at is not None]
    ends = [visit.end_at for visit in its if visit.end_at is not None]
    return {
        "outcome": outcome,
        "planned_id": plan.planned_id,
        "client_id": plan.client_id,
        "provider_id": plan.provider_id,
        "staff_id": plan.staff_id,
        "staff_count": plan.staff_count,
        "planned_start_at": format_instant(plan.start_at),
        "planned_end_at": format_instant(plan.end_at),
        "visit_ids": [visit.visit_id for visit in its],
        "start_at": format_instant(min(starts)) if starts else None,
        "end_at": format_instant(max(ends)) if ends else None,
        "minutes": sum(visit.minutes for visit in its),
    }


def _of_visit(visit: Visit) -> Row:
    return {
        "outcome": "unplanned",
        "planned_id": None,
        "client_id": visit.client_id,
        "provider_id": visit.provider_id,
        "staff_id": visit.staff_id,
        "staff_count": 1,
        "planned_start_at": None,
        "planned_end_at": None,
        "visit_ids": [visit.visit_id],
        "start_at": format_instant(visit.start_at) if visit.start_at else None,
        "end_at": format_instant(visit.end_at) if visit.end_at else None,
        "minutes": visit.minutes,
    }


def _order(row: Row) -> tuple[str, str, str, str]:
    at = row["planned_start_at"] or row["start_at"] or row["end_at"]
    return row["client_id"], at, row["planned_id"] or "", "".join(row["visit_ids"])
