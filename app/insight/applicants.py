"""Who applies for a quality premium: every provider with what the indicators and warnings follow from. Reads only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from sqlalchemy import Connection, and_, func, or_, select

from app.core.month import Month
from app.facts import Employment
from app.insight.continuity import by_code, window_for
from app.insight.figures_store import load_employments, load_ordered
from app.insight.measure import compute_groups
from app.insight.measures import measure_named
from app.insight.month_visits import carried, load_month_visits
from app.insight.numbers import ratio
from app.insight.premium import Applicant, StaffFigure
from app.insight.staffing import latest_by_staff, latest_in
from app.insight.stays import Stays
from app.insight.store import DatabaseSource
from app.insight.windows import Window
from app.registry.store import load_policy_book
from app.registry.tables import catalogue, employments, providers, staff_hours, units

LONG_WEEK_MINUTES = 48 * 60


@dataclass(frozen=True, slots=True)
class _Month:
    """One month's rows, by provider."""

    month: Month
    carriers: Mapping[str, list[Employment]]
    clients: Mapping[str, set[str]]
    carried: Mapping[str, Mapping[str, int]]
    """Minutes with clients by staff_id."""
    worked: Mapping[tuple[str, str], int]
    """(provider_id, staff_id) -> minutes."""
    ordered: Mapping[str, tuple[int, int]]
    """(minutes, clients)."""
    continuity: Mapping[str, Fraction | None]
    worked_all: Mapping[str, int]
    long_weeks: Mapping[str, int]
    mismatches: Mapping[str, int]


def load_applicants(connection: Connection, month: Month, measure_name: str) -> list[Applicant]:
    """Every provider with a carer or an executed minute in the month, in order of name."""
    rows = _load(connection, month, measure_name)
    names = {row.provider_id: row.name for row in connection.execute(select(providers))}
    total = [sum(column) for column in zip(*rows.ordered.values(), strict=True)] or [0, 0]
    everybody = ratio(total[0], total[1])
    found = [
        _applicant(provider_id, names.get(provider_id) or provider_id, rows, everybody)
        for provider_id in {*rows.carriers, *rows.carried} - {""}
    ]
    return sorted(found, key=lambda applicant: (applicant.name, applicant.provider_id))


def _applicant(provider_id: str, name: str, rows: _Month, everybody: Fraction | None) -> Applicant:
    with_clients = rows.carried.get(provider_id, defaultdict(int))
    members = rows.carriers.get(provider_id, [])
    heads = {row.staff_id for row in latest_in(members, rows.month).values()}
    worked = {row.staff_id: rows.worked.get((provider_id, row.staff_id), 0) for row in members}
    has_hours = any(worked.values())
    staff = [
        StaffFigure(
            row.employment, row.education, worked[row.staff_id] if has_hours else with_clients[row.staff_id],
            with_clients[row.staff_id], row.education_document, row.staff_id in heads,
        )
        for row in latest_by_staff(members, rows.month)
    ]  # fmt: skip
    executed = sum(with_clients.values())
    ordered, ordered_clients = rows.ordered.get(provider_id, (0, 0))
    idle = [row for row in members if row.staff_id in heads and not worked[row.staff_id]]
    return Applicant(
        name=name,
        staff=staff,
        continuity=rows.continuity.get(provider_id),
        clients=len(rows.clients.get(provider_id, ())),
        client_time_share=ratio(executed, rows.worked_all.get(provider_id, 0)),
        executed_share=ratio(executed, ordered),
        leavers_registered=sum(1 for row in idle if not with_clients[row.staff_id]),
        catalogue_mismatches=rows.mismatches.get(provider_id, 0),
        long_weeks=rows.long_weeks.get(provider_id, 0),
        ordered_per_client=ratio(ordered, ordered_clients),
        ordered_per_client_municipality=everybody,
        provider_id=provider_id,
    )


