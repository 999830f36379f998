"""GET /months/{month}, its accounts, their explanation; POST .../attest and .../close (CONTRACT.md 3, 4)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import AfterValidator, Field
from sqlalchemy import ColumnElement, Connection, func, select
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
    instant_given,
    json_answer,
    listed,
    page,
    place_of,
    problems,
)
from app.api.said import OptionalIdent, Stating, speaker
from app.api.said_lists import own_provider
from app.api.walls import clients_of_district
from app.billing.rules.totals import control_totals
from app.billing.store import load_lines
from app.billing.tables import billing_lines
from app.core.clock import utc_now
from app.core.localtime import local_month
from app.core.month import Month
from app.db.engine import Database
from app.evidence.tables import attests, closes
from app.facts import Attest
from app.months import store
from app.months.loading import closed_months
from app.months.presented import ACCOUNT_FIELDS, accounts_fields
from app.months.reading import explanation
from app.months.rules.closing import left_open, run_at
from app.months.store import AccountPlace
from app.months.tables import month_accounts
from app.pipeline_months import close_month, complete_month
from app.pipeline_statements import Saying, state
from app.refusals import Invalid, MonthClosed, NotFound
from app.registry.store import load_policy_book
from app.registry.tables import providers

router = APIRouter(prefix="/api/v1/months", tags=["months"])

_OFFICES = frozenset({"scheduler", "manager", "provider_finance", "commissioner", "city_controller", "auditor"})
_READ = Access(_OFFICES | {"billing", "scheduling"}, tenant="district", reads="accounts")
_TOTALS = Access(_OFFICES | {"billing", "scheduling"}, tenant="district")
_ATTEST = Access(frozenset({"manager", "provider_finance"}), tenant="own_provider")
_CLOSE = Access(frozenset({"city_controller"}), tenant="city", fresh=True)
_MONTHS_AHEAD = 12
"""How far ahead accounts are made for whoever asks: an open-ended order has no last month."""


def _month_text(value: str) -> str:
    Month.parse(value)
    return value


MonthPath = Annotated[str, Field(max_length=7, description="A local month, YYYY-MM"), AfterValidator(_month_text)]


class Totals(Answered):
    """The month's lines that the caller may see: how many, minutes, öre, and a hash over them."""

    lines: int
    minutes: int
    amount_ore: int
    hash: str


class MonthBody(Answered):
    """A month: open until its run, then closed for ever. `run_at`: when the run is due, by policy and public holidays;
    `hash`: of all its accounts and lines, from the run."""

    month: str
    state: Literal["open", "closed"]
    run_at: datetime
    closed_at: datetime | None
    hash: str | None
    accounts: int
    attested: list[str]
    totals: Totals


class AccountBody(Answered):
    """A client's month with a provider; durations in whole minutes. Null forecasts: nothing to say."""

    month: str
    client_id: str
    provider_id: str
    unit_id: str
    district: str
    ordered_minutes: int
    ceiling_minutes: int
    executed_minutes: int
    held_minutes: int
    declined_compensated_minutes: int
    made_up_offset_minutes: int
    reported_minutes: int
    free_minutes: int
    excess_minutes: int
    excess_reasoned_minutes: int
    excess_approved_minutes: int
    excess_pending_minutes: int
    unpaid_minutes: int
    carried_in_minutes: int
    adjustment_minutes: int
    settled_minutes: int
    visits: int
    findings_open: int
    forecast_minutes: int | None
    forecast_percent: int | None
    crosses_ceiling_on: date | None
    time_left_minutes: int | None
    policy_version: str
    state: Literal["open", "attested", "closed"]
    known_at: datetime


class AttestBody(Stating):
    """`provider_id`: the caller's own, or left out."""

    provider_id: OptionalIdent = ""


class LeftOpenBody(Answered):
    """What is not paid now: nothing of it blocks anything."""

    accounts: int
    not_attested: int
    held_minutes: int
    pending_minutes: int
    unpaid_minutes: int
    findings_open: int


