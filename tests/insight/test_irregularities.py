"""Irregularities: what the rules find of twenty planted frauds, what they say about an honest town, what they hide."""

from __future__ import annotations

from datetime import date
from fractions import Fraction

import pytest

from app.insight.irregularities import RULES, irregularities, irregularities_object
from app.insight.irregularity import Scene, Share, unusual
from app.policies import PolicyBook
from tests.insight.frauds import MONTH, honest_town, planted_town
from tests.insight.scenes import scene_of
from tests.insight.world import visit

POLICY = PolicyBook.built_in().on(date(2026, 10, 1))


@pytest.mark.parametrize("seed", [1, 2])
def test_twenty_planted_frauds_of_six_kinds_are_found(seed: int) -> None:
    town = planted_town(seed)
    assert len(town.planted) == 20
    assert len({planted.kind for planted in town.planted}) == 6
    found = {(row.rule, row.about_id) for row in irregularities(town.scene(), POLICY)}
    missed = [planted for planted in town.planted if tuple(planted) not in found]
    assert missed == []  # recall 20 of 20
    assert len(found - {tuple(planted) for planted in town.planted}) == 0  # and nothing else


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_honest_town_raises_nothing(seed: int) -> None:
    assert irregularities(honest_town(seed).scene(), POLICY) == []


def test_a_name_opens_only_in_a_case() -> None:
    town = planted_town(1)
    scene = town.scene()
    found = irregularities(scene, POLICY)
    closed = irregularities_object(scene, found)["irregularities"]
    people = [row for row in closed if row["about"] == "staff"]
    assert people
    assert all(row["about_id"] is None and isinstance(row["visits"], int) for row in people)
    case = people[0]["case_id"]
    opened = irregularities_object(scene, found, frozenset({case}))["irregularities"]
    shown = [row["about_id"] for row in opened if row["about"] == "staff" and row["about_id"] is not None]
    assert len(shown) == 1
    assert len(people) > 1


def test_every_finding_shows_what_was_expected_and_its_known_false_alarms() -> None:
    scene = planted_town(1).scene()
    for row in irregularities_object(scene, irregularities(scene, POLICY))["irregularities"]:
        assert row["explanation"]["sv"]
        assert row["explanation"]["en"]
        assert row["false_alarms_sv"]
        assert row["expected"] < row["observed"]


def test_the_binomial_test_is_exact_and_counts_how_many_were_tested() -> None:
    usual = [Share(f"p{n}", f"p{n}", 10, 1000) for n in range(9)]
    (found,) = unusual("x", "provider", [*usual, Share("bad", "bad", 40, 1000)], least=5, floor=Fraction(1, 1000))
    assert (found.about_id, int(found.expected)) == ("bad", 10)
    assert found.p_value is not None
    assert found.p_value < 1e-9
    assert unusual("x", "provider", [*usual, Share("lucky", "lucky", 18, 1000)], least=5, floor=Fraction(1, 1000)) == []


def test_one_who_does_it_does_not_hide_another() -> None:
    usual = [Share(f"p{n}", f"p{n}", 1, 100) for n in range(3)]
    both = [Share("many", "many", 200, 300), Share("some", "some", 60, 200)]
    found = unusual("x", "provider", [*usual, *both], least=5, floor=Fraction(1, 100))
    assert [row.about_id for row in found] == ["many", "some"]
    assert found[1].expected == Fraction(1, 100) * 200, "against the honest ones, not against the other"


def test_manual_visits_up_to_the_floor_are_nobodys_business() -> None:
    def scene(manual: int) -> Scene:
        made = [visit(f"c{n}", "a", "08:00", "08:30", source="manual" if n < manual else "taps") for n in range(100)]
        return scene_of(MONTH, made)

    assert irregularities(scene(20), POLICY) == []
    assert [row.rule for row in irregularities(scene(21), POLICY)] == ["manual_share"]


def test_there_is_a_rule_for_each_kind_domain_7_names() -> None:
    assert len(RULES) == 14
