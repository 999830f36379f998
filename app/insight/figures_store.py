"""What quality, premium and shadow runs ask the database. Reads only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from app.core.localtime import STOCKHOLM, month_bounds
from app.core.month import Month
from app.evidence.store import is_current
from app.evidence.tables import resolutions
from app.facts import Absence, Employment, Order
from app.findings.tables import findings
from app.insight.month_visits import carried, load_month_visits, planned_starts
from app.insight.quality import Ordered, QualityFacts, Resolved, Worked
from app.insight.scope import EVERYTHING, Scope
from app.insight.shadow_rows import Account, Declined, Done, ShadowFacts
from app.insight.staffing import latest_by_staff
from app.insight.stays import microseconds
from app.insight.store import load_districts, load_operations, load_stays
from app.insight.visit_times import between_visits, start_spreads
from app.insight.windows import Window
from app.months.rules.ordered_time import ceiling, ordered_time
from app.registry.store import load_policy_book
from app.registry.tables import (
    absences,
    employments,
    order_services,
    orders,
    providers,
    services_done,
    staff_hours,
    units,
)
from app.visits.tables import decline_outcomes

SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class OrderedMonth:
    """An account's ordered time: minutes, ceiling, and the unit of the order on its last day in the month."""

    minutes: int
    ceiling_minutes: int
    unit_id: str


def load_quality(connection: Connection, month: Month, scope: Scope = EVERYTHING) -> QualityFacts:
    """Everything the figures of a month follow from; a provider's own for a provider."""
    window = Window.of_month(month)
    everybody = load_employments(connection, scope)
    unit_of = {row.staff_id: row.unit_id for row in latest_by_staff(everybody, month)}
    ordered = load_ordered(connection, month, scope)
    districts, seen = load_districts(connection, window), load_month_visits(connection, month, scope)
    carried_to, carried_by = carried(seen, districts)
    return QualityFacts(
        month=month,
        employments=everybody,
        carried=carried_to,
        carried_by=carried_by,
        worked=_worked(connection, month, scope),
        ordered=[Ordered(client, provider, row.unit_id, row.minutes) for (client, provider), row in ordered.items()],
        resolved=_resolved(connection, month, unit_of, scope),
        spreads=start_spreads(planned_starts(connection, month, seen), window),
        between=between_visits(seen.stays, window),
        districts=districts,
        operations=load_operations(connection),
        names=load_names(connection),
    )


def load_shadow(connection: Connection, month: Month) -> ShadowFacts:
    """Everything the quantities of a month's shadow run follow from."""
    from_at, to_at = month_bounds(month)
    window = Window.of_month(month)
    policy = load_policy_book(connection).on(month.first_on)
    outcomes = select(decline_outcomes).where(
        decline_outcomes.c.planned_start_at >= from_at, decline_outcomes.c.planned_start_at < to_at
    )
    # by local week, as the run counts: a city's month is 400,000 times somebody did something
    kinds = (services_done.c.client_id, services_done.c.provider_id, services_done.c.care_service)
    done = (
        select(
            *kinds, func.min(services_done.c.done_at).label("first_at"), func.sum(services_done.c.count).label("times")
        )
        .where(services_done.c.done_at >= from_at, services_done.c.done_at < to_at)
        .group_by(*kinds, func.date_trunc("week", services_done.c.done_at, STOCKHOLM.key))
    )
    granted = (
        select(
            orders.c.client_id, orders.c.provider_id, order_services.c.care_service, order_services.c.standard_minutes
        )
        .join_from(orders, order_services, orders.c.order_id == order_services.c.order_id)
        .where(_ordered_in(month), order_services.c.standard_minutes.is_not(None))
        .order_by(orders.c.valid_from, orders.c.order_id)
    )
    return ShadowFacts(
        month=month,
        stays=load_stays(connection, window),
        night_from=policy.night_from,
        night_to=policy.night_to,
        ordered={
            account: (row.minutes, row.ceiling_minutes) for account, row in load_ordered(connection, month).items()
        },
        declined=[
            Declined(
                row.client_id, row.provider_id, row.notice, microseconds(row.planned_start_at),
                max(row.planned_minutes - row.executed_minutes, 0),
            )
            for row in connection.execute(outcomes)
        ],
        done=[
            Done(row.client_id, row.provider_id, microseconds(row.first_at), row.care_service, row.times)
            for row in connection.execute(done)
        ],
        standard_minutes={
            (row.client_id, row.provider_id, row.care_service): row.standard_minutes
            for row in connection.execute(granted)
        },
        operations=load_operations(connection),
    )  # fmt: skip


