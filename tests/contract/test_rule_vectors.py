"""Every case of vectors/rules.json as a city would meet it: a bundle goes in, commands tell the month.

One database holds all of them, each with a client and a provider of its own; three months in a row are closed in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.contract.commands import Komgick
from tests.contract.vector_bundles import Ids, VectorBundle, at

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "rules.json").read_text(encoding="utf-8"))
CORRECTIONS = {vector["id"]: vector for vector in VECTORS["correction_vectors"]}
WITHOUT_POLICY = [vector for vector in CORRECTIONS.values() if "policy" not in vector]
WITH_POLICY = [vector for vector in CORRECTIONS.values() if "policy" in vector]
ORIGIN, NEXT, THIRD = "2017-03", "2017-04", "2017-05"


@pytest.fixture
def komgick(cli_environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Komgick:
    for name, value in cli_environment.items():
        monkeypatch.setenv(name, value)
    return Komgick()


def _expected(figures: Mapping[str, Any], account: Mapping[str, Any]) -> dict[str, Any]:
    return {name: account[name] for name in figures}


def test_every_case_of_the_110_percent_rule_stands_in_its_months_account(tmp_path: Path, komgick: Komgick) -> None:
    bundle = VectorBundle()
    cases = {vector["id"]: vector for vector in VECTORS["rule_vectors"]}
    ids = {name: bundle.add(name, vector["input"], vector["month"]) for name, vector in cases.items()}
    komgick("import", str(bundle.write(tmp_path / "bundle")))
    accounts = {month: komgick.accounts(month) for month in sorted({vector["month"] for vector in cases.values()})}
    told = {
        name: _expected(vector["expected"], accounts[vector["month"]][ids[name].client])
        for name, vector in cases.items()
    }
    assert told == {name: vector["expected"] for name, vector in cases.items()}
    assert len(told) == 23, "no case was lost on the way"


def test_what_changes_after_a_close_is_booked_as_the_correction_cases_say(tmp_path: Path, komgick: Komgick) -> None:
    """C01 and C03: what C03's excess had approved settles by carry-in before the correction comes."""
    bundle = VectorBundle()
    ids = {v["id"]: bundle.add(v["id"], v["closed_as"]["input"], ORIGIN) for v in WITHOUT_POLICY}
    komgick("import", str(bundle.write(tmp_path / "before")))
    _close_and_compare(komgick, ids)
    komgick("month", "close", NEXT, "--on", "2017-05-06")
    for vector in WITHOUT_POLICY:
        carried = komgick.accounts(NEXT).get(ids[vector["id"]].client, {"carried_in_minutes": 0})
        assert carried["carried_in_minutes"] == vector["already_settled_approved_excess"]

    for vector in WITHOUT_POLICY:
        before, after = vector["closed_as"]["input"]["executed"], vector["corrected"]["input"]["executed"]
        bundle.add_corrections(ids[vector["id"]], before, after, at("2017-05-20", 9))
    komgick("import", str(bundle.write(tmp_path / "after")))
    _compare_adjustments(komgick, ids, THIRD, THIRD)
    komgick("month", "close", THIRD, "--on", "2017-06-06")
    _compare_adjustments(komgick, ids, THIRD, "2017-06")


def test_a_lowered_order_is_clawed_back_where_the_policy_says_so(tmp_path: Path, komgick: Komgick) -> None:
    """C05, which runs with its policy."""
    (vector,) = WITH_POLICY
    name = vector["id"]
    before, after = VectorBundle(vector["policy"]), VectorBundle(vector["policy"])
    ids = {name: before.add(name, vector["closed_as"]["input"], ORIGIN)}
    komgick("import", str(before.write(tmp_path / "before")))
    _close_and_compare(komgick, ids)
    after.add_orders(ids[name], vector["corrected"]["input"]["order_periods"])
    komgick("import", str(after.write(tmp_path / "after")))
    _compare_adjustments(komgick, ids, NEXT, NEXT)
    komgick("month", "close", NEXT, "--on", "2017-05-06")
    _compare_adjustments(komgick, ids, NEXT, THIRD)


def _close_and_compare(komgick: Komgick, ids: Mapping[str, Ids]) -> None:
    komgick("month", "close", ORIGIN, "--on", "2017-04-06")
    closed = komgick.accounts(ORIGIN)
    for name, its in ids.items():
        expected = CORRECTIONS[name]["closed_as"]["expected"]
        assert _expected(expected, closed[its.client]) == expected, name
        assert closed[its.client]["state"] == "closed"


