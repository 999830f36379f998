"""The month: accounts and lines kept in step, attested, closed; what later changes settle.

Everything that reads a month goes through `complete_month` first, so that accounts nobody has touched yet are there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime

from sqlalchemy import Connection, insert, select

from app.access.logs import note_change
from app.billing import fee_flow
from app.billing import store as billing_store
from app.billing.flow import lines_of, write_lines
from app.billing.rules.lines import settle
from app.billing.rules.totals import ControlTotals, control_totals
from app.billing.tables import billing_lines
from app.core.localtime import local_date
from app.core.month import Month
from app.db.callers import Caller
from app.db.engine import Database
from app.db.partitions import ensure_months
from app.evidence.store import append
from app.evidence.tables import closes
from app.facts import Attest, BillingLine, MonthAccount
from app.facts.accounts import ClosedMonth
from app.months import flow, store
from app.months.flow import CLIENTS_AT_ONCE, Computed
from app.months.loading import Key, closed_months
from app.months.misfit import note_misfits
from app.months.rules.closing import LeftOpen, freeze, left_open, month_hash
from app.months.rules.reasons import excess_before
from app.months.store import StoredAccount
from app.months.tables import month_accounts
from app.pipeline_derive import catch_up, follow, lock
from app.pipeline_statements import Speaker
from app.refusals import Invalid, MonthClosed, MonthNotClosable
from app.registry.tables import providers
from app.visits.draft import AccountSpan

Progress = Callable[[str, int, int], None]


def complete_month(database: Database, month: Month, now: datetime) -> None:
    """Make every account of the month that does not exist yet; cheap when there is nothing to do."""
    catch_up(database, now)
    with database.transaction(Caller.ingest()) as connection:
        if month in closed_months(connection):
            return
        for computed in flow.complete_month(connection, month, now):
            write_lines(connection, computed, now)


def attest_month(database: Database, month: Month, provider_id: str, by: str, now: datetime) -> LeftOpen:
    """A provider says its month is ready; what is left open in it. Again is once more. Invalid for an unknown one."""
    complete_month(database, month, now)
    with database.transaction(Caller.batch()) as connection:
        _refuse_closed(connection, month)
        if connection.execute(select(providers.c.name).where(providers.c.provider_id == provider_id)).first() is None:
            raise Invalid(f"there is no provider {provider_id!r}")
        lock(connection)
        append(connection, [Attest(provider_id, month, now, by)], now)
        accounts = _of_month(connection, month, provider_id)
        follow(connection, {AccountSpan(one.client_id, provider_id, month, month) for one in accounts}, now)
    return left_open(replace(one, state="attested") for one in accounts)


@dataclass(frozen=True, slots=True)
class Closed:
    """What a run left: when, the month's hash, what is due, and what was left open."""

    month: Month
    run_on: date
    hash: str
    totals: ControlTotals
    due: tuple[tuple[str, int, int, int], ...]
    """(provider_id, lines, minutes, öre)."""
    left_open: LeftOpen


def close_month(
    database: Database, month: Month, *, on: date | None, by: str | Speaker, now: datetime, progress: Progress
) -> Closed:
    """The payment run: freezes every account and line of the month, in one transaction.

    Nothing that is open blocks it. MonthClosed when it was; MonthNotClosable before the month is over, or while the
    month before it is open although an earlier one is closed.
    """
    run_on = on or local_date(now)
    name = by.principal.id if isinstance(by, Speaker) else by
    complete_month(database, month, now)
    with database.transaction(Caller.batch()) as connection:
        lock(connection)
        _refuse_closed(connection, month)
        _refuse_early(connection, month, run_on)
        ensure_months(connection, ("month_accounts", "billing_lines"), month.first_on, month.next.first_on)
        frozen, lines, accounts = [], [], []
        keys = sorted(
            {(one.client_id, one.provider_id) for one in _of_month(connection, month, None)} | _owed(connection, month)
        )
        for done, computed in enumerate(_computed(connection, month, keys), 1):
            its_frozen, its_lines = _freeze(connection, computed, run_on, now)
            # As they stood when the run came: frozen ones are closed, attested or not.
            accounts += [chain.result.account for chain in computed.chains if chain.result.exists]
            frozen += its_frozen
            lines += its_lines
            progress("close", min(done * CLIENTS_AT_ONCE, len(keys)), len(keys))
        by_account: dict[Key, list[BillingLine]] = {}
        for line in lines:
            by_account.setdefault((line.client_id, line.provider_id), []).append(line)
        sealed = month_hash(
            replace(one, lines=tuple(by_account.get((one.account.client_id, one.account.provider_id), ())))
            for one in frozen
        )
        fee_flow.freeze_month(connection, month, now)
        note_misfits(connection, month, now)
        connection.execute(
            insert(closes),
            [{"month": str(month), "at": now, "by": name, "hash": sealed, "version": 1, "stored_at": now}],
        )
        if isinstance(by, Speaker):
            note_change(connection, by.principal, "month.close", str(month), now, request_id=by.asked.request_id)
    return Closed(month, run_on, sealed, control_totals(lines), tuple(_due(lines)), left_open(accounts))


