"""The explanation: sums to the account, open or closed, and answers a clerk in words."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.month import Month
from app.facts import TapRef, Visit
from app.facts.accounts import AccountInput, stay_of
from app.facts.derived import JsonObject
from app.months.rules.explain import explain
from tests.rules.month_chain import Case
from tests.rules.month_facts import local, order, outcome, reason
from tests.rules.month_worlds import input_of

MARCH, APRIL, MAY = (Month(2017, number) for number in (3, 4, 5))


def visit(visit_id: str, start: str, minutes: int, **facts: Any) -> Visit:
    start_at = local(start)
    end_at = start_at + timedelta(minutes=minutes)
    base = Visit(
        visit_id, "", "bo", "p1", "unit1", "s1", "person:1", "carer", start_at, end_at, "complete", "taps", "A", "care",
        kom=TapRef("phone1", 1, start_at), gick=TapRef("phone1", 2, end_at),
    )  # fmt: skip
    return replace(base, **facts)


def case(visits: list[Visit], **facts: Any) -> Case:
    stays = tuple(stay for one in visits if (stay := stay_of(one)) is not None)
    inputs = {month: AccountInput(month, "bo", "p1") for month in (MARCH, APRIL, MAY)}
    inputs[MARCH] = AccountInput(MARCH, "bo", "p1", stays=stays, **facts)
    return Case(inputs)


def told(one: Case, month: Month = MARCH, visits: list[Visit] | None = None) -> JsonObject:
    data = explain(one.chain(month), one.history, visits or [], one.policies)
    json.dumps(data)
    return data


def test_a_clerk_is_told_why_1320_and_not_1400_minutes() -> None:
    visits = [visit(f"v{day:02d}", f"2017-03-{day:02d} 08:00", 140) for day in range(1, 11)]
    data = told(case(visits, orders=(order("2017-03-01", None, 1200),)), visits=visits)
    version = data["policy_version"]
    assert data["sentences"]["sv"][:2] == [
        (
            "2017-03: 1 320 av 1 400 rapporterade minuter ersätts utan orsak. Beställd tid är 1 200 minuter och taket "
            f"är 110 % av den, 1 320 minuter (DOMAIN.md 3, regelversion {version})."
        ),
        "80 minuter är överskjutande tid: 0 godkända, 0 väntar på beslut, 80 ersätts inte.",
    ]
    assert data["sentences"]["en"][1] == ("80 minutes are excess: 0 approved, 0 wait for a decision, 80 are not paid.")
    last = data["rows"][-1]
    assert (last["visit_id"], last["minutes"], last["fate"], last["paragraph"]) == ("v10", 80, "unpaid", "DOMAIN.md 3")
    assert last["sv"] == (
        "2017-03-10 09:00–10:20 besök, 80 minuter (dag): över taket utan godkänd orsak: ersätts inte; delat där taket "
        "eller beslutet tar slut 09:00 [KOM 08:00 phone1/1 (grad A); GICK 10:20 phone1/2 (grad A)]."
    )
    assert last["taps"][0]["seq"] == 1
    assert data["findings"] == ["excess_without_reason"]


def test_every_visit_that_does_not_count_is_named_with_its_reason() -> None:
    visits = [
        visit("held", "2017-03-01 08:00", 30, holds=("overlap", "tag_level")),
        visit("grade", "2017-03-02 08:00", 30, grade="D"),
        visit("half", "2017-03-03 08:00", 0, status="incomplete", end_at=None, gick=None),
        visit("gone", "2017-03-04 08:00", 30, status="cancelled"),
        visit("trainee", "2017-03-05 08:00", 30, role="trainee"),
        visit("refused", "2017-03-06 08:00", 0, status="declined", end_at=None, gick=None),
        visit("over", "2017-03-07 21:50", 150),
    ]
    data = told(case(visits, orders=(order("2017-03-01", None, 1200),)), visits=visits)
    assert [(row["visit_id"], row["why"]) for row in data["not_counted"]] == [
        ("half", "incomplete"), ("gone", "cancelled"), ("trainee", "role"), ("refused", "declined"),
    ]  # fmt: skip
    held = [row for row in data["rows"] if row["fate"] == "held"]
    assert [(row["visit_id"], row["paragraph"]) for row in held] == [
        ("held", "DOMAIN.md 2.1 row 20, 2.3"), ("grade", "DOMAIN.md 2.3"),
    ]  # fmt: skip
    assert "samma person har ett annat besök samtidigt" in held[0]["sv"]
    cuts = [[cut["why"] for cut in row["cuts"]] for row in data["rows"] if row["visit_id"] == "over"]
    assert cuts == [["band"], ["band", "midnight"], ["midnight"]]
    assert "60 minuter är inte godtagna" in data["sentences"]["sv"][1]


def test_declines_and_reasons_are_told_with_deadline_and_rule() -> None:
    march = Month(2016, 3)
    declined = (
        outcome("d", "2016-03-10 10:00", 30, made_up=10, made_up_on="2016-03-12"),
        outcome("n", "2016-03-11 10:00", 30, notice="in_advance"),
    )
    visits = [visit("v", "2016-03-12 08:00", 30)]
    stays = tuple(stay for one in visits if (stay := stay_of(one)))
    reasons = (
        reason(10, month="2016-03", submitted="2016-05-01"),
        reason(5, "rejected", month="2016-03", submitted="2016-04-01", reason_id="r2"),
    )
    one = Case({march: AccountInput(march, "bo", "p1", stays=stays, declines=declined, reasons=reasons)})
    data = told(one, march, visits)
    assert [row["compensated_minutes"] for row in data["declines"]] == [20, 0]
    assert "100 %: 20 minuter ersätts, 10 är redan betalda som igentagen tid." in data["declines"][0]["sv"]
    assert [row["in_time"] for row in data["reasons"]] == [True, False]
    assert "sista dag var 2016-04-30" in data["reasons"][1]["sv"]
    assert any(row["decline_id"] == "d" and row["minutes"] == 20 for row in data["rows"])


def test_a_closed_month_is_told_as_frozen_with_what_is_known_now_beside_it() -> None:
    before = [visit(f"v{day:02d}", f"2017-03-{day:02d} 08:00", 132) for day in range(1, 11)]
    one = case(before, orders=(order("2017-03-01", None, 1200),))
    one.close(MARCH)
    now = [replace(v, end_at=v.start_at + timedelta(minutes=126)) for v in before if v.start_at]
    one.inputs[MARCH] = replace(one.inputs[MARCH], stays=tuple(s for v in now if (s := stay_of(v))))
    data = told(one, MARCH, now)
    assert (data["account"]["free_minutes"], data["known_now"]["free_minutes"]) == (1320, 1260)
    assert data["state"] == "closed"
    assert sum(row["minutes"] for row in data["rows"]) == 1320
    assert (data["adjustment_free_minutes"], data["adjustment_approved_excess_minutes"]) == (-60, 0)
    april = told(one, APRIL)
    assert (april["adjustment_free_minutes"], april["account"]["adjustment_minutes"]) == (-60, -60)
    (part,) = april["adjustments"]
    assert (part["origin_month"], part["approved_settles_as"]) == ("2017-03", "carried_in")
    assert "visit:v01" in part["causes"]
    assert any("−60 justering = −60 minuter" in text for text in april["sentences"]["sv"])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_the_explanation_sums_to_the_account_open_or_closed(seed: int) -> None:
    chance = Random(seed)
    one = Case({month: input_of(chance, str(month)) for month in (MARCH, APRIL, MAY)})
    one.close(MARCH)
    one.inputs[MARCH] = input_of(chance, "2017-03")
    data, account, sums = told(one), {}, {}
    for month in (MARCH, APRIL):
        data = told(one, month)
        account, sums = data["account"], data["sums"]
        assert sums["free"] == account["free_minutes"]
        assert sums["approved"] == account["excess_approved_minutes"]
        assert sums["pending"] == account["excess_pending_minutes"]
        assert sums["unpaid"] == account["unpaid_minutes"]
        assert sums["held"] == account["held_minutes"]
        assert sum(row["minutes"] for row in data["rows"] if row["counts"]) == account["reported_minutes"]
    parts = data["adjustments"]
    assert account["adjustment_minutes"] == sum(
        part["adjustment_free_minutes"]
        + (part["adjustment_approved_excess_minutes"] if part["approved_settles_as"] == "adjustment" else 0)
        for part in parts
    )
    assert account["settled_minutes"] == sums["free"] + data["carried_in"]["minutes"] + account["adjustment_minutes"]


def test_each_tap_has_its_own_grade_and_what_was_said_by_hand_is_named() -> None:
    tapped = visit("v", "2017-03-05 08:00", 30, grade="B", source="corrected")
    by_hand = visit("m", "2017-03-06 08:00", 30, grade="C", kom=None, gick=None, manual_id="m1", source="manual")
    one = case([tapped, by_hand], orders=(order("2017-03-01", None, 1200),))
    data = explain(one.chain(MARCH), one.history, [tapped, by_hand], one.policies, {("phone1", 1): "A"})
    assert [tap["grade"] for tap in data["rows"][0]["taps"]] == ["A", "B"]
    assert data["rows"][0]["en"].endswith(
        "within the ceiling: paid [KOM 08:00 phone1/1 (grade A); GICK 08:30 phone1/2 (grade B); corrected]."
    )
    assert data["rows"][1]["sv"].endswith("inom taket: ersätts [registrerat för hand m1].")
