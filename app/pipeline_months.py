"""The month: accounts and lines kept in step, attested, closed; what later changes settle.

Everything that reads a month goes through `complete_month` first, so that accounts nobody has touched yet are there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from sqlalchemy import Connection, insert, select, text

from app.access.logs import note_change
from app.billing import fee_flow
from app.billing import store as billing_store
from app.billing.flow import key_of, lines_of, write_lines
from app.billing.rules.lines import settle
from app.billing.rules.totals import ControlTotals, control_totals
from app.billing.tables import billing_lines
from app.core.localtime import local_date
from app.core.month import Month
from app.db.callers import Caller
from app.db.engine import Database
from app.db.partitions import ensure_months
from app.db.processes import Processes
from app.evidence.store import append
from app.evidence.tables import closes
from app.facts import Attest, BillingLine, MonthAccount
from app.facts.accounts import ClosedMonth, FeeLine, ServiceDone
from app.months import flow, store
from app.months.loading import Books, Key, closed_months
from app.months.rules.chain import Chain
from app.months.rules.closing import LeftOpen, account_hash, adjusting_month, freeze, left_open, month_hash
from app.months.rules.reasons import excess_before
from app.months.store import StoredAccount
from app.months.tables import month_accounts
from app.pipeline_derive import catch_up, follow, lock
from app.pipeline_statements import Speaker
from app.refusals import Invalid, MonthClosed, MonthNotClosable
from app.registry.tables import providers
from app.visits.draft import AccountSpan
from app.visits.queue import is_waiting

Progress = Callable[[str, int, int], None]


def complete_month(database: Database, month: Month, now: datetime, *, client: str = "", provider: str = "") -> None:
    """Make every account of the month that does not exist yet, or those of a client and of a provider that are asked
    for. Cheap when there is nothing to do."""
    whose = {"client_id": client, "provider_id": provider}
    with database.question(Caller.ingest()) as connection:
        waiting = is_waiting(connection)
        if not waiting and not flow.ordered_only(connection, month, **whose):
            return
    if waiting:
        catch_up(database, now)
    with database.transaction(Caller.ingest()) as connection:
        for computed in flow.complete_month(connection, month, now, **whose):
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
        _refuse_closed(connection, month)
        _refuse_early(connection, month, run_on)
        # Beforehand: a new partition locks the default one, which the processes below read.
        ensure_months(connection, ("month_accounts", "billing_lines"), month.first_on, month.next.first_on)
    with database.transaction(Caller.batch()) as connection, Processes(database, 2) as processes:
        lock(connection)
        _refuse_closed(connection, month)
        _refuse_early(connection, month, run_on)
        run, keys = _run(connection, month, run_on, now)
        parts: list[_Frozen] = []
        for part in processes.spread(_freeze, run, list(flow.parts_of(keys))):
            _store(connection, part, now)
            parts.append(part)
            progress("close", sum(one.keys for one in parts), len(keys))
        done = _Frozen.of(parts)
        billing_store.freeze_fee_lines(connection, sorted(done.fees, key=fee_flow.order_of))
        sealed = month_hash(done.sealed)
        connection.execute(
            insert(closes),
            [{"month": str(month), "at": now, "by": name, "hash": sealed, "version": 1, "stored_at": now}],
        )
        if isinstance(by, Speaker):
            note_change(connection, by.principal, "month.close", str(month), now, request_id=by.asked.request_id)
    return Closed(month, run_on, sealed, control_totals(done.lines), tuple(_due(done.lines)), left_open(done.accounts))


@dataclass(frozen=True, slots=True)
class _Run:
    """What every part of a run needs. `accounts`: whom it freezes; of others only fees are looked at."""

    month: Month
    run_on: date
    now: datetime
    accounts: frozenset[Key]
    takes: bool
    """The month takes what changed in closed ones."""
    snapshot: str


@dataclass(slots=True)
class _Frozen:
    """What a run leaves of some clients; without ledgers, they are in `rows` only."""

    first: Key = ("", "")
    keys: int = 0
    rows: list[bytes] = field(default_factory=list)
    closed: list[StoredAccount] = field(default_factory=list)
    lines: list[BillingLine] = field(default_factory=list)
    no_longer: list[BillingLine] = field(default_factory=list)
    """Provisional lines that are not owed after all."""
    fees: list[FeeLine] = field(default_factory=list)
    accounts: list[MonthAccount] = field(default_factory=list)
    """As they stood when the run came: frozen ones are closed, attested or not."""
    sealed: list[ClosedMonth] = field(default_factory=list)

    @classmethod
    def of(cls, parts: Iterable[_Frozen]) -> _Frozen:
        """The parts together, whichever was done first; without what is stored by now."""
        whole = cls()
        for part in sorted(parts, key=lambda one: one.first):
            whole.lines += part.lines
            whole.fees += part.fees
            whole.accounts += part.accounts
            whole.sealed += part.sealed
        return whole


def _run(connection: Connection, month: Month, run_on: date, now: datetime) -> tuple[_Run, list[Key]]:
    """What is to be frozen, and whose months are computed for it."""
    known = {(one.client_id, one.provider_id) for one in _of_month(connection, month, None)}
    accounts = frozenset(known | _owed(connection, month))
    snapshot = connection.execute(text("SELECT pg_export_snapshot()")).scalar_one()
    takes = adjusting_month(closed_months(connection)) == month
    keys = sorted(accounts.union(fee_flow.keys_of_fees(connection, month)))
    return _Run(month, run_on, now, accounts, takes, snapshot), keys


def _freeze(database: Database, run: _Run, keys: Sequence[Key]) -> _Frozen:
    """Compute what the run freezes of some clients, as the run's transaction found them; stores nothing."""
    with database.transaction(Caller.batch()) as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        connection.execute(text(f"SET TRANSACTION SNAPSHOT '{run.snapshot}'"))
        computed = flow.compute_month(connection, run.month, keys)
        clients = {client_id for client_id, _ in keys}
        settled = billing_store.settled_lines(connection, clients)
        services = billing_store.services_done(connection, clients)
        found = _Frozen(keys[0], len(keys))
        for chain in computed.chains:
            if key_of(chain) in run.accounts:
                _freeze_account(run, computed.books, chain, settled, services, found=found)
        made = {line.line_id for line in found.lines}
        provisional = billing_store.provisional_lines(connection, clients, [run.month])
        found.no_longer = [line for line in provisional if line.line_id not in made]
        found.fees = fee_flow.fees_of(connection, run.month, computed, takes=run.takes)
    return found


