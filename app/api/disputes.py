"""POST and GET /disputes, POST .../{dispute_id}/decision: the client or a relative says it is wrong (DOMAIN.md 2.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from sqlalchemy import ColumnElement, Connection
from starlette.responses import Response

from app.access.filters import of_clients
from app.access.principals import Principal, caller_of
from app.api.access import Access, access
from app.api.paging import Answered, Cursor, Limit, PageOf, When, Word, instant_given, listed, problems
from app.api.said import Day, IdempotencyKey, Ident, Stating, Text, made_id, speaker
from app.api.said_lists import find_said, list_said, said_fields
from app.api.walls import known_clients, require_clients
from app.core.clock import utc_now
from app.core.localtime import local_date
from app.evidence.stated import load_by_id
from app.evidence.tables import disputes
from app.facts import Dispute
from app.pipeline_statements import Saying, state
from app.refusals import Conflict

router = APIRouter(prefix="/api/v1/disputes", tags=["statements"])

_STATE = Access(frozenset({"scheduler", "manager", "commissioner", "city_controller"}), tenant="district")
_DECIDE = Access(frozenset({"commissioner", "city_controller"}), tenant="district")
_READ = Access(
    frozenset({"scheduler", "manager", "commissioner", "city_controller", "auditor"}),
    tenant="district",
    reads="disputes",
)
State = Literal["open", "withdrawn", "rejected", "upheld"]


class DisputeBody(Stating):
    """What the client or a relative says of a day. `stated_by`: who said it, in words (daughter, client)."""

    client_id: Ident
    on_date: Day
    stated_by: Ident
    text: Text


class DecisionBody(Stating):
    """What became of it: while open or upheld it holds the day's visits."""

    state: State


class DisputeShown(Answered):
    """The dispute as it stands."""

    dispute_id: str
    client_id: str
    on_date: date
    stated_at: datetime
    stated_by: str
    text: str
    state: State
    version: int
    stored_at: datetime


@router.post("", status_code=201, responses=problems(404, 409))
def post_dispute(
    request: Request,
    principal: Annotated[Principal, access(_STATE)],
    body: DisputeBody,
    key: IdempotencyKey = "",
) -> DisputeShown:
    """Write down what was said; the day's visits of the client are held. 409 for a key with another content."""
    now = utc_now()
    dispute_id = made_id("t", principal, key)
    said = Dispute(dispute_id, body.client_id, body.on_date, now, body.stated_by, body.text, "open")

    def prepare(connection: Connection) -> Iterator[Saying]:
        require_clients(connection, principal, {said.client_id}, now)
        before = load_by_id(connection, Dispute, [dispute_id])
        if before:
            if replace(before[0].fact, stated_at=now, state="open") != said:
                raise Conflict
            return
        yield Saying("dispute.state", [said])

    state(request.app.state.database, speaker(request, principal), prepare, now)
    return _shown(request, principal, dispute_id)


@router.post("/{dispute_id}/decision", responses=problems(404))
def post_decision(
    request: Request, principal: Annotated[Principal, access(_DECIDE)], dispute_id: str, body: DecisionBody
) -> DisputeShown:
    """The city decides; a provider cannot release its own visits."""
    now = utc_now()

    def prepare(connection: Connection) -> Iterator[Saying]:
        said = find_said(connection, Dispute, dispute_id, [_seen(principal, now)])
        yield Saying("dispute.decide", [replace(said.fact, state=body.state)])

    state(request.app.state.database, speaker(request, principal), prepare, now)
    return _shown(request, principal, dispute_id)


@router.get("", response_model=PageOf[DisputeShown], responses=listed())
def get_disputes(
    request: Request,
    principal: Annotated[Principal, access(_READ)],
    *,
    from_: Annotated[When, Query(alias="from")] = "",
    to: When = "",
    client: Word = "",
    state_: Annotated[Literal["", "open", "withdrawn", "rejected", "upheld"], Query(alias="state")] = "",
    limit: Limit = 200,
    cursor: Cursor = "",
) -> Response:
    """Disputes about local days in [from, to), in the order in which they were stated."""
    c = disputes.c
    conditions = [_seen(principal, utc_now())]
    conditions += [column == value for column, value in ((c.client_id, client), (c.state, state_)) if value]
    from_at, to_at = instant_given(from_), instant_given(to)
    conditions += [c.on_date >= local_date(from_at)] if from_at else []
    conditions += [c.on_date < local_date(to_at)] if to_at else []
    return list_said(request, principal, Dispute, conditions, (limit, cursor))


def _seen(principal: Principal, now: datetime) -> ColumnElement[bool]:
    return of_clients(principal, disputes.c.client_id, known_clients(principal, now))


def _shown(request: Request, principal: Principal, dispute_id: str) -> DisputeShown:
    seen = [_seen(principal, utc_now())]
    with request.app.state.database.transaction(caller_of(principal), read_only=True) as connection:
        return DisputeShown.model_validate(said_fields(find_said(connection, Dispute, dispute_id, seen)))
