"""The forecast of an open month, the time left in it, and orders that do not fit."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from app.core.month import Month
from app.facts import PlannedVisit
from app.facts.accounts import AccountResult
from app.months.rules.forecast import Forecast, forecast, order_misfit
from tests.rules.month_facts import BOOK, account, book, local, order, outcome, stay

POLICY = BOOK.on(date(2017, 3, 1))
ORDERED = (order("2017-03-01", None, 1000),)


def planned(planned_id: str, start: str, end: str, **facts: Any) -> PlannedVisit:
    return PlannedVisit(planned_id, "bo", "p1", "s1", local(start), local(end), **facts)


def seen(result: AccountResult, now: str, *plan: PlannedVisit, done: tuple[str, ...] = ()) -> Forecast:
    return forecast(result, plan, done, POLICY, local(now))


def test_what_is_planned_ahead_is_the_forecast() -> None:
    result = account("2017-03", orders=ORDERED, stays=(stay("v", "2017-03-05 08:00", 600),))
    plan = (
        planned("past", "2017-03-09 08:00", "2017-03-09 09:00"),
        planned("done", "2017-03-11 08:00", "2017-03-11 09:00"),
        planned("two", "2017-03-12 08:00", "2017-03-12 09:00", staff_count=2),
        planned("meal", "2017-03-13 08:00", "2017-03-13 09:00", service="meal"),
        planned("withdrawn", "2017-03-14 08:00", "2017-03-14 09:00", withdrawn_at=local("2017-03-01 08:00")),
        planned("over the end", "2017-03-31 23:30", "2017-04-01 00:30"),
    )
    assert seen(result, "2017-03-10 12:00", *plan, done=("done",)) == Forecast(750, 75, None, 400)


def test_without_a_plan_the_pace_of_the_same_weekdays_is_the_forecast() -> None:
    stays = tuple(stay(f"v{day}", f"2017-03-{day:02d} 08:00", 10 + day) for day in range(1, 8))
    result = account("2017-03", orders=ORDERED, stays=stays)
    week = sum(10 + day for day in range(1, 8))
    # 8 March is a Wednesday like the 1st; 24 days left: three whole weeks and Wed, Thu, Fri once more
    wanted = week + 3 * week + 11 + 12 + 13
    assert seen(result, "2017-03-08 00:30").forecast_minutes == wanted


def test_what_today_has_already_given_is_not_expected_again() -> None:
    stays = (stay("a", "2017-03-01 08:00", 50), stay("b", "2017-03-08 08:00", 20))
    orders = (order("2017-03-01", "2017-03-08", 1000),)
    result = account("2017-03", orders=orders, stays=stays)
    assert seen(result, "2017-03-08 12:00").forecast_minutes == 50 + 50


def test_the_ceiling_is_crossed_on_the_day_that_passes_it() -> None:
    result = account("2017-03", orders=ORDERED, stays=(stay("v", "2017-03-05 08:00", 1050),))
    exactly = planned("p", "2017-03-20 08:00", "2017-03-20 08:50")
    assert seen(result, "2017-03-10 12:00", exactly).crosses_ceiling_on is None
    above = planned("q", "2017-03-22 08:00", "2017-03-22 08:01")
    found = seen(result, "2017-03-10 12:00", exactly, above)
    assert (found.crosses_ceiling_on, found.forecast_minutes, found.forecast_percent) == (date(2017, 3, 22), 1101, 110)
    assert found.time_left_minutes == 0


def test_without_ordered_time_there_is_no_percent_and_a_closed_month_has_no_forecast() -> None:
    result = account("2017-03", stays=(stay("v", "2017-03-05 08:00", 60),))
    assert seen(result, "2017-03-10 12:00") == Forecast(60, None, None, 0)
    closed = replace(result, account=replace(result.account, state="closed"))
    assert seen(closed, "2017-03-10 12:00") == Forecast(None, None, None, None)


def test_declined_time_is_part_of_the_pace_and_of_what_is_used() -> None:
    orders = (order("2016-03-01", None, 1000),)
    result = account("2016-03", orders=orders, declines=(outcome("d", "2016-03-05 08:00", 30),))
    assert forecast(result, (), (), POLICY, local("2016-04-02 08:00")) == Forecast(30, 3, None, 970)


@pytest.mark.parametrize(
    ("reported", "side"),
    [
        ((1101, 1101, 1101), "above"),
        ((1101, 1100, 1101), ""),
        ((749, 749, 749), "under"),
        ((749, 750, 749), ""),
        ((1101, 749, 1101), ""),
    ],
)
def test_three_months_in_a_row_above_or_under_make_an_order_misfit(reported: tuple[int, ...], side: str) -> None:
    one = account("2017-03", orders=ORDERED).account
    row = [replace(one, month=Month(2017, 1 + n), reported_minutes=minutes) for n, minutes in enumerate(reported)]
    finding = order_misfit(row, POLICY)
    assert (finding.fact("side") if finding else "") == side
    if finding:
        assert (finding.code, finding.at) == ("order_misfit", local("2017-03-31 23:59"))


def test_a_row_is_months_without_a_gap_and_as_long_as_policy_says() -> None:
    one = replace(account("2017-03", orders=ORDERED).account, reported_minutes=2000)
    gap = [replace(one, month=Month(2017, n)) for n in (1, 2, 4)]
    assert order_misfit(gap, POLICY) is None
    assert order_misfit(gap[:2], POLICY) is None
    assert order_misfit(gap[:2], book(misfit_months=2).on(date(2017, 3, 1))) is not None
    unordered = [replace(one, month=Month(2017, n), ordered_minutes=0) for n in (1, 2, 3)]
    assert order_misfit(unordered, POLICY) is None
