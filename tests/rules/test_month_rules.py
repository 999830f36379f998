"""Border tables of the month: ordered, executed, declined, the excess and its reasons, in DOMAIN.md's own cases."""

from __future__ import annotations

from datetime import date

import pytest

from app.core.month import Month
from app.facts import Absence, ExcessReason, Order, Share
from app.facts.accounts import AccountResult
from app.months.rules.executed_time import executed_by_day
from app.months.rules.month_grid import month_grid
from tests.rules.month_facts import BOOK, account, book, local, order, outcome, reason, stay

MARCH = order("2017-03-01", None, 1200)


def blocks(result: AccountResult) -> list[tuple[str, str, str, int, str]]:
    return [(b.cause_id, b.on.isoformat()[5:], b.band, b.minutes, b.fate) for b in result.ledger]


# ordered


@pytest.mark.parametrize(
    ("orders", "minutes"),
    [
        pytest.param([order("2017-03-01", "2017-03-10", 310)], 100, id="part of a month"),
        pytest.param([order("2017-03-01", "2017-03-10", 100)], 32, id="a fraction is floored"),
        pytest.param(
            [order("2017-03-01", "2017-03-10", 100), order("2017-03-11", None, 100, order_id="o2")], 100,
            id="fractions are summed before the floor",
        ),
        pytest.param([order("2017-02-15", "2017-03-14", per_day=40)], 560, id="minutes a day"),
        pytest.param([order("2017-03-01", None, 100), order("2017-03-31", None, per_day=9, order_id="o2")], 109,
                     id="two at a time add up"),
        pytest.param([order("2017-04-01", None, 100), order("2017-01-01", "2017-02-28", 100, order_id="o2")], 0,
                     id="other months give nothing"),
    ],
)  # fmt: skip
def test_ordered_time_is_the_exact_sum_of_its_periods_floored_once(orders: list[Order], minutes: int) -> None:
    assert account("2017-03", orders=tuple(orders)).account.ordered_minutes == minutes


def test_an_order_lasts_through_the_day_of_death() -> None:
    dead = (Absence("bo", date(2017, 3, 10), "dead", None),)
    result = account("2017-03", orders=(order("2017-01-01", None, 310),), absences=dead)
    assert result.account.ordered_minutes == 100
    assert result.order_days[-1] == date(2017, 3, 10)


def test_absence_lowers_ordered_time_only_by_policy_and_not_on_its_edge_days() -> None:
    away = (Absence("bo", date(2017, 3, 10), "hospital", date(2017, 3, 15)),)
    orders = (order("2017-01-01", None, per_day=10),)
    assert account("2017-03", orders=orders, absences=away).account.ordered_minutes == 310
    lowered = account("2017-03", orders=orders, absences=away, policies=book(absence_lowers_ordered=True))
    assert lowered.account.ordered_minutes == 270
    assert len(lowered.order_days) == 31


# executed


def test_a_visit_is_cut_at_midnight_month_end_and_band_borders() -> None:
    visit = (stay("v", "2017-01-31 21:50", 160),)  # to 00:30 on 1 February
    january = account("2017-01", orders=(order("2017-01-01", None, 1200),), stays=visit)
    assert blocks(january) == [("v", "01-31", "day", 10, "free"), ("v", "01-31", "night", 120, "free")]
    february = account("2017-02", orders=(order("2017-01-01", None, 1200),), stays=visit)
    assert blocks(february) == [("v", "02-01", "night", 30, "free")]
    assert [block.begins for block in (*january.ledger, *february.ledger)] == [True, False, False]
    assert february.ledger[0].start_band == "day"
    assert (january.account.visits, february.account.visits) == (1, 0)