def _freeze_account(
    run: _Run,
    books: Books,
    chain: Chain,
    settled: Mapping[Key, list[BillingLine]],
    services: Mapping[Key, list[ServiceDone]],
    *,
    found: _Frozen,
) -> None:
    result = chain.result
    sealed = account_hash(result.account, result.ledger)
    lines = settle(lines_of(books, chain, settled, services, sealed), run.run_on)
    if result.exists:
        found.accounts.append(result.account)
    elif not lines:
        return
    key = key_of(chain)
    before = excess_before(run.month, books.history_of(key), books.reasons.get(key, ()), books.book)
    one = freeze(result, lines, run.run_on, before, sealed)
    found.rows.append(store.closed_line(one))
    found.closed.append(replace(StoredAccount.of(result), account=one.account))
    found.lines += [replace(line, changed_at=run.now) for line in lines]
    found.sealed.append(replace(one, ledger=()))


def _store(connection: Connection, part: _Frozen, now: datetime) -> None:
    """What a run freezes of some clients, in its transaction."""
    store.freeze(connection, part.rows)
    store.put(connection, part.closed, (), now)
    billing_store.empty_lines(connection, part.no_longer, now)
    billing_store.put_lines(connection, part.lines, now)
    part.rows, part.closed, part.no_longer = [], [], []


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