def _load(connection: Connection, month: Month, measure_name: str) -> _Month:
    carriers: dict[str, list[Employment]] = defaultdict(list)
    for row in load_employments(connection):
        if row.role == "carer" and row in latest_by_staff([row], month):
            carriers[row.provider_id].append(row)
    clients: dict[str, set[str]] = defaultdict(set)
    by_provider: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    month_visits = load_month_visits(connection, month)
    by_client, by_staff = carried(month_visits, {})
    for seen in by_client:
        clients[seen.provider_id].add(seen.client_id)
    for by in by_staff:
        by_provider[by.provider_id][by.staff_id] += by.minutes
    ordered: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for (_, provider_id), account in load_ordered(connection, month).items():
        ordered[provider_id][0] += account.minutes
        ordered[provider_id][1] += 1
    worked, worked_all = _worked(connection, month)
    return _Month(
        month, carriers, clients, by_provider, worked,
        {provider_id: (minutes, clients) for provider_id, (minutes, clients) in ordered.items()},
        _continuity(connection, month, measure_name, month_visits.counted), worked_all, _long_weeks(connection, month),
        _catalogue_mismatches(connection),
    )  # fmt: skip


def _worked(connection: Connection, month: Month) -> tuple[dict[tuple[str, str], int], dict[str, int]]:
    keys = (employments.c.provider_id, staff_hours.c.staff_id)
    query = (
        select(*keys, func.sum(staff_hours.c.minutes))
        .join_from(staff_hours, employments, _on_the_day())
        .where(staff_hours.c.worked_on.between(month.first_on, month.last_on))
        .group_by(*keys)
    )
    by_staff = {(provider_id, staff_id): int(minutes) for provider_id, staff_id, minutes in connection.execute(query)}
    whole: dict[str, int] = defaultdict(int)
    for (provider_id, _), minutes in by_staff.items():
        whole[provider_id] += minutes
    return by_staff, whole


def _continuity(connection: Connection, month: Month, measure_name: str, counted: Stays) -> dict[str, Fraction | None]:
    measure = measure_named(measure_name, load_policy_book(connection))
    source = DatabaseSource(connection, read=(Window.of_month(month), counted))
    window: Window = window_for(measure, month, None)
    groups = compute_groups(
        measure, source, window, measure.standing_variants(window.from_on), lambda stays: by_code("provider", stays)
    )
    return {name: measured.mean for name, measured in groups.items()}


def _long_weeks(connection: Connection, month: Month) -> dict[str, int]:
    """Staff-weeks (Monday to Sunday, begun in the month) above 48 hours, of a person at a provider."""
    week = func.date_trunc("week", staff_hours.c.worked_on)
    person = func.coalesce(func.nullif(employments.c.person_key, ""), employments.c.staff_id)
    each = (
        select(employments.c.provider_id, person.label("person"), week.label("week"))
        .join_from(staff_hours, employments, _on_the_day())
        .where(week >= month.first_on, week <= month.last_on, employments.c.role == "carer")
        .group_by(employments.c.provider_id, person, week)
        .having(func.sum(staff_hours.c.minutes) > LONG_WEEK_MINUTES)
        .subquery()
    )
    query = select(each.c.provider_id, func.count()).group_by(each.c.provider_id)
    return {row[0]: int(row[1]) for row in connection.execute(query)}


def _catalogue_mismatches(connection: Connection) -> dict[str, int]:
    """Units whose name or provider differs from the city's catalogue, or that it lacks; none without a catalogue."""
    listed = {row.unit_id: row for row in connection.execute(select(catalogue))}
    if not listed:
        return {}
    found: dict[str, int] = defaultdict(int)
    query = select(units, providers.c.name.label("provider_name")).join_from(units, providers)
    for row in connection.execute(query):
        entry = listed.get(row.unit_id)
        if entry is None or entry.name != row.name or _differs(entry.provider_name, row.provider_name):
            found[row.provider_id] += 1
    return found


def _differs(stated: str, known: str) -> bool:
    return bool(stated) and stated != known


def _on_the_day() -> Any:
    return and_(
        employments.c.staff_id == staff_hours.c.staff_id,
        employments.c.valid_from <= staff_hours.c.worked_on,
        or_(employments.c.valid_to.is_(None), employments.c.valid_to >= staff_hours.c.worked_on),
    )


def applicant_named(applicants: Iterable[Applicant], provider_id: str) -> Applicant | None:
    """The provider's own."""
    return next((applicant for applicant in applicants if applicant.provider_id == provider_id), None)