@pytest.mark.parametrize(
    ("start", "minutes", "by_band"),
    [
        ("2026-03-29 01:45", 30, {"night": 30}),
        ("2026-03-29 01:45", 300, {"night": 255, "day": 45}),
        ("2026-10-25 01:45", 150, {"night": 150}),
        ("2026-10-25 06:00", 90, {"night": 60, "day": 30}),
    ],
)
def test_nights_of_the_clock_change_count_elapsed_time(start: str, minutes: int, by_band: dict[str, int]) -> None:
    result = account(start[:7], orders=(order("2026-01-01", None, 1200),), stays=(stay("v", start, minutes),))
    assert result.account.executed_minutes == minutes
    assert {block.band: block.minutes for block in result.ledger} == by_band


def test_classes_outside_the_limit_and_held_visits_are_not_executed() -> None:
    stays = (
        stay("care", "2017-03-01 08:00", 30),
        stay("patrol", "2017-03-01 23:00", 20, service="night_patrol"),
        stay("meal", "2017-03-01 12:00", 15, service="meal"),
        stay("held", "2017-03-02 08:00", 40, held=True),
    )
    result = account("2017-03", orders=(MARCH,), stays=stays)
    assert (result.account.executed_minutes, result.account.held_minutes, result.account.visits) == (50, 40, 3)
    assert [(b.cause_id, b.fate) for b in result.ledger] == [
        ("care", "free"), ("meal", "flat"), ("patrol", "free"), ("held", "held"),
    ]  # fmt: skip


def test_what_counts_is_policy() -> None:
    stays = (
        stay("patrol", "2017-03-01 23:00", 20, service="night_patrol"),
        stay("second", "2017-03-01 08:00", 30, second=True),
    )
    assert account("2017-03", orders=(MARCH,), stays=stays).account.executed_minutes == 50
    no_patrol = account("2017-03", orders=(MARCH,), stays=stays, policies=book(night_patrol_counts=False))
    assert blocks(no_patrol) == [("second", "03-01", "day", 30, "free"), ("patrol", "03-01", "night", 20, "flat")]
    no_second = account("2017-03", orders=(MARCH,), stays=stays, policies=book(second_staff_counts=False))
    assert blocks(no_second) == [("patrol", "03-01", "night", 20, "free")]


def test_minutes_in_a_band_paid_per_visit_count_unless_policy_says_no() -> None:
    stays = (stay("v", "2017-03-01 21:50", 30), stay("w", "2017-03-02 06:40", 30))
    bands = frozenset({("care", "night")})
    assert account("2017-03", orders=(MARCH,), stays=stays, visit_bands=bands).account.executed_minutes == 60
    policies = book(per_visit_band_counts=False)
    result = account("2017-03", orders=(MARCH,), stays=stays, visit_bands=bands, policies=policies)
    assert result.account.executed_minutes == 20
    assert blocks(result) == [
        ("v", "03-01", "day", 10, "free"), ("w", "03-02", "night", 20, "flat"), ("w", "03-02", "day", 10, "free"),
    ]  # fmt: skip


def test_a_couples_parts_sum_to_the_visit_on_each_day() -> None:
    parts = [
        account("2017-03", orders=(MARCH,), stays=(stay("v", "2017-03-01 23:45", 30, share=Share(who, (1, 1))),))
        for who in (0, 1)
    ]
    assert [blocks(part) for part in parts] == [
        [("v", "03-01", "night", 8, "free"), ("v", "03-02", "night", 7, "free")],
        [("v", "03-01", "night", 7, "free"), ("v", "03-02", "night", 8, "free")],
    ]


def test_executed_minutes_of_another_month_are_asked_for_by_day() -> None:
    stays = (stay("v", "2017-02-28 23:30", 60), stay("held", "2017-02-20 08:00", 30, held=True))
    by_day = executed_by_day(stays, month_grid(Month(2017, 2), BOOK), BOOK)
    assert by_day == {date(2017, 2, 28): 30}


# which minutes are the excess


