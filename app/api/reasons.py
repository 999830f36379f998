"""POST /months/{month}/reasons, GET /reasons, POST /reasons/{reason_id}/decision: excess (DOMAIN.md 3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field, model_validator
from sqlalchemy import Connection
from starlette.responses import Response

from app.access.principals import Principal, caller_of
from app.api.access import Access, access, reading
from app.api.months import MonthPath
from app.api.paging import Answered, Cursor, Limit, PageOf, Word, cursor_of, listed, page, place_of, problems
from app.api.said import IdempotencyKey, Ident, Note, OptionalIdent, Reason, Stating, made_id, reason_fits, speaker
from app.api.said_lists import columns_of, find_said, own_provider, said_fields, stated_seen_by
from app.api.walls import require_clients
from app.core.clock import utc_now
from app.core.localtime import local_date, local_month
from app.core.month import Month
from app.db.engine import Database
from app.evidence.stated import Said, at_of, load_by_id, load_said
from app.evidence.tables import excess_reasons
from app.facts import ExcessReason
from app.facts.statements import EXCESS_REASONS
from app.months.rules.reasons import reason_deadline
from app.pipeline_statements import Saying, state
from app.policies import PolicyBook
from app.refusals import Conflict, Invalid
from app.registry.store import load_policy_book

router = APIRouter(prefix="/api/v1", tags=["months"])

_GIVE = Access(frozenset({"scheduler", "manager", "provider_finance"}), tenant="own_provider")
_DECIDE = Access(frozenset({"commissioner", "city_controller"}), tenant="district", fresh=True)
_READ = Access(
    frozenset({"scheduler", "manager", "provider_finance", "commissioner", "city_controller", "auditor"}),
    tenant="district",
    reads="reasons",
)


class ReasonBody(Stating):
    """Why more than the ceiling was needed, for so many minutes. `reason_id`: the provider's own id, or left out."""

    reason_id: OptionalIdent = ""
    client_id: Ident
    provider_id: OptionalIdent = ""
    minutes: Annotated[int, Field(gt=0, le=100_000)]
    reason: Reason
    note: Note = ""

    @model_validator(mode="after")
    def _fits(self) -> ReasonBody:
        return reason_fits(self)


class DecisionBody(Stating):
    """`approved_minutes` left out: all of them; the rest of a part is rejected. A rejection has a text in `note`."""

    decision: Literal["approved", "rejected"]
    approved_minutes: Annotated[int, Field(gt=0, le=100_000)] | None = None
    note: Note = ""

    @model_validator(mode="after")
    def _fits(self) -> DecisionBody:
        if self.decision == "rejected" and not self.note.strip():
            raise ValueError("a rejection needs a text in `note`")
        if self.decision == "rejected" and self.approved_minutes is not None:
            raise ValueError("a rejection approves no minutes")
        return self


class ReasonShown(Answered):
    """The reason as it stands. `deadline`: the last local day on which one is in time; what came later is not paid,
    a late decision is."""

    reason_id: str
    client_id: str
    provider_id: str
    month: str
    minutes: int
    reason: str
    note: str
    submitted_on: date
    decision: Literal["pending", "approved", "rejected"]
    approved_minutes: int | None
    decided_on: date | None
    decided_by: str
    decision_note: str
    version: int
    stored_at: datetime
    deadline: date
    in_time: bool


COLUMNS = (*columns_of(ExcessReason), "deadline", "in_time")


@router.post("/months/{month}/reasons", status_code=201, responses=problems(404, 409))
def post_reason(
    request: Request,
    principal: Annotated[Principal, access(_GIVE)],
    month: MonthPath,
    body: ReasonBody,
    key: IdempotencyKey = "",
) -> ReasonShown:
    """Give a reason; its day is today, also after the deadline (then it is stored and not paid). The same reason_id
    again with another content is a new version, until it is decided: 409 after that. A new version that asks for no
    more minutes keeps the day on which the reason was submitted."""
    now = utc_now()
    wanted = Month.parse(month)
    if wanted > local_month(now):
        raise Invalid
    said = ExcessReason(
        body.reason_id or made_id("x", principal, key), body.client_id, own_provider(principal, body.provider_id),
        wanted, body.minutes, body.reason, body.note, local_date(now), "pending", None,
    )  # fmt: skip

    def prepare(connection: Connection) -> Iterator[Saying]:
        require_clients(connection, principal, {said.client_id}, now)
        _require_listed(load_policy_book(connection), said)
        before = load_by_id(
            connection, ExcessReason, [said.reason_id], [excess_reasons.c.provider_id == said.provider_id]
        )
        stands = before[0].fact if before else None
        if stands is not None and replace(said, submitted_on=stands.submitted_on) == stands:
            return
        if stands is not None and stands.decision != "pending":
            raise Conflict
        yield Saying("reason.give", [said if stands is None else _reworded(said, stands)], said.provider_id)

    state(request.app.state.database, speaker(request, principal), prepare, now)
    return _shown(request, principal, said.reason_id)


