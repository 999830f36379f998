"""GET /visits, /visits/open, /visits/{visit_id}: what happened, for schedulers and offices (CONTRACT.md 3, 5)."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from sqlalchemy import ColumnElement, Connection, Table, select
from starlette.responses import Response

from app.access.filters import of_clients, of_provider, of_units
from app.access.principals import Principal
from app.api.access import Access, access, reading
from app.api.findings import FindingBody
from app.api.paging import (
    Answered,
    Cursor,
    Limit,
    PageOf,
    When,
    Word,
    cursor_of,
    instant_given,
    json_answer,
    listed,
    page,
    place_of,
    polled,
)
from app.api.walls import clients_of_district
from app.core.clock import utc_now
from app.core.localtime import format_instant, local_date
from app.evidence.store import load_disputes
from app.facts import Visit
from app.office.tables import questions
from app.refusals import NotFound
from app.registry.store import load_policy_book
from app.visits import findings_shown, listing
from app.visits.detail import history_of, names_of, open_visits, taps_of
from app.visits.listing import Asked, Listed, Place
from app.visits.presented import visit_fields
from app.visits.tables import visits

router = APIRouter(prefix="/api/v1/visits", tags=["visits"])

_ROLES = frozenset({"scheduler", "manager", "commissioner", "city_controller", "auditor", "scheduling"})
_READ = Access(_ROLES, tenant="district", reads="visits")

Status = Literal["", "open", "complete", "incomplete", "declined", "cancelled"]


class TapPlace(Answered):
    """An end's own tap, at its own stamp."""

    device_id: str
    seq: int
    at: datetime


class VisitBody(Answered):
    """One staff member's stay at one client. `minutes` executed whole minutes; `held`: outside what is paid for now.

    `changed_at`: when the row last changed; poll with `changed_since` a minute before the latest one seen.
    """

    visit_id: str
    manual_id: str | None
    client_id: str
    provider_id: str
    unit_id: str
    staff_id: str
    start_at: datetime | None
    end_at: datetime | None
    minutes: int
    status: Literal["open", "complete", "incomplete", "declined", "cancelled"]
    held: bool
    source: Literal["taps", "manual", "corrected"]
    grade: Literal["A", "B", "C", "D"]
    service: str
    planned_id: str | None
    replaced_by: str | None
    findings: list[str]
    kom: TapPlace | None
    gick: TapPlace | None
    changed_at: datetime


class TapBody(Answered):
    """A tap as received: `tapped_at` is the device's claim, `at` the stamp that counts."""

    device_id: str
    seq: int
    act: Literal["KOM", "GICK", "AUTO"]
    tag_uid: str
    staff_id: str
    tapped_at: datetime
    at: datetime
    received_at: datetime
    grade: Literal["A", "B", "C", "D"]
    doubts: list[str]
    service: str | None


class HistoryBody(Answered):
    """One thing that a person stated about the visit, in the order in which it applies."""

    at: datetime
    kind: str
    id: str
    by: str
    approved_by: str | None
    reason: str
    note: str
    stated: dict[str, str]


class VisitDetail(VisitBody):
    """The visit with its taps, the findings about it, and what people have stated.

    `staff_name`: to the own provider; to the city only where a question or a dispute is about the visit.
    """

    staff_name: str | None
    taps: list[TapBody]
    finding_details: list[FindingBody]
    history: list[HistoryBody]


class OpenVisit(Answered):
    """A visit that is going on. `staff_name` only for the own provider."""

    visit_id: str
    provider_id: str
    unit_id: str
    staff_id: str
    staff_name: str | None
    service: str
    start_at: datetime
    open_until_at: datetime


class OpenAt(Answered):
    """A client with the visits that are going on there."""

    client_id: str
    visits: list[OpenVisit]


COLUMNS = tuple(VisitBody.model_fields)


@router.get("", response_model=PageOf[VisitBody], responses=listed())
def get_visits(
    request: Request,
    principal: Annotated[Principal, access(_READ)],
    *,
    from_: Annotated[When, Query(alias="from")] = "",
    to: When = "",
    client: Word = "",
    staff: Word = "",
    provider: Word = "",
    unit: Word = "",
    status: Status = "",
    changed_since: When = "",
    limit: Limit = 200,
    cursor: Cursor = "",
) -> Response:
    """Visits by start, else end, in [from, to); with `changed_since` by time of change, and those that ceased to exist.

    A visit that ceased is `cancelled` with `replaced_by`; one that is another provider's, unit's, staff member's or
    client's now is `cancelled` to those who asked by what it was. `Accept: text/csv` gives the same rows, the next
    cursor in the header X-Next-Cursor.
    """
    now = utc_now()
    asked = Asked(
        now, instant_given(from_), instant_given(to), client_id=client, staff_id=staff, provider_id=provider,
        unit_id=unit, status=status, changed_since=instant_given(changed_since),
        seen_in=partial(seen_by, principal),
    )  # fmt: skip
    place = place_of(cursor, datetime, str)
    with reading(request, principal) as read:
        found = listing.load_page(read.connection, asked, limit + 1, Place(*place) if place else None)
        shown = found[:limit]
        read.saw(one for each in shown for one in (each.visit.client_id, each.visit.staff_id))
    following = listing.place_of(asked, shown[-1]) if len(found) > limit else None
    return page(request, [body_of(each, now) for each in shown], cursor_of(*following) if following else None, COLUMNS)