class AttestedBody(Answered):
    """The provider's month is ready; with what is left open in it."""

    month: str
    provider_id: str
    at: datetime
    left_open: LeftOpenBody


class CloseBody(Stating):
    """`on`: the local day of the run, today where it is left out."""

    on: date | None = None


class DueBody(Answered):
    """What a provider is paid by this run."""

    provider_id: str
    lines: int
    minutes: int
    amount_ore: int


class ClosedBody(Answered):
    """The run: what is due, and what was left open."""

    month: str
    run_on: date
    hash: str
    totals: Totals
    due: list[DueBody]
    left_open: LeftOpenBody


def accounts_seen_by(principal: Principal) -> list[ColumnElement[bool]]:
    """The first wall for accounts: own provider, clients of the own district."""
    c = month_accounts.c
    conditions = [of_provider(principal, c.provider_id)]
    if principal.district:
        conditions.append(of_clients(principal, c.client_id, clients_of_district(principal)))
    return conditions


def lines_seen_by(principal: Principal) -> list[ColumnElement[bool]]:
    """The first wall for billing lines."""
    c = billing_lines.c
    conditions = [of_provider(principal, c.provider_id)]
    if principal.district:
        conditions.append(of_clients(principal, c.client_id, clients_of_district(principal)))
    return conditions


def made(request: Request, text: str, now: datetime, *, client: str = "", provider: str = "") -> Month:
    """The month of a path, with every account there is of it by now, or of whom is named."""
    month = Month.parse(text)
    if month <= local_month(now).plus(_MONTHS_AHEAD):
        complete_month(request.app.state.database, month, now, client=client, provider=provider)
    return month


@router.get("/{month}", response_model=MonthBody, responses=problems())
def get_month(request: Request, principal: Annotated[Principal, access(_TOTALS)], month: MonthPath) -> Response:
    """State, time of the close, hash, and control totals over what the caller may see."""
    wanted = made(request, month, utc_now())
    database: Database = request.app.state.database
    with database.transaction(caller_of(principal), read_only=True) as connection:
        closed = connection.execute(
            select(closes.c.at, closes.c.hash).where(closes.c.month == month).order_by(closes.c.version.desc())
        ).first()
        c = month_accounts.c
        counted = select(func.count()).where(
            c.month_on == wanted.first_on, c.superseded_at.is_(None), c.gone == 0, *accounts_seen_by(principal)
        )
        ready = select(attests.c.provider_id).where(
            attests.c.month == month, of_provider(principal, attests.c.provider_id)
        )
        lines = load_lines(connection, billing_lines.c.month_on == wanted.first_on, *lines_seen_by(principal))
        totals = control_totals(lines)
        body = {
            "month": month,
            "state": "closed" if closed else "open",
            "run_at": run_at(wanted, load_policy_book(connection)),
            "closed_at": closed.at if closed else None,
            "hash": closed.hash if closed else None,
            "accounts": connection.execute(counted).scalar_one(),
            "attested": sorted(set(connection.execute(ready).scalars())),
            "totals": {name: getattr(totals, name) for name in Totals.model_fields},
        }
    return json_answer(request, body)


@router.get("/{month}/accounts", response_model=PageOf[AccountBody], responses=listed())
def get_accounts(
    request: Request,
    principal: Annotated[Principal, access(_READ)],
    month: MonthPath,
    *,
    provider: Word = "",
    client: Word = "",
    changed_since: When = "",
    limit: Limit = 200,
    cursor: Cursor = "",
) -> Response:
    """Accounts by client and provider; with `changed_since` by `known_at`, those that are no more with zeros."""
    now = utc_now()
    since = instant_given(changed_since)
    wanted = made(request, month, now, client=client, provider=provider or principal.provider_id)
    c = month_accounts.c
    conditions = accounts_seen_by(principal)
    conditions += [column == value for column, value in ((c.provider_id, provider), (c.client_id, client)) if value]
    after = _after(cursor, since)
    with reading(request, principal) as read:
        found = store.load_page(read.connection, wanted, conditions, limit + 1, after=after, changed_since=since)
        shown = found[:limit]
        rows = list(accounts_fields(read.connection, shown, load_policy_book(read.connection), now))
        read.saw(one.account.client_id for one in shown)
    return page(request, rows, _cursor(shown[-1].account, since) if len(found) > limit else None, ACCOUNT_FIELDS)


