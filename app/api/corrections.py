"""POST and GET /corrections, POST .../{correction_id}/approve: what was wrong and what is right (DOMAIN.md 2.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field, model_validator
from sqlalchemy import Connection, and_, or_, select, tuple_
from starlette.responses import Response

from app.access.principals import Principal, caller_of
from app.api.access import Access, access
from app.api.paging import Answered, Cursor, Limit, PageOf, When, Word, instant_given, listed, problems
from app.api.said import (
    IdempotencyKey,
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
from app.api.said_lists import find_said, list_said, said_fields, stated_seen_by
from app.api.visits import seen_by
from app.api.walls import require_clients, require_device, require_staff
from app.core.clock import utc_now
from app.core.localtime import local_date
from app.evidence.stated import load_by_id
from app.evidence.tables import corrections
from app.facts import Correction
from app.facts.statements import CORRECTION_REASONS
from app.pipeline_statements import Saying, confirm, state
from app.refusals import Conflict, Invalid, NotAllowed, NotFound
from app.registry.store import load_policy_book
from app.visits.tables import visits

router = APIRouter(prefix="/api/v1/corrections", tags=["statements"])

_STATE = Access(frozenset({"carer", "scheduler", "manager"}), tenant="own_provider", fresh=True)
_READ = Access(
    frozenset({"scheduler", "manager", "provider_finance", "commissioner", "city_controller", "auditor"}),
    tenant="district",
    reads="corrections",
)
Kind = Literal["set_times", "cancel_visit", "set_staff", "set_client", "set_staff_of_device"]
_OWN = frozenset({"set_times", "cancel_visit"})
_NEEDS = {
    "set_times": ("new_start_at", "new_end_at"),
    "cancel_visit": (),
    "set_staff": ("new_staff_id",),
    "set_client": ("new_client_id",),
    "set_staff_of_device": ("new_staff_id",),
}


class CorrectionBody(Stating):
    """One correction of one visit, named by visit_id, by its KOM or GICK (kom_device_id, kom_seq) or by its manual_id;
    `set_staff_of_device` names a device and a period instead. Only what the kind states may be given."""

    kind: Kind
    visit_id: OptionalIdent = ""
    kom_device_id: OptionalIdent = ""
    kom_seq: Annotated[int, Field(ge=1, le=2**53)] | None = None
    manual_id: OptionalIdent = ""
    device_id: OptionalIdent = ""
    from_at: Instant | None = None
    to_at: Instant | None = None
    new_start_at: Instant | None = None
    new_end_at: Instant | None = None
    new_staff_id: OptionalIdent = ""
    new_client_id: OptionalIdent = ""
    reason: Reason
    note: Note = ""

    @model_validator(mode="after")
    def _fits(self) -> CorrectionBody:
        named = [bool(self.visit_id), bool(self.kom_device_id and self.kom_seq), bool(self.manual_id)]
        of_device = self.kind == "set_staff_of_device"
        if sum(named) != (0 if of_device else 1) or bool(self.kom_device_id) != (self.kom_seq is not None):
            raise ValueError("names one visit in one way")
        if of_device != bool(self.device_id and self.from_at and self.to_at) or (self.device_id and not of_device):
            raise ValueError("a device with a period, only for set_staff_of_device")
        if self.from_at and self.to_at and self.to_at <= self.from_at:
            raise ValueError("to_at after from_at")
        given = [
            name for name in ("new_start_at", "new_end_at", "new_staff_id", "new_client_id") if getattr(self, name)
        ]
        needs = _NEEDS[self.kind]
        if set(given) - set(needs) or (needs and not given):
            raise ValueError("states what its kind states")
        if self.new_start_at and self.new_end_at:
            require_span(self.new_start_at, self.new_end_at)
        return reason_fits(self)


class CorrectionShown(Answered):
    """The correction as stated; takes effect when made, `approved_by` is the confirmer, never the maker."""

    correction_id: str
    made_at: datetime
    kind: Kind
    kom_device_id: str
    kom_seq: int | None
    manual_id: str
    device_id: str
    from_at: datetime | None
    to_at: datetime | None
    new_start_at: datetime | None
    new_end_at: datetime | None
    new_staff_id: str
    new_client_id: str
    reason: str
    note: str
    made_by: str
    approved_by: str
    provider_id: str
    version: int
    stored_at: datetime


@router.post("", status_code=201, responses=problems(404, 409))
def post_correction(
    request: Request,
    principal: Annotated[Principal, access(_STATE)],
    body: CorrectionBody,
    key: IdempotencyKey = "",
) -> CorrectionShown:
    """Correct one visit; a carer her own, times and cancelling only. 409 for a known key with another content."""
    now = utc_now()
    if principal.role == "carer" and body.kind not in _OWN:
        raise NotAllowed
    given = body.model_dump(exclude={"visit_id"})
    correction_id = made_id("k", principal, key)
    said = Correction(correction_id=correction_id, made_at=now, made_by=principal.id, approved_by="", **given)

    def prepare(connection: Connection) -> Iterator[Saying]:
        _check(connection, principal, said, now)
        named = said
        provider_id = principal.provider_id
        if said.kind == "set_staff_of_device":
            require_device(connection, principal, said.device_id)
        else:
            named, provider_id = _naming(connection, principal, said, body.visit_id)
        before = load_by_id(connection, Correction, [correction_id])
        if before:
            if replace(before[0].fact, made_at=now, approved_by="") != named:
                raise Conflict
            return
        yield Saying("correction.state", [named], provider_id)

    state(request.app.state.database, speaker(request, principal), prepare, now)
    return _shown(request, principal, correction_id)


@router.post("/{correction_id}/approve", responses=problems(404, 409))
def approve_correction(
    request: Request, principal: Annotated[Principal, access(_STATE)], correction_id: str
) -> CorrectionShown:
    """Confirm what another person corrected; a carer only visits of her own. 409 `same_person` for the maker."""
    database = request.app.state.database
    with database.transaction(caller_of(principal), read_only=True) as connection:
        said = find_said(connection, Correction, correction_id, stated_seen_by(principal, Correction))
        if principal.role == "carer":
            if said.fact.kind not in _OWN:
                raise NotFound
            _naming(connection, principal, said.fact, "")
    confirm(database, speaker(request, principal), said.fact, said.provider_id, utc_now())
    return _shown(request, principal, correction_id)


@router.get("", response_model=PageOf[CorrectionShown], responses=listed())
def get_corrections(
    request: Request,
    principal: Annotated[Principal, access(_READ)],
    *,
    from_: Annotated[When, Query(alias="from")] = "",
    to: When = "",
    provider: Word = "",
    unconfirmed: Annotated[bool, Query(description="Only those without a confirmer")] = False,
    limit: Limit = 200,
    cursor: Cursor = "",
) -> Response:
    """Corrections made in [from, to), in the order in which they apply."""
    c = corrections.c
    conditions = stated_seen_by(principal, Correction)
    if principal.district:
        own = select(visits.c.kom_device_id, visits.c.kom_seq).where(*seen_by(principal))
        ends = select(visits.c.gick_device_id, visits.c.gick_seq).where(*seen_by(principal))
        by_hand = select(visits.c.manual_id).where(visits.c.manual_id != "", *seen_by(principal))
        pair = tuple_(c.kom_device_id, c.kom_seq)
        conditions.append(or_(pair.in_(own), pair.in_(ends), c.manual_id.in_(by_hand)))
    conditions += [c.provider_id == provider] if provider else []
    conditions += [c.approved_by == ""] if unconfirmed else []
    from_at, to_at = instant_given(from_), instant_given(to)
    conditions += [c.made_at >= from_at] if from_at else []
    conditions += [c.made_at < to_at] if to_at else []
    return list_said(request, principal, Correction, conditions, (limit, cursor))


def _check(connection: Connection, principal: Principal, said: Correction, now: datetime) -> None:
    """The reason is on the list; whom it names is known to the caller. Invalid, NotFound."""
    policy = load_policy_book(connection).on(local_date(now))
    if said.reason not in (*CORRECTION_REASONS, *policy.extra_correction_reasons):
        raise Invalid
    if said.new_staff_id:
        require_staff(connection, principal, {said.new_staff_id})
    if said.new_client_id:
        require_clients(connection, principal, {said.new_client_id}, now)


def _naming(connection: Connection, principal: Principal, said: Correction, visit_id: str) -> tuple[Correction, str]:
    """The correction with its visit named by a tap or manual_id, and the visit's provider. NotFound when foreign."""
    row = connection.execute(select(visits).where(*seen_by(principal), _named(said, visit_id)).limit(1)).first()
    if row is None or (principal.role == "carer" and row.staff_id != principal.staff_id):
        raise NotFound
    if visit_id and row.manual_id:
        return replace(said, manual_id=row.manual_id), row.provider_id
    if visit_id and row.kom_device_id is not None:
        return replace(said, kom_device_id=row.kom_device_id, kom_seq=row.kom_seq), row.provider_id
    if visit_id:
        return replace(said, kom_device_id=row.gick_device_id, kom_seq=row.gick_seq), row.provider_id
    return said, row.provider_id


def _named(said: Correction, visit_id: str) -> Any:
    if visit_id:
        return and_(visits.c.visit_id == visit_id, visits.c.ceased.is_(False))
    if said.manual_id:
        return visits.c.manual_id == said.manual_id
    by_kom = and_(visits.c.kom_device_id == said.kom_device_id, visits.c.kom_seq == said.kom_seq)
    return or_(by_kom, and_(visits.c.gick_device_id == said.kom_device_id, visits.c.gick_seq == said.kom_seq))


def _shown(request: Request, principal: Principal, correction_id: str) -> CorrectionShown:
    seen = stated_seen_by(principal, Correction)
    with request.app.state.database.transaction(caller_of(principal), read_only=True) as connection:
        return CorrectionShown.model_validate(said_fields(find_said(connection, Correction, correction_id, seen)))
