"""What an imported bundle touches, as changes to derive; or that so much changed that everything is derived again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, select

from app.core.localtime import day_bounds, instant_of, month_bounds
from app.core.month import Month
from app.evidence.imports import Touched
from app.evidence.store import among, count_taps
from app.registry.tables import orders, providers, tags
from app.visits.flow import resolve
from app.visits.queue import Change
from app.visits.stated import attested

MANY = 4000
"""Up to so many changed things each is asked for, however little is stored."""
TAPS_A_CHANGE = 200
"""Deriving one changed thing again costs what a rebuild, which reads everything once in order, spends on so many taps
(measured)."""
_DAY = timedelta(days=1)


def changes_of(connection: Connection, touched: Touched) -> list[Change] | None:
    """The changes to queue; None when everything must be derived again (a policy, or very many things)."""
    if touched.policies:
        return None
    found = list(dict.fromkeys(_changes(connection, touched)))
    if len(found) > MANY and len(found) * TAPS_A_CHANGE > count_taps(connection):
        return None
    return found


def _changes(connection: Connection, touched: Touched) -> Iterator[Change]:
    for staff_id, (first_at, last_at) in touched.taps.items():
        yield Change("staff", staff_id, first_at, last_at)
    yield from (Change("device", one) for one in touched.values("devices.csv", "device_id"))
    yield from (Change("tag", one) for one in touched.values("tags.csv", "tag_uid"))
    yield from (Change("person", one) for one in touched.values("staff.csv", "staff_id"))
    for file in ("providers.csv", "units.csv"):
        yield from (Change("provider", one) for one in touched.values(file, "provider_id"))
    # A name alone changes nothing, an operation every price: the row does not say which it was.
    yield from (Change("accounts", one) for one in touched.values("providers.csv", "provider_id"))
    yield from _of_prices(connection, touched)
    for provider_id, from_at, to_at in touched.rows.get("outages.csv", ()):
        yield Change("provider", provider_id or "", from_at, to_at)
    yield from _of_clients(connection, touched)
    yield from _of_statements(connection, touched)


def _of_prices(connection: Connection, touched: Touched) -> Iterator[Change]:
    """All accounts of the operation's providers from the price's first day on."""
    since: dict[str, date] = {}
    for operation, _, valid_from in touched.rows.get("prices.csv", ()):
        since[operation] = min(since.get(operation, valid_from), valid_from)
    if since:
        for row in connection.execute(select(providers.c.provider_id, providers.c.operation)):
            if row.operation in since:
                yield Change("accounts", row.provider_id, instant_of(since[row.operation]))


def _of_clients(connection: Connection, touched: Touched) -> Iterator[Change]:
    sites = touched.values("clients.csv", "client_id")
    if sites:
        held = connection.execute(select(tags.c.tag_uid).where(among(tags.c.client_id, sites)).distinct()).scalars()
        yield from (Change("tag", uid) for uid in held)
        yield from (Change("household", client_id) for client_id in sites)
    for file in ("tag_refusals.csv", "absences.csv"):
        yield from (Change("household", one) for one in touched.values(file, "client_id"))
    yield from (Change("household", one) for one in touched.values("orders.csv", "client_id"))
    yield from (Change("account", one) for one in touched.values("services_done.csv", "client_id"))
    order_ids = touched.values("order_services.csv", "order_id")
    if order_ids:
        rows = connection.execute(select(orders.c.client_id).where(among(orders.c.order_id, order_ids))).scalars()
        yield from (Change("household", client_id) for client_id in rows)


def _of_statements(connection: Connection, touched: Touched) -> Iterator[Change]:
    for client_id, _, month in touched.rows.get("planned_visits.csv", ()):
        yield Change("client", client_id, *month_bounds(Month.parse(month)))
    for client_id, provider_id, planned_at in touched.rows.get("declines.csv", ()):
        yield Change("client", client_id, planned_at - _DAY, planned_at + _DAY)
        yield _account(client_id, provider_id, planned_at)
    for row in touched.rows.get("manual_visits.csv", ()):
        yield Change("manual", row[-1])
    yield from (Change("correction", one) for one in touched.values("corrections.csv", "correction_id"))
    for client_id, on in touched.rows.get("disputes.csv", ()):
        yield Change("client", client_id, *day_bounds(on))
    for client_id, provider_id, month in touched.rows.get("excess_reasons.csv", ()):
        yield _account(client_id, provider_id, instant_of(Month.parse(str(month)).first_on))
    for provider_id, month in touched.rows.get("attests.csv", ()):
        yield attested(provider_id, Month.parse(str(month)))
    for (month,) in touched.rows.get("closes.csv", ()):
        for provider_id in connection.execute(select(providers.c.provider_id)).scalars():
            yield attested(provider_id, Month.parse(str(month)))
    yield from resolve(connection, sorted(touched.values("resolutions.csv", "finding_id")))


def _account(client_id: str, provider_id: str, at: datetime) -> Change:
    """The account of the month of an instant, and the next one, into which it may be carried."""
    return Change("account", client_id, at, at + timedelta(days=32), provider_id)