@router.get("/{month}/accounts/{client}/{provider}/explain", responses=problems(404))
def get_explanation(
    request: Request, principal: Annotated[Principal, access(_READ)], month: MonthPath, client: str, provider: str
) -> Response:
    """Every minute of one account: visits, taps, cuts, what was compensated and what was not and why; as data, and in
    sentences in Swedish and English. 404 where there is no such account, or it is not the caller's to see."""
    if not (client.isprintable() and provider.isprintable()):
        raise NotFound
    wanted = made(request, month, utc_now(), client=client, provider=provider)
    c = month_accounts.c
    with reading(request, principal) as read:
        mine = (*accounts_seen_by(principal), c.client_id == client, c.provider_id == provider)
        if not store.has_account(read.connection, wanted, mine):
            raise NotFound
        told = explanation(read.connection, wanted, client, provider)
        read.saw([client])
    return json_answer(request, told)


@router.post("/{month}/attest", responses=problems(404, 409))
def post_attest(
    request: Request, principal: Annotated[Principal, access(_ATTEST)], month: MonthPath, body: AttestBody
) -> AttestedBody:
    """The provider's month is ready (klarmarkering). 409 when it is closed."""
    now = utc_now()
    wanted = _begun(made(request, month, now), now)
    provider_id = own_provider(principal, body.provider_id)

    def prepare(connection: Connection) -> Iterator[Saying]:
        if wanted in closed_months(connection):
            raise MonthClosed
        if connection.execute(select(providers.c.name).where(providers.c.provider_id == provider_id)).first() is None:
            raise NotFound
        yield Saying("month.attest", [Attest(provider_id, wanted, now, principal.id)], provider_id)

    database: Database = request.app.state.database
    state(database, speaker(request, principal), prepare, now)
    with database.transaction(caller_of(principal), read_only=True) as connection:
        c = month_accounts.c
        mine = (c.month_on == wanted.first_on, c.provider_id == provider_id, *accounts_seen_by(principal))
        left = left_open(one.account for one in store.load_current(connection, *mine))
    return AttestedBody(month=month, provider_id=provider_id, at=now, left_open=_left(left))


@router.post("/{month}/close", responses=problems(409))
def post_close(
    request: Request, principal: Annotated[Principal, access(_CLOSE)], month: MonthPath, body: CloseBody
) -> ClosedBody:
    """The payment run: freezes the month for ever, whatever is open in it. 409 when it is closed, or not over yet."""
    closed = close_month(
        request.app.state.database, Month.parse(month), on=body.on, by=speaker(request, principal), now=utc_now(),
        progress=lambda *_: None,
    )  # fmt: skip
    return ClosedBody(
        month=month,
        run_on=closed.run_on,
        hash=closed.hash,
        totals=Totals(**{name: getattr(closed.totals, name) for name in Totals.model_fields}),
        due=[DueBody(provider_id=row[0], lines=row[1], minutes=row[2], amount_ore=row[3]) for row in closed.due],
        left_open=_left(closed.left_open),
    )


def _begun(month: Month, now: datetime) -> Month:
    if month > local_month(now):
        raise Invalid
    return month


def _left(left: Any) -> LeftOpenBody:
    return LeftOpenBody(**{name: getattr(left, name) for name in LeftOpenBody.model_fields})


def _after(cursor: str, since: datetime | None) -> AccountPlace | None:
    if since is None:
        place = place_of(cursor, str, str)
        return AccountPlace(place[0], place[1]) if place else None
    place = place_of(cursor, datetime, str, str)
    return AccountPlace(place[1], place[2], place[0]) if place else None


def _cursor(account: Any, since: datetime | None) -> str:
    place = (account.client_id, account.provider_id)
    return cursor_of(*place) if since is None else cursor_of(account.known_at, *place)
