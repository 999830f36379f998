"""GET /findings; POST /findings/{finding_id}/accept takes the proposal in one call, .../resolve deals with it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import model_validator
from sqlalchemy import ColumnElement, Connection
from starlette.responses import Response

from app.access.filters import of_clients, of_provider, of_staff
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
    instant_given,
    listed,
    page,
    place_of,
    problems,
)
from app.api.said import Note, Reason, Stating, Text, reason_fits, speaker
from app.api.walls import clients_of_district
from app.core.clock import utc_now
from app.core.localtime import local_date, parse_instant
from app.facts import Correction, Resolution
from app.facts.statements import CORRECTION_REASONS, MANUAL_REASONS
from app.findings.tables import findings
from app.pipeline_statements import Saying, resolve_finding, state
from app.policies import PolicyBook
from app.refusals import Invalid, NotAllowed, NotFound, Refused
from app.registry.store import load_policy_book
from app.visits import findings_shown
from app.visits.findings_shown import Asked, Place, Shown, finding_fields

router = APIRouter(prefix="/api/v1/findings", tags=["findings"])

_READ = Access(
    frozenset({"scheduler", "manager", "commissioner", "city_controller", "auditor", "scheduling"}),
    tenant="district",
    reads="findings",
)
_ACCEPT = Access(frozenset({"carer", "scheduler", "manager"}), tenant="own_provider", fresh=True)
_RESOLVE = Access(frozenset({"scheduler", "manager", "commissioner", "city_controller"}), tenant="district")
_MAY_RELEASE = frozenset({"manager", "commissioner", "city_controller"})


class NoProposal(Refused):
    """The finding proposes nothing that could be accepted, or not any more."""

    code = "no_proposal"


class TapKey(Answered):
    """A tap by its device's number."""

    device_id: str
    seq: int


class FindingBody(Answered):
    """Something the data says that a person must look at. `proposal`: what accepting it would state."""

    finding_id: str
    code: str
    at: datetime
    client_id: str | None
    staff_id: str | None
    provider_id: str | None
    taps: list[TapKey]
    text: str
    proposal: dict[str, str] | None
    holds: bool
    state: Literal["open", "resolved"]


class AcceptBody(Stating):
    """Why the proposal is right: a reason of corrections, or of manual visits (then noted beside `wrong_time`)."""

    reason: Reason
    note: Note = ""

    @model_validator(mode="after")
    def _other_is_explained(self) -> AcceptBody:
        return reason_fits(self)


class ResolveBody(Stating):
    """What was done about it, for whoever asks later."""

    reason: Text


class AcceptedBody(Answered):
    """The corrections that the proposal became."""

    finding_id: str
    correction_ids: list[str]


class ResolvedBody(Answered):
    """The finding is dealt with."""

    finding_id: str
    state: Literal["resolved"]
    resolved_at: datetime


COLUMNS = tuple(FindingBody.model_fields)


@router.get("", response_model=PageOf[FindingBody], responses=listed())
def get_findings(
    request: Request,
    principal: Annotated[Principal, access(_READ)],
    *,
    from_: Annotated[When, Query(alias="from")] = "",
    to: When = "",
    code: Word = "",
    client: Word = "",
    staff: Word = "",
    provider: Word = "",
    visit: Word = "",
    state: Literal["", "open", "resolved"] = "",
    lang: Literal["sv", "en"] = "sv",
    limit: Limit = 200,
    cursor: Cursor = "",
) -> Response:
    """Findings with from <= at < to, by (at, finding_id); what is still too early to look at is left out."""
    now = utc_now()
    wanted = Asked(
        now, instant_given(from_), instant_given(to), code=code, client_id=client, staff_id=staff,
        provider_id=provider, visit_id=visit, state=state, conditions=findings_seen_by(principal),
    )  # fmt: skip
    place = place_of(cursor, datetime, str)
    with reading(request, principal) as read:
        book = load_policy_book(read.connection)
        found = findings_shown.load_page(read.connection, wanted, book, limit + 1, Place(*place) if place else None)
        shown = found[:limit]
        read.saw(one for each in shown for one in (each.finding.client_id, each.finding.staff_id))
    word = book.on(local_date(now)).client_word
    last = shown[-1].finding if len(found) > limit else None
    following = cursor_of(last.at, last.finding_id) if last else None
    return page(request, [finding_fields(each, lang, word) for each in shown], following, COLUMNS)


