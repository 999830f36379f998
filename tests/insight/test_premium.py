"""The quality premium: the published vectors, the lesson of 2022, and models as files."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from app.insight.models import model_text
from app.insight.premium import FIGURES, Applicant, StaffFigure, judge, with_choices
from app.insight.premium_model import read_premium_model
from app.insight.premium_text import verdict_lines, warnings_of
from app.refusals import Invalid

RULES: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors" / "rules.json").read_text(encoding="utf-8"))
STOCKHOLM = read_premium_model(model_text("stockholm_2022"), FIGURES)
PER_CRITERION = read_premium_model(model_text("per_criterion"), FIGURES)


def _applicant(given: dict[str, Any], clients: int | None = None) -> Applicant:
    staff = [StaffFigure(row["employment"], row["education"], row["hours"], row["hours"]) for row in given["staff"]]
    return Applicant("Hemtjänst AB", staff, Fraction(given["continuity_value"]), clients)


@pytest.mark.parametrize("vector", RULES["premium_vectors"], ids=lambda v: str(v["id"]))
def test_premium_vectors_hold_exactly(vector: dict[str, Any]) -> None:
    given, expected = vector["input"], vector["expected"]
    threshold = {"continuity": Fraction(given["continuity_threshold"])}
    reading = given.get("config", {}).get("education_reading")
    verdict = judge(with_choices(STOCKHOLM, threshold, reading), _applicant(given))
    for name in ("hourly_share", "trained_share", "usk_share"):
        assert verdict.figures[name] == Fraction(expected[name]), name
    assert verdict.indicators == expected["indicators"]
    assert (verdict.met, verdict.premium) == (expected["met"], expected["premium"])
    assert len(verdict_lines(verdict)) == 10


def test_without_a_continuity_threshold_there_is_no_verdict() -> None:
    with pytest.raises(Invalid, match="no published threshold for continuity"):
        judge(STOCKHOLM, _applicant(RULES["premium_vectors"][0]["input"]))


def test_the_winner_with_one_client_and_one_untrained_employee_is_made_visible() -> None:
    given = RULES["premium_vectors"][0]["input"]
    verdict = judge(with_choices(STOCKHOLM, {"continuity": Fraction(10)}), _applicant(given, clients=1))
    text = "\n".join(verdict_lines(verdict))
    assert verdict.premium
    assert "bara 1 brukare" in text
    assert "bara 1 medarbetare" in text
    assert "Utbildning: 0 % (minst 80 %) och undersköterskor 0 % (minst 20 %): inte uppfyllt." in text


def test_a_floor_on_clients_stops_that_winner() -> None:
    given = RULES["premium_vectors"][0]["input"]
    model = with_choices(replace(STOCKHOLM, minimum_clients=10), {"continuity": Fraction(10)})
    assert [judge(model, _applicant(given, n)).premium for n in (1, 9, 10)] == [False, False, True]
    assert not judge(model, _applicant(given)).premium


def test_thresholds_are_compared_exactly_not_rounded() -> None:
    staff = [StaffFigure("hourly", "usk", 2200001), StaffFigure("monthly", "usk", 7799999)]
    verdict = judge(with_choices(STOCKHOLM, {"continuity": Fraction(10)}), Applicant("X", staff, Fraction(1)))
    assert verdict.indicators["hourly_share"] is False


def test_per_criterion_pays_each_indicator_for_itself() -> None:
    given = RULES["premium_vectors"][1]["input"]
    verdict = judge(with_choices(PER_CRITERION, {"continuity": Fraction(10)}), _applicant(given, clients=20))
    assert verdict.indicators == {"continuity": False, "hourly_share": True, "education": False}
    assert verdict.amount_ore == 3_000_000
    assert judge(verdict.model, _applicant(given, clients=9)).amount_ore == 0


def test_the_lines_say_what_is_paid_and_the_case_mix_in_both_languages() -> None:
    given = RULES["premium_vectors"][1]["input"]
    applicant = replace(
        _applicant(given, 20), ordered_per_client=Fraction(1200), ordered_per_client_municipality=Fraction(1800)
    )
    verdict = judge(with_choices(PER_CRITERION, {"continuity": Fraction(10)}), applicant)
    swedish, english = verdict_lines(verdict), verdict_lines(verdict, "en")
    assert swedish[0] == "Hemtjänst AB: premie 30\N{NO-BREAK SPACE}000 kr enligt Premie per indikator."
    assert "Timavlönade: 22 % (högst 22 %): uppfyllt, 30\N{NO-BREAK SPACE}000 kr." in swedish
    assert "mindre beställd tid än kommunens genomsnitt (20 mot 30 timmar)" in swedish[-1]
    assert english[0] == "Hemtjänst AB: premium of 30\N{NO-BREAK SPACE}000 kr under Premium per indicator."
    assert "Continuity: 11 (at most 10): not met." in english
    assert "less ordered time than the municipality's mean (20 against 30 hours)" in english[-1]
    assert len(swedish) == len(english) == 10


def test_education_by_time_with_clients_can_turn_the_verdict_and_then_warns() -> None:
    staff = [*[StaffFigure("monthly", "usk", 10, 10)] * 8, *[StaffFigure("monthly", "none", 100, 100)] * 2]
    by_head = judge(with_choices(STOCKHOLM, {"continuity": Fraction(10)}), Applicant("X", staff, Fraction(1), 50))
    by_time = judge(
        with_choices(STOCKHOLM, {"continuity": Fraction(10)}, "client_time"), Applicant("X", staff, Fraction(1), 50)
    )
    assert (by_head.indicators["education"], by_time.indicators["education"]) == (True, False)
    assert "utbildning efter tid hos brukare ger ett annat utfall än efter antal" in warnings_of(by_head)


def test_an_undefined_figure_is_not_met_and_shows_a_dash() -> None:
    verdict = judge(with_choices(STOCKHOLM, {"continuity": Fraction(10)}), Applicant("X", [], None, 0))
    assert verdict.met == 0
    assert "Timavlönades andel av arbetad tid: –." in verdict_lines(verdict)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rule = 'most'", "rule is one of"),
        ("rule = 'all'", "tables with conditions"),
        ("rule = 'all'\n[indicator.x]\nconditions = [{figure = 'nope', at_most = 1}]", "figure is one of"),
        ("rule = 'all'\n[indicator.x]\nconditions = [{figure = 'usk_share', at_most = 0.2}]", "whole number"),
        ("rule = 'all'\n[indicator.x]\nconditions = [{figure = 'usk_share'}]", "one of at_most"),
        ("rule = 'k_of_n'\nk = 2\n[indicator.x]\nconditions = [{figure = 'usk_share', at_most = 1}]", "k is a whole"),
        ("= nonsense", "not TOML"),
    ],
)
def test_a_model_file_with_a_mistake_says_which(text: str, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        read_premium_model(text, FIGURES)
