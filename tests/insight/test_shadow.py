"""Shadow runs: the published vectors, the checks of DOMAIN.md 5, and quantities out of visits."""

from __future__ import annotations

import json
from datetime import date, time
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from app.core.month import Month
from app.facts import Price, Visit
from app.facts.prices import PriceList
from app.insight.models import model_text
from app.insight.quality import client_time_share
from app.insight.shadow import (
    AccountMonth,
    Quantities,
    amount_of,
    difference_percent,
    implied_base,
    neutral_uplift,
    percent_of,
    uplifted,
)
from app.insight.shadow_model import ShadowModel, TimeRates, read_shadow_model
from app.insight.shadow_report import shadow_object
from app.insight.shadow_rows import Declined, Done, ShadowFacts, account_months
from app.insight.stays import Stays, microseconds
from app.refusals import Invalid
from tests.insight.world import at, visit

RULES: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors" / "rules.json").read_text(encoding="utf-8"))
VECTORS = {vector["id"]: vector for key in ("shadow_vectors", "money_vectors") for vector in RULES[key]}
NO_PRICES = PriceList()


def _account(quantities: Quantities, ordered: int = 0, client: str = "bo") -> AccountMonth:
    return AccountMonth(
        client, "p1", "private", "2026-10", date(2026, 10, 1), ordered, ordered * 110 // 100, {"2026-W41": quantities}
    )


def _quantities(minutes: int, visits: int = 0) -> Quantities:
    quantities = Quantities(client_minutes=minutes)
    quantities.minutes["day", "day"] = minutes
    quantities.visits["day"] = visits
    return quantities


def test_s01_one_client_month_under_two_models() -> None:
    given, expected = VECTORS["S01"]["input"], VECTORS["S01"]["expected"]
    quantities = _quantities(given["executed_minutes"], given["visits"])
    for row in given["insatser"]:
        quantities.services[row["code"]] += row["count"]
    fees = {row["code"]: row["fee_kr"] * 100 for row in given["insatser"]}
    by_time = ShadowModel("time", paid=True, time=TimeRates(hour_ore=given["hourly_rate_kr"] * 100))
    by_service = ShadowModel("insats", visit_fee_ore=given["visit_fee_kr"] * 100, care_service_ore=fees)
    shown = shadow_object([by_time, by_service], [_account(quantities)], NO_PRICES)
    row = shown["per_client"][0]
    assert row["amounts_ore"] == {"time": expected["model_time_kr"] * 100, "insats": expected["model_insats_kr"] * 100}
    assert row["difference_ore"] == {"insats": expected["difference_kr"] * 100}
    paid, other = (amount_of(model, _account(quantities), NO_PRICES).ore for model in (by_time, by_service))
    assert difference_percent(paid, other) == Fraction(expected["difference_pct"])
    assert row["difference_percent"] == {"insats": 7.5}
    assert (row["visits"], row["mean_visit_minutes"]) == (50, 20.0)


def test_s03_budget_sensitivity() -> None:
    budget, expected = Fraction(VECTORS["S03"]["input"]["budget_mnkr"]), VECTORS["S03"]["expected"]
    found = [percent_of(budget, Fraction(percent)) for percent in (1, 10, 20)]
    names = ("one_pct_mnkr", "ten_pct_mnkr", "twenty_pct_mnkr")
    assert found == [Fraction(str(expected[name])) for name in names]


def test_s04_client_time_share() -> None:
    given, expected = VECTORS["S04"]["input"], VECTORS["S04"]["expected"]
    share = client_time_share(given["client_minutes"], given["total_staff_minutes"])
    assert share == Fraction(expected["client_time_share"])


def test_m01_an_hourly_rate_raised_by_two_percent() -> None:
    assert uplifted(VECTORS["M01"]["input"]["rate_ore"], Fraction("2.0")) == VECTORS["M01"]["expected"]["rate_ore_2017"]


def test_m02_declines_at_the_door_of_two_percent_are_neutral_at_exactly_two_percent() -> None:
    given, expected = VECTORS["M02"]["input"], VECTORS["M02"]["expected"]
    quantities = _quantities(given["executed_hours"] * 60)
    quantities.declined["at_door", "day"] = given["declined_at_door_hours"] * 60
    quantities.declined["in_advance", "day"] = 999
    rate = given["rate_kr"] * 100
    old = ShadowModel("old", paid=True, time=TimeRates(hour_ore=rate), decline_percent={"at_door": 100})
    new = ShadowModel("new", time=TimeRates(hour_ore=rate, uplift=Fraction(2, 100)))
    shown = shadow_object([old, new], [_account(quantities)], NO_PRICES)
    assert [row["amount_ore"] for row in shown["models"]] == [
        expected["old_regime_kr"] * 100,
        expected["new_regime_kr"] * 100,
    ]
    assert shown["models"][1]["neutral_uplift_percent"] == 2.0
    plain = ShadowModel("plain", time=TimeRates(hour_ore=rate))
    amounts = [amount_of(model, _account(quantities), NO_PRICES) for model in (old, plain)]
    assert neutral_uplift(amounts[0].ore, amounts[1].ore, amounts[1].time_ore) == 2


def test_m03_the_volume_behind_47_million() -> None:
    assert implied_base(Fraction(47), Fraction("2.0")) == VECTORS["M03"]["expected"]["implied_base_mnkr"]


