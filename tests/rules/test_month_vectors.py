"""Every rule, time and correction vector of rules.json against the rule functions, read as data."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from app.core.minutes import minutes_by_day, whole_minutes
from tests.rules.month_facts import account, local, vector_input

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "rules.json").read_text(encoding="utf-8"))


def ids(kind: str) -> Any:
    return [pytest.param(vector, id=vector["id"]) for vector in VECTORS[kind]]


@pytest.mark.parametrize("vector", ids("rule_vectors"))
def test_a_month_gives_the_figures_of_its_vector(vector: dict[str, Any]) -> None:
    result = account(vector["month"], **vector_input(vector["month"], vector["input"]))
    figures = dataclasses.asdict(result.account)
    assert {name: figures[name] for name in vector["expected"]} == vector["expected"]


def test_a_visit_across_midnight_and_month_end_gives_each_day_its_minutes() -> None:
    vector = next(v for v in VECTORS["time_vectors"] if v["id"] == "T01")
    start, end = (local(text.replace("T", " ")) for text in vector["input"])
    parts = {on.isoformat(): minutes for on, minutes in minutes_by_day(start, end).items()}
    assert parts == vector["expected_minutes_by_date"]


def test_stamps_are_cut_to_the_minute() -> None:
    vector = next(v for v in VECTORS["time_vectors"] if v["id"] == "T02")
    stamps = [(local(f"2017-03-01 {start}"), local(f"2017-03-01 {end}")) for start, end in vector["input"]]
    expected = vector["expected"]["truncate_both_stamps_to_minute(default)"]
    assert sum(whole_minutes(start, end) for start, end in stamps) == expected == 59
