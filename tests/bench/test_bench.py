"""The bench runs in miniature, and its JSON has the form that PERFORMANCE's readers rely on. No time is asserted."""

from __future__ import annotations

import json

import pytest

from tests.bench import __main__ as bench
from tests.bench import insight
from tests.bench.figures import Figure, as_json, as_table
from tests.bench.world import MINIATURE


def test_the_bench_runs_in_miniature_and_ends_with_one_object_of_figures(capsys: pytest.CaptureFixture[str]) -> None:
    groups = ["limits", "ingest", "agent"]
    assert bench.main(["--json", *(word for name in groups for word in ("--only", name))], MINIATURE) == 0
    table, _, last = capsys.readouterr().out.rstrip("\n").rpartition("\n")
    figures = json.loads(last)
    for name, figure in figures.items():
        assert set(figure) == {"value", "unit", "target", "limit", "ratio"}, name
        assert isinstance(figure["value"], (int, float)), name
        assert figure["unit"], name
        assert name in table
    assert figures["steady_lost"]["value"] == 0
    assert figures["steady_p99"]["limit"] > 0
    assert figures["tap_20_per_request"]["limit"] == figures["floor_tap_20_per_request"]["value"] > 0


@pytest.mark.slow  # a minute or two of many processes
def test_a_little_town_grows_by_months_and_is_read_rebuilt_and_tapped_in(capsys: pytest.CaptureFixture[str]) -> None:
    groups = ["growth", "reads", "long_memory"]
    assert bench.main(["--json", *(word for name in groups for word in ("--only", name))], MINIATURE) == 0
    figures = json.loads(capsys.readouterr().out.rstrip("\n").rpartition("\n")[2])
    newest = max(MINIATURE.months)
    for name in (
        "growth_with_city", "growth_with_months_rebuild", f"visits_of_client_month_{newest}_months_p99",
        f"open_visits_of_provider_{newest}_months_p99", f"explain_{newest}_months_p99",
        f"billing_lines_{newest}_months_p99", f"continuity_{newest}_months", "growth_with_months_explain",
        "history_factor",
    ):  # fmt: skip
        assert name in figures


@pytest.mark.slow  # ten commands, each with the start of its database
def test_every_figure_of_insight_is_measured_in_a_little_town(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--json", "--only", "insight"], MINIATURE) == 0
    figures = json.loads(capsys.readouterr().out.rstrip("\n").rpartition("\n")[2])
    assert {name.removesuffix("_wall") for name in figures if name.endswith("_wall")} == set(insight.MEASURES)
    assert all(figure["value"] > 0 for figure in figures.values())
    assert figures["insight_stockholm_month_wall"]["target"] == 5.0


def test_a_figure_beyond_its_target_is_said_to_miss_it() -> None:
    slow = Figure("close", 90.0, "s", target=60, limit=30.0)
    kept = Figure("share", 51.0, "%", target=50, at_least=True)
    table = as_table([slow, kept]).splitlines()
    assert "MISSED" in table[1]
    assert "3" in table[1].split("MISSED")[1]
    assert "met" in table[2]
    assert as_json([slow]) == {"close": {"value": 90.0, "unit": "s", "target": 60, "limit": 30.0, "ratio": 3.0}}
