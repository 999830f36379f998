"""Irregularities end to end: a simulated month goes in as a bundle, honest or with twenty frauds; the command tells."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.contract.commands import Komgick
from tests.insight.bundle_frauds import plant

MONTH, CLIENTS, SEED = "2026-10", "300", "11"

pytestmark = pytest.mark.slow


@pytest.fixture
def komgick(cli_environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Komgick:
    for name, value in cli_environment.items():
        monkeypatch.setenv(name, value)
    run = Komgick()
    run("simulate", "--clients", CLIENTS, "--month", MONTH, "--seed", SEED, "--out", str(tmp_path / "month"))
    return run


def _told(komgick: Komgick, folder: Path) -> list[dict[str, Any]]:
    """Every case, opened, so that the staff it is about can be compared."""
    komgick("import", str(folder))
    closed = komgick.json("irregularities", MONTH)["irregularities"]
    assert all(row["about_id"] is None for row in closed if row["about"] == "staff")
    opening = [word for row in closed for word in ("--case", row["case_id"])]
    if not opening:
        return []
    found: list[dict[str, Any]] = komgick.json("irregularities", MONTH, *opening, "--reference", "SN 1")[
        "irregularities"
    ]
    return found


def test_an_honest_month_shows_nothing_but_visits_on_days_when_a_client_was_away(
    komgick: Komgick, tmp_path: Path
) -> None:
    told = _told(komgick, tmp_path / "month")
    assert {row["rule"] for row in told} <= {"visit_in_absence"}, "each of these is a held visit to look at"
    assert len(told) <= 2


def test_twenty_frauds_of_six_kinds_are_seen_in_the_month_they_were_planted_in(
    komgick: Komgick, tmp_path: Path
) -> None:
    planted = plant(tmp_path / "month", 1)
    assert (len(planted), len({kind for kind, _ in planted})) == (20, 6)
    found = {(row["rule"], row["about_id"]) for row in _told(komgick, tmp_path / "month")}
    assert set(planted) - found == set(), "recall 20 of 20"
    besides = {rule for rule, _ in found - set(planted)}
    assert besides <= {"visit_in_absence", "overlap", "device_of_many"}, "what the frauds themselves cause besides"
