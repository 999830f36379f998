"""POST /planned-visits (bulk, idempotent), .../{planned_id}/withdraw; GET /planned-visits, /planned-visits/outcome."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field, model_validator
from sqlalchemy import ColumnElement, Connection
from starlette.responses import Response

from app.access.filters import of_clients, of_provider
from app.access.principals import Principal, caller_of
from app.api.access import Access, access, reading
from app.api.paging import (
    Answered,
    Cursor,
    Limit,
    PageOf,
    When,
    Word,
    cursor_of,
    day_given,
    instant_given,
    listed,
    page,
    place_of,
    problems,
)
from app.api.said import Ident, Instant, OptionalIdent, Stating, require_span, speaker
from app.api.visits import seen_by
from app.api.walls import clients_of_district, require_clients, require_staff
from app.core.clock import utc_now
from app.evidence.stated import KINDS, Said, load_by_id, load_said
from app.evidence.tables import planned_visits
from app.facts import PlannedVisit
from app.facts.statements import VisitClass
from app.pipeline_statements import Saying, state, withdraw_plan
from app.refusals import Conflict, Invalid, NotFound
from app.registry.store import load_policy_book
from app.visits.planned_outcome import Asked, outcome_of_day
from app.visits.tables import visits

router = APIRouter(prefix="/api/v1/planned-visits", tags=["plan"])

_PLAN = Access(frozenset({"scheduler", "manager", "scheduling"}), tenant="own_provider")
_READ = Access(
    frozenset({"scheduler", "manager", "commissioner", "city_controller", "auditor", "scheduling"}),
    tenant="district",
    reads="planned_visits",
)
MOST_PLANS = 2000


class PlanBody(Stating):
    """One planned visit. `provider_id` only from a system of the city's; a provider plans for itself."""

    planned_id: Ident
    client_id: Ident
    provider_id: OptionalIdent = ""
    staff_id: OptionalIdent = ""
    start_at: Instant
    end_at: Instant
    service: VisitClass = "care"
    staff_count: Annotated[int, Field(ge=1, le=20)] = 1

    @model_validator(mode="after")
    def _ends_after_its_start(self) -> PlanBody:
        require_span(self.start_at, self.end_at)
        return self


class PlansBody(Stating):
    """Any number up to 2,000; the same again changes nothing, another content is a new version. The list alone, without
    `items` around it, is read too."""

    items: Annotated[list[PlanBody], Field(min_length=1, max_length=MOST_PLANS)]

    @model_validator(mode="before")
    @classmethod
    def _list_alone(cls, said: object) -> object:
        return {"items": said} if isinstance(said, list) else said

    @model_validator(mode="after")
    def _each_once(self) -> PlansBody:
        if len({(one.planned_id, one.provider_id) for one in self.items}) != len(self.items):
            raise ValueError("each planned_id once")
        return self


class CountsBody(Answered):
    """What became of the statements."""

    added: int
    changed: int
    unchanged: int


class PlanShown(Answered):
    """A planned visit as it stands; `withdrawn_at` when the planner has taken it back."""

    planned_id: str
    client_id: str
    provider_id: str
    staff_id: str
    start_at: datetime
    end_at: datetime
    service: str
    staff_count: int
    withdrawn_at: datetime | None
    version: int
    stored_at: datetime


class OutcomeBody(Answered):
    """A plan with the visits it met, or a visit without a plan (`unplanned`, then planned_id and plan times are null).

    `expected`: the plan lies ahead, or is not yet late enough to be missed. `visit_ids`: at most `staff_count`.
    """

    outcome: Literal["matched", "missed", "declined", "withdrawn", "excused", "expected", "unplanned"]
    planned_id: str | None
    client_id: str
    provider_id: str
    staff_id: str
    staff_count: int
    planned_start_at: datetime | None
    planned_end_at: datetime | None
    visit_ids: list[str]
    start_at: datetime | None
    end_at: datetime | None
    minutes: int


PLAN_COLUMNS = tuple(PlanShown.model_fields)
OUTCOME_COLUMNS = tuple(OutcomeBody.model_fields)


@router.post("", responses=problems(404, 413))
def post_planned_visits(
    request: Request, principal: Annotated[Principal, access(_PLAN)], body: PlansBody
) -> CountsBody:
    """State the plan: all of it or nothing. 404 where a client or staff member is unknown or not the caller's."""
    now = utc_now()
    plans = [_plan(one, principal) for one in body.items]

    def prepare(connection: Connection) -> Iterator[Saying]:
        require_clients(connection, principal, {plan.client_id for plan in plans}, now)
        require_staff(connection, principal, {plan.staff_id for plan in plans if plan.staff_id})
        withdrawn = _withdrawn(connection, principal, plans)
        yield Saying("plan.state", [_still(plan, withdrawn) for plan in plans])

    stored = state(request.app.state.database, speaker(request, principal), prepare, now)[0]
    return CountsBody(added=stored.added, changed=stored.changed, unchanged=stored.unchanged)


