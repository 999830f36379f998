"""POST /shifts, GET /me/today, GET /me/visits: what a carer's phone asks for (EVIDENCE.md 3)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import Field
from sqlalchemy import ColumnElement, Connection, Table, select
from starlette.responses import Response

from app import pipeline_office
from app.access.filters import of_provider, of_staff
from app.access.principals import Principal, caller_of
from app.api.access import Access, access, reading
from app.api.paging import (
    Answered,
    Cursor,
    Limit,
    PageOf,
    When,
    cursor_of,
    instant_given,
    json_answer,
    listed,
    page,
    place_of,
    polled,
    problems,
)
from app.api.said import Ident, Stating, speaker
from app.api.visits import COLUMNS, VisitBody, body_of
from app.core.clock import utc_now
from app.core.localtime import day_bounds, format_instant, local_date
from app.evidence.store import Wanted, load_planned_visits
from app.refusals import Conflict, NotFound, Refused
from app.registry.tables import clients, contacts, devices
from app.visits import listing
from app.visits.listing import Asked, Place

router = APIRouter(prefix="/api/v1", tags=["phones"])

_SHIFT = Access(frozenset({"carer"}), tenant="own")
_TODAY = Access(frozenset({"carer"}), tenant="own", reads="own_day")
_OWN = Access(frozenset({"carer"}), tenant="own", reads="own_visits")


class NoEmployment(Refused):
    """Choose the employment of this shift first."""

    code = "no_employment"


class ShiftBody(Stating):
    """Which device she carries, and for how long at most."""

    device_id: Ident
    hours: Annotated[int, Field(ge=1, le=14)] = 14


class ShiftShown(Answered):
    """The grant: `jws` is what the phone keeps; its taps name `grant_id`."""

    grant_id: str
    staff_id: str
    device_id: str
    issued_at: datetime
    expires_at: datetime
    jws: str


class TodayVisit(Answered):
    """A visit planned for her today. Name and address are empty for protected identity unless she is its contact."""

    planned_id: str
    client_id: str
    name: str
    address: str
    entry_note: str
    start_at: datetime
    end_at: datetime
    service: str
    staff_count: int


class TodayBody(Answered):
    """Her day: what is planned, and what she has registered."""

    day: str
    staff_id: str
    planned: list[TodayVisit]
    visits: list[VisitBody]


@router.post("/shifts", status_code=201, responses=problems(404, 409))
def post_shift(request: Request, principal: Annotated[Principal, access(_SHIFT)], body: ShiftBody) -> ShiftShown:
    """Begin a shift on a device of the own provider; the grant lets it tap for her, offline, 14 hours at most."""
    staff_id, now = _staff(principal), utc_now()
    database = request.app.state.database
    with database.transaction(caller_of(principal), read_only=True) as connection:
        query = select(devices.c.revoked_at).where(
            devices.c.device_id == body.device_id, of_provider(principal, devices.c.provider_id)
        )
        device = connection.execute(query).first()
    if device is None:
        raise NotFound
    if device.revoked_at is not None:
        raise Conflict
    lasts = timedelta(hours=body.hours)
    grant = pipeline_office.start_shift(database, speaker(request, principal), body.device_id, lasts, now)
    return ShiftShown(
        grant_id=grant.grant_id, staff_id=staff_id, device_id=grant.device_id, issued_at=grant.issued_at,
        expires_at=grant.expires_at, jws=grant.jws,
    )  # fmt: skip


@router.get("/me/today", response_model=TodayBody, responses=polled(409))
def get_today(request: Request, principal: Annotated[Principal, access(_TODAY)]) -> Response:
    """The local day of now: her plan with where to go, and her own visits."""
    staff_id, now = _staff(principal), utc_now()
    first, after = day_bounds(local_date(now))
    with reading(request, principal) as read:
        wanted = Wanted(staff=[staff_id], providers=[principal.provider_id], from_at=first, to_at=after)
        plans = [plan for plan in load_planned_visits(read.connection, wanted) if plan.withdrawn_at is None]
        known = _clients(read.connection, {plan.client_id for plan in plans}, staff_id, now)
        own = listing.load_page(read.connection, _asked(principal, now, first, after), 200)
        read.saw({plan.client_id for plan in plans} | {one.visit.client_id for one in own})
    planned = [
        {
            "planned_id": plan.planned_id, "client_id": plan.client_id,
            **known.get(plan.client_id, {"name": "", "address": "", "entry_note": ""}),
            "start_at": format_instant(plan.start_at), "end_at": format_instant(plan.end_at),
            "service": plan.service, "staff_count": plan.staff_count,
        }
        for plan in plans
    ]  # fmt: skip
    body = {
        "day": str(local_date(now)), "staff_id": staff_id, "planned": planned,
        "visits": [body_of(one, now) for one in own],
    }  # fmt: skip
    return json_answer(request, body)


@router.get("/me/visits", response_model=PageOf[VisitBody], responses=listed(409))
def get_own_visits(
    request: Request,
    principal: Annotated[Principal, access(_OWN)],
    *,
    from_: Annotated[When, Query(alias="from")] = "",
    to: When = "",
    limit: Limit = 200,
    cursor: Cursor = "",
) -> Response:
    """Her own visits by start, else end, in [from, to)."""
    _staff(principal)
    now = utc_now()
    wanted = _asked(principal, now, instant_given(from_), instant_given(to))
    place = place_of(cursor, datetime, str)
    with reading(request, principal) as read:
        found = listing.load_page(read.connection, wanted, limit + 1, Place(*place) if place else None)
        shown = found[:limit]
        read.saw(one.visit.client_id for one in shown)
    following = listing.place_of(wanted, shown[-1]) if len(found) > limit else None
    return page(request, [body_of(one, now) for one in shown], cursor_of(*following) if following else None, COLUMNS)


def _staff(principal: Principal) -> str:
    if not principal.staff_id:
        raise NoEmployment
    return principal.staff_id


def _asked(principal: Principal, now: datetime, from_at: datetime | None, to_at: datetime | None) -> Asked:
    def walls(table: Table) -> tuple[ColumnElement[bool], ...]:
        return of_provider(principal, table.c.provider_id), of_staff(principal, table.c.staff_id)

    return Asked(now, from_at, to_at, staff_id=principal.staff_id, seen_in=walls)


def _clients(connection: Connection, client_ids: set[str], staff_id: str, now: datetime) -> dict[str, dict[str, Any]]:
    """Where her clients live; of those with protected identity only for whom she is contact."""
    today, c = local_date(now), contacts.c
    named = select(c.client_id).where(
        c.staff_id == staff_id, c.valid_from <= today, (c.valid_to.is_(None)) | (c.valid_to >= today)
    )
    seen = clients.c.client_id.in_(sorted(client_ids)) & (
        clients.c.protected_identity.is_(False) | clients.c.client_id.in_(named)
    )
    rows = connection.execute(
        select(clients.c.client_id, clients.c.name, clients.c.address, clients.c.entry_note).where(seen)
    )
    return {row.client_id: {"name": row.name, "address": row.address, "entry_note": row.entry_note} for row in rows}
