"""What holds in every month, and the ledger against a minute-by-minute one that knows nothing of blocks."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from functools import cache

from hypothesis import given, settings

from app.core.localtime import local_date
from app.facts import Share
from app.facts.accounts import AccountInput, AccountResult, Block
from app.months.rules.reporting_limit import month_account
from tests.rules.month_facts import BOOK, book
from tests.rules.month_worlds import inputs

COUNTED = ("free", "approved", "pending", "unpaid")


def total(blocks: tuple[Block, ...], *fates: str) -> int:
    return sum(block.minutes for block in blocks if block.fate in fates)


@settings(max_examples=120, deadline=None)
@given(inputs())
def test_the_figures_of_a_month_fit_together(data: AccountInput) -> None:
    result = month_account(data, BOOK)
    account, ledger = result.account, result.ledger
    assert account.free_minutes <= account.ceiling_minutes
    assert account.reported_minutes == account.executed_minutes + account.declined_compensated_minutes
    assert account.reported_minutes == account.free_minutes + account.excess_minutes
    parts = (account.excess_approved_minutes, account.excess_pending_minutes, account.unpaid_minutes)
    assert account.excess_minutes == sum(parts)
    assert min(parts) >= 0
    assert account.settled_minutes == account.free_minutes
    assert sum(result.reported_by_day) == account.reported_minutes
    assert total(ledger, "free") == account.free_minutes
    assert (total(ledger, "approved"), total(ledger, "pending"), total(ledger, "unpaid")) == parts
    assert total(ledger, "held") == account.held_minutes
    assert sum(b.minutes for b in ledger if b.of == "visit" and b.fate in COUNTED) == account.executed_minutes
    assert sum(b.minutes for b in ledger if b.of == "decline") == account.declined_compensated_minutes
    assert not [block for block in ledger if block.outside and block.fate == "free" and block.minutes]


@settings(max_examples=200, deadline=None)
@given(inputs())
def test_the_ledger_is_the_minute_by_minute_one(data: AccountInput) -> None:
    result = month_account(data, BOOK)
    wanted = fates_by_minute(data, result)
    got: Counter[tuple[str, int, bool]] = Counter()
    for block in result.ledger:
        if block.fate not in COUNTED:
            continue
        is_free = block.fate == "free"
        if block.of == "decline":
            got[block.cause_id, block.first, is_free] += block.minutes
            continue
        for minute in range(block.first, block.after):
            if _is_dealt(block.share, minute - block.stay_first):
                got[block.cause_id, minute, is_free] += 1
    assert +got == wanted


def fates_by_minute(data: AccountInput, result: AccountResult) -> Counter[tuple[str, int, bool]]:
    """(visit or decline, epoch minute, is free) -> minutes, one minute at a time."""
    ordered = set(result.order_days)
    minutes = []
    for one in data.stays:
        if one.held or one.service not in ("care", "night_patrol"):
            continue
        minutes += [
            (minute, 1, one.first, one.visit_id) for minute in range(one.first, one.after)
            if _month_of(minute) == (data.month.year, data.month.number) and _is_dealt(one.share, minute - one.first)
        ]  # fmt: skip
    for part in result.declines:
        at = int(part.outcome.planned_start_at.timestamp()) // 60
        minutes += [(at, 2, 0, part.outcome.decline_id)] * part.compensated_minutes
    inside = sorted(row for row in minutes if _day(row[0]) in ordered)
    # of one instant the later begun visit is cut first, of those begun together the smaller id stays: as excess.py says
    inside.sort(key=lambda row: (row[0], row[1], row[2], row[3]))
    found: Counter[tuple[str, int, bool]] = Counter()
    for number, row in enumerate(inside):
        found[row[3], row[0], number < result.account.ceiling_minutes] += 1
    for row in minutes:
        if _day(row[0]) not in ordered:
            found[row[3], row[0], False] += 1
    return found


def _is_dealt(share: Share | None, position: int) -> bool:
    return share is None or share.minutes_between(position, position + 1) == 1


@cache
def _day(minute: int) -> date:
    return local_date(datetime.fromtimestamp(minute * 60, UTC))


def _month_of(minute: int) -> tuple[int, int]:
    on = _day(minute)
    return (on.year, on.month)


@settings(max_examples=50, deadline=None)
@given(inputs())
def test_the_order_in_which_facts_come_changes_nothing(data: AccountInput) -> None:
    turned = AccountInput(
        data.month, "bo", "p1", orders=data.orders[::-1], stays=data.stays[::-1], declines=data.declines[::-1],
        reasons=data.reasons[::-1],
    )  # fmt: skip
    one, other = month_account(data, BOOK), month_account(turned, BOOK)
    assert (one.account, one.ledger, one.findings) == (other.account, other.ledger, other.findings)


@settings(max_examples=50, deadline=None)
@given(inputs())
def test_the_short_way_and_the_long_way_of_counting_agree(data: AccountInput) -> None:
    short = month_account(data, BOOK)
    # a grid in which some class is not plain takes the long way for every stay
    long = month_account(data, book(second_staff_counts=False))
    assert short.ledger == long.ledger
    assert short.account.executed_minutes == long.account.executed_minutes
    assert short.account.visits == long.account.visits
    assert short.reported_by_day == long.reported_by_day
