"""GET /clients, /staff, /orders, /tags, /devices: who and what exists, with validity; each caller its own part.

A client with protected identity is a number: name, address and what leads there only to the staff named as contacts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from sqlalchemy import ColumnElement, Connection, Table, or_, select, tuple_
from starlette.responses import Response

from app.access.filters import of_clients, of_district, of_provider, of_units
from app.access.principals import Principal
from app.api.access import Access, access, reading
from app.api.paging import Answered, Cursor, Limit, PageOf, Word, cursor_of, day_given, listed, page, place_of
from app.api.walls import known_clients
from app.core.clock import utc_now
from app.core.localtime import local_date
from app.registry.tables import clients, contacts, devices, employments, orders, tags

router = APIRouter(prefix="/api/v1", tags=["registry"])

_OFFICE = frozenset({"scheduler", "manager", "city_controller", "auditor", "scheduling", "registry"})
_CLIENTS = Access(_OFFICE | {"commissioner"}, tenant="district", reads="clients")
_ORDERS = Access(_OFFICE | {"commissioner", "provider_finance"}, tenant="district", reads="orders")
_TAGS = Access(_OFFICE, tenant="own_provider", reads="tags")
_STAFF = Access(_OFFICE, tenant="own_provider", reads="staff")
_DEVICES = Access(_OFFICE, tenant="own_provider")

OnDay = Annotated[str, Query(max_length=10, description="Only what is valid on this local day")]


class ClientBody(Answered):
    """A client. With protected identity the fields that lead to the person are empty."""

    client_id: str
    name: str
    birth_date: date | None
    site_id: str
    address: str
    entry_note: str
    protected_identity: bool
    target_group: str


class StaffBody(Answered):
    """An employment from a date; the same staff_id may have several."""

    staff_id: str
    valid_from: date
    valid_to: date | None
    person_key: str
    unit_id: str
    provider_id: str
    name: str
    employment: str
    education: str
    education_document: bool
    in_training: bool
    role: str


class OrderBody(Answered):
    """An order: minutes a month or a day, never both."""

    order_id: str
    client_id: str
    provider_id: str
    unit_id: str | None
    district: str
    valid_from: date
    valid_to: date | None
    minutes_per_month: int | None
    minutes_per_day: int | None
    max_staff: int
    service: str
    cost_code: str


class TagBody(Answered):
    """A tag at a client from an instant to an instant; several clients with one uid and time are a household."""

    tag_uid: str
    client_id: str
    valid_from_at: datetime
    valid_to_at: datetime | None
    kind: Literal["uid", "sun"]


class DeviceBody(Answered):
    """A phone or reader."""

    device_id: str
    provider_id: str | None
    kind: str
    enrolled_at: datetime | None
    revoked_at: datetime | None
    replaces: str


@dataclass(frozen=True, slots=True)
class _Listed:
    """How a table is listed: its columns, and the key its pages go on from with its kinds."""

    table: Table
    body: type[Answered]
    key: tuple[str, ...]
    kinds: tuple[type[Any], ...]


_LIST_OF_CLIENTS = _Listed(clients, ClientBody, ("client_id",), (str,))
_LIST_OF_STAFF = _Listed(employments, StaffBody, ("staff_id", "valid_from"), (str, str))
_LIST_OF_ORDERS = _Listed(orders, OrderBody, ("order_id",), (str,))
_LIST_OF_TAGS = _Listed(tags, TagBody, ("tag_uid", "client_id", "valid_from_at"), (str, str, datetime))
_LIST_OF_DEVICES = _Listed(devices, DeviceBody, ("device_id",), (str,))


@router.get("/clients", response_model=PageOf[ClientBody], responses=listed())
def get_clients(
    request: Request,
    principal: Annotated[Principal, access(_CLIENTS)],
    *,
    client: Word = "",
    limit: Limit = 200,
    cursor: Cursor = "",
) -> Response:
    """Clients: a provider's by an order or an own visit of the last 90 days, a commissioner's of the own district."""
    now = utc_now()
    seen = of_clients(principal, clients.c.client_id, known_clients(principal, now))
    conditions = [seen, *([clients.c.client_id == client] if client else [])]
    with reading(request, principal) as read:
        rows, following = _page(read.connection, _LIST_OF_CLIENTS, conditions, limit, cursor)
        named = _named_to(read.connection, principal, now) if principal.staff_id else frozenset()
        read.saw(row["client_id"] for row in rows)
    shown = [row if not row["protected_identity"] or row["client_id"] in named else _hidden(row) for row in rows]
    return page(request, shown, following, tuple(ClientBody.model_fields))


@router.get("/staff", response_model=PageOf[StaffBody], responses=listed())
def get_staff(
    request: Request,
    principal: Annotated[Principal, access(_STAFF)],
    *,
    staff: Word = "",
    unit: Word = "",
    on: OnDay = "",
    limit: Limit = 200,
    cursor: Cursor = "",
) -> Response:
    """Employments, of the own provider. To the city's people without names: those open on a questioned visit."""
    c = employments.c
    conditions = [of_provider(principal, c.provider_id), of_units(principal, c.unit_id), *_valid(employments, on)]
    conditions += [column == value for column, value in ((c.staff_id, staff), (c.unit_id, unit)) if value]
    with reading(request, principal) as read:
        rows, following = _page(read.connection, _LIST_OF_STAFF, conditions, limit, cursor)
        read.saw(row["staff_id"] for row in rows)
    if principal.kind == "person" and not principal.provider_id:
        rows = [{**row, "name": ""} for row in rows]
    return page(request, rows, following, tuple(StaffBody.model_fields))