def _compare_adjustments(komgick: Komgick, ids: Mapping[str, Ids], booked_in: str, first_open: str) -> None:
    """The closed month as it was and as known now, and the difference once, in the month that books it."""
    for name, its in ids.items():
        expected = CORRECTIONS[name]["expected"]
        origin = komgick.explain(ORIGIN, its.client, its.provider)
        closed_as = CORRECTIONS[name]["closed_as"]["expected"]
        assert _expected(closed_as, origin["account"]) == closed_as, f"{name}: a closed month never changes"
        assert _expected(expected["recomputed"], origin["known_now"]) == expected["recomputed"], name
        if booked_in == first_open:
            booked = komgick.explain(booked_in, its.client, its.provider)
            adjustments = ("adjustment_free_minutes", "adjustment_approved_excess_minutes")
            assert [booked[one] for one in adjustments] == [expected[one] for one in adjustments], name
        account = komgick.accounts(booked_in)[its.client]
        assert account["adjustment_minutes"] == expected["adjustment_total_booked_in_open_month"], name
        later = komgick.accounts(first_open).get(its.client)
        if booked_in != first_open and later is not None:
            assert later["adjustment_minutes"] == 0, f"{name}: booked once"


def test_a_visit_over_midnight_and_month_end_gives_each_month_its_minutes(tmp_path: Path, komgick: Komgick) -> None:
    vector = next(v for v in VECTORS["time_vectors"] if v["id"] == "T01")
    (first_on, first_at), (last_on, last_at) = (text.split("T") for text in vector["input"])
    bundle = VectorBundle()
    ids = bundle.add("T01", {}, "2017-01")
    for act, on, clock in (("KOM", first_on, first_at), ("GICK", last_on, last_at)):
        hour, minute = map(int, clock.split(":"))
        bundle.add_tap(ids, act, 1, at(on, hour) + (at(on, 1) - at(on, 0)) * minute / 60)
    komgick("import", str(bundle.write(tmp_path / "bundle")))
    days: dict[str, int] = {}
    for month in ("2017-01", "2017-02"):
        told = komgick.explain(month, ids.client, ids.provider)
        for row in told["rows"]:
            days[row["on"]] = days.get(row["on"], 0) + row["minutes"]
        assert told["account"]["executed_minutes"] == sum(row["minutes"] for row in told["rows"])
    assert days == vector["expected_minutes_by_date"]


def test_declines_of_two_percent_and_an_uplift_of_two_percent_cost_the_same(tmp_path: Path, komgick: Komgick) -> None:
    """M02: 1,000 hours and 20 declined at the door, for 20 clients, before and after the change of rule."""
    vector = next(v for v in VECTORS["money_vectors"] if v["id"] == "M02")
    given, uplifted = vector["input"], VECTORS["money_vectors"][0]["expected"]["rate_ore_2017"]
    bundle, clients = VectorBundle(), 20
    executed, declined = given["executed_hours"] * 60 // clients, given["declined_at_door_hours"] * 60 // clients
    for month in ("2016-05", "2017-03"):
        days = [f"{month}-{day:02d}" for day in range(1, 16)]
        for number in range(clients):
            case = {
                "order_periods": [{"from": f"{month}-01", "to": f"{month}-31", "minutes": executed + declined}],
                "executed": [{"date": on, "minutes": executed // len(days)} for on in days],
                "declines": [{"planned_date": f"{month}-20", "minutes": declined, "notice": "at_door"}],
            }
            bundle.add(f"M{month[:4]}-{number}", case, month)
    price = {"operation": "private", "band": "day", "service": "care", "unit": "hour"}
    bundle.rows["prices"] = [
        {**price, "valid_from": "2010-01-01", "amount_ore": given["rate_kr"] * 100},
        {**price, "valid_from": "2017-01-01", "amount_ore": uplifted},
    ]
    komgick("import", str(bundle.write(tmp_path / "bundle")))
    for month, regime in (("2016-05", "old_regime_kr"), ("2017-03", "new_regime_kr")):
        totals, *lines = komgick.json("billing", "export", month)
        assert sum(line["amount_ore"] for line in lines) == vector["expected"][regime] * 100
        assert sum(line["minutes"] for line in lines) == sum(
            a["settled_minutes"] for a in komgick.accounts(month).values()
        )
        assert totals["amount_ore"] == vector["expected"][regime] * 100