def test_minutes_outside_any_order_are_excess_first_then_the_last_in_time() -> None:
    orders = (order("2017-03-11", "2017-03-20", per_day=10),)  # 100, ceiling 110
    stays = (
        stay("a", "2017-03-05 08:00", 30),  # outside
        stay("b", "2017-03-12 08:00", 60),
        stay("c", "2017-03-13 08:00", 60),
    )
    result = account("2017-03", orders=orders, stays=stays)
    assert result.account.excess_minutes == 40
    assert blocks(result) == [
        ("a", "03-05", "day", 30, "unpaid"), ("b", "03-12", "day", 60, "free"),
        ("c", "03-13", "day", 50, "free"), ("c", "03-13", "day", 10, "unpaid"),
    ]  # fmt: skip
    assert [block.kind for block in result.ledger] == ["outside", "free", "free", "excess"]
    assert [block.begins for block in result.ledger] == [True, True, True, False]


def test_of_two_carers_minutes_at_one_instant_the_later_comers_is_cut() -> None:
    stays = (stay("early", "2017-03-01 08:00", 60), stay("late", "2017-03-01 08:30", 30))
    result = account("2017-03", orders=(order("2017-03-01", None, 75),), stays=stays)  # ceiling 82, 8 too many
    assert blocks(result)[-2:] == [("late", "03-01", "day", 4, "unpaid"), ("early", "03-01", "day", 4, "unpaid")][::-1]
    odd = account("2017-03", orders=(order("2017-03-01", None, 80),), stays=(*stays, stay("x", "2017-03-01 07:00", 1)))
    assert [row for row in blocks(odd) if row[4] == "unpaid"] == [
        ("late", "03-01", "day", 2, "unpaid"), ("early", "03-01", "day", 1, "unpaid"),
    ]  # fmt: skip


def test_declined_minutes_stand_at_their_planned_start() -> None:
    declined = (outcome("d", "2016-05-10 10:00", 30),)
    stays = (stay("before", "2016-05-10 09:00", 60), stay("after", "2016-05-10 10:10", 20))
    result = account("2016-05", orders=(order("2016-05-01", None, 75),), stays=stays, declines=declined)  # ceiling 82
    assert blocks(result) == [
        ("before", "05-10", "day", 60, "free"), ("d", "05-10", "day", 22, "free"),
        ("d", "05-10", "day", 8, "unpaid"), ("after", "05-10", "day", 20, "unpaid"),
    ]  # fmt: skip


def test_approved_minutes_are_the_earliest_of_the_excess_then_pending_ones() -> None:
    reasons = (reason(20), reason(15, "pending", reason_id="r2"))
    result = account("2017-03", stays=(stay("v", "2017-03-05 08:00", 45),), reasons=reasons)
    assert blocks(result) == [
        ("v", "03-05", "day", 20, "approved"), ("v", "03-05", "day", 15, "pending"),
        ("v", "03-05", "day", 10, "unpaid"),
    ]  # fmt: skip


def test_a_visit_without_minutes_on_a_day_without_an_order_is_not_free() -> None:
    result = account("2017-03", stays=(stay("v", "2017-03-05 08:00", 0),))
    assert blocks(result) == [("v", "03-05", "day", 0, "unpaid")]
    assert result.account.visits == 1


def test_a_meal_on_a_day_without_an_order_is_payable_only_with_an_approved_reason() -> None:
    meal = (stay("m", "2017-03-05 12:00", 10, service="meal"),)
    assert blocks(account("2017-03", stays=meal)) == [("m", "03-05", "day", 10, "flat_unpaid")]
    assert blocks(account("2017-03", stays=meal, reasons=(reason(10),))) == [("m", "03-05", "day", 10, "flat")]


# reasons


