"""Where an open month is heading, and how much time is left in it (DOMAIN.md 3). `now` is an argument.

Readings where the text leaves room:
- "remaining plan, else the pace of the same weekdays": as soon as one planned visit lies ahead in the month, the plan
  is the forecast; a day's pace is the mean of the month's earlier ordered days of that weekday, else of all of them.
- time left is ordered less reported, not below 0: the ordered time is what can be disposed of, not the ceiling.
- forecast_percent is floored to a whole percent; `crosses_ceiling_on` decides exactly.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from itertools import pairwise

from app.core.ids import finding_id
from app.core.localtime import local_date
from app.core.minutes import minutes_by_day
from app.facts.accounts import AccountResult
from app.facts.derived import Finding, MonthAccount
from app.facts.statements import PlannedVisit
from app.months.rules.executed_time import COUNTED_CLASSES
from app.months.rules.reporting_limit import last_minute
from app.policies import Policy


@dataclass(frozen=True, slots=True)
class Forecast:
    """None where there is nothing to say: a closed month, no ordered time, no crossing."""

    forecast_minutes: int | None
    forecast_percent: int | None
    crosses_ceiling_on: date | None
    time_left_minutes: int | None


NO_FORECAST = Forecast(None, None, None, None)


def forecast(
    result: AccountResult, plan: Iterable[PlannedVisit], done: Collection[str], policy: Policy, now: datetime
) -> Forecast:
    """The account's forecast at an instant. `plan` is the client's with the provider, `done` the planned_ids that were
    matched or declined."""
    account = result.account
    if account.state == "closed":
        return NO_FORECAST
    ahead = _plan_ahead(result, (visit for visit in plan if visit.planned_id not in done), policy, now)
    if ahead is None:
        ahead = _pace_ahead(result, local_date(now))
    expected = account.reported_minutes + int(sum(ahead.values(), Fraction(0)))
    ordered = account.ordered_minutes
    return Forecast(
        forecast_minutes=expected,
        forecast_percent=expected * 100 // ordered if ordered else None,
        crosses_ceiling_on=_crossing(result, ahead),
        time_left_minutes=max(ordered - account.reported_minutes, 0),
    )


def order_misfit(accounts: Sequence[MonthAccount], policy: Policy) -> Finding | None:
    """Three months above 110 % or under 75 % in a row (each value policy): a finding about the last of them.

    `accounts` are those of one client and provider that end with the month asked about, oldest first; whole months
    only. Months without ordered time are no fit or misfit of an order and break the row.
    """
    count = policy.misfit_months
    row = accounts[-count:]
    if len(row) < count or any(later.month != earlier.month.next for earlier, later in pairwise(row)):
        return None
    if all(one.ordered_minutes and _percent(one) > policy.misfit_over_percent for one in row):
        side = "above"
    elif all(one.ordered_minutes and _percent(one) < policy.misfit_under_percent for one in row):
        side = "under"
    else:
        return None
    last = row[-1]
    facts = (("month", str(last.month)), ("side", side), ("months", str(count)))
    return Finding(
        finding_id=finding_id("order_misfit", last.client_id, last.provider_id, str(last.month)),
        code="order_misfit",
        at=last_minute(last.month),
        client_id=last.client_id,
        provider_id=last.provider_id,
        facts=facts,
    )


def _percent(account: MonthAccount) -> Fraction:
    return Fraction(account.reported_minutes * 100, account.ordered_minutes)


def _plan_ahead(
    result: AccountResult, plan: Iterable[PlannedVisit], policy: Policy, now: datetime
) -> dict[date, Fraction] | None:
    """Planned minutes ahead per day of the month; None when nothing is planned ahead in it."""
    month = result.account.month
    ahead: dict[date, Fraction] = defaultdict(Fraction)
    for visit in plan:
        if visit.start_at <= now or visit.withdrawn_at is not None or visit.service not in COUNTED_CLASSES:
            continue
        if visit.service == "night_patrol" and not policy.night_patrol_counts:
            continue
        for on, minutes in minutes_by_day(visit.start_at, visit.end_at).items():
            if month.first_on <= on <= month.last_on:
                ahead[on] += minutes * visit.staff_count
    return ahead or None


def _pace_ahead(result: AccountResult, today: date) -> dict[date, Fraction]:
    """The expected rest of today and of the ordered days after it."""
    month = result.account.month
    by_day = dict(zip(month.days(), result.reported_by_day, strict=True))
    passed = [on for on in result.order_days if on < today]
    if not passed:
        return {}
    overall = Fraction(sum(by_day[on] for on in passed), len(passed))
    pace = {}
    for weekday in range(7):
        same = [by_day[on] for on in passed if on.weekday() == weekday]
        pace[weekday] = Fraction(sum(same), len(same)) if same else overall
    ahead = {on: pace[on.weekday()] for on in result.order_days if on >= today}
    if today in ahead:
        ahead[today] = max(ahead[today] - by_day[today], Fraction(0))
    return ahead


def _crossing(result: AccountResult, ahead: dict[date, Fraction]) -> date | None:
    """The first day on which the minutes inside the order pass the ceiling, done or expected."""
    by_day = dict(zip(result.account.month.days(), result.reported_by_day, strict=True))
    total = Fraction(0)
    for on in result.order_days:
        total += by_day[on] + ahead.get(on, Fraction(0))
        if total > result.account.ceiling_minutes:
            return on
    return None
