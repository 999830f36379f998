"""What the doors' own wall asks the database: whose clients a caller may know (EVIDENCE.md section 4)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, select, union

from app.access.filters import of_clients, visits_since
from app.access.principals import Principal
from app.core.localtime import instant_of
from app.refusals import NotFound
from app.registry.tables import clients, devices, employments, orders
from app.visits.tables import visits


def clients_of_district(principal: Principal) -> Select[Any]:
    """The clients with an order of the commissioner's own district, at any time."""
    return select(orders.c.client_id).where(orders.c.district == principal.district)


def known_clients(principal: Principal, now: datetime) -> Select[Any]:
    """The clients a provider or district may know: by an order, a provider also by an own visit of the last 90 days."""
    if principal.district:
        return clients_of_district(principal)
    since = visits_since(now)
    by_visit = select(visits.c.client_id).where(
        visits.c.provider_id == principal.provider_id,
        visits.c.at >= instant_of(since),
        visits.c.month_on >= since.replace(day=1),
    )
    by_order = select(orders.c.client_id).where(orders.c.provider_id == principal.provider_id)
    both = union(by_order, by_visit).subquery()
    return select(both.c.client_id)


def require_clients(connection: Connection, principal: Principal, client_ids: set[str], now: datetime) -> None:
    """NotFound unless every client exists and the caller may know it."""
    seen = of_clients(principal, clients.c.client_id, known_clients(principal, now))
    query = select(clients.c.client_id).where(clients.c.client_id.in_(sorted(client_ids)), seen)
    if set(connection.execute(query).scalars()) != client_ids:
        raise NotFound


def require_staff(connection: Connection, principal: Principal, staff_ids: set[str]) -> None:
    """NotFound unless every staff_id is known, and the caller's own where it is a provider."""
    query = select(employments.c.staff_id).where(employments.c.staff_id.in_(sorted(staff_ids)))
    if principal.provider_id:
        query = query.where(employments.c.provider_id == principal.provider_id)
    if set(connection.execute(query).scalars()) != staff_ids:
        raise NotFound


def require_device(connection: Connection, principal: Principal, device_id: str) -> str:
    """NotFound unless the device is known, and the caller's own; whose it is (empty: no provider's)."""
    query = select(devices.c.provider_id).where(devices.c.device_id == device_id)
    if principal.provider_id:
        query = query.where(devices.c.provider_id == principal.provider_id)
    row = connection.execute(query).first()
    if row is None:
        raise NotFound
    return row.provider_id or ""