def load_employments(connection: Connection, scope: Scope = EVERYTHING) -> list[Employment]:
    """Every employment there is, the provider's own for a provider."""
    return [
        Employment(
            row.staff_id, row.valid_from, row.valid_to, row.person_key, row.unit_id, row.provider_id, row.name,
            row.employment, row.education, row.education_document, row.in_training, row.role,
        )
        for row in connection.execute(select(employments).where(*scope.provider(employments.c.provider_id)))
    ]  # fmt: skip


def load_ordered(connection: Connection, month: Month, scope: Scope = EVERYTHING) -> dict[Account, OrderedMonth]:
    """Ordered time of every account with an order day in the month."""
    policy = load_policy_book(connection).on(month.first_on)
    away: dict[str, list[Absence]] = defaultdict(list)
    for row in connection.execute(select(absences).where(absences.c.from_on <= month.last_on)):
        away[row.client_id].append(Absence(row.client_id, row.from_on, row.kind, row.to_on))
    of_account: dict[Account, list[Order]] = defaultdict(list)
    listed = select(orders).where(_ordered_in(month), *scope.orders()).order_by(orders.c.valid_from, orders.c.order_id)
    for row in connection.execute(listed):
        of_account[row.client_id, row.provider_id].append(
            Order(
                row.order_id, row.client_id, row.provider_id, row.unit_id or "", row.district, row.valid_from,
                row.valid_to, row.minutes_per_month, row.minutes_per_day,
            )
        )  # fmt: skip
    found = {}
    for (client_id, provider_id), rows in of_account.items():
        minutes = ordered_time(rows, away[client_id], month, policy).minutes
        last = max(rows, key=lambda order: (min(order.valid_to or month.last_on, month.last_on), order.order_id))
        found[client_id, provider_id] = OrderedMonth(minutes, ceiling(minutes, policy), last.unit_id)
    return found


def _worked(connection: Connection, month: Month, scope: Scope) -> list[Worked]:
    keys = (employments.c.unit_id, employments.c.provider_id, employments.c.role, employments.c.employment)
    on_the_day = and_(
        employments.c.staff_id == staff_hours.c.staff_id,
        employments.c.valid_from <= staff_hours.c.worked_on,
        or_(employments.c.valid_to.is_(None), employments.c.valid_to >= staff_hours.c.worked_on),
    )
    query = (
        select(*keys, func.sum(staff_hours.c.minutes))
        .join_from(staff_hours, employments, on_the_day)
        .where(
            staff_hours.c.worked_on.between(month.first_on, month.last_on), *scope.provider(employments.c.provider_id)
        )
        .group_by(*keys)
    )
    return [Worked(*row) for row in connection.execute(query)]


def _resolved(connection: Connection, month: Month, unit_of: Mapping[str, str], scope: Scope) -> Iterable[Resolved]:
    from_at, to_at = month_bounds(month)
    query = (
        select(findings.c.provider_id, findings.c.staff_id, findings.c.at, resolutions.c.resolved_at)
        .join_from(findings, resolutions, findings.c.finding_id == resolutions.c.finding_id)
        .where(findings.c.at >= from_at, findings.c.at < to_at, is_current(resolutions), *scope.care(findings.c))
    )
    return [
        Resolved(row.provider_id, unit_of.get(row.staff_id, ""), max((row.resolved_at - row.at) // SECOND, 0))
        for row in connection.execute(query)
    ]


def load_names(connection: Connection) -> dict[tuple[str, str], str]:
    """(level, id) -> name, of providers and units."""
    return {
        **{("provider", row.provider_id): row.name for row in connection.execute(select(providers))},
        **{("unit", row.unit_id): row.name for row in connection.execute(select(units))},
    }


def _ordered_in(month: Month) -> ColumnElement[bool]:
    return and_(
        orders.c.valid_from <= month.last_on, or_(orders.c.valid_to.is_(None), orders.c.valid_to >= month.first_on)
    )