@pytest.mark.parametrize(
    ("reasons", "figures"),
    [
        pytest.param([reason(80, submitted="2017-04-30")], (80, 80, 0, 0), id="last day in time"),
        pytest.param([reason(80, submitted="2017-05-01")], (80, 0, 0, 80), id="a day late"),
        pytest.param([reason(80, approved=30)], (80, 30, 0, 50), id="approved in part, the rest rejected"),
        pytest.param([reason(500)], (80, 80, 0, 0), id="never above the excess"),
        pytest.param([reason(50), reason(50, "pending", reason_id="r2")], (80, 50, 30, 0), id="pending fills up"),
        pytest.param([reason(50, "pending", submitted="2017-05-01")], (50, 0, 0, 80), id="late and undecided"),
        pytest.param([reason(80, month="2017-02")], (0, 0, 0, 80), id="another month's"),
        pytest.param([reason(20), reason(20, "rejected", reason_id="r2")], (40, 20, 0, 60), id="rejected"),
    ],
)
def test_reasons_decide_what_of_the_excess_is_paid(reasons: list[ExcessReason], figures: tuple[int, ...]) -> None:
    stays = tuple(stay(f"v{day}", f"2017-03-{day:02d} 08:00", 140) for day in range(1, 11))
    one = account("2017-03", orders=(MARCH,), stays=stays, reasons=tuple(reasons)).account
    got = (
        one.excess_reasoned_minutes, one.excess_approved_minutes, one.excess_pending_minutes, one.unpaid_minutes,
    )  # fmt: skip
    assert (one.excess_minutes, got) == (80, figures)


def test_excess_without_a_reason_is_one_finding_at_the_months_last_minute() -> None:
    result = account("2017-03", stays=(stay("v", "2017-03-05 08:00", 45),), reasons=(reason(20),))
    (finding,) = result.findings
    assert (finding.code, finding.at, finding.fact("minutes"), finding.fact("deadline")) == (
        "excess_without_reason", local("2017-03-31 23:59"), "25", "2017-04-30",
    )  # fmt: skip
    assert not account("2017-03", stays=(stay("v", "2017-03-05 08:00", 45),), reasons=(reason(45),)).findings


# declines


def test_made_up_time_is_linked_once_earlier_declines_first() -> None:
    declined = (
        outcome("later", "2016-05-12 13:00", 30, made_up=30, made_up_on="2016-05-20"),
        outcome("first", "2016-05-10 13:00", 30, made_up=20, made_up_on="2016-05-20"),
        outcome("unlinked", "2016-05-14 13:00", 30),
    )
    stays = (stay("made-up", "2016-05-20 08:00", 45), stay("held", "2016-05-20 10:00", 45, held=True))
    result = account("2016-05", orders=(order("2016-05-01", None, 1200),), stays=stays, declines=declined)
    parts = [(part.outcome.decline_id, part.linked_minutes, part.compensated_minutes) for part in result.declines]
    assert parts == [("first", 20, 10), ("later", 25, 5), ("unlinked", 0, 30)]
    assert (result.account.made_up_offset_minutes, result.account.declined_compensated_minutes) == (45, 45)


def test_an_earlier_months_decline_takes_its_linked_minutes_first() -> None:
    declined = (
        outcome("april", "2016-04-28 13:00", 30, made_up=30, made_up_on="2016-05-02"),
        outcome("may", "2016-05-01 13:00", 30, made_up=30, made_up_on="2016-05-02"),
    )
    stays = (stay("v", "2016-05-02 08:00", 40),)
    may = account("2016-05", orders=(order("2016-04-01", None, 1200),), stays=stays, declines=declined).account
    assert (may.made_up_offset_minutes, may.declined_compensated_minutes) == (10, 20)
    april = account("2016-04", orders=(order("2016-04-01", None, 1200),), declines=declined,
                    executed_elsewhere={date(2016, 5, 2): 40}).account  # fmt: skip
    assert (april.made_up_offset_minutes, april.declined_compensated_minutes) == (30, 0)


def test_without_the_guard_made_up_time_is_paid_twice() -> None:
    declined = (outcome("d", "2016-05-10 13:00", 30, made_up=30, made_up_on="2016-05-20"),)
    stays = (stay("v", "2016-05-20 08:00", 45),)
    result = account("2016-05", stays=stays, declines=declined, policies=book(double_compensation_guard=False))
    assert result.account.declined_compensated_minutes == 30


