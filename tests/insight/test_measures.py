"""The named measures: who is counted, who is left out and why, and what they rest on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

import app.insight.measures as measures_package
from app.core.month import Month
from app.facts import Absence, Visit
from app.insight.contacts import ContactPerson
from app.insight.continuity import (
    by_code,
    by_group,
    chosen_variants,
    every_fortnight,
    measured_object,
    trend,
    window_for,
)
from app.insight.measure import compute
from app.insight.measures import all_measures, measure_named
from app.insight.windows import Window
from app.policies import DatedValue, PolicyBook
from app.refusals import Invalid, NotFound
from tests.insight.world import Town, at, visit

OCTOBER = Window.of_month(Month(2026, 10))
FORTNIGHT = Window.of_days(date(2026, 10, 12), 14)
OLD = date(1940, 1, 1)


def _daily(client: str, times: tuple[str, ...] = ("08:00", "18:00"), skip: int | None = None) -> Iterator[Visit]:
    for day in range(14):
        if day != skip:
            on = FORTNIGHT.from_on + timedelta(days=day)
            for index, start in enumerate(times):
                yield visit(client, f"s{day % 3}{index}", start, "22:10" if start > "21" else f"{start[:3]}59", on=on)


def _kolada(town: Town, *variants: str) -> tuple[set[str], dict[str, str]]:
    measured = compute(measure_named("kolada_14d"), town, FORTNIGHT, frozenset(variants))
    return {client.client_id for client in measured.clients}, dict(measured.excluded)


def test_stockholm_counts_everybody_once_and_names_who_had_no_meeting() -> None:
    visits = [
        visit("bo", "anna", "08:00", "08:30"), visit("bo", "cia", "12:00", "12:30"),
        visit("bo", "anna", "18:00", "18:10"),
        visit("eva", "anna", "03:00", "03:10", service="night_patrol"),
        visit("lars", "anna", "12:00", "12:10", service="meal"),
    ]  # fmt: skip
    measured = compute(measure_named("stockholm_month"), Town(visits, ordered=("bo", "lars", "stig")), OCTOBER)
    shown = measured_object(measured)
    assert (shown["mean"], shown["median"], shown["clients_included"]) == (1.5, 1.5, 2)
    assert [(row["client_id"], row["why"]) for row in shown["clients_excluded"]] == [
        ("lars", "no_counted_meeting"),
        ("stig", "no_counted_meeting"),
    ]
    assert shown["per_client"][0] == {
        "client_id": "bo", "distinct_staff": 2, "visits": 3, "upc": 0.6666666667, "coc_bice_boxerman": 0.3333333333,
        "hi": 0.5555555556, "secon": 0.0, "k": 0.5, "mmci": 0.5238095238, "visit_entropy_bits": 0.9182958341,
        "contact_share": None,
    }  # fmt: skip


def test_a_visit_belongs_to_the_local_month_of_its_start() -> None:
    visits = [
        visit("bo", "a", "23:59", "00:10", on="2026-09-30"),
        visit("bo", "b", "00:00", "00:10", on="2026-10-01"),
        visit("bo", "c", "23:59:59", None, on="2026-10-31"),
        visit("bo", "d", "00:00", "00:10", on="2026-11-01"),
    ]
    measured = compute(measure_named("stockholm_month"), Town(visits), OCTOBER)
    assert measured.clients[0].indices.distinct_staff == 2


def test_kolada_takes_65_and_older_with_two_meetings_every_day_who_were_at_home() -> None:
    visits = [v for name in ("ok", "young", "away", "nobirth", "dead") for v in _daily(name)]
    visits += [*_daily("gap", skip=5), *_daily("once", ("08:00",)), *_daily("late", ("08:00", "22:00"))]
    visits += [*_daily("early", ("06:59", "18:00")), *_daily("edge", ("07:00", "21:59:59"))]
    born = dict.fromkeys(("ok", "away", "gap", "once", "late", "early", "edge", "dead"), OLD)
    born["young"] = date(1961, 10, 13)  # turns 65 the day after the start
    absences = [
        Absence("away", FORTNIGHT.to_on, "hospital", None),
        Absence("dead", date(2026, 1, 1), "dead", date(2026, 1, 2)),
        Absence("ok", date(2026, 10, 1), "away", date(2026, 10, 11)),
    ]
    included, why = _kolada(Town(visits, born, absences))
    assert included == {"ok", "edge"}
    assert why == {
        "young": "under_65", "away": "away", "dead": "away", "nobirth": "birth_date_unknown", "gap": "under_two_a_day",
        "once": "under_two_a_day", "late": "under_two_a_day", "early": "under_two_a_day",
    }  # fmt: skip


def test_kolada_counts_two_overlapping_visits_as_one_meeting_a_day() -> None:
    visits = [*_daily("bo", ("08:00", "08:15"))]
    assert _kolada(Town(visits, {"bo": OLD})) == (set(), {"bo": "under_two_a_day"})


def test_kolada_variant_two_by_plan_asks_the_plan_and_hours_by_overlap_the_whole_visit() -> None:
    days = [FORTNIGHT.from_on + timedelta(days=day) for day in range(14)]
    planned = [("bo", start) for on in days for start in (at("08:00", on), at("18:00", on)) if start is not None]
    town = Town([*_daily("bo", skip=3)], {"bo": OLD}, planned=planned)
    assert _kolada(town)[0] == set()
    assert _kolada(town, "two_by_plan")[0] == {"bo"}
    for end, included in (("07:00", set()), ("07:01", {"bo"})):
        early = [visit("bo", "x", "06:30", end, on=on) for on in days]
        town = Town([*early, *_daily("bo", ("18:00",))], {"bo": OLD})
        assert _kolada(town)[0] == set()
        assert _kolada(town, "hours_by_overlap")[0] == included


def test_kolada_keeps_the_wall_clock_on_the_night_of_the_clock_change() -> None:
    window = Window.of_days(date(2026, 10, 19), 14)
    visits = [
        visit("bo", f"s{d}{i}", start, end, on=window.from_on + timedelta(days=d))
        for d in range(14)
        for i, (start, end) in enumerate((("07:00", "07:20"), ("21:59", "22:20")))
    ]
    measured = compute(measure_named("kolada_14d"), Town(visits, {"bo": OLD}), window)
    assert [client.indices.distinct_staff for client in measured.clients] == [28]
    assert measured.share_over_20 == 1


def test_every_fortnight_of_a_year_is_computed_and_one_is_official() -> None:
    rows = list(every_fortnight(measure_named("kolada_14d"), Town([*_daily("bo")], {"bo": OLD}), 2026, frozenset()))
    assert len(rows) == 52
    official = [row for row in rows if row["official"]]
    assert [(row["from_on"], row["clients_included"], row["mean"]) for row in official] == [("2026-10-12", 1, 6.0)]
    with pytest.raises(Invalid):
        list(every_fortnight(measure_named("stockholm_month"), Town(), 2026, frozenset()))


def test_windows_come_from_a_month_or_from_a_day() -> None:
    kolada, stockholm = measure_named("kolada_14d"), measure_named("stockholm_month")
    assert window_for(kolada, Month(2026, 10), None) == FORTNIGHT
    assert window_for(kolada, Month(2026, 9), None).from_on == date(2026, 9, 7)
    assert window_for(kolada, None, date(2026, 3, 3)).to_on == date(2026, 3, 16)
    assert window_for(stockholm, None, date(2026, 1, 31)).to_on == date(2026, 2, 27)
    assert window_for(stockholm, None, date(2026, 10, 1)) == OCTOBER
    for month, start in ((None, None), (Month(2026, 10), date(2026, 10, 1))):
        with pytest.raises(Invalid):
            window_for(kolada, month, start)


def test_the_contacts_share_is_of_minutes_on_days_when_she_was_the_contact() -> None:
    contact = ContactPerson("bo", "p1", "staff:anna", date(2026, 10, 5), date(2026, 10, 6))
    other_provider = ContactPerson("bo", "p2", "staff:cia", date(2026, 1, 1), None)
    visits = [
        visit("bo", "anna", "08:00", "08:30", on="2026-10-04"),
        visit("bo", "anna", "08:00", "08:30", on="2026-10-05"),
        visit("bo", "anna", "08:00", "08:10", on="2026-10-06"),
        visit("bo", "anna", "08:00", "08:30", on="2026-10-07"),
        visit("bo", "cia", "08:00", "08:20", on="2026-10-07"),
        visit("eva", "anna", "08:00", "08:20"),
    ]
    town = Town(visits, contacts=[contact, other_provider])
    shown = measured_object(compute(measure_named("stockholm_month"), town, OCTOBER))
    assert [row["contact_share"] for row in shown["per_client"]] == [0.3333333333, None]


def test_data_quality_says_what_was_stated_by_hand_or_has_one_end_or_is_unknown() -> None:
    visits = [
        visit("bo", "a", "08:00", "08:30", source="manual"),
        visit("bo", "a", "09:00", None),
        visit("bo", "a", "10:00", "10:30", source="corrected"),
        visit("bo", "a", "11:00", "11:30"),
    ]
    shown = measured_object(compute(measure_named("stockholm_month"), Town(visits, unknown=1), OCTOBER))
    assert shown["data_quality"] == {
        "visits": 4, "manual_share": 0.25, "corrected_share": 0.25, "incomplete_share": 0.25, "unknown_share": 0.2,
        "unknown_taps": 1,
    }  # fmt: skip


def test_a_measure_without_anybody_is_null_not_zero() -> None:
    shown = measured_object(compute(measure_named("stockholm_month"), Town(), OCTOBER))
    assert (shown["mean"], shown["median"], shown["share_over_20_percent"]) == (None, None, None)
    assert shown["data_quality"]["manual_share"] is None


def test_a_group_of_few_clients_shows_no_figure() -> None:
    visits = [visit(f"c{n}", "a", "08:00", "08:30", unit_id="big" if n < 5 else "small") for n in range(6)]
    rows = by_group(
        measure_named("stockholm_month"), Town(visits), OCTOBER, frozenset(), lambda stays: by_code("unit", stays)
    )
    assert [(row["group"], row["mean"], row["clients_included"]) for row in rows] == [
        ("big", 1.0, 5),
        ("small", None, 1),
    ]


def test_adding_a_measure_is_one_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "toy_mornings.py").write_text(
        "from datetime import time\n"
        "from app.insight.measure import Measure\n"
        "MEASURE = Measure('toy_mornings', '1', 'morgnar', 'mornings', 'alla', 'all',\n"
        "    counts=lambda stays, window, variants: window.starts_within(stays.start_us, time(6), time(10)))\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(measures_package, "__path__", [*measures_package.__path__, str(tmp_path)])
    assert list(all_measures()) == ["kolada_14d", "stockholm_month", "toy_mornings"]
    visits = [visit("bo", "a", "08:00", "08:30"), visit("bo", "b", "12:00", "12:30")]
    measured = compute(measure_named("toy_mornings"), Town(visits), OCTOBER)
    assert measured.clients[0].indices.distinct_staff == 1


def test_an_unknown_measure_or_variant_is_refused_with_the_known_ones() -> None:
    with pytest.raises(NotFound, match="kolada_14d, stockholm_month"):
        measure_named("nope")
    with pytest.raises(Invalid, match="two_by_plan"):
        chosen_variants(measure_named("kolada_14d"), ["nope"], OCTOBER.from_on)


def test_the_municipality_decides_the_official_weeks_and_the_variants_from_a_day() -> None:
    book = PolicyBook.built_in().with_overrides(
        [
            DatedValue("continuity_official_week", 45, date(2027, 1, 1)),
            DatedValue("continuity_variants", ["two_by_plan"], date(2027, 1, 1)),
        ]
    )
    kolada = measure_named("kolada_14d", book)
    assert [window_for(kolada, Month(year, 10), None).from_on for year in (2026, 2027)] == [
        date(2026, 10, 12),
        date(2027, 10, 4),
    ]
    assert window_for(kolada, Month(2027, 11), None).from_on == date(2027, 11, 8)
    rows = every_fortnight(kolada, Town(), 2027, frozenset())
    assert [row["from_on"] for row in rows if row["official"]] == ["2027-11-08"]
    assert chosen_variants(kolada, [], date(2027, 1, 1)) == {"two_by_plan"}
    assert chosen_variants(kolada, [], date(2026, 12, 31)) == set()
    assert chosen_variants(kolada, ["none"], date(2027, 1, 1)) == set()
    assert chosen_variants(measure_named("stockholm_month", book), [], date(2027, 1, 1)) == set()


def test_a_trend_tells_the_municipality_its_units_and_each_client_month_by_month() -> None:
    visits = [
        visit(f"c{n}", who, "08:00", "08:30", on=on, unit_id="u1" if n < 5 else "u2")
        for n in range(6) for on, staff in (("2026-09-05", "ab"), ("2026-10-05", "a")) for who in staff
    ]  # fmt: skip
    rows = trend(
        measure_named("stockholm_month"), Town(visits), [Month(2026, 9), Month(2026, 10)], frozenset(), {"u1": "Norr"}
    )
    assert [(row["month"], row["mean"]) for row in rows] == [("2026-09", 2.0), ("2026-10", 1.0)]
    assert [row["units"]["u1"]["mean"] for row in rows] == [2.0, 1.0]
    assert rows[0]["units"]["u1"]["name"] == "Norr"
    assert rows[0]["units"]["u2"] == {"name": "u2", "mean": None, "mean_coc": None, "clients_included": 1}
    assert [row["distinct_staff"]["c5"] for row in rows] == [2, 1]