def _computed(connection: Connection, month: Month, keys: list[Key]) -> Iterator[Computed]:
    for start in range(0, len(keys), CLIENTS_AT_ONCE):
        yield flow.compute_month(connection, month, keys[start : start + CLIENTS_AT_ONCE])


def _freeze(
    connection: Connection, computed: Computed, run_on: date, now: datetime
) -> tuple[list[ClosedMonth], list[BillingLine]]:
    """Freeze some accounts with their lines; what is returned has no ledgers, they are stored."""
    clients = {chain.result.account.client_id for chain in computed.chains}
    settled = billing_store.settled_lines(connection, clients)
    services = billing_store.services_done(connection, clients)
    frozen: list[ClosedMonth] = []
    lines: list[BillingLine] = []
    closed: list[StoredAccount] = []
    for chain in computed.chains:
        its_lines = settle(lines_of(computed.books, chain, settled, services), run_on)
        if not chain.result.exists and not its_lines:
            continue
        key = (chain.result.account.client_id, chain.result.account.provider_id)
        books, month = computed.books, chain.result.account.month
        before = excess_before(month, books.history_of(key), books.reasons.get(key, ()), books.book)
        one = freeze(chain.result, its_lines, run_on, before)
        frozen.append(one)
        lines += [replace(line, changed_at=now) for line in its_lines]
        closed.append(replace(StoredAccount.of(chain.result), account=one.account))
    store.freeze(connection, frozen)
    store.put(connection, closed, (), now)
    month_on = computed.chains[0].result.account.month.first_on if computed.chains else None
    made = {line.line_id for line in lines}
    provisional = billing_store.provisional_lines(connection, clients, [Month.of(month_on)] if month_on else [])
    billing_store.empty_lines(connection, [line for line in provisional if line.line_id not in made], now)
    billing_store.put_lines(connection, lines, now)
    return [replace(one, ledger=(), lines=()) for one in frozen], lines


def _due(lines: list[BillingLine]) -> Iterator[tuple[str, int, int, int]]:
    for provider_id in sorted({line.provider_id for line in lines}):
        mine = [line for line in lines if line.provider_id == provider_id]
        yield provider_id, len(mine), sum(one.minutes for one in mine), sum(one.amount_ore for one in mine)


def _owed(connection: Connection, month: Month) -> set[Key]:
    """Whom the month owes a line although it has no account: a price of a closed month was put right."""
    c = billing_lines.c
    owed = select(c.client_id, c.provider_id).where(c.month_on == month.first_on, c.gone == 0).distinct()
    return {(row.client_id, row.provider_id) for row in connection.execute(owed)}


def _of_month(connection: Connection, month: Month, provider_id: str | None) -> list[MonthAccount]:
    c = month_accounts.c
    conditions = [c.month_on == month.first_on]
    if provider_id is not None:
        conditions.append(c.provider_id == provider_id)
    return [one.account for one in store.load_current(connection, *conditions)]


def _refuse_closed(connection: Connection, month: Month) -> None:
    if month in closed_months(connection):
        raise MonthClosed(f"{month} is closed; what comes later is booked as an adjustment in the first open month")


def _refuse_early(connection: Connection, month: Month, run_on: date) -> None:
    if run_on <= month.last_on:
        raise MonthNotClosable(f"{month} is not over on {run_on}")
    closed = closed_months(connection)
    if closed and month > closed[-1].next:
        raise MonthNotClosable(f"close {closed[-1].next} first: a month takes what changed in the ones before it")
    if closed and month < closed[-1]:
        raise MonthNotClosable(f"{closed[-1]} is closed already; an earlier month can no longer be")
