"""Closing: when the run is, what it freezes, and what a later change settles (DOMAIN.md 3).

    adjustment_free     = free as known now - free already settled for the origin month
    adjustment_approved = approved as known now - approved already settled for it by carry-in or adjustment

Both settle in the first month after the last closed one; in the month right after the origin the approved part comes
as carried_in, so only the rest is an adjustment. Nothing settles twice: what is settled is read off what was frozen.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from functools import lru_cache
from typing import Any

import holidays

from app.core.ids import digest_text
from app.core.localtime import instant_of
from app.core.month import Month
from app.facts.accounts import AccountResult, Adjustment, Block, ClosedMonth
from app.facts.derived import BillingLine, MonthAccount
from app.policies import PolicyBook

_UNHASHED_ACCOUNT = frozenset({"state", "known_at", "findings_open"})
_UNHASHED_LINE = frozenset({"state", "changed_at"})


@dataclass(frozen=True, slots=True)
class Settled:
    """What has been settled so far for an origin month."""

    free_minutes: int = 0
    approved_minutes: int = 0


@dataclass(frozen=True, slots=True)
class LeftOpen:
    """What a run leaves unpaid: nothing of it blocks the run."""

    accounts: int
    not_attested: int
    held_minutes: int
    pending_minutes: int
    unpaid_minutes: int
    findings_open: int


def run_on(month: Month, book: PolicyBook) -> date:
    """The local day of a month's payment run: the run_day of the month after."""
    first_on = month.next.first_on
    return first_on.replace(day=book.on(first_on).run_day)


def run_at(month: Month, book: PolicyBook) -> datetime:
    """The instant of a month's payment run: earlier on a public holiday of Sweden (Saturday and Sunday by policy)."""
    on = run_on(month, book)
    policy = book.on(on)
    is_holiday = on in holidays.country_holidays("SE", years=on.year)
    if policy.weekend_is_holiday and on.weekday() >= 5:
        is_holiday = True
    return instant_of(on, policy.run_time_holiday if is_holiday else policy.run_time)


def adjusting_month(closed_months: Iterable[Month]) -> Month | None:
    """The open month that takes adjustments: the first after the last closed one; None when none was closed."""
    last = max(closed_months, default=None)
    return None if last is None else last.next


def settled_for(origin: Month, history: Mapping[Month, ClosedMonth | None]) -> Settled:
    """What the closed months settled for an origin month. `history` has every closed month of one client and
    provider; None where there was no account."""
    own, after = history.get(origin), history.get(origin.next)
    parts = [
        part
        for frozen in history.values()
        if frozen is not None
        for part in frozen.adjustments
        if part.origin_month == origin
    ]
    free = own.account.free_minutes if own is not None else 0
    carried = after.account.carried_in_minutes if after is not None else 0
    return Settled(
        free + sum(part.free_minutes for part in parts), carried + sum(part.approved_minutes for part in parts)
    )


def difference(result: AccountResult, history: Mapping[Month, ClosedMonth | None]) -> Adjustment:
    """What a closed month, as known now, owes beyond what was settled for it: both figures whole, whether the approved
    one comes by carry-in or by adjustment (the correction vectors' `adjustment_*`)."""
    origin = result.account.month
    settled = settled_for(origin, history)
    return Adjustment(
        origin,
        result.account.free_minutes - settled.free_minutes,
        result.account.excess_approved_minutes - settled.approved_minutes,
        changes(history.get(origin), result),
    )


def adjustments(
    month: Month, results: Iterable[AccountResult], history: Mapping[Month, ClosedMonth | None]
) -> tuple[Adjustment, ...]:
    """What an open month settles for closed ones, by origin month; empty unless it is the month that takes them.

    `results` are the closed months recomputed as known now (those not given are taken as unchanged).
    """
    if month != adjusting_month(history):
        return ()
    found = []
    for result in results:
        if result.account.month not in history:
            continue
        part = difference(result, history)
        if part.origin_month == month.previous:
            part = replace(part, approved_minutes=0)
        if part.free_minutes or part.approved_minutes or _flat_visits_changed(history[part.origin_month], result):
            found.append(part)
    return tuple(sorted(found, key=lambda part: part.origin_month))


def _flat_visits_changed(frozen: ClosedMonth | None, result: AccountResult) -> bool:
    """Visits paid beside the 110 % differ: money without minutes."""
    before = {block.cause_id for block in frozen.ledger if block.fate == "flat"} if frozen is not None else set()
    return before != {block.cause_id for block in result.ledger if block.fate == "flat"}


