"""Reasons for excess: until when one is in time, and what becomes of the excess by them (DOMAIN.md 3).

    reasoned = min(excess, minutes of all reasons, whatever their state)
    approved = min(excess, approved minutes of reasons submitted in time)
    pending  = min(excess - approved, undecided minutes of reasons submitted in time)
    unpaid   = excess - approved - pending

"What becomes of the excess freezes when the following month closes": until then a closed month shows its frozen excess
with the reasons and decisions as known now, and from then on as that run left them. Readings where the text leaves
room:
- An approval for more minutes than its reason asked for counts with the asked ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from app.core.month import Month
from app.facts.accounts import Block, ClosedMonth
from app.facts.derived import MonthAccount
from app.facts.statements import ExcessReason
from app.months.rules.excess import judge_again
from app.policies import Policy, PolicyBook


@dataclass(frozen=True, slots=True)
class ExcessFate:
    """What becomes of an account's excess, in minutes."""

    reasoned: int = 0
    approved: int = 0
    pending: int = 0
    is_granted: bool = False
    """Some minute of a reason in time is approved: what lies outside the 110 % and any order is payable."""

    def unpaid(self, excess: int) -> int:
        """What is left of the excess."""
        return excess - self.approved - self.pending


NOTHING_SAID = ExcessFate()


def reason_deadline(month: Month, policy: Policy) -> date:
    """The last day on which a reason for the month's excess is in time."""
    return month.plus(policy.reason_lag_months).last_on


def approved_minutes(reason: ExcessReason) -> int:
    """What the decision grants: all or a part of the asked minutes; 0 unless approved."""
    if reason.decision != "approved":
        return 0
    return reason.minutes if reason.approved_minutes is None else min(reason.approved_minutes, reason.minutes)


def excess_fate(excess: int, reasons: Iterable[ExcessReason], month: Month, policy: Policy) -> ExcessFate:
    """What becomes of a month's excess by its reasons as they stand; reasons of other months do no harm."""
    mine = [reason for reason in reasons if reason.month == month]
    deadline = reason_deadline(month, policy)
    in_time = [reason for reason in mine if reason.submitted_on <= deadline]
    granted = sum(approved_minutes(reason) for reason in in_time)
    undecided = sum(reason.minutes for reason in in_time if reason.decision == "pending")
    approved = min(excess, granted)
    return ExcessFate(
        reasoned=min(excess, sum(reason.minutes for reason in mine)),
        approved=approved,
        pending=min(excess - approved, undecided),
        is_granted=granted > 0,
    )


def as_it_stands(
    month: Month, history: Mapping[Month, ClosedMonth | None], reasons: Sequence[ExcessReason], book: PolicyBook
) -> MonthAccount | None:
    """A closed account with what has become of its frozen excess; None where the run found no account.

    `history` has every closed month of the client and provider, None where there was no account; `reasons` are the
    month's as known now."""
    frozen = history.get(month)
    if frozen is None:
        return None
    account = frozen.account
    if month.next not in history:
        fate = excess_fate(account.excess_minutes, reasons, month, book.on(month.first_on))
        return _with(account, fate.reasoned, fate.approved, fate.pending)
    after = history[month.next]
    return account if after is None or after.excess_before is None else _with(account, *after.excess_before)


def excess_before(
    month: Month, history: Mapping[Month, ClosedMonth | None], reasons: Sequence[ExcessReason], book: PolicyBook
) -> tuple[int, int, int] | None:
    """What a month's run freezes of the closed month before it: reasoned, approved, pending."""
    account = as_it_stands(month.previous, history, reasons, book)
    if account is None:
        return None
    return account.excess_reasoned_minutes, account.excess_approved_minutes, account.excess_pending_minutes


def ledger_as_it_stands(ledger: tuple[Block, ...], account: MonthAccount) -> tuple[Block, ...]:
    """A frozen ledger with its excess judged as the account now shows it."""
    return judge_again(ledger, account.excess_approved_minutes, account.excess_pending_minutes)


def _with(account: MonthAccount, reasoned: int, approved: int, pending: int) -> MonthAccount:
    return replace(
        account,
        excess_reasoned_minutes=reasoned,
        excess_approved_minutes=approved,
        excess_pending_minutes=pending,
        unpaid_minutes=account.excess_minutes - approved - pending,
    )