@router.get("/open", response_model=PageOf[OpenAt], responses=listed())
def get_open_visits(
    request: Request,
    principal: Annotated[Principal, access(_READ)],
    limit: Limit = 200,
    cursor: Cursor = "",
) -> Response:
    """Visits going on, by client; names of staff only for the own provider."""
    now = utc_now()
    after = place_of(cursor, str)
    conditions = seen_by(principal)
    with reading(request, principal) as read:
        by_client = open_visits(read.connection, now, conditions, (after[0] if after else "", limit + 1))
        clients = sorted(by_client)[:limit]
        read.saw(clients)
        read.saw(one["staff_id"] for client_id in clients for one in by_client[client_id])
    for client_id in clients:
        for one in by_client[client_id]:
            if not principal.provider_id or one["provider_id"] != principal.provider_id:
                one["staff_name"] = None
    items = [{"client_id": client_id, "visits": by_client[client_id]} for client_id in clients]
    following = cursor_of(clients[-1]) if len(by_client) > limit else None
    return page(request, items, following, ("client_id", "visits"))


@router.get("/{visit_id}", response_model=VisitDetail, responses=polled(404))
def get_visit(request: Request, principal: Annotated[Principal, access(_READ)], visit_id: str) -> Response:
    """One visit with its taps, findings, and history: corrections in the order in which they apply."""
    now = utc_now()
    with reading(request, principal) as read:
        found = find_visit(read.connection, principal, visit_id)
        body = body_of(found, now) | _details(read.connection, found, now)
        body["staff_name"] = _staff_name(read.connection, principal, found.visit, now)
        read.saw((found.visit.client_id, found.visit.staff_id))
    return json_answer(request, body)


def seen_by(principal: Principal, table: Table = visits) -> tuple[ColumnElement[bool], ...]:
    """The first wall for visits (and those that have moved): own provider, own units, clients of the own district."""
    own = (of_provider(principal, table.c.provider_id), of_units(principal, table.c.unit_id))
    if not principal.district:
        return own
    return (*own, of_clients(principal, table.c.client_id, clients_of_district(principal)))


def find_visit(connection: Connection, principal: Principal, visit_id: str) -> Listed:
    """The visit, where the caller may see it. NotFound."""
    found = listing.load_one(connection, visit_id, *seen_by(principal)) if visit_id.isprintable() else None
    if found is None:
        raise NotFound
    return found


def body_of(found: Listed, now: datetime) -> dict[str, Any]:
    """The visit as the contract names it, with when it changed."""
    return visit_fields(found.visit, now) | {"changed_at": format_instant(found.changed_at)}


def _staff_name(connection: Connection, principal: Principal, visit: Visit, now: datetime) -> str | None:
    """The name opens to the city in a case only (EVIDENCE.md section 3, DOMAIN.md section 7)."""
    if not principal.provider_id and not _questioned(connection, visit):
        return None
    return names_of(connection, {visit.staff_id}, now).get(visit.staff_id)


def _questioned(connection: Connection, visit: Visit) -> bool:
    asked = select(questions.c.question_id).where(questions.c.visit_id == visit.visit_id).limit(1)
    if connection.execute(asked).first() is not None:
        return True
    at = visit.start_at or visit.end_at
    said = load_disputes(connection, [visit.client_id])
    return at is not None and any(one.on_date == local_date(at) for one in said)


def _details(connection: Connection, found: Listed, now: datetime) -> dict[str, Any]:
    book = load_policy_book(connection)
    word = book.on(local_date(now)).client_word
    about = findings_shown.Asked(now, visit_id=found.visit.visit_id)
    shown = () if found.ceased else findings_shown.load_page(connection, about, book, 200)
    return {
        "taps": taps_of(connection, found.visit),
        "finding_details": [findings_shown.finding_fields(one, "sv", word) for one in shown],
        "history": history_of(connection, found.visit, shown),
    }
