"""POST and GET /questions, POST .../{question_id}/answer: city and provider about a visit, account or reason."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import model_validator
from sqlalchemy import ColumnElement, Connection, Row, Select, select, tuple_
from starlette.responses import Response

from app import pipeline_office
from app.access.filters import of_clients, of_provider
from app.access.principals import Principal, caller_of
from app.api.access import Access, access, reading
from app.api.paging import Answered, Cursor, Limit, PageOf, cursor_of, listed, page, place_of, problems
from app.api.said import Ident, OptionalIdent, Stating, Text, speaker
from app.api.visits import find_visit
from app.api.walls import clients_of_district, require_clients
from app.core.clock import utc_now
from app.core.month import Month
from app.evidence.store import current
from app.evidence.tables import excess_reasons
from app.office.tables import answers, questions
from app.refusals import Conflict, NotAllowed, NotFound

router = APIRouter(prefix="/api/v1/questions", tags=["questions"])

_SIDES = frozenset({"commissioner", "city_controller", "manager", "provider_finance", "scheduler"})
_ASK = Access(_SIDES, tenant="district")
_READ = Access(_SIDES | {"auditor"}, tenant="district", reads="questions")


class QuestionBody(Stating):
    """What it is about, in one way: a visit_id, a reason_id, or an account (client_id, provider_id, month)."""

    visit_id: OptionalIdent = ""
    reason_id: OptionalIdent = ""
    client_id: OptionalIdent = ""
    provider_id: OptionalIdent = ""
    month: OptionalIdent = ""
    text: Text

    @model_validator(mode="after")
    def _one_thing(self) -> QuestionBody:
        account = [bool(self.client_id), bool(self.provider_id), bool(self.month)]
        if any(account) and not all(account):
            raise ValueError("an account is client_id, provider_id and month")
        if bool(self.visit_id) + bool(self.reason_id) + all(account) != 1:
            raise ValueError("about one thing")
        if self.month:
            Month.parse(self.month)
        return self


class AnswerBody(Stating):
    """What the other side says."""

    text: Text


class QuestionShown(Answered):
    """A question with its answer, where there is one."""

    question_id: str
    about_kind: Literal["visit", "account", "reason"]
    visit_id: str
    reason_id: str
    client_id: str
    provider_id: str
    month: str
    asked_by_side: Literal["city", "provider"]
    asked_by: str
    asked_at: datetime
    text: str
    answered_by: str | None
    answered_at: datetime | None
    answer: str | None


COLUMNS = tuple(QuestionShown.model_fields)


@router.post("", status_code=201, responses=problems(404))
def post_question(request: Request, principal: Annotated[Principal, access(_ASK)], body: QuestionBody) -> QuestionShown:
    """Ask. 404 for what the caller may not see."""
    now, database = utc_now(), request.app.state.database
    question = {
        "question_id": f"q_{secrets.token_hex(8)}", "asked_by_side": _side(principal), "asked_by": principal.id,
        "asked_at": now, "text": body.text,
    }  # fmt: skip
    with database.transaction(caller_of(principal), read_only=True) as connection:
        question |= _about(connection, principal, body, now)
    pipeline_office.ask(database, speaker(request, principal), question, now)
    return _shown(request, principal, str(question["question_id"]))


@router.post("/{question_id}/answer", responses=problems(404, 409))
def post_answer(
    request: Request, principal: Annotated[Principal, access(_ASK)], question_id: Ident, body: AnswerBody
) -> QuestionShown:
    """The other side answers, once: the city a provider's question, the provider the city's."""
    now, database = utc_now(), request.app.state.database
    asked = _shown(request, principal, question_id)
    if asked.asked_by_side == _side(principal):
        raise NotAllowed
    if asked.answered_at is not None:
        raise Conflict
    said = {
        "question_id": question_id, "provider_id": asked.provider_id, "answered_by": principal.id,
        "answered_at": now, "text": body.text,
    }  # fmt: skip
    pipeline_office.answer(database, speaker(request, principal), said, now)
    return _shown(request, principal, question_id)


@router.get("", response_model=PageOf[QuestionShown], responses=listed())
def get_questions(
    request: Request,
    principal: Annotated[Principal, access(_READ)],
    *,
    state: Annotated[Literal["", "open", "answered"], Query()] = "",
    limit: Limit = 200,
    cursor: Cursor = "",
) -> Response:
    """Questions in the order in which they were asked."""
    place = place_of(cursor, datetime, str)
    query = _query(principal)
    if state:
        open_ = answers.c.question_id.is_(None)
        query = query.where(open_ if state == "open" else ~open_)
    if place is not None:
        query = query.where(tuple_(questions.c.asked_at, questions.c.question_id) > tuple_(*place))
    with reading(request, principal) as read:
        ordered = query.order_by(questions.c.asked_at, questions.c.question_id).limit(limit + 1)
        rows = [_row(row) for row in read.connection.execute(ordered)]
        read.saw(row["client_id"] for row in rows[:limit])
    last = rows[limit - 1] if len(rows) > limit else None
    following = cursor_of(last["asked_at"], last["question_id"]) if last else None
    return page(request, rows[:limit], following, COLUMNS)


def _side(principal: Principal) -> str:
    return "provider" if principal.provider_id else "city"


def _about(connection: Connection, principal: Principal, body: QuestionBody, now: datetime) -> dict[str, Any]:
    """What the question is about, with whose client and provider that is. NotFound."""
    if body.visit_id:
        visit = find_visit(connection, principal, body.visit_id).visit
        return {
            "about_kind": "visit", "visit_id": body.visit_id, "client_id": visit.client_id,
            "provider_id": visit.provider_id,
        }  # fmt: skip
    if body.reason_id:
        c = excess_reasons.c
        seen: list[ColumnElement[bool]] = [of_provider(principal, c.provider_id)]
        if principal.district:
            seen.append(of_clients(principal, c.client_id, clients_of_district(principal)))
        row = connection.execute(current(excess_reasons).where(c.reason_id == body.reason_id, *seen)).first()
        if row is None:
            raise NotFound
        return {
            "about_kind": "reason", "reason_id": body.reason_id, "client_id": row.client_id,
            "provider_id": row.provider_id, "month": row.month,
        }  # fmt: skip
    if principal.provider_id not in ("", body.provider_id):
        raise NotFound
    require_clients(connection, principal, {body.client_id}, now)
    return {
        "about_kind": "account", "client_id": body.client_id, "provider_id": body.provider_id, "month": body.month
    }  # fmt: skip


def _query(principal: Principal) -> Select[Any]:
    seen: list[ColumnElement[bool]] = [of_provider(principal, questions.c.provider_id)]
    if principal.district:
        seen.append(of_clients(principal, questions.c.client_id, clients_of_district(principal)))
    return (
        select(questions, answers.c.answered_by, answers.c.answered_at, answers.c.text.label("answer"))
        .outerjoin(answers, answers.c.question_id == questions.c.question_id)
        .where(*seen)
    )


def _row(row: Row[Any]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in COLUMNS}


def _shown(request: Request, principal: Principal, question_id: str) -> QuestionShown:
    with request.app.state.database.transaction(caller_of(principal), read_only=True) as connection:
        row = connection.execute(_query(principal).where(questions.c.question_id == question_id)).first()
    if row is None:
        raise NotFound
    return QuestionShown.model_validate(_row(row))