@pytest.mark.parametrize(
    ("executed", "made_up", "found"),
    [(1200, 0, True), (1170, 0, False), (1200, 10, False)],
    ids=["above ordered without a link", "not above ordered", "linked"],
)
def test_possible_double_compensation_is_found_once(executed: int, made_up: int, found: bool) -> None:
    declined = tuple(
        outcome(f"d{n}", f"2016-05-1{n} 13:00", 30, made_up=made_up, made_up_on="2016-05-21" if made_up else None)
        for n in range(1 if not found else 2)
    )
    stays = tuple(stay(f"v{n}", f"2016-05-{n + 1:02d} 08:00", executed // 10) for n in range(10))
    result = account("2016-05", orders=(order("2016-05-01", None, 1200),), stays=stays, declines=declined)
    codes = [finding.code for finding in result.findings]
    assert codes.count("possible_double_compensation") == int(found)


def test_declines_beside_the_ceiling_by_policy() -> None:
    declined = (outcome("d", "2016-05-12 13:00", 40),)
    stays = tuple(stay(f"v{n}", f"2016-05-{n + 1:02d} 08:00", 108) for n in range(10))
    orders = (order("2016-05-01", None, 1000),)
    policies = book(declines_count_towards_ceiling=False)
    one = account("2016-05", orders=orders, stays=stays, declines=declined, policies=policies).account
    assert (one.reported_minutes, one.free_minutes, one.excess_minutes) == (1120, 1120, 0)


# the account's place and existence


def test_unit_and_district_are_the_orders_on_its_last_day() -> None:
    orders = (
        order("2017-01-01", "2017-03-14", 100, unit_id="old", district="north"),
        order("2017-03-15", "2017-03-20", 100, order_id="o2", unit_id="new", district="south"),
    )
    one = account("2017-03", orders=orders).account
    assert (one.unit_id, one.district) == ("new", "south")
    stays = (stay("a", "2017-03-01 08:00", 30, unit_id="u1"), stay("b", "2017-03-01 10:00", 31, unit_id="u2"))
    assert account("2017-03", stays=stays).account.unit_id == "u2"
    without = account("2017-03", stays=stays, orders=(order("2017-01-01", None, 100, unit_id="", district="north"),))
    assert (without.account.unit_id, without.account.district) == ("u2", "north")


def test_an_account_exists_with_an_order_day_a_visit_a_decline_or_a_reason() -> None:
    assert not account("2017-03").exists
    assert not account("2017-03", orders=(order("2017-04-01", None, 10),)).exists
    assert account("2017-03", orders=(order("2017-03-31", None, 10),)).exists
    assert account("2017-03", stays=(stay("m", "2017-03-31 12:00", 5, service="meal"),)).exists
    assert account("2017-03", has_other_visits=True).exists
    assert account("2017-03", declines=(outcome("d", "2017-03-12 13:00", 30),)).exists
    assert not account("2017-03", declines=(outcome("d", "2017-02-12 13:00", 30),)).exists
    assert account("2017-03", reasons=(reason(5),)).exists
    assert account("2017-04", has_reasons_before=True).exists


# a household's parts


@pytest.mark.parametrize("weights", [(1, 1), (1, 1, 1), (3, 2), (1200, 901), (0, 0), (5, 0)])
def test_a_households_minutes_are_dealt_whole_whatever_the_weights(weights: tuple[int, ...]) -> None:
    shares = [Share(position, weights) for position in range(len(weights))]
    for first, after in ((0, 1), (0, 60), (7, 45), (59, 700)):
        assert sum(share.minutes_between(first, after) for share in shares) == after - first
    total = sum(weights)
    if total:
        assert [share.minutes_between(0, total * 3) for share in shares] == [3 * weight for weight in weights]


@pytest.mark.parametrize(("minutes", "by_day"), [(1, [1, 0]), (2, [1, 1]), (3, [1, 2])])
def test_the_first_minute_after_midnight_is_the_next_days(minutes: int, by_day: list[int]) -> None:
    result = account("2017-03", orders=(MARCH,), stays=(stay("v", "2017-03-01 23:59", minutes),))
    assert list(result.reported_by_day[:2]) == by_day
