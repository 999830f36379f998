"""Closing: run dates, what a close freezes, and that every later change settles once, in an open month."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.month import Month
from app.facts import Order
from app.facts.accounts import AccountInput
from app.months.rules.closing import (
    account_hash,
    adjusting_month,
    difference,
    left_open,
    month_hash,
    run_at,
    run_on,
    settled_for,
)
from app.months.rules.reporting_limit import month_account
from app.policies import DatedValue
from tests.rules.month_chain import Case
from tests.rules.month_facts import BOOK, book, local, order, reason, stay, vector_input
from tests.rules.month_worlds import input_of
from tests.rules.test_month_vectors import VECTORS, ids

MARCH, APRIL, MAY, JUNE = (Month(2017, number) for number in (3, 4, 5, 6))


def months(**inputs: dict[str, Any]) -> dict[Month, AccountInput]:
    names = {"march": MARCH, "april": APRIL, "may": MAY, "june": JUNE}
    return {month: AccountInput(month, "bo", "p1", **inputs.get(name, {})) for name, month in names.items()}


@pytest.mark.parametrize(
    ("month", "at"),
    [
        ("2026-11", "2026-12-06 18:00"),  # a Sunday
        ("2026-12", "2027-01-06 10:00"),  # Epiphany
        ("2027-01", "2027-02-06 18:00"),  # a Saturday
        ("2027-05", "2027-06-06 10:00"),  # a Sunday and the National Day
        ("2026-09", "2026-10-06 18:00"),
    ],
)
def test_the_run_is_at_eighteen_and_at_ten_on_a_public_holiday(month: str, at: str) -> None:
    assert run_at(Month.parse(month), BOOK) == local(at)
    assert run_on(Month.parse(month), BOOK) == date.fromisoformat(at[:10])


@pytest.mark.parametrize(("month", "hour"), [("2026-11", 10), ("2027-01", 10), ("2026-09", 18)])
def test_a_weekend_is_a_holiday_by_policy(month: str, hour: int) -> None:
    on = run_on(Month.parse(month), BOOK)
    assert run_at(Month.parse(month), book(weekend_is_holiday=True)) == local(f"{on} {hour}:00")


@pytest.mark.parametrize("vector", ids("correction_vectors"))
def test_a_corrected_closed_month_is_booked_as_its_difference(vector: dict[str, Any]) -> None:
    policies = BOOK.with_overrides([DatedValue(key, value) for key, value in vector.get("policy", {}).items()])
    case = Case(months(march=vector_input("2017-03", vector["closed_as"]["input"])), policies)
    frozen = case.close(MARCH)
    assert frozen is not None
    expected = vector["closed_as"]["expected"]
    assert {name: getattr(frozen.account, name) for name in expected} == expected
    settled_approved = vector["already_settled_approved_excess"]
    if settled_approved:
        case.close(APRIL)
    assert settled_for(MARCH, case.history).approved_minutes == settled_approved
    case.inputs[MARCH] = AccountInput(MARCH, "bo", "p1", **vector_input("2017-03", vector["corrected"]["input"]))
    now = case.chain(MARCH).result
    expected = vector["expected"]
    assert {name: getattr(now.account, name) for name in expected["recomputed"]} == expected["recomputed"]
    part = difference(now, case.history)
    assert part.free_minutes == expected["adjustment_free_minutes"]
    assert part.approved_minutes == expected["adjustment_approved_excess_minutes"]
    open_month = adjusting_month(case.history)
    assert open_month is not None
    open_account = case.chain(open_month).result.account
    assert open_account.adjustment_minutes == expected["adjustment_total_booked_in_open_month"]
    assert case.history[MARCH] == frozen


def over_the_ceiling(decision: str = "approved") -> dict[str, Any]:
    stays = tuple(stay(f"v{day}", f"2017-03-{day:02d} 08:00", 140) for day in range(1, 11))
    return {"orders": (order("2017-03-01", "2017-03-31", 1200),), "stays": stays, "reasons": (reason(80, decision),)}


def test_approved_excess_is_carried_into_the_next_month_outside_its_ceiling() -> None:
    case = Case(months(march=over_the_ceiling(), april={"orders": (order("2017-04-01", None, 100),)}))
    case.close(MARCH)
    april = case.chain(APRIL).result.account
    assert (april.carried_in_minutes, april.adjustment_minutes, april.settled_minutes) == (80, 0, 80)
    assert (april.reported_minutes, april.ceiling_minutes) == (0, 110)


def test_a_late_decision_settles_as_an_adjustment_in_the_open_month() -> None:
    case = Case(months(march=over_the_ceiling("pending")))
    case.close(MARCH)
    case.close(APRIL)
    assert case.chain(MAY).result.account.settled_minutes == 0
    case.inputs[MARCH] = AccountInput(MARCH, "bo", "p1", **over_the_ceiling())
    may = case.chain(MAY).result
    assert (may.account.carried_in_minutes, may.account.adjustment_minutes) == (0, 80)
    assert may.data.adjustments[0].causes == ("reasons",)
    assert may.exists
    case.close(MAY)
    assert case.chain(JUNE).result.account.adjustment_minutes == 0


def test_a_change_before_the_next_close_settles_free_as_adjustment_and_approved_as_carried_in() -> None:
    case = Case(months(march=over_the_ceiling()))
    case.close(MARCH)
    fewer = over_the_ceiling()
    fewer["stays"] = tuple(one._replace(after=one.after - 15) for one in fewer["stays"])  # 1250
    case.inputs[MARCH] = AccountInput(MARCH, "bo", "p1", **fewer)
    april = case.chain(APRIL).result.account
    assert (april.carried_in_minutes, april.adjustment_minutes) == (0, -70)


def test_only_the_first_month_after_the_last_closed_one_takes_adjustments() -> None:
    case = Case(months(march=over_the_ceiling("rejected")))
    case.close(MARCH)
    case.inputs[MARCH] = AccountInput(MARCH, "bo", "p1")
    assert case.chain(APRIL).result.account.adjustment_minutes < 0
    assert case.chain(MAY).result.account.adjustment_minutes == 0
    assert adjusting_month([]) is None
    assert adjusting_month([APRIL, MARCH]) == MAY


def test_an_account_that_did_not_exist_at_close_settles_whole() -> None:
    case = Case(months())
    assert case.close(MARCH) is None
    late: dict[str, Any] = {
        "orders": (order("2017-03-01", None, 100),),
        "stays": (stay("late", "2017-03-05 08:00", 45),),
    }
    case.inputs[MARCH] = AccountInput(MARCH, "bo", "p1", **late)
    april = case.chain(APRIL).result
    assert april.account.adjustment_minutes == 45
    assert april.data.adjustments[0].causes == ("visit:late",)


def lowered(new: tuple[Order, ...], **policy: Any) -> tuple[Any, Any]:
    stays = tuple(stay(f"v{day}", f"2017-03-{day:02d} 08:00", 130) for day in range(1, 11))
    before = {"orders": (order("2017-03-01", None, 1200),), "stays": stays}
    case = Case(months(march=before), book(**policy) if policy else BOOK)
    case.close(MARCH)
    case.inputs[MARCH] = AccountInput(MARCH, "bo", "p1", orders=new, stays=stays)
    return case.chain(MARCH).result, case.chain(APRIL).result


def test_an_order_lowered_after_close_is_a_finding_and_no_claw_back() -> None:
    march, april = lowered((order("2017-03-01", None, 1000),))
    assert (march.account.ordered_minutes, march.account.free_minutes) == (1200, 1300)
    assert [finding.code for finding in march.findings] == ["order_changed_after_close"]
    assert april.account.adjustment_minutes == 0


def test_a_day_with_an_order_at_close_stays_an_order_day() -> None:
    march, april = lowered((order("2017-03-01", "2017-03-05", 1200),))
    assert march.account.free_minutes == 1300
    assert {block.order_id for block in march.ledger} == {"o1"}
    assert len(march.order_days) == 31
    assert april.account.adjustment_minutes == 0


def test_a_raised_order_counts_and_so_does_a_new_day() -> None:
    march, _ = lowered((order("2017-03-01", None, 1500),))
    assert (march.account.ordered_minutes, march.findings) == (1500, ())


def test_an_order_lowered_after_close_is_clawed_back_by_policy() -> None:
    march, april = lowered((order("2017-03-01", None, 1000),), claw_back_lowered_orders=True)
    assert (march.account.free_minutes, march.findings[0].code) == (1100, "excess_without_reason")
    assert april.account.adjustment_minutes == -200


def test_held_minutes_released_after_close_come_back_as_an_adjustment() -> None:
    held: dict[str, Any] = {
        "orders": (order("2017-03-01", None, 100),),
        "stays": (stay("v", "2017-03-05 08:00", 45, held=True),),
    }
    case = Case(months(march=held))
    assert left_open([case.chain(MARCH).result.account]).held_minutes == 45
    case.close(MARCH)
    case.inputs[MARCH] = AccountInput(
        MARCH, "bo", "p1", orders=held["orders"], stays=(stay("v", "2017-03-05 08:00", 45),)
    )
    assert case.chain(APRIL).result.data.adjustments[0].causes == ("visit:v",)
    assert case.chain(APRIL).result.account.adjustment_minutes == 45


def test_the_hash_seals_figures_and_minutes_but_not_when_they_were_known() -> None:
    data = AccountInput(MARCH, "bo", "p1", **over_the_ceiling())
    result = month_account(data, BOOK)
    seal = account_hash(result.account, result.ledger)
    assert (
        account_hash(replace(result.account, known_at=local("2017-04-01 00:00"), state="closed"), result.ledger) == seal
    )
    assert account_hash(replace(result.account, free_minutes=1), result.ledger) != seal
    assert account_hash(result.account, (result.ledger[0]._replace(minutes=1), *result.ledger[1:])) != seal
    one, two = (Case(months(march=over_the_ceiling(who))) for who in ("approved", "pending"))
    frozen = [closed for case in (one, two) if (closed := case.close(MARCH)) is not None]
    assert month_hash(frozen) == month_hash(frozen[::-1]) != month_hash(frozen[:1])


YEAR = [Month(2017, number) for number in range(1, 7)]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_nothing_settles_twice_however_months_change_and_close(seed: int, claw_back: bool) -> None:
    chance = Random(seed)
    policies = book(claw_back_lowered_orders=True) if claw_back else BOOK
    case = Case({month: input_of(chance, str(month)) for month in YEAR}, policies)
    frozen = {}
    for month in YEAR[:-1]:
        for _ in range(chance.randint(0, 2)):
            changed = chance.choice(YEAR)
            case.inputs[changed] = input_of(chance, str(changed))
        frozen[month] = case.close(month)
        lines = [line for line in case.settled if line.month == month]
        closed = frozen[month]
        assert sum(line.minutes for line in lines) == (closed.account.settled_minutes if closed is not None else 0)
    for _ in range(3):
        changed = chance.choice(YEAR)
        case.inputs[changed] = input_of(chance, str(changed))
    last = case.chain(YEAR[-1])
    assert sum(line.minutes for line in case.lines(last)) == last.result.account.settled_minutes
    case.close(YEAR[-1])
    for month in YEAR[:-1]:
        now = case.chain(month).result.account
        settled = settled_for(month, case.history)
        assert (settled.free_minutes, settled.approved_minutes) == (now.free_minutes, now.excess_approved_minutes)
        by_lines = sum(line.minutes for line in case.settled if line.origin_month == month)
        assert by_lines == now.free_minutes + now.excess_approved_minutes
        assert case.history[month] == frozen[month]
    assert len({line.line_id for line in case.settled}) == len(case.settled)


def test_the_vectors_file_has_its_corrections() -> None:
    assert [vector["id"] for vector in VECTORS["correction_vectors"]] == ["C01", "C03", "C05"]
