"""What the rules about irregularities ask the database: one month as a `Scene`. Reads only.

The database counts: a city's month is a million visits and two million taps, of which the rules need sums per person,
phone and tag, and the few rows that are hits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, func, or_, select, text

from app.core.localtime import STOCKHOLM, instant_of, local_date, month_bounds
from app.core.month import Month
from app.facts import Absence
from app.findings import store as findings_store
from app.findings.tables import findings
from app.insight.figures_store import load_employments, load_ordered
from app.insight.irregularity import (
    AccountSeen,
    CorrectedVisit,
    DeclinedVisit,
    Hit,
    LatePerson,
    Scene,
    StaffMonth,
)
from app.insight.scene_taps import load_devices, load_lone_tags
from app.insight.stays import COUNTED_CLASSES
from app.registry.tables import absences, staff_hours
from app.visits.tables import decline_outcomes, visits

_LONGEST = timedelta(hours=26)
"""More than any local day: candidates are fetched by instants, the day is judged by `local_date`."""

# No statement begins at another version than 1, so only later ones can be newer: that table is small.
_PLANS = """
    SELECT p.planned_id, p.provider_id, p.client_id, p.start_at, p.end_at, p.withdrawn_at FROM planned_visits p
    WHERE p.start_at >= :from_at AND p.start_at < :to_at AND NOT p.moved
      AND NOT EXISTS (SELECT FROM planned_visits newer WHERE newer.version > 1 AND newer.planned_id = p.planned_id
                      AND newer.provider_id = p.provider_id AND newer.version > p.version)"""
_MADE = "SELECT * FROM visits WHERE month_on = :first_on AND NOT ceased"
_AS_PLANNED = """v.status = 'complete'
    AND date_trunc('minute', v.start_at, 'UTC') = date_trunc('minute', p.start_at, 'UTC')
    AND date_trunc('minute', v.end_at, 'UTC') = date_trunc('minute', p.end_at, 'UTC')"""
_STAFF_MONTHS = text(f"""
    SELECT v.provider_id, v.staff_id, count(v.visit_id),
           count(*) FILTER (WHERE v.visit_id IS NOT NULL AND p.planned_id IS NOT NULL),
           count(*) FILTER (WHERE v.status = 'complete' AND p.planned_id IS NOT NULL),
           array_agg(v.visit_id) FILTER (WHERE {_AS_PLANNED}),
           array_agg(v.visit_id) FILTER (WHERE v.source <> 'taps'),
           array_agg(v.visit_id) FILTER (WHERE 'overlap' = ANY(v.findings)),
           array_agg(p.planned_id) FILTER (WHERE v.visit_id IS NULL AND p.withdrawn_at IS NULL)
    FROM ({_MADE}) v FULL JOIN ({_PLANS}) p ON p.planned_id = v.planned_id AND p.provider_id = v.provider_id
    GROUP BY 1, 2""")  # noqa: S608 -- constants of this module
_SPANNING = text(f"""
    SELECT DISTINCT v.provider_id, v.visit_id, v.at, m.start_at FROM ({_PLANS}) m
    JOIN visits v ON v.client_id = m.client_id AND v.provider_id = m.provider_id AND v.at <= m.start_at
     AND v.at > m.start_at - CAST(:longest AS interval)
    WHERE m.planned_id = ANY(:missed) AND v.month_on = :first_on AND NOT v.ceased AND v.start_at IS NOT NULL
      AND m.end_at <= v.end_at + interval '5 minutes'
      AND EXISTS (SELECT FROM ({_PLANS}) own WHERE own.planned_id = v.planned_id
                  AND own.provider_id = v.provider_id)""")  # noqa: S608 -- constants of this module
_OF_ABSENT = text("""
    SELECT v.provider_id, v.visit_id, v.client_id, v.at
    FROM unnest(CAST(:clients AS text[]), CAST(:from_ats AS timestamptz[]), CAST(:to_ats AS timestamptz[]))
         AS away (client_id, from_at, to_at)
    JOIN visits v ON v.client_id = away.client_id AND v.at >= away.from_at AND v.at < away.to_at
    WHERE v.month_on = :first_on AND NOT v.ceased AND v.status <> 'cancelled'""")
_AFTER_DECLINE = text("""
    SELECT d.decline_id, v.visit_id, v.at
    FROM decline_outcomes d
    JOIN visits v ON v.client_id = d.client_id AND v.provider_id = d.provider_id AND v.at > d.planned_start_at
     AND v.at < d.planned_start_at + CAST(:longest AS interval)
    WHERE d.planned_start_at >= :from_at AND d.planned_start_at < :to_at AND d.compensation_minutes > 0
      AND v.month_on = :first_on AND NOT v.ceased AND v.planned_id = '' AND v.status = 'complete' ORDER BY v.at""")
_CORRECTED = text("""
    WITH c AS MATERIALIZED (
        SELECT * FROM corrections c WHERE kind = 'set_times' AND NOT moved
           AND NOT EXISTS (SELECT FROM corrections newer WHERE newer.correction_id = c.correction_id
                           AND newer.version > c.version)),
    touched AS MATERIALIZED (
        SELECT visit_id, provider_id, planned_id, manual_id, kom_device_id, kom_seq, gick_device_id, gick_seq
        FROM visits WHERE month_on = :first_on AND NOT ceased
          AND ((kom_device_id, kom_seq) IN (SELECT kom_device_id, kom_seq FROM c)
               OR (gick_device_id, gick_seq) IN (SELECT kom_device_id, kom_seq FROM c)
               OR manual_id <> '' AND manual_id IN (SELECT manual_id FROM c))),
    named AS (
        SELECT c.correction_id, v.* FROM c JOIN touched v
            ON v.kom_device_id = c.kom_device_id AND v.kom_seq = c.kom_seq
        UNION ALL SELECT c.correction_id, v.* FROM c JOIN touched v
            ON v.gick_device_id = c.kom_device_id AND v.gick_seq = c.kom_seq
        UNION ALL SELECT c.correction_id, v.* FROM c JOIN touched v
            ON v.manual_id = c.manual_id AND v.manual_id <> ''),
    first AS MATERIALIZED (SELECT DISTINCT ON (correction_id) * FROM named ORDER BY correction_id, visit_id)
    SELECT v.provider_id, v.visit_id,
           coalesce(date_trunc('minute', c.new_start_at, 'UTC') = date_trunc('minute', p.start_at, 'UTC')
                AND date_trunc('minute', c.new_end_at, 'UTC') = date_trunc('minute', p.end_at, 'UTC'), false)
    FROM first v JOIN c USING (correction_id)
    CROSS JOIN LATERAL (SELECT start_at, end_at, moved FROM planned_visits p WHERE p.planned_id = v.planned_id
                        AND p.provider_id = v.provider_id ORDER BY version DESC LIMIT 1) p
    WHERE p.start_at >= :from_at AND p.start_at < :to_at AND NOT p.moved
    ORDER BY c.made_at, c.correction_id""")
_LATE_TAPS = text("""
    WITH ended AS (SELECT staff_id, max(coalesce(valid_to, 'infinity')) AS last_on FROM employments GROUP BY staff_id
                   HAVING max(coalesce(valid_to, 'infinity')) < :last_on)
    SELECT t.staff_id, min(t.provider_id), count(*) FROM ended JOIN taps t ON t.staff_id = ended.staff_id
    WHERE t.at >= :from_at AND t.at < :to_at AND (t.at AT TIME ZONE :zone)::date > ended.last_on
    GROUP BY t.staff_id""")
_LOOKED_AT = ("implausible_move", "tag_counter_replay", "tag_counter_order")


def load_scene(connection: Connection, month: Month) -> Scene:
    """Everything the rules look at, of one month."""
    from_at, to_at = month_bounds(month)
    bounds = {"from_at": from_at, "to_at": to_at, "first_on": month.first_on}
    staff_months, missed = _staff_months(connection, bounds)
    worked = select(staff_hours.c.staff_id).where(staff_hours.c.worked_on.between(month.first_on, month.last_on))
    return Scene(
        month=month,
        staff_months=staff_months,
        merged=_merged(connection, bounds, missed),
        in_absence=_in_absence(connection, month, bounds),
        declines=_declines(connection, bounds),
        corrections=[CorrectedVisit(*row) for row in connection.execute(_CORRECTED, bounds)],
        devices=load_devices(connection, month),
        lone_tags=load_lone_tags(connection, month),
        late=[
            LatePerson(*row)
            for row in connection.execute(_LATE_TAPS, {**bounds, "last_on": month.last_on, "zone": STOCKHOLM.key})
        ],
        findings=[
            row
            for _, row in findings_store.load(
                connection, findings.c.at >= from_at, findings.c.at < to_at, findings.c.code.in_(_LOOKED_AT)
            )
        ],
        accounts=_accounts(connection, month),
        employments=load_employments(connection),
        worked_staff=frozenset(connection.execute(worked.distinct()).scalars()),
    )


def staff_of_visits(connection: Connection, month: Month, visit_ids: Collection[str]) -> set[str]:
    """Who made these visits of the month."""
    query = select(visits.c.staff_id).where(
        visits.c.month_on == month.first_on, visits.c.visit_id.in_(list(visit_ids)), ~visits.c.ceased
    )
    return set(connection.execute(query.distinct()).scalars())


def _staff_months(connection: Connection, bounds: dict[str, Any]) -> tuple[list[StaffMonth], list[str]]:
    """Sums and hits per provider and staff_id, and the ids of plans that no visit took."""
    found: list[StaffMonth] = []
    missed: list[str] = []
    for provider_id, staff_id, made, planned, complete, *hits, untaken in connection.execute(_STAFF_MONTHS, bounds):
        missed += untaken or ()
        if made:
            as_planned, stated, overlapping = (tuple(ids or ()) for ids in hits)
            found.append(StaffMonth(provider_id, staff_id, made, planned, complete, as_planned, stated, overlapping))
    return found, missed


def _merged(connection: Connection, bounds: dict[str, Any], missed: list[str]) -> list[Hit]:
    rows = connection.execute(_SPANNING, {**bounds, "missed": missed, "longest": _LONGEST})
    return _hits((row[0], row[1]) for row in rows if local_date(row[2]) == local_date(row[3]))


def _in_absence(connection: Connection, month: Month, bounds: dict[str, Any]) -> list[Hit]:
    # the dead stay away for ever, whatever `to_on` says
    lasting = or_(absences.c.to_on.is_(None), absences.c.to_on >= month.first_on, absences.c.kind == "dead")
    query = select(absences).where(absences.c.from_on <= month.last_on, lasting)
    of_client: dict[str, list[Absence]] = defaultdict(list)
    for row in connection.execute(query):
        of_client[row.client_id].append(Absence(row.client_id, row.from_on, row.kind, row.to_on))
    away = [absence for rows in of_client.values() for absence in rows]
    found = connection.execute(
        _OF_ABSENT,
        {
            **bounds,
            "clients": [absence.client_id for absence in away],
            "from_ats": [instant_of(absence.from_on) for absence in away],
            "to_ats": [_until(absence, month) for absence in away],
        },
    )
    return _hits(
        (provider_id, visit_id)
        for provider_id, visit_id, client_id, at in found
        if any(absence.holds_visit_on(local_date(at)) for absence in of_client[client_id])
    )


def _until(absence: Absence, month: Month) -> Any:
    last_on: date = month.last_on if absence.kind == "dead" or absence.to_on is None else absence.to_on
    return instant_of(min(last_on, month.last_on) + timedelta(days=1))


def _hits(rows: Iterable[tuple[str, str]]) -> list[Hit]:
    return [Hit(*row) for row in sorted(set(rows))]


def _declines(connection: Connection, bounds: dict[str, Any]) -> list[DeclinedVisit]:
    """Compensated declines, each with the first unplanned visit after it on its day."""
    query = (
        select(decline_outcomes)
        .where(
            decline_outcomes.c.planned_start_at >= bounds["from_at"],
            decline_outcomes.c.planned_start_at < bounds["to_at"],
            decline_outcomes.c.compensation_minutes > 0,
        )
        .order_by(decline_outcomes.c.decline_id)
    )
    later: dict[str, list[tuple[str, date]]] = defaultdict(list)
    for row in connection.execute(_AFTER_DECLINE, {**bounds, "longest": _LONGEST}):
        later[row.decline_id].append((row.visit_id, local_date(row.at)))
    return [
        DeclinedVisit(
            row.provider_id,
            row.made_up_minutes > 0,
            next((visit for visit, on in later[row.decline_id] if on == local_date(row.planned_start_at)), ""),
        )
        for row in connection.execute(query)
    ]


def _accounts(connection: Connection, month: Month) -> list[AccountSeen]:
    """Reported time is executed and compensated declined time (DOMAIN.md 3)."""
    from_at, to_at = month_bounds(month)
    reported: dict[tuple[str, str], int] = defaultdict(int)
    net = decline_outcomes.c.compensation_minutes - func.least(
        decline_outcomes.c.made_up_minutes, decline_outcomes.c.compensation_minutes
    )
    account = (decline_outcomes.c.client_id, decline_outcomes.c.provider_id)
    in_month = (decline_outcomes.c.planned_start_at >= from_at, decline_outcomes.c.planned_start_at < to_at)
    executed = select(visits.c.client_id, visits.c.provider_id, func.sum(visits.c.minutes)).where(
        visits.c.month_on == month.first_on, visits.c.accepted, ~visits.c.ceased, visits.c.role == "carer",
        visits.c.service.in_(COUNTED_CLASSES),
    )  # fmt: skip
    for query in (
        executed.group_by(visits.c.client_id, visits.c.provider_id),
        select(*account, func.sum(net)).where(*in_month).group_by(*account),
    ):
        for client_id, provider_id, minutes in connection.execute(query):
            reported[client_id, provider_id] += int(minutes)
    return [
        AccountSeen(*account, row.minutes, row.ceiling_minutes, reported[account])
        for account, row in load_ordered(connection, month).items()
    ]