def changes(frozen: ClosedMonth | None, result: AccountResult) -> tuple[str, ...]:
    """Why a closed month differs from what was frozen: `visit:<id>`, `decline:<id>`, `order`, `reasons`; `rules` when
    it differs in none of these; empty when it does not differ."""
    before = _minutes_by_cause(frozen.ledger) if frozen else {}
    now = _minutes_by_cause(result.ledger)
    causes = [f"{of}:{cause_id}" for of, cause_id in sorted({cause for cause, _ in before.items() ^ now.items()})]
    account = result.account
    if frozen is None:
        return tuple(causes)
    then = frozen.account
    if then.ordered_minutes != account.ordered_minutes or frozen.order_days != result.order_days:
        causes.append("order")
    if _decided(then) != _decided(account):
        causes.append("reasons")
    if not causes and then.free_minutes != account.free_minutes:
        causes.append("rules")
    return tuple(causes)


def is_as_frozen(result: AccountResult, frozen: ClosedMonth | None) -> bool:
    """Whether a closed month, as known now, is what its run froze, with nothing else that a fee follows from."""
    month = result.account.month
    absences = result.data.absences
    if any(one.from_on <= month.last_on and (one.to_on or month.last_on) >= month.first_on for one in absences):
        return False
    if frozen is None:
        return not result.exists
    return (
        result.ledger == frozen.ledger
        and result.order_days_now == frozen.order_days
        and all(block.service != "meal" for block in result.ledger)
        and _figures(replace(result.account, policy_version="")) == _figures(replace(frozen.account, policy_version=""))
    )


def _figures(account: MonthAccount) -> dict[str, str]:
    return {
        field.name: str(getattr(account, field.name))
        for field in fields(account)
        if field.name not in _UNHASHED_ACCOUNT
    }


def account_hash(account: MonthAccount, ledger: Iterable[Block]) -> str:
    """What a frozen account is sealed with: its figures, policy version and every block; 64 hex digits."""
    return digest_text(json.dumps([_figures(account), [cells_of(one) for one in ledger]], sort_keys=True, default=str))


def cells_of(block: Block) -> tuple[Any, ...]:
    """A block with its dates as text, as JSON has them; a share stays one."""
    cause_id, of, service, on, band, first, after, minutes, fate, outside, order_id, start_on, *rest = block
    return (
        cause_id, of, service, _iso(on), band, first, after, minutes, fate, outside, order_id, _iso(start_on), *rest,
    )  # fmt: skip


@lru_cache(maxsize=4096)
def _iso(on: date) -> str:
    """A city's month asks for the same days millions of times."""
    return on.isoformat()


def month_hash(frozen: Iterable[ClosedMonth]) -> str:
    """The hash of a closed month: over its accounts' hashes and every line, whatever their order."""
    rows = []
    for closed in frozen:
        account = closed.account
        rows.append([account.client_id, account.provider_id, closed.account_hash])
        rows += [line_texts(line) for line in closed.lines]
    return digest_text(json.dumps(sorted(rows)))


def line_texts(line: BillingLine) -> list[str]:
    """A line as hashes read it: without when it changed and its state."""
    return [str(getattr(line, field.name)) for field in fields(line) if field.name not in _UNHASHED_LINE]


def freeze(
    result: AccountResult,
    lines: Iterable[BillingLine],
    on: date,
    excess_before: tuple[int, int, int] | None = None,
    sealed: str = "",
) -> ClosedMonth:
    """The account as the run leaves it for ever. Its adjustments and carry-in are those it was computed with;
    `excess_before` as `reasons.excess_before` has it; `sealed` its hash, where that is known already."""
    account = replace(result.account, state="closed")
    return ClosedMonth(
        account=account,
        account_hash=sealed or account_hash(account, result.ledger),
        order_days=result.order_days_now,
        adjustments=result.data.adjustments,
        ledger=result.ledger,
        lines=tuple(lines),
        run_on=on,
        excess_before=excess_before,
    )


def left_open(accounts: Iterable[MonthAccount]) -> LeftOpen:
    """What the run prints as left open."""
    rows = list(accounts)
    return LeftOpen(
        accounts=len(rows),
        not_attested=sum(1 for row in rows if row.state == "open"),
        held_minutes=sum(row.held_minutes for row in rows),
        pending_minutes=sum(row.excess_pending_minutes for row in rows),
        unpaid_minutes=sum(row.unpaid_minutes for row in rows),
        findings_open=sum(row.findings_open for row in rows),
    )


def _decided(account: MonthAccount) -> tuple[int, int, int]:
    return (account.excess_reasoned_minutes, account.excess_approved_minutes, account.excess_pending_minutes)


def _minutes_by_cause(ledger: Iterable[Block]) -> dict[tuple[str, str], tuple[tuple[str, str, str, int], ...]]:
    """(of, id) -> its minutes per day and band, held ones apart, however they were judged."""
    minutes: dict[tuple[str, str], dict[tuple[str, str, str], int]] = {}
    for block in ledger:
        standing = block.fate if block.fate in ("held", "flat") else "counted"
        mine = minutes.setdefault((block.of, block.cause_id), {})
        key = (block.on.isoformat(), block.band, standing)
        mine[key] = mine.get(key, 0) + block.minutes
    return {cause: tuple(sorted((*key, value) for key, value in mine.items())) for cause, mine in minutes.items()}