@router.post("/{finding_id}/accept", responses=problems(404, 409))
def accept_finding(
    request: Request, principal: Annotated[Principal, access(_ACCEPT)], finding_id: str, body: AcceptBody
) -> AcceptedBody:
    """Take the proposal: it becomes a correction (one more where two taps were one visit), with the caller as maker."""
    now = utc_now()
    made: list[Correction] = []

    def prepare(connection: Connection) -> Iterator[Saying]:
        shown, book = find_finding(connection, principal, finding_id, now)
        if not shown.finding.proposal:
            raise NoProposal
        reason, note = _reason(body, book, now)
        made.extend(corrections_of(dict(shown.finding.proposal), (reason, note), principal, now))
        yield Saying("finding.accept", made, shown.finding.provider_id)

    state(request.app.state.database, speaker(request, principal), prepare, now)
    return AcceptedBody(finding_id=finding_id, correction_ids=[one.correction_id for one in made])


@router.post("/{finding_id}/resolve", responses=problems(404))
def resolve(
    request: Request, principal: Annotated[Principal, access(_RESOLVE)], finding_id: str, body: ResolveBody
) -> ResolvedBody:
    """Somebody has dealt with it. A finding that holds minutes is resolved by a manager or the city."""
    now = utc_now()
    database = request.app.state.database
    with database.transaction(caller_of(principal), read_only=True) as connection:
        shown, _ = find_finding(connection, principal, finding_id, now)
    if shown.holds and not principal.roles & _MAY_RELEASE:
        raise NotAllowed
    if shown.resolution is None:
        done = Resolution(finding_id, now, principal.id, body.reason)
        resolve_finding(database, speaker(request, principal), done, shown.finding.provider_id, now)
    at = now if shown.resolution is None else shown.resolution.resolved_at
    return ResolvedBody(finding_id=finding_id, state="resolved", resolved_at=at)


def findings_seen_by(principal: Principal) -> tuple[ColumnElement[bool], ...]:
    """The first wall for findings."""
    own = (of_provider(principal, findings.c.provider_id), of_staff(principal, findings.c.staff_id))
    if not principal.district:
        return own
    return (*own, of_clients(principal, findings.c.client_id, clients_of_district(principal)))


def find_finding(
    connection: Connection, principal: Principal, finding_id: str, now: datetime
) -> tuple[Shown, PolicyBook]:
    """The finding, where the caller may see it, and the policies. NotFound."""
    book = load_policy_book(connection)
    wanted = Asked(now, conditions=findings_seen_by(principal))
    shown = findings_shown.load_one(connection, wanted, book, finding_id) if finding_id.isprintable() else None
    if shown is None:
        raise NotFound
    return shown, book


def corrections_of(
    proposal: Mapping[str, str], why: tuple[str, str], principal: Principal, now: datetime
) -> Iterator[Correction]:
    """What a proposal states: its first part, and its `then_` part where there is one."""
    for prefix in ("", "then_"):
        part = {name.removeprefix(prefix): value for name, value in proposal.items() if name.startswith(prefix)}
        if part.get("kind") in ("set_times", "cancel_visit"):
            yield _correction(part, why, principal, now)


def _correction(part: Mapping[str, str], why: tuple[str, str], principal: Principal, now: datetime) -> Correction:
    start, end = part.get("new_start_at"), part.get("new_end_at")
    return Correction(
        correction_id=f"k_{secrets.token_hex(8)}",
        made_at=now,
        kind="cancel_visit" if part["kind"] == "cancel_visit" else "set_times",
        kom_device_id=part.get("kom_device_id", ""),
        kom_seq=int(part["kom_seq"]) if "kom_seq" in part else None,
        manual_id=part.get("manual_id", ""),
        device_id="",
        from_at=None,
        to_at=None,
        new_start_at=parse_instant(start) if start else None,
        new_end_at=parse_instant(end) if end else None,
        new_staff_id="",
        new_client_id="",
        reason=why[0],
        note=why[1],
        made_by=principal.id,
        approved_by="",
    )


def _reason(body: AcceptBody, book: PolicyBook, now: datetime) -> tuple[str, str]:
    """The correction's reason and note."""
    policy = book.on(local_date(now))
    if body.reason in (*CORRECTION_REASONS, *policy.extra_correction_reasons):
        return body.reason, body.note
    if body.reason in (*MANUAL_REASONS, *policy.extra_manual_reasons):
        return "wrong_time", f"{body.reason}: {body.note}" if body.note else body.reason
    raise Invalid