@router.get("/reasons", response_model=PageOf[ReasonShown], responses=listed())
def get_reasons(
    request: Request,
    principal: Annotated[Principal, access(_READ)],
    *,
    state_: Annotated[Literal["", "pending", "approved", "rejected"], Query(alias="state")] = "",
    month: Word = "",
    client: Word = "",
    provider: Word = "",
    limit: Limit = 200,
    cursor: Cursor = "",
) -> Response:
    """Reasons in the order in which they were last stated, each with the deadline of its month."""
    c = excess_reasons.c
    conditions = stated_seen_by(principal, ExcessReason)
    wanted = ((c.decision, state_), (c.month, month), (c.client_id, client), (c.provider_id, provider))
    conditions += [column == value for column, value in wanted if value]
    place = place_of(cursor, datetime, str)
    with reading(request, principal) as read:
        after = (place[0], place[1]) if place else None
        found = load_said(read.connection, ExcessReason, conditions, limit + 1, after)
        book = load_policy_book(read.connection)
        rows = [_fields(said, book) for said in found[:limit]]
        read.saw(row["client_id"] for row in rows)
    last = found[limit - 1] if len(found) > limit else None
    return page(request, rows, cursor_of(at_of(last), last.fact.reason_id) if last else None, COLUMNS)


@router.post("/reasons/{reason_id}/decision", responses=problems(404, 409))
def post_decision(
    request: Request, principal: Annotated[Principal, access(_DECIDE)], reason_id: str, body: DecisionBody
) -> ReasonShown:
    """The commissioner decides, in whole or in part; again replaces the decision before. What was settled by it is
    settled back as an adjustment."""
    now = utc_now()

    def prepare(connection: Connection) -> Iterator[Saying]:
        said = find_said(connection, ExcessReason, reason_id, stated_seen_by(principal, ExcessReason))
        if body.approved_minutes is not None and body.approved_minutes > said.fact.minutes:
            raise Invalid
        decided = replace(
            said.fact, decision=body.decision, approved_minutes=body.approved_minutes, decided_on=local_date(now),
            decided_by=principal.id, decision_note=body.note,
        )  # fmt: skip
        yield Saying("reason.decide", [decided], said.fact.provider_id)

    state(request.app.state.database, speaker(request, principal), prepare, now)
    return _shown(request, principal, reason_id)


def _reworded(said: ExcessReason, stands: ExcessReason) -> ExcessReason:
    """A new version of a reason: only the submission date counts, and putting words right is no new submission."""
    same = said.month == stands.month and said.client_id == stands.client_id
    return replace(said, submitted_on=stands.submitted_on) if same and said.minutes <= stands.minutes else said


def _require_listed(book: PolicyBook, said: ExcessReason) -> None:
    """Invalid unless the reason is of the closed list, or the municipality's own at any date."""
    own = [one for row in book.rows() if row["key"] == "extra_excess_reasons" for one in row["value"]]
    if said.reason not in (*EXCESS_REASONS, *own):
        raise Invalid


def _fields(said: Said, book: PolicyBook) -> dict[str, Any]:
    """The reason as a row, with what is in time."""
    fact: ExcessReason = said.fact
    deadline = reason_deadline(fact.month, book.on(fact.month.first_on))
    row = said_fields(said)
    return {**row, "month": str(fact.month), "deadline": deadline, "in_time": fact.submitted_on <= deadline}


def _shown(request: Request, principal: Principal, reason_id: str) -> ReasonShown:
    database: Database = request.app.state.database
    with database.transaction(caller_of(principal), read_only=True) as connection:
        said = find_said(connection, ExcessReason, reason_id, stated_seen_by(principal, ExcessReason))
        return ReasonShown.model_validate(_fields(said, load_policy_book(connection)))
