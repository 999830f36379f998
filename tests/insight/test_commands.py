"""The commands as an operator runs them: real processes over a real database."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from app.db.callers import Caller
from app.db.engine import Database
from app.registry.tables import orders, prices
from tests.insight.test_store import put, some_visits


@pytest.fixture
def town(database: Database, cli_environment: Mapping[str, str]) -> Mapping[str, str]:
    """A database with a little world in it, and the environment to reach it."""
    with database.transaction(Caller.batch()) as connection:
        put(connection, some_visits())
        order = {"order_id": "o1", "client_id": "c1", "provider_id": "p0", "unit_id": "u0", "district": "Norr"}
        connection.execute(insert(orders), [{**order, "valid_from": "2026-01-01", "minutes_per_month": 500}])
        price = {"operation": "private", "service": "care", "unit": "hour", "valid_from": "2024-01-01"}
        connection.execute(insert(prices), [{**price, "band": band, "amount_ore": 51_600} for band in ("day", "night")])
    return cli_environment


def _run(environment: Mapping[str, str], *words: str, status: int = 0) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", *words], env=dict(environment), capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    if status:
        return done.stderr
    return json.loads(done.stdout) if words[-1] == "json" else done.stdout


def test_continuity_quality_shadow_and_the_sheet_run(town: Mapping[str, str], tmp_path: Path) -> None:
    picture, sheet = tmp_path / "kontinuitet.svg", tmp_path / "mina-besok.html"
    shown = _run(
        town, "continuity", "--measure", "stockholm_month", "--month", "2026-10", "--by", "unit",
        "--plot", str(picture), "--format", "json",
    )  # fmt: skip
    fixed = (
        "measure", "version", "definition", "from_on", "to_on", "mean", "median", "share_over_20_percent",
        "clients_included", "clients_excluded", "data_quality", "per_client",
    )  # fmt: skip
    assert set(fixed) <= set(shown)
    assert shown["clients_included"] == len(shown["per_client"]) == 5
    assert picture.read_text(encoding="utf-8").startswith("<?xml")
    quality = _run(town, "quality", "2026-10", "--format", "json")
    assert {row["level"] for row in quality["groups"]} >= {"municipality", "provider", "unit", "district"}
    shadow = _run(town, "shadow", "2026-10", "--model", "executed_time", "uplift_2017", "--format", "json")
    assert [row["model"] for row in shadow["models"]] == ["executed_time", "uplift_2017"]
    assert shadow["models"][1]["difference_percent"] == 2.0
    _run(town, "client-sheet", "2026-10", "--client", "c1", "--out", str(sheet))
    assert "Beslutad tid: <b>8 timmar 20 minuter</b>" in sheet.read_text(encoding="utf-8")


def test_refusals_say_what_is_missing_and_wrong_usage_ends_in_two(town: Mapping[str, str], tmp_path: Path) -> None:
    told = _run(town, "quality", "2026-10", "--premium", "stockholm_2022", status=1)
    assert "no published threshold for continuity" in told
    told = _run(town, "client-sheet", "2026-10", "--client", "nobody", "--out", str(tmp_path / "x.html"), status=1)
    assert told.startswith("not_found")
    assert not (tmp_path / "x.html").exists()
    _run(town, "continuity", "--measure", "stockholm_month", status=2)
    _run(town, "shadow", "2026-13", "--model", "executed_time", status=2)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("quality", "2026-10", "--provider", "p0"), "name a model"),
        (("quality", "2026-10", "--premium", "per_criterion", "--trend", "2"), "a verdict has neither"),
        (("continuity", "--measure", "kolada_14d", "--from", "2026-10-05", "--trend", "2"), "give --month"),
        (("continuity", "--measure", "kolada_14d", "--year", "2026", "--by", "unit"), "a year goes without"),
    ],
    ids=["provider", "verdict", "trend", "year"],
)
def test_an_option_that_would_be_ignored_is_wrong_usage(
    cli_environment: Mapping[str, str], words: tuple[str, ...], why: str
) -> None:
    assert why in " ".join(_run(cli_environment, *words, status=2).replace("│", " ").split())


def test_quality_shows_its_figures_month_by_month(town: Mapping[str, str]) -> None:
    shown = _run(town, "quality", "2026-10", "--trend", "2", "--format", "json")
    whole = [row for row in shown["trend"] if row["level"] == "municipality"]
    assert [row["month"] for row in whole] == ["2026-09", "2026-10"]
    alone = _run(town, "quality", "2026-09", "--format", "json")["groups"]
    assert [row for row in shown["trend"] if row["month"] == "2026-09"] == [
        {"month": "2026-09", **row} for row in alone
    ]
    assert whole[1]["executed_minutes"] == shown["groups"][0]["executed_minutes"] > whole[0]["executed_minutes"] > 0


def test_a_month_without_visits_says_so_and_shows_nulls(town: Mapping[str, str]) -> None:
    words = ("continuity", "--measure", "stockholm_month", "--month", "2030-01", "--format", "json")
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", *words],
        env=dict(town),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, json.loads(done.stdout)["mean"]) == (0, None)
    assert "no counted visit from 2030-01-01 to 2030-01-31" in done.stderr


def test_a_premium_is_judged_for_every_provider_with_figures(town: Mapping[str, str]) -> None:
    shown = _run(
        town, "quality", "2026-10", "--premium", "stockholm_2022", "--threshold", "continuity=10", "--provider", "p0",
        "--format", "json",
    )  # fmt: skip
    (verdict,) = shown["verdicts"]
    assert verdict["indicators"] == {"continuity": True, "hourly_share": True, "education": False}
    assert (verdict["premium"], len(verdict["lines"])) == (True, 10)
    assert "bara 4 medarbetare i underlaget" in verdict["warnings"]


def test_irregularities_are_shown_without_names(town: Mapping[str, str]) -> None:
    shown = _run(town, "irregularities", "2026-10", "--format", "json")
    assert {row["about"] for row in shown["irregularities"]} <= {"provider", "tag", "device", "staff"}
    assert all(row["about_id"] is None for row in shown["irregularities"] if row["about"] == "staff")