@router.post("/{planned_id}/withdraw", responses=problems(404, 409))
def post_withdraw(
    request: Request, principal: Annotated[Principal, access(_PLAN)], planned_id: str, provider: Word = ""
) -> PlanShown:
    """Take a planned visit back. Again: nothing more. `provider` where a city's system has several of that id."""
    now = utc_now()
    database = request.app.state.database
    with database.transaction(caller_of(principal), read_only=True) as connection:
        found = _find(connection, principal, planned_id, provider)
    if found.fact.withdrawn_at is None:
        withdraw_plan(database, speaker(request, principal), found.fact, now)
    with database.transaction(caller_of(principal), read_only=True) as connection:
        return PlanShown.model_validate(shown(_find(connection, principal, planned_id, provider)))


@router.get("", response_model=PageOf[PlanShown], responses=listed())
def get_planned_visits(
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
    """The plan by start in [from, to), withdrawn visits too."""
    c = planned_visits.c
    conditions = list(plans_seen_by(principal))
    conditions += [column == value for column, value in ((c.client_id, client), (c.staff_id, staff)) if value]
    conditions += [c.provider_id == provider] if provider else []
    from_at, to_at = instant_given(from_), instant_given(to)
    conditions += [c.start_at >= from_at] if from_at else []
    conditions += [c.start_at < to_at] if to_at else []
    place = place_of(cursor, datetime, str)
    with reading(request, principal) as read:
        found = load_said(read.connection, PlannedVisit, conditions, limit + 1, place and (place[0], place[1]))
        rows = found[:limit]
        read.saw(one for said in rows for one in (said.fact.client_id, said.fact.staff_id))
    last = rows[-1].fact if len(found) > limit else None
    following = cursor_of(last.start_at, last.planned_id) if last else None
    return page(request, [shown(said) for said in rows], following, PLAN_COLUMNS)


@router.get("/outcome", response_model=PageOf[OutcomeBody], responses=listed())
def get_outcome(
    request: Request,
    principal: Annotated[Principal, access(_READ)],
    day: Annotated[str, Query(max_length=10, description="A local day, YYYY-MM-DD")],
    *,
    client: Word = "",
    provider: Word = "",
    limit: Limit = 200,
    cursor: Cursor = "",
) -> Response:
    """Planned against executed for a local day: by client, then by time; a page holds whole clients' rows in order."""
    on, now = day_given(day), utc_now()
    place = place_of(cursor, str, int)
    after, skip = place or ("", 0)
    plans, done = list(plans_seen_by(principal)), list(seen_by(principal))
    for plan_column, visit_column, value in (
        (planned_visits.c.client_id, visits.c.client_id, client),
        (planned_visits.c.provider_id, visits.c.provider_id, provider),
    ):
        plans += [plan_column == value] if value else []
        done += [visit_column == value] if value else []
    with reading(request, principal) as read:
        book = load_policy_book(read.connection)
        rows = outcome_of_day(read.connection, on, now, book, Asked(plans, done, after, limit + 1))
        rows = rows[skip:]
        chosen = rows[:limit]
        read.saw(one for row in chosen for one in (row["client_id"], row["staff_id"]))
    following = None
    if len(rows) > limit:
        last = chosen[-1]["client_id"]
        same = sum(1 for row in chosen if row["client_id"] == last)
        following = cursor_of(last, same + (skip if last == after else 0))
    return page(request, chosen, following, OUTCOME_COLUMNS)


def plans_seen_by(principal: Principal) -> tuple[ColumnElement[bool], ...]:
    """The first wall for plans."""
    own = of_provider(principal, planned_visits.c.provider_id)
    if not principal.district:
        return (own,)
    return (own, of_clients(principal, planned_visits.c.client_id, clients_of_district(principal)))


def shown(said: Said) -> dict[str, Any]:
    """The plan as a row."""
    return {
        **{name: getattr(said.fact, name) for name in KINDS[PlannedVisit].names},
        "version": said.version,
        "stored_at": said.stored_at,
    }


def _plan(body: PlanBody, principal: Principal) -> PlannedVisit:
    """The plan of a body. Invalid without a provider, NotFound for another's."""
    provider_id = body.provider_id or principal.provider_id
    if not provider_id:
        raise Invalid
    if principal.provider_id not in ("", provider_id):
        raise NotFound
    return PlannedVisit(
        body.planned_id, body.client_id, provider_id, body.staff_id, body.start_at, body.end_at, body.service,
        body.staff_count,
    )  # fmt: skip


def _withdrawn(
    connection: Connection, principal: Principal, plans: Sequence[PlannedVisit]
) -> dict[tuple[str, str], datetime]:
    """When those of the plans were withdrawn that are: stating a plan again does not bring it back by itself."""
    known = load_by_id(connection, PlannedVisit, [plan.planned_id for plan in plans], plans_seen_by(principal))
    return {
        (said.fact.planned_id, said.fact.provider_id): said.fact.withdrawn_at
        for said in known
        if said.fact.withdrawn_at is not None
    }


def _still(plan: PlannedVisit, withdrawn: dict[tuple[str, str], datetime]) -> PlannedVisit:
    return replace(plan, withdrawn_at=withdrawn.get((plan.planned_id, plan.provider_id)))


def _find(connection: Connection, principal: Principal, planned_id: str, provider: str) -> Said:
    """The one plan of that id that the caller may see. NotFound; Conflict when several providers have it."""
    conditions = [*plans_seen_by(principal), *([planned_visits.c.provider_id == provider] if provider else [])]
    found = load_by_id(connection, PlannedVisit, [planned_id], conditions) if planned_id.isprintable() else []
    if not found:
        raise NotFound
    if len(found) > 1:
        raise Conflict
    return found[0]
