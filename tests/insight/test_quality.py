"""Figures of quality: of groups, never of persons."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction

import numpy as np

from app.core.month import Month
from app.facts import Employment, Visit
from app.insight.quality import (
    Between,
    Carried,
    CarriedBy,
    Ordered,
    QualityFacts,
    Resolved,
    Spread,
    Worked,
    figures_of,
    quality_object,
)
from app.insight.stays import Stays, microseconds
from app.insight.visit_times import PlannedStarts, between_visits, start_spreads
from app.insight.windows import Window
from tests.insight.world import at, visit

OCTOBER = Month(2026, 10)
WINDOW = Window.of_month(OCTOBER)


def _employed(staff: str, education: str = "none", kind: str = "monthly", **fields: object) -> Employment:
    values: dict[str, object] = {"valid_from": date(2020, 1, 1), "valid_to": None, "person_key": ""}
    values |= {"unit_id": "u1", "provider_id": "p1", "role": "carer", **fields}
    return Employment(staff_id=staff, education=education, employment=kind, **values)  # type: ignore[arg-type]


def _shown(facts: QualityFacts, level: str, key: str) -> dict[str, object]:
    rows = quality_object(facts)["groups"]
    return next(row for row in rows if (row["level"], row["id"]) == (level, key))


def test_client_time_executed_share_and_hourly_share_of_a_unit() -> None:
    facts = QualityFacts(
        OCTOBER,
        [_employed("anna"), _employed("tim", kind="hourly")],
        [Carried("u1", "p1", "bo", 900), Carried("u1", "p1", "eva", 100)],
        [CarriedBy("u1", "p1", "Norr", "anna", 900), CarriedBy("u1", "p1", "", "tim", 100)],
        [Worked("u1", "p1", "carer", "monthly", 1000), Worked("u1", "p1", "carer", "hourly", 200),
         Worked("u1", "p1", "admin", "monthly", 400)],
        [Ordered("bo", "p1", "u1", 1000), Ordered("eva", "p1", "u1", 250)],
        districts={"bo": "Norr"}, operations={"p1": "private"},
    )  # fmt: skip
    unit = _shown(facts, "unit", "u1")
    assert (unit["client_time_share"], unit["executed_share"]) == (0.625, 0.8)
    assert (unit["hourly_share"], unit["hourly_share_basis"]) == (0.1666666667, "worked")
    assert _shown(facts, "district", "Norr")["executed_share"] == 0.9
    assert _shown(facts, "operation", "private")["clients"] == 2
    assert unit["small_group"] is True


def test_without_worked_hours_the_hourly_share_is_of_client_time_and_client_time_is_null() -> None:
    facts = QualityFacts(
        OCTOBER,
        [_employed("anna"), _employed("tim", kind="hourly")],
        [Carried("u1", "p1", "bo", 400)],
        [CarriedBy("u1", "p1", "", "anna", 300), CarriedBy("u1", "p1", "", "tim", 100)],
    )
    unit = _shown(facts, "unit", "u1")
    assert (unit["hourly_share"], unit["hourly_share_basis"], unit["client_time_share"]) == (0.25, "client_time", None)


def test_education_by_headcount_counts_persons_and_by_time_counts_minutes() -> None:
    staff = [
        _employed("u", "usk", education_document=True), _employed("v", "vardbitrade"), _employed("n"),
        _employed("n2", person_key="k"), _employed("n3", "usk", "hourly", person_key="k", valid_from=date(2026, 10, 2)),
        _employed("boss", "usk", role="admin"), _employed("gone", "usk", valid_to=date(2026, 9, 30)),
    ]  # fmt: skip
    minutes = [CarriedBy("u1", "p1", "", "u", 10), CarriedBy("u1", "p1", "", "n", 30)]
    facts = QualityFacts(OCTOBER, staff, [Carried("u1", "p1", "bo", 40)], minutes)
    education = figures_of(facts)["unit", "u1"].education
    assert education is not None
    assert (education.staff, education.trained_share, education.usk_share) == (4, Fraction(3, 4), Fraction(1, 2))
    assert (education.trained_time_share, education.without_document) == (Fraction(1, 4), 2)


def test_turnover_counts_who_is_there_no_more_on_the_first_of_the_next_month() -> None:
    staff = [
        _employed("stays"), _employed("leaves", valid_to=date(2026, 10, 31)),
        _employed("came", valid_from=date(2026, 10, 10)),
        _employed("new_contract", person_key="k", valid_to=date(2026, 10, 15)),
        _employed("new_contract2", person_key="k", valid_from=date(2026, 10, 16)),
    ]  # fmt: skip
    turnover = figures_of(QualityFacts(OCTOBER, staff))["unit", "u1"].turnover
    assert turnover is not None
    assert (turnover.at_start, turnover.at_end, turnover.joined, turnover.left) == (3, 3, 1, 1)
    assert turnover.share == Fraction(1, 3)


def test_times_between_visits_are_shown_only_for_five_staff_or_more() -> None:
    def day(staff: str) -> list[Visit]:
        return [visit("bo", staff, "08:00", "08:30"), visit("eva", staff, "08:40", "09:00"),
                visit("eva", staff, "09:05", "09:10"), visit("bo", staff, "12:00", "12:10")]  # fmt: skip

    rows = between_visits(Stays.of_visits([v for n in range(5) for v in day(f"s{n}")]), WINDOW)
    assert rows == [Between("u1", "p1", 8, 5, Fraction(600_000_000))]  # the same client again and a break: no travel
    few = between_visits(Stays.of_visits([v for n in range(4) for v in day(f"s{n}")]), WINDOW)
    for given, shown in ((rows, [{"hour": 8, "staff": 5, "median_minutes": 10.0}]), (few, [])):
        facts = QualityFacts(OCTOBER, [_employed("a")], [Carried("u1", "p1", "bo", 1)], between=given)
        assert _shown(facts, "unit", "u1")["minutes_between_visits"] == shown


def test_the_spread_of_starts_is_the_distance_from_the_slots_usual_start() -> None:
    planned, started = [], []
    for day, late in enumerate((5, 5, 5, 25)):
        slot = at("08:00", date(2026, 10, 23) + timedelta(days=day))  # across the clock change
        assert slot is not None
        planned.append(microseconds(slot))
        started.append(microseconds(slot) + late * 60_000_000)
    zeros = np.zeros(4, dtype=np.int64)
    columns = PlannedStarts(["u1"], ["p1"], zeros, zeros, zeros, np.array(planned), np.array(started))
    assert start_spreads(columns, WINDOW) == [Spread("u1", "p1", 20 * 60_000_000, 4)]
    facts = QualityFacts(OCTOBER, spreads=start_spreads(columns, WINDOW))
    assert _shown(facts, "provider", "p1")["start_spread_minutes"] == 5.0


def test_two_starts_are_no_slot() -> None:
    zeros = np.zeros(2, dtype=np.int64)
    slot = at("08:00")
    assert slot is not None
    both = np.array([microseconds(slot)] * 2)
    assert start_spreads(PlannedStarts(["u1"], ["p1"], zeros, zeros, zeros, both, both), WINDOW) == []


def test_time_to_resolve_is_a_median_in_hours_not_a_number_of_findings() -> None:
    facts = QualityFacts(OCTOBER, resolved=[Resolved("p1", "u1", h * 3600) for h in (1, 3, 50)])
    assert _shown(facts, "unit", "u1")["hours_to_resolve_findings"] == 3.0
