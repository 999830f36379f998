"""Fee lines: the client's minutes once, whoever and however many came."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.billing.rules.fees import FeeInput, absence_days, fee_adjustments, fee_lines, fixed_minutes
from app.core.month import Month
from app.facts import Absence, Decline, Share
from app.facts.accounts import FeeLine, Stay
from tests.rules.month_facts import BOOK, account, book, local, order, outcome, reason, stay

MARCH = Month(2017, 3)
ORDERED = (order("2017-03-01", None, 6000),)


def lines(*stays: Stay, ordered: tuple[Any, ...] = ORDERED, reasons: tuple[Any, ...] = (), **more: Any) -> Any:
    ledger = account("2017-03", orders=ordered, stays=stays, reasons=reasons).ledger
    return fee_lines(FeeInput(MARCH, "bo", ledger, **more), BOOK)


def minutes(*stays: Stay, **facts: Any) -> int:
    return sum(line.client_minutes for line in lines(*stays, **facts))


def decline(notice: str, noticed: str) -> Decline:
    start, end = local("2017-03-10 10:00"), local("2017-03-10 10:30")
    return Decline("d", "bo", "p1", start, end, 1, notice, local(noticed))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spans", "total"),
    [
        ([("08:00", 30), ("08:00", 30)], 30),
        ([("08:00", 30), ("08:20", 30)], 50),
        ([("08:00", 60), ("08:10", 10)], 60),
        ([("08:00", 30), ("08:30", 30)], 60),
        ([("08:00", 30), ("10:00", 30)], 60),
    ],
    ids=["two at once", "overlapping", "inside", "end to end", "apart"],
)
def test_client_minutes_are_the_union_of_intervals(spans: list[tuple[str, int]], total: int) -> None:
    stays = [stay(f"v{n}", f"2017-03-05 {at}", length) for n, (at, length) in enumerate(spans)]
    (line,) = lines(*stays)
    assert (line.fee_class, line.client_minutes, line.count) == ("care", total, len(spans))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 90)), max_size=8))
def test_the_union_is_the_set_of_minutes(spans: list[tuple[int, int]]) -> None:
    stays = [
        stay(f"v{n}", f"2017-03-05 {8 + at // 60:02d}:{at % 60:02d}", length) for n, (at, length) in enumerate(spans)
    ]
    assert minutes(*stays) == len({minute for at, length in spans for minute in range(at, at + length)})


def test_refused_pending_and_held_time_is_no_basis_and_approved_excess_is() -> None:
    visit = stay("v", "2017-03-05 08:00", 30)
    assert minutes(visit, ordered=()) == 0
    assert minutes(visit, ordered=(), reasons=(reason(30, "pending"),)) == 0
    assert minutes(visit, ordered=(), reasons=(reason(20),)) == 20
    assert minutes(visit._replace(held=True)) == 0


def test_compensated_declines_are_no_basis() -> None:
    ledger = account("2016-03", orders=(order("2016-01-01", None, 600),), declines=(
        outcome("d", "2016-03-05 08:00", 30),)).ledger  # fmt: skip
    assert len(ledger) == 1
    assert fee_lines(FeeInput(Month(2016, 3), "bo", ledger), BOOK) == ()


def test_night_patrol_meals_and_classes_without_a_fee() -> None:
    stays = (
        stay("care", "2017-03-05 21:50", 30),
        stay("patrol", "2017-03-05 22:10", 30, service="night_patrol"),
        stay("m1", "2017-03-05 12:00", 50, service="meal"),
        stay("m2", "2017-03-06 12:00", 2, service="meal"),
        stay("phone", "2017-03-06 13:00", 9, service="phone"),
        stay("alarm", "2017-03-06 14:00", 9, service="alarm"),
    )
    found = [(line.fee_class, line.client_minutes, line.count) for line in lines(*stays, meal_minutes=15)]
    assert found == [("care", 30, 1), ("night_patrol", 20, 1), ("meal", 30, 2)]
    assert fixed_minutes([("service", 40), ("maltider", None), ("maltider", 15)]) == 15
    assert fixed_minutes([]) == 0


def test_a_couples_minutes_are_each_ones_own_part() -> None:
    parts = [minutes(stay("v", "2017-03-05 08:00", 31, share=Share(who, (1, 1)))) for who in (0, 1)]
    assert parts == [16, 15]
    two_carers = [stay(f"v{n}", "2017-03-05 08:00", 30, share=Share(0, (1, 1))) for n in (1, 2)]
    assert minutes(*two_carers) == 15


@pytest.mark.parametrize(
    ("notice", "noticed", "late"),
    [
        ("in_advance", "2017-03-08 10:00", 0),
        ("in_advance", "2017-03-08 10:01", 1),
        ("at_door", "2017-03-10 10:05", 1),
        ("absent", "2017-03-10 10:05", 0),
    ],
)
def test_a_late_cancellation_is_noticed_less_than_48_hours_before(notice: str, noticed: str, late: int) -> None:
    found = lines(declines=(decline(notice, noticed),))
    assert [line.late_cancellations for line in found] == ([1] if late else [])


def test_how_late_is_policy() -> None:
    given = FeeInput(MARCH, "bo", (), declines=(decline("in_advance", "2017-03-09 12:00"),))
    assert len(fee_lines(given, BOOK)) == 1
    assert fee_lines(given, book(late_cancellation_h=4)) == ()


def test_days_of_absence_count_once_each_edges_included() -> None:
    absences = (
        Absence("bo", date(2017, 2, 20), "hospital", date(2017, 3, 2)),
        Absence("bo", date(2017, 3, 2), "away", date(2017, 3, 4)),
        Absence("bo", date(2017, 3, 30), "dead", None),
    )
    assert absence_days(absences, MARCH) == 6
    (line,) = lines(absences=absences)
    assert (line.fee_class, line.absence_days, line.client_minutes) == ("care", 6, 0)


def test_a_closed_months_fee_basis_is_corrected_with_its_origin_month() -> None:
    settled = lines(stay("v", "2017-03-05 08:00", 30), stay("m", "2017-03-05 12:00", 5, service="meal"))
    now = lines(stay("v", "2017-03-05 08:00", 20))
    april = Month(2017, 4)
    found = fee_adjustments(april, {MARCH: now}, settled)
    assert [(f.month, f.origin_month, f.fee_class, f.client_minutes, f.count) for f in found] == [
        (april, MARCH, "care", -10, 0), (april, MARCH, "meal", 0, -1),
    ]  # fmt: skip
    assert {line.cause for line in found} == {"adjustment"}
    assert fee_adjustments(Month(2017, 5), {MARCH: now}, [*settled, *found]) == ()


def test_a_fee_line_of_a_class_that_appeared_late_is_whole() -> None:
    late = FeeLine(MARCH, MARCH, "bo", "care", 15, 1, 0, 0, "month")
    (found,) = fee_adjustments(Month(2017, 4), {MARCH: (late,)}, ())
    assert found == replace(late, month=Month(2017, 4), cause="adjustment")
