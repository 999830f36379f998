"""What people see: the client's sheet and the pictures."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.core.month import Month
from app.facts import Visit
from app.insight.client_sheet import Office, SheetFacts, day_lines, first_name, in_words, render_sheet
from app.insight.pictures import draw_picture
from tests.insight.world import visit

OFFICES = [Office("Hemtjänst Söder", "08-123 45 67", "Anna")]


def _facts(visits: list[Visit], **fields: Any) -> SheetFacts:
    values: dict[str, Any] = {
        "client_name": "Bo Ek", "client_word": "brukare", "month": Month(2026, 10), "visits": visits,
        "names": {"a": "Anna Ek", "b": "Björk, Bea <b>"}, "ordered_minutes": 600, "used_minutes": 400, "declined": 0,
        "declined_minutes": 0, "offices": OFFICES,
    }  # fmt: skip
    return SheetFacts(**{**values, **fields})


def test_the_sheet_says_who_came_when_how_many_people_and_whom_to_call() -> None:
    visits = [
        visit("bo", "a", "08:00", "08:30"),
        visit("bo", "b", "12:05", None),
        visit("bo", "a", "18:00", "18:10"),
    ]
    page = render_sheet(_facts(visits))
    assert "8.00–8.30 Anna · 12.05–? Bea · 18.00–18.10 Anna" in page
    assert "<b>3 besök</b> av <b>2 olika personer</b>" in page
    assert "Tid kvar: <b>3 timmar 20 minuter</b>" in page
    assert "08-123 45 67" in page
    assert "font: 14pt" in page
    assert "Björk" not in page


def test_names_are_escaped_and_more_than_ordered_is_said_plainly() -> None:
    page = render_sheet(_facts([], client_name="<script>", used_minutes=661))
    assert "<script>" not in page
    assert "Mer än beslutat: <b>1 timme 1 minut</b>" in page
    assert "Inga besök är registrerade" in page


def test_only_carers_who_came_are_shown_and_a_declined_visit_says_so() -> None:
    visits = [
        visit("bo", "a", "08:00", None, status="declined"),
        visit("bo", "a", "09:00", "09:10", status="cancelled"),
        visit("bo", "a", "10:00", "10:10", role="trainee"),
        visit("bo", "a", "11:00", "11:10", service="phone"),
    ]
    assert [line.text for line in day_lines(_facts(visits))] == ["8.00 Anna (avböjt)"]


@pytest.mark.parametrize(("a_day", "starts_with"), [(3, "7.00–7.20 Anna"), (5, "7.00 Anna"), (9, "Anna 7.00 8.00")])
def test_a_busier_month_is_written_shorter_never_smaller(a_day: int, starts_with: str) -> None:
    days = [date(2026, 10, 1) + timedelta(days=day) for day in range(31)]
    visits = [visit("bo", "a", f"{7 + hour:02}:00", f"{7 + hour:02}:20", on=on) for on in days for hour in range(a_day)]
    lines = day_lines(_facts(visits))
    assert len(lines) == 31
    assert lines[0].day == "tors 1"
    assert lines[0].text.startswith(starts_with)
    assert sum(-(-len(line.text) // 68) for line in lines) <= 34


def test_where_the_days_have_no_room_for_names_all_times_stand_and_the_names_below() -> None:
    days = [date(2026, 10, 1) + timedelta(days=day) for day in range(31)]
    visits = [
        visit("bo", f"s{hour}{on.day % 5}", f"{7 + 2 * hour:02}:00", f"{7 + 2 * hour:02}:20", on=on)
        for on in days for hour in range(7)
    ]  # fmt: skip
    facts = _facts(visits, names={one.staff_id: f"Aleksandra-{one.staff_id} Ek" for one in visits})
    lines = day_lines(facts)
    assert lines[0].text == "7.00, 9.00, 11.00, 13.00, 15.00, 17.00, 19.00"
    page = render_sheet(facts)
    (names,) = [line for line in page.splitlines() if "De som kom:" in line]
    assert names.startswith("<p>De som kom: Aleksandra-s01, ")
    shown = names.count("Aleksandra")
    assert 3 < shown < 35
    assert names.endswith(f" och {35 - shown} till.</p>")
    assert len(lines) + len(names) / 68 <= 35


def test_words_for_minutes_and_names() -> None:
    assert [in_words(n) for n in (0, 1, 60, 125)] == ["0 minuter", "1 minut", "1 timme", "2 timmar 5 minuter"]
    assert [first_name(n) for n in ("Anna Ek", "Ek, Anna Maria", "")] == ["Anna", "Anna", "någon"]


_ROW = {"mean": 12.5, "median": 12.0, "clients_included": 20, "share_over_20_percent": 0.0}
_PICTURES: dict[str, dict[str, Any]] = {
    "continuity": {
        "measure": "stockholm_month", "from_on": "2026-10-01", "to_on": "2026-10-31", "mean": 12.0,
        "groups": [{"group": f"E{n:03}", "name": f"Enhet {n}", **_ROW, "mean": 10 + n % 7} for n in range(60)],
    },
    "trend": {"measure": "stockholm_month", "trend": [{"month": "2026-09", **_ROW}, {"month": "2026-10", **_ROW}]},
    "fortnights": {
        "measure": "kolada_14d", "year": 2026,
        "fortnights": [{"from_on": f"2026-10-{n:02}", "official": n == 12, **_ROW} for n in range(5, 26, 7)],
    },
    "executed": {
        "month": "2026-10",
        "groups": [{"level": "unit", "id": "u", "ordered_minutes": 6000, "executed_minutes": 6300}],
    },
    "shadow": {
        "months": ["2026-10"], "paid_model": "a",
        "models": [{"model": "a", "title_sv": "A", "paid": True}, {"model": "b", "title_sv": "B", "paid": False}],
        "per_provider": [{"provider_id": "p1", "month": "2026-10", "amounts_ore": {"a": 100, "b": 120}}],
    },
}  # fmt: skip


@pytest.mark.parametrize(("name", "suffix"), [*((name, ".svg") for name in _PICTURES), ("executed", ".png")])
def test_a_picture_of_the_same_figures_has_the_same_bytes(name: str, suffix: str, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}{suffix}" for number in range(2)]
    for file in files:
        draw_picture(name, _PICTURES[name], file)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert files[0].stat().st_size > 3000


@pytest.mark.parametrize("name", _PICTURES)
def test_a_picture_of_nothing_says_so_instead_of_failing(name: str, tmp_path: Path) -> None:
    empty = {key: [] if isinstance(value, list) else value for key, value in _PICTURES[name].items()}
    if name == "shadow":
        empty["models"] = _PICTURES[name]["models"][:1]
    draw_picture(name, empty, tmp_path / "empty.svg")
    assert (tmp_path / "empty.svg").stat().st_size > 1000