@router.get("/orders", response_model=PageOf[OrderBody], responses=listed())
def get_orders(
    request: Request,
    principal: Annotated[Principal, access(_ORDERS)],
    *,
    client: Word = "",
    provider: Word = "",
    on: OnDay = "",
    limit: Limit = 200,
    cursor: Cursor = "",
) -> Response:
    """Orders: a provider's own, a commissioner's of the own district."""
    c = orders.c
    conditions = [of_provider(principal, c.provider_id), of_district(principal, c.district), *_valid(orders, on)]
    conditions += [column == value for column, value in ((c.client_id, client), (c.provider_id, provider)) if value]
    with reading(request, principal) as read:
        rows, following = _page(read.connection, _LIST_OF_ORDERS, conditions, limit, cursor)
        read.saw(row["client_id"] for row in rows)
    return page(request, rows, following, tuple(OrderBody.model_fields))


@router.get("/tags", response_model=PageOf[TagBody], responses=listed())
def get_tags(
    request: Request,
    principal: Annotated[Principal, access(_TAGS)],
    *,
    client: Word = "",
    tag: Word = "",
    limit: Limit = 200,
    cursor: Cursor = "",
) -> Response:
    """Tags of the clients the caller may know."""
    c = tags.c
    conditions: list[ColumnElement[bool]] = [of_clients(principal, c.client_id, known_clients(principal, utc_now()))]
    conditions += [column == value for column, value in ((c.client_id, client), (c.tag_uid, tag)) if value]
    with reading(request, principal) as read:
        rows, following = _page(read.connection, _LIST_OF_TAGS, conditions, limit, cursor)
        read.saw(row["client_id"] for row in rows)
    return page(request, rows, following, tuple(TagBody.model_fields))


@router.get("/devices", response_model=PageOf[DeviceBody], responses=listed())
def get_devices(
    request: Request,
    principal: Annotated[Principal, access(_DEVICES)],
    *,
    device: Word = "",
    limit: Limit = 200,
    cursor: Cursor = "",
) -> Response:
    """Devices of the own provider, revoked ones too."""
    c = devices.c
    conditions = [of_provider(principal, c.provider_id), *([c.device_id == device] if device else [])]
    with reading(request, principal) as read:
        rows, following = _page(read.connection, _LIST_OF_DEVICES, conditions, limit, cursor)
    return page(request, rows, following, tuple(DeviceBody.model_fields))


def _page(
    connection: Connection, wanted: _Listed, conditions: Sequence[ColumnElement[bool]], limit: int, cursor: str
) -> tuple[list[dict[str, Any]], str | None]:
    """At most `limit` rows after the cursor by key, and the next cursor."""
    place = place_of(cursor, *wanted.kinds)
    key = tuple_(*(wanted.table.c[name] for name in wanted.key))
    query = select(*(wanted.table.c[name] for name in wanted.body.model_fields)).where(*conditions)
    if place is not None:
        parts = [
            day_given(part) if name == "valid_from" else part for name, part in zip(wanted.key, place, strict=True)
        ]
        query = query.where(key > tuple_(*parts))
    rows = connection.execute(query.order_by(*(wanted.table.c[name] for name in wanted.key)).limit(limit + 1)).all()
    shown = [dict(row._mapping) for row in rows[:limit]]
    if len(rows) <= limit:
        return shown, None
    last = [shown[-1][name] for name in wanted.key]
    return shown, cursor_of(*(part.isoformat() if type(part) is date else part for part in last))


def _valid(table: Table, on: str) -> list[ColumnElement[bool]]:
    if not on:
        return []
    day = day_given(on)
    return [table.c.valid_from <= day, or_(table.c.valid_to.is_(None), table.c.valid_to >= day)]


def _named_to(connection: Connection, principal: Principal, now: datetime) -> frozenset[str]:
    """The clients who have the caller as contact today."""
    today, c = local_date(now), contacts.c
    query = select(c.client_id).where(
        c.staff_id == principal.staff_id, c.valid_from <= today, or_(c.valid_to.is_(None), c.valid_to >= today)
    )
    return frozenset(connection.execute(query).scalars())


def _hidden(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "name": "", "birth_date": None, "site_id": "", "address": "", "entry_note": ""}
