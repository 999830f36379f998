"""One client's months with one provider in their order: what an account needs of the ones before it.

An open month takes what was approved of the month before (carried_in), and, when it is the first after the last closed
one, what changed in closed months (adjustments). A closed month computed again shows itself as known now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from app.core.month import Month
from app.facts.accounts import AccountInput, AccountResult, ClosedMonth
from app.months.rules.closing import adjusting_month, adjustments
from app.months.rules.reporting_limit import month_account
from app.policies import PolicyBook

History = Mapping[Month, ClosedMonth | None]
"""Every closed month of the municipality for one client and provider; None where there was no account."""


@dataclass(frozen=True, slots=True)
class Chain:
    """An account with those it settles for."""

    result: AccountResult
    previous: AccountResult | None
    """The month before as known now; None when its input was not given. What is carried in comes from it."""
    origins: tuple[AccountResult, ...]
    """The closed months as known now, earliest first: what the adjustments come from."""


def account_in_chain(month: Month, inputs: Mapping[Month, AccountInput], history: History, book: PolicyBook) -> Chain:
    """The account of a month. `inputs` has the month's; the month before's, where it has reasons or is closed; and
    those of closed months that may have changed. Closing facts are filled in from `history`."""
    origins = []
    if month not in history and month == adjusting_month(history):
        origins = [_as_known_now(inputs[origin], history, book) for origin in sorted(inputs) if origin in history]
    data = inputs[month]
    if month in history:
        return Chain(_as_known_now(data, history, book), None, ())
    previous = next((result for result in origins if result.account.month == month.previous), None)
    if previous is None and month.previous in inputs:
        previous = _as_known_now(inputs[month.previous], history, book)
    before = previous.data if previous is not None else None
    data = replace(
        data,
        carried_in_minutes=previous.account.excess_approved_minutes if previous is not None else 0,
        adjustments=adjustments(month, origins, history),
        has_reasons_before=data.has_reasons_before
        or (before is not None and any(reason.month == month.previous for reason in before.reasons)),
    )
    return Chain(month_account(data, book), previous, tuple(origins))


def _as_known_now(data: AccountInput, history: History, book: PolicyBook) -> AccountResult:
    """A month by itself; a closed one with the figures that its close fixed."""
    if data.month not in history:
        return month_account(data, book)
    frozen = history[data.month]
    closed = replace(data, is_closed=True, at_close=frozen)
    if frozen is not None:
        account = frozen.account
        closed = replace(closed, carried_in_minutes=account.carried_in_minutes, adjustments=frozen.adjustments)
    return month_account(closed, book)
