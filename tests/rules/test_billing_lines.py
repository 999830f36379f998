"""Billing lines: prices by band and date, one rounding a line, everything owed exactly once."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from fractions import Fraction
from typing import Any

import pytest

from app.billing.rules.lines import LineInput, account_lines, amount_ore, raised_ore
from app.billing.rules.tariff import missing_prices
from app.billing.rules.totals import control_totals
from app.core.month import Month
from app.facts import BillingLine, Price
from app.facts.accounts import AccountInput, ServiceDone
from app.facts.prices import PriceList
from tests.rules.month_chain import ALWAYS, PRICES, Case
from tests.rules.month_facts import book, local, order, outcome, reason, stay
from tests.rules.test_month_vectors import VECTORS

MARCH, APRIL, MAY = Month(2017, 3), Month(2017, 4), Month(2017, 5)
ORDERED = (order("2017-03-01", None, 1200),)


def case(**facts: Any) -> Case:
    march = AccountInput(MARCH, "bo", "p1", **({"orders": ORDERED} | facts))
    return Case({MARCH: march, APRIL: AccountInput(APRIL, "bo", "p1"), MAY: AccountInput(MAY, "bo", "p1")})


def shown(lines: tuple[BillingLine, ...]) -> list[tuple[Any, ...]]:
    return [(one.kind, one.service, one.band, one.minutes, one.count, one.unit, one.amount_ore) for one in lines]


@pytest.mark.parametrize(
    ("minutes", "price", "ore"),
    [
        (60, 51_600, 51_600),
        (1, 90, 2),
        (1, 89, 1),
        (7, 48_500, 5658),
        (-1, 90, -2),
        (0, 51_600, 0),
        (59, 51_600, 50_740),
    ],
)
def test_an_amount_is_rounded_half_up_once(minutes: int, price: int, ore: int) -> None:
    assert amount_ore(minutes, price) == ore


def test_a_line_and_its_full_correction_cancel_to_the_ore() -> None:
    assert all(amount_ore(-minutes, 48_530) == -amount_ore(minutes, 48_530) for minutes in range(1, 200))


def test_the_money_vectors() -> None:
    vectors = {vector["id"]: vector for vector in VECTORS["money_vectors"]}
    raised = raised_ore(vectors["M01"]["input"]["rate_ore"], Fraction(2))
    assert raised == vectors["M01"]["expected"]["rate_ore_2017"]
    hours = vectors["M02"]["input"]
    price = hours["rate_kr"] * 100
    old = amount_ore((hours["executed_hours"] + hours["declined_at_door_hours"]) * 60, price)
    new = amount_ore(hours["executed_hours"] * 60, raised_ore(price, Fraction(2)))
    expected = vectors["M02"]["expected"]
    assert (old, new) == (expected["old_regime_kr"] * 100, expected["new_regime_kr"] * 100)


def test_a_price_is_raised_half_up() -> None:
    assert [raised_ore(25, Fraction(2)), raised_ore(24, Fraction(2)), raised_ore(75, Fraction(2))] == [26, 24, 77]


def test_minutes_of_a_day_are_one_line_rounded_once() -> None:
    stays = tuple(stay(f"v{day}", f"2017-03-{day:02d} 08:00", 7) for day in range(1, 4))
    one = case(stays=stays)
    one.prices = (Price("private", "day", "", "hour", ALWAYS, 48_500),)
    (line,) = one.lines(one.chain(MARCH))
    assert shown((line,)) == [("time", "care", "day", 21, 0, "hour", 16_975)]  # 3 x 5658 would be 16 974
    assert (line.order_id, line.cost_code, line.unit_id, line.district) == ("o1", "c1", "unit1", "north")
    assert (line.state, line.run_on, line.month, line.origin_month) == ("provisional", None, MARCH, MARCH)


def test_a_visit_pays_once_in_the_band_it_starts_in() -> None:
    stays = (stay("evening", "2017-03-01 21:50", 30), stay("morning", "2017-03-02 06:40", 50))
    one = case(stays=stays)
    assert shown(one.lines(one.chain(MARCH))) == [
        ("time", "care", "day", 10, 0, "hour", 8600),
        ("time", "care", "night", 20, 0, "visit", 0),
        ("visit", "care", "night", 50, 1, "visit", 26_000),
    ]


def test_a_night_visit_over_the_month_end_is_paid_in_the_month_it_starts() -> None:
    visit = (stay("v", "2017-03-31 23:50", 30),)
    one = case(stays=visit)
    one.inputs[APRIL] = AccountInput(APRIL, "bo", "p1", orders=ORDERED, stays=visit)
    assert shown(one.lines(one.chain(MARCH))) == [("visit", "care", "night", 10, 1, "visit", 26_000)]
    assert shown(one.lines(one.chain(APRIL))) == [("visit", "care", "night", 20, 0, "visit", 0)]


def test_a_price_that_changes_in_the_month_makes_two_lines() -> None:
    one = case(stays=(stay("a", "2017-03-14 08:00", 60), stay("b", "2017-03-15 08:00", 60)))
    one.prices = (*PRICES, Price("private", "day", "care", "hour", date(2017, 3, 15), 60_000))
    assert [(line.minutes, line.amount_ore) for line in one.lines(one.chain(MARCH))] == [(60, 51_600), (60, 60_000)]


def test_meals_are_paid_per_visit_alarm_once_a_month_phone_as_listed() -> None:
    stays = (
        stay("m1", "2017-03-01 12:00", 10, service="meal"),
        stay("m2", "2017-03-02 23:00", 10, service="meal"),
        stay("a1", "2017-03-02 02:00", 10, service="alarm"),
        stay("a2", "2017-03-03 02:00", 10, service="alarm"),
        stay("held", "2017-03-04 12:00", 10, service="meal", held=True),
    )
    one = case(stays=stays)
    lines = one.lines(one.chain(MARCH))
    assert shown(lines) == [
        ("month_item", "alarm", "", 0, 1, "month", 19_700),
        ("visit", "meal", "day", 0, 1, "visit", 4500),
        ("visit", "meal", "night", 0, 1, "visit", 4500),
    ]
    assert sum(line.minutes for line in lines) == one.chain(MARCH).result.account.settled_minutes == 0


def test_an_alarm_order_is_a_monthly_item_without_any_visit() -> None:
    one = case(orders=(order("2017-03-01", None, 0, service="alarm"),))
    assert shown(one.lines(one.chain(MARCH))) == [("month_item", "alarm", "", 0, 1, "month", 19_700)]


def test_care_services_are_paid_where_the_price_list_pays_them() -> None:
    one = case()
    one.prices = (*PRICES, Price("private", "day", "dusch", "care_service", ALWAYS, 15_000))
    done = [
        ServiceDone("bo", "p1", "s1", local("2017-03-05 09:00"), "dusch", 2),
        ServiceDone("bo", "p1", "s1", local("2017-03-06 09:00"), "dusch", 1),
        ServiceDone("bo", "p1", "s1", local("2017-03-06 09:00"), "promenad", 1),
        ServiceDone("bo", "p1", "s1", local("2017-04-01 09:00"), "dusch", 1),
    ]
    lines = account_lines(LineInput(one.chain(MARCH).result, one.tariff(), "hash", services=done))
    assert shown(lines) == [("care_service", "dusch", "", 0, 3, "care_service", 45_000)]


def test_approved_excess_keeps_its_band_price_and_date_when_it_settles() -> None:
    stays = (stay("day", "2017-03-05 08:00", 60), stay("night", "2017-03-06 23:00", 30))
    one = case(orders=(), stays=stays, reasons=(reason(90),))
    one.prices = (*PRICES, Price("private", "day", "care", "hour", date(2017, 4, 1), 99_900))
    assert one.lines(one.chain(MARCH)) == ()
    one.close(MARCH)
    lines = one.lines(one.chain(APRIL))
    assert shown(lines) == [
        ("carried_in", "care", "day", 60, 0, "hour", 51_600),
        ("carried_in", "care", "night", 30, 1, "visit", 26_000),
    ]
    assert {line.origin_month for line in lines} == {MARCH}


def test_a_night_visit_partly_over_the_ceiling_is_paid_with_its_first_minute() -> None:
    one = case(
        orders=(order("2017-03-01", None, 10),), stays=(stay("v", "2017-03-05 23:00", 30),), reasons=(reason(19),)
    )
    assert shown(one.lines(one.chain(MARCH))) == [("visit", "care", "night", 11, 1, "visit", 26_000)]
    one.close(MARCH)
    assert shown(one.lines(one.chain(APRIL))) == [("carried_in", "care", "night", 19, 0, "visit", 0)]


def test_a_late_tap_becomes_an_adjustment_with_origin_cause_and_what_it_corrects() -> None:
    one = case(stays=(stay("v", "2017-03-05 08:00", 60),))
    first = one.close(MARCH)
    assert first is not None
    one.inputs[MARCH] = replace(
        one.inputs[MARCH], stays=(stay("v", "2017-03-05 08:00", 60), stay("late", "2017-03-06 08:00", 30))
    )
    (line,) = one.lines(one.chain(APRIL))
    assert shown((line,)) == [("adjustment", "care", "day", 30, 0, "hour", 25_800)]
    assert (line.month, line.origin_month, line.corrects) == (APRIL, MARCH, first.lines[0].line_id)
    assert line.cause.endswith("; visit:late")
    one.close(APRIL)
    assert one.lines(one.chain(MAY)) == ()


def test_a_late_meal_is_an_adjustment_without_minutes() -> None:
    one = case()
    one.close(MARCH)
    one.inputs[MARCH] = replace(one.inputs[MARCH], stays=(stay("m", "2017-03-05 12:00", 10, service="meal"),))
    chain = one.chain(APRIL)
    (line,) = one.lines(chain)
    assert shown((line,)) == [("adjustment", "meal", "day", 0, 1, "visit", 4500)]
    assert line.cause.endswith("; visit:m")
    assert (chain.result.account.adjustment_minutes, chain.result.exists) == (0, True)


def test_a_price_raised_backwards_is_taken_back_and_paid_anew() -> None:
    one = case(stays=(stay("v", "2017-03-05 08:00", 60),))
    one.close(MARCH)
    one.prices = (*PRICES, Price("private", "day", "care", "hour", date(2017, 3, 1), 60_000))
    lines = one.lines(one.chain(APRIL))
    assert [(line.minutes, line.amount_ore) for line in lines] == [(-60, -51_600), (60, 60_000)]
    assert {line.cause.rpartition("; ")[2] for line in lines} == {"price"}


def test_compensated_declines_are_paid_in_the_band_of_their_planned_start() -> None:
    march = Month(2016, 3)
    ordered = (order("2016-03-01", None, 1200),)
    declined = (outcome("d", "2016-03-05 08:00", 30), outcome("n", "2016-03-06 23:00", 20))
    one = Case({march: AccountInput(march, "bo", "p1", orders=ordered, declines=declined)})
    assert shown(one.lines(one.chain(march))) == [
        ("time", "care", "day", 30, 0, "hour", 25_800),
        ("visit", "care", "night", 20, 1, "visit", 26_000),
    ]


def test_what_has_no_price_stands_at_nothing_and_is_named() -> None:
    one = case(stays=(stay("v", "2017-03-05 08:00", 60),))
    one.prices = ()
    chain = one.chain(MARCH)
    lines = one.lines(chain)
    assert shown(lines) == [("time", "care", "day", 60, 0, "", 0)]
    assert missing_prices(lines) == ("care/day",)


def test_night_patrol_has_the_prices_of_care_unless_it_has_its_own() -> None:
    one = case(stays=(stay("v", "2017-03-05 23:00", 30, service="night_patrol"),))
    assert shown(one.lines(one.chain(MARCH))) == [("visit", "night_patrol", "night", 30, 1, "visit", 26_000)]
    one.prices = (*PRICES, Price("private", "night", "night_patrol", "visit", ALWAYS, 30_000))
    assert one.lines(one.chain(MARCH))[0].amount_ore == 30_000
    one.policies = book(night_patrol_counts=False)
    assert shown(one.lines(one.chain(MARCH))) == [("visit", "night_patrol", "night", 0, 1, "visit", 30_000)]


def test_line_ids_stay_while_the_line_grows_and_differ_between_lines() -> None:
    one = case(stays=(stay("v", "2017-03-05 08:00", 60), stay("n", "2017-03-05 23:00", 60)))
    before = one.lines(one.chain(MARCH))
    one.inputs[MARCH] = replace(one.inputs[MARCH], stays=(*one.inputs[MARCH].stays, stay("w", "2017-03-07 08:00", 5)))
    after = one.lines(one.chain(MARCH))
    assert [line.line_id for line in before] == [line.line_id for line in after]
    assert len({line.line_id for line in after}) == 2


def test_control_totals_do_not_depend_on_order_or_state_but_on_every_figure() -> None:
    one = case(stays=(stay("v", "2017-03-05 08:00", 60), stay("n", "2017-03-05 23:00", 60)))
    lines = one.lines(one.chain(MARCH))
    totals = control_totals(lines)
    assert (totals.lines, totals.minutes, totals.amount_ore) == (2, 120, 77_600)
    assert control_totals(lines[::-1]) == totals
    assert control_totals([replace(line, state="settled") for line in lines]) == totals
    assert control_totals([replace(lines[0], amount_ore=1), lines[1]]).hash != totals.hash


def test_the_price_list_answers_for_the_day_band_class_and_unit() -> None:
    prices = PriceList(
        [
            *PRICES,
            Price("private", "night", "care", "hour", date(2017, 3, 15), 60_000),
            Price("municipal", "day", "care", "hour", ALWAYS, 48_500),
            Price("private", "day", "dusch", "care_service", ALWAYS, 15_000),
        ]
    )
    before, after = date(2017, 3, 14), date(2017, 3, 15)
    assert prices.visit_bands("private", before) == {("care", "night"), ("night_patrol", "night")}
    assert prices.visit_bands("private", after) == frozenset()
    night = prices.by_band("private", "night", "care", after)
    assert night is not None
    assert (night.unit, night.amount_ore) == ("hour", 60_000)
    assert prices.by_band("private", "day", "care", date(2009, 12, 31)) is None
    assert prices.by_band("private", "day", "meal", after) is not None
    assert prices.by_band("municipal", "night", "care", after) is None
    assert prices.per_visit("private", "night", "meal", after) is not None
    assert prices.per_care_service("private", "dusch", after) is not None
    assert prices.per_care_service("municipal", "dusch", after) is None
    assert prices.per_month("private", "alarm", after) is not None
