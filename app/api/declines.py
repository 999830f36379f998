"""POST and GET /declines: the client said no, or nobody opened (DOMAIN.md 4)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field, model_validator
from sqlalchemy import Connection
from starlette.responses import Response

from app.access.principals import Principal, caller_of
from app.api.access import Access, access
from app.api.paging import Answered, Cursor, Limit, PageOf, When, Word, instant_given, listed, problems
from app.api.said import (
    Day,
    IdempotencyKey,
    Ident,
    Instant,
    Minutes,
    OptionalIdent,
    Stating,
    made_id,
    require_span,
    speaker,
)
from app.api.said_lists import find_said, list_said, own_provider, said_fields, stated_seen_by
from app.api.walls import require_clients
from app.core.clock import utc_now
from app.evidence.tables import declines
from app.facts import Decline
from app.facts.statements import Notice
from app.pipeline_statements import Saying, state

router = APIRouter(prefix="/api/v1/declines", tags=["statements"])

_STATE = Access(frozenset({"carer", "scheduler", "manager", "scheduling"}), tenant="own_provider")
_READ = Access(
    frozenset({"scheduler", "manager", "provider_finance", "commissioner", "city_controller", "auditor", "scheduling"}),
    tenant="district",
    reads="declines",
)


class DeclineBody(Stating):
    """A planned visit that was declined. `noticed_at` when the provider learnt of it; `made_up_*` links time given
    on another day, which is paid once."""

    decline_id: OptionalIdent = ""
    client_id: Ident
    provider_id: OptionalIdent = ""
    planned_start_at: Instant
    planned_end_at: Instant
    staff_count: Annotated[int, Field(ge=1, le=20)] = 1
    notice: Notice
    noticed_at: Instant
    made_up_minutes: Minutes = 0
    made_up_on: Day | None = None

    @model_validator(mode="after")
    def _fits(self) -> DeclineBody:
        require_span(self.planned_start_at, self.planned_end_at)
        if self.made_up_minutes and self.made_up_on is None:
            raise ValueError("made_up_minutes need made_up_on")
        return self


class DeclineShown(Answered):
    """The decline as stated."""

    decline_id: str
    client_id: str
    provider_id: str
    planned_start_at: datetime
    planned_end_at: datetime
    staff_count: int
    notice: Notice
    noticed_at: datetime
    made_up_minutes: int
    made_up_on: date | None
    version: int
    stored_at: datetime


@router.post("", status_code=201, responses=problems(404))
def post_decline(
    request: Request,
    principal: Annotated[Principal, access(_STATE)],
    body: DeclineBody,
    key: IdempotencyKey = "",
) -> DeclineShown:
    """State a decline; the same decline_id again with another content is a new version, both are kept."""
    now = utc_now()
    given = body.model_dump(exclude={"decline_id", "provider_id"})
    provider_id = own_provider(principal, body.provider_id)
    said = Decline(decline_id=body.decline_id or made_id("n", principal, key), provider_id=provider_id, **given)

    def prepare(connection: Connection) -> Iterator[Saying]:
        require_clients(connection, principal, {said.client_id}, now)
        yield Saying("decline.state", [said])

    database = request.app.state.database
    state(database, speaker(request, principal), prepare, now)
    own = [*stated_seen_by(principal, Decline), declines.c.provider_id == provider_id]
    with database.transaction(caller_of(principal), read_only=True) as connection:
        return DeclineShown.model_validate(said_fields(find_said(connection, Decline, said.decline_id, own)))


@router.get("", response_model=PageOf[DeclineShown], responses=listed())
def get_declines(
    request: Request,
    principal: Annotated[Principal, access(_READ)],
    *,
    from_: Annotated[When, Query(alias="from")] = "",
    to: When = "",
    client: Word = "",
    provider: Word = "",
    limit: Limit = 200,
    cursor: Cursor = "",
) -> Response:
    """Declines by planned start in [from, to)."""
    c = declines.c
    conditions = stated_seen_by(principal, Decline)
    conditions += [column == value for column, value in ((c.client_id, client), (c.provider_id, provider)) if value]
    from_at, to_at = instant_given(from_), instant_given(to)
    conditions += [c.planned_start_at >= from_at] if from_at else []
    conditions += [c.planned_start_at < to_at] if to_at else []
    return list_said(request, principal, Decline, conditions, (limit, cursor))
