"""POST and GET /manual-visits, POST .../{manual_id}/approve: visits registered by hand (DOMAIN.md 2.2 rows 30-33)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import model_validator
from sqlalchemy import Connection, func
from starlette.responses import Response

from app.access.principals import Principal, caller_of
from app.api.access import Access, access
from app.api.paging import Answered, Cursor, Limit, PageOf, When, Word, instant_given, listed, problems
from app.api.said import (
    IdempotencyKey,
    Ident,
    Instant,
    Note,
    OptionalIdent,
    Reason,
    Stating,
    made_id,
    reason_fits,
    require_span,
    speaker,
)
from app.api.said_lists import find_said, list_said, own_provider, said_fields, stated_seen_by
from app.api.walls import require_clients, require_staff
from app.core.clock import utc_now
from app.core.localtime import local_date
from app.evidence.stated import load_by_id
from app.evidence.tables import manual_visits
from app.facts import ManualVisit
from app.facts.statements import MANUAL_REASONS, VisitClass
from app.pipeline_statements import Saying, confirm, state
from app.refusals import Invalid, NotFound
from app.registry.store import load_policy_book

router = APIRouter(prefix="/api/v1/manual-visits", tags=["statements"])

_MAKERS = frozenset({"carer", "scheduler", "manager"})
_STATE = Access(_MAKERS, tenant="own_provider")
_READ = Access(
    frozenset({"scheduler", "manager", "provider_finance", "commissioner", "city_controller", "auditor"}),
    tenant="district",
    reads="manual_visits",
)


class ManualBody(Stating):
    """A visit by hand: at least one end, a reason from the closed list; `other` needs a note."""

    manual_id: OptionalIdent = ""
    client_id: Ident
    staff_id: Ident
    start_at: Instant | None = None
    end_at: Instant | None = None
    service: VisitClass | None = None
    care_service: OptionalIdent = ""
    reason: Reason
    note: Note = ""

    @model_validator(mode="after")
    def _fits(self) -> ManualBody:
        if self.start_at is None and self.end_at is None:
            raise ValueError("at least one end")
        if self.start_at is not None and self.end_at is not None:
            require_span(self.start_at, self.end_at)
        return reason_fits(self)


class ManualShown(Answered):
    """The visit as stated; `approved_by`: the confirmer, never the maker."""

    manual_id: str
    client_id: str
    provider_id: str
    staff_id: str
    start_at: datetime | None
    end_at: datetime | None
    service: str | None
    care_service: str
    reason: str
    note: str
    made_by: str
    approved_by: str
    version: int
    stored_at: datetime


@router.post("", status_code=201, responses=problems(404))
def post_manual_visit(
    request: Request,
    principal: Annotated[Principal, access(_STATE)],
    body: ManualBody,
    key: IdempotencyKey = "",
) -> ManualShown:
    """Register a visit by hand; a carer only her own. Another content under the same id loses its confirmation."""
    now = utc_now()
    if principal.role == "carer" and body.staff_id != principal.staff_id:
        raise NotFound
    provider_id = own_provider(principal, "")
    given = body.model_dump(exclude={"manual_id"})
    manual_id = body.manual_id or made_id("m", principal, key)
    said = ManualVisit(manual_id=manual_id, provider_id=provider_id, made_by=principal.id, approved_by="", **given)

    def prepare(connection: Connection) -> Iterator[Saying]:
        policy = load_policy_book(connection).on(local_date(now))
        if said.reason not in (*MANUAL_REASONS, *policy.extra_manual_reasons):
            raise Invalid
        require_clients(connection, principal, {said.client_id}, now)
        require_staff(connection, principal, {said.staff_id})
        known = load_by_id(connection, ManualVisit, [manual_id], [manual_visits.c.provider_id == provider_id])
        if known and replace(known[0].fact, approved_by="") == said:
            return  # the same again: a confirmation there may be stays
        yield Saying("manual_visit.state", [said])

    database = request.app.state.database
    state(database, speaker(request, principal), prepare, now)
    return _shown(request, principal, manual_id)


@router.post("/{manual_id}/approve", responses=problems(404, 409))
def approve_manual_visit(
    request: Request, principal: Annotated[Principal, access(_STATE)], manual_id: str
) -> ManualShown:
    """Confirm what another person registered; a carer only visits of her own. 409 `same_person` for the maker."""
    database = request.app.state.database
    with database.transaction(caller_of(principal), read_only=True) as connection:
        said = find_said(connection, ManualVisit, manual_id, stated_seen_by(principal, ManualVisit))
    if principal.role == "carer" and said.fact.staff_id != principal.staff_id:
        raise NotFound
    confirm(database, speaker(request, principal), said.fact, said.fact.provider_id, utc_now())
    return _shown(request, principal, manual_id)


@router.get("", response_model=PageOf[ManualShown], responses=listed())
def get_manual_visits(
    request: Request,
    principal: Annotated[Principal, access(_READ)],
    *,
    from_: Annotated[When, Query(alias="from")] = "",
    to: When = "",
    client: Word = "",
    staff: Word = "",
    provider: Word = "",
    limit: Limit = 200,
    cursor: Cursor = "",
) -> Response:
    """Visits by hand whose start, else end, lies in [from, to); in the order in which they were stated."""
    c = manual_visits.c
    conditions = stated_seen_by(principal, ManualVisit)
    chosen = ((c.client_id, client), (c.staff_id, staff), (c.provider_id, provider))
    conditions += [column == value for column, value in chosen if value]
    at = func.coalesce(c.start_at, c.end_at)
    from_at, to_at = instant_given(from_), instant_given(to)
    conditions += [at >= from_at] if from_at else []
    conditions += [at < to_at] if to_at else []
    return list_said(request, principal, ManualVisit, conditions, (limit, cursor))


def _shown(request: Request, principal: Principal, manual_id: str) -> ManualShown:
    seen = stated_seen_by(principal, ManualVisit)
    with request.app.state.database.transaction(caller_of(principal), read_only=True) as connection:
        return ManualShown.model_validate(said_fields(find_said(connection, ManualVisit, manual_id, seen)))