def test_a_cap_cuts_time_at_ordered_or_at_the_ceiling_and_the_fee_minutes_with_it() -> None:
    quantities = _quantities(1200)
    amounts = {
        cap: amount_of(ShadowModel("m", time=TimeRates(hour_ore=6000, cap=cap)), _account(quantities, 1000), NO_PRICES)
        for cap in ("none", "ordered", "ceiling")
    }
    assert {cap: (int(amount.ore), int(amount.fee_minutes)) for cap, amount in amounts.items()} == {
        "none": (120_000, 1200), "ordered": (100_000, 1000), "ceiling": (110_000, 1100),
    }  # fmt: skip


def test_a_neutral_uplift_is_undefined_for_a_model_that_pays_no_time() -> None:
    by_visit = ShadowModel("visits", visit_fee_ore=100)
    by_time = ShadowModel("time", paid=True, time=TimeRates(hour_ore=6000))
    shown = shadow_object([by_time, by_visit], [_account(_quantities(60, 2))], NO_PRICES)
    assert shown["models"][1]["neutral_uplift_percent"] is None


def _facts(visits: list[Visit], **fields: Any) -> ShadowFacts:
    return ShadowFacts(Month(2026, 10), Stays.of_visits(visits), time(22), time(7), **fields)


def test_quantities_split_minutes_at_the_night_and_count_two_staff_once_for_the_fee() -> None:
    visits = [
        visit("bo", "a", "21:30", "22:30"),
        visit("bo", "b", "21:30", "22:00"),
        visit("bo", "c", "06:50", "07:20", on="2026-10-06"),
        visit("bo", "d", "08:00", None),
        visit("bo", "e", "09:00", "10:00", holds=("overlap",)),
    ]
    (account,) = account_months(_facts(visits, ordered={("bo", "p1"): (600, 660)}))
    whole = account.whole
    assert whole.minutes == {("day", "day"): 60, ("day", "night"): 30, ("night", "night"): 10, ("night", "day"): 20}
    assert whole.visits == {"day": 2, "night": 1}
    assert (whole.client_minutes, whole.client_days, account.ordered_minutes) == (90, 2, 600)
    assert list(account.weeks) == ["2026-W41"]


def test_a_band_paid_per_visit_pays_visits_that_start_in_it_once() -> None:
    visits = [visit("bo", "a", "21:30", "22:30"), visit("bo", "c", "06:50", "07:20", on="2026-10-06")]
    prices = PriceList(
        [
            Price("private", "day", "care", "hour", date(2024, 1, 1), 51_600),
            Price("private", "night", "care", "visit", date(2024, 1, 1), 26_000),
        ]
    )
    (account,) = account_months(_facts(visits, operations={"p1": "private"}))
    model = read_shadow_model(model_text("executed_time"))
    # 30 min of the first by the hour (its night minutes are in a band paid per visit), the second once
    assert amount_of(model, account, prices).ore == 25_800 + 26_000


def test_weeks_declines_and_care_services_find_their_account() -> None:
    planned, done = at("13:00", "2026-10-14"), at("09:00", "2026-10-15")
    assert planned is not None
    assert done is not None
    facts = _facts(
        [visit("bo", "a", "08:00", "08:30", on="2026-10-05"), visit("bo", "a", "08:00", "08:30", on="2026-10-12")],
        declined=[Declined("bo", "p1", "at_door", microseconds(planned), 30)],
        done=[Done("bo", "p1", microseconds(done), "dusch", 2)],
        standard_minutes={("bo", "p1", "dusch"): 25},
    )
    (account,) = account_months(facts)
    assert {week: part.executed for week, part in account.weeks.items()} == {"2026-W41": 30, "2026-W42": 30}
    second = account.weeks["2026-W42"]
    assert (dict(second.declined), dict(second.services), second.standard_minutes) == (
        {("at_door", "day"): 30}, {"dusch": 2}, 50,
    )  # fmt: skip
    models = [
        ShadowModel("t", paid=True, time=TimeRates(hour_ore=6000)),
        read_shadow_model(model_text("care_services")),
    ]
    shown = shadow_object(models, [account], NO_PRICES)
    assert [(row["week"], row["amounts_ore"]) for row in shown["per_week"]] == [
        ("2026-W41", {"t": 3000, "care_services": 4000}),
        ("2026-W42", {"t": 3000, "care_services": 34_000}),
    ]
    assert shown["per_client"][0]["fee_minutes"] == {"t": 60, "care_services": 50}


def test_every_built_in_model_reads_and_a_mistake_in_a_file_is_named() -> None:
    names = ("executed_time", "executed_time_capped", "declines_2016", "uplift_2017", "care_services")
    assert [read_shadow_model(model_text(name)).name for name in names] == list(names)
    for text, says in (
        ("", "has a name"),
        ("name = 'x'\n[time]\ncap = 'none'", "either rates"),
        ("name = 'x'\n[time]\nhour_ore = 1.5", "whole number"),
        ("name = 'x'\n[time]\nhour_ore = 1\ncap = 'some'", "cap is one of"),
        ("name = 'x'\n[fee]\nbasis = 'some'", "fee basis"),
        ("name = 'x'\n[declines]\nsometimes = 1", "declines are"),
    ):
        with pytest.raises(Invalid, match=says):
            read_shadow_model(text)
    with pytest.raises(Invalid, match="at most one"):
        shadow_object([ShadowModel("a", paid=True), ShadowModel("b", paid=True)], [], NO_PRICES)
