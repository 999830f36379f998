"""Every case of `premium_vectors` as a city would meet it: staff and hours go in, `komgick quality --premium` judges.

A case's continuity is met or not by its threshold: here one client is met by one person, so the threshold is 1 or 0.
Hours become minutes of one day, which leaves every share as it is. The shadow cases S01 and M02 go the same way.
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
PREMIUMS = {vector["id"]: vector for vector in VECTORS["premium_vectors"]}
SHADOWS = {vector["id"]: vector for vector in (*VECTORS["shadow_vectors"], *VECTORS["money_vectors"])}
MONTH = "2026-10"


@pytest.fixture
def komgick(cli_environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Komgick:
    for name, value in cli_environment.items():
        monkeypatch.setenv(name, value)
    return Komgick()


def _add_provider(bundle: VectorBundle, name: str, staff: list[dict[str, Any]]) -> Ids:
    """A provider with exactly the case's staff and their hours; its first carer visits its one client."""
    ids = bundle.add_registry(name)
    rows = bundle.rows["staff"]
    (pattern,) = [row for row in rows if row["staff_id"] == ids.staff(1)]
    bundle.rows["staff"] = [row for row in rows if not str(row["staff_id"]).startswith(f"S-{name}-")]
    for number, row in enumerate(staff, 1):
        named = {"staff_id": ids.staff(number), "employment": row["employment"], "education": row["education"]}
        bundle.rows["staff"].append({**pattern, **named})
        hours = {"staff_id": ids.staff(number), "worked_on": "2026-10-05", "kind": "client", "minutes": row["hours"]}
        bundle.rows["staff_hours"].append(hours)
    bundle.add_visit(ids, 1, at("2026-10-05", 8), 30)
    return ids


def test_every_premium_case_is_judged_exactly(tmp_path: Path, komgick: Komgick) -> None:
    bundle = VectorBundle()
    ids = {name: _add_provider(bundle, name, vector["input"]["staff"]) for name, vector in PREMIUMS.items()}
    komgick("import", str(bundle.write(tmp_path / "bundle")))
    for name, vector in PREMIUMS.items():
        given, expected = vector["input"], vector["expected"]
        reading = given.get("config", {}).get("education_reading")
        met = given["continuity_value"] <= given["continuity_threshold"]
        (verdict,) = komgick.json(
            "quality", MONTH, "--premium", "stockholm_2022", "--provider", ids[name].provider,
            "--threshold", f"continuity={int(met)}", *(("--reading", reading) if reading else ()),
        )["verdicts"]  # fmt: skip
        shares = {share: _fraction(verdict["fractions"][share]) for share in ("hourly_share", "trained_share")}
        assert shares == {share: expected[share] for share in shares}, name
        assert _fraction(verdict["fractions"]["usk_share"]) == expected["usk_share"], name
        told = {field: verdict[field] for field in ("indicators", "met", "premium")}
        assert told == {field: expected[field] for field in told}, name
        assert len(verdict["lines"]) == len(verdict["lines_en"]) == 10
    assert len(ids) >= 6, "no case was lost on the way"


def _fraction(text: str) -> str:
    return text if "/" in text else f"{text}/1"


def test_a_client_month_under_two_models_and_the_uplift_that_pays_for_declines(
    tmp_path: Path, komgick: Komgick
) -> None:
    given, expected = SHADOWS["S01"]["input"], SHADOWS["S01"]["expected"]
    bundle = VectorBundle()
    ids = bundle.add_registry("S01")
    each = given["executed_minutes"] // given["visits"]
    for number in range(given["visits"]):
        bundle.add_visit(ids, 1, at(f"2026-10-{1 + number // 5:02}", 8 + number % 5), each)
    for row in given["insatser"]:
        done = {"client_id": ids.client, "staff_id": ids.staff(1), "done_at": "2026-10-05T08:10:00+02:00"}
        bundle.rows["services_done"].append({**done, "care_service": row["code"], "count": row["count"]})
    komgick("import", str(bundle.write(tmp_path / "bundle")))
    rate = given["hourly_rate_kr"] * 100
    fees = "\n".join(f'"{row["code"]}" = {row["fee_kr"] * 100}' for row in given["insatser"])
    texts = {
        "time": f'name = "time"\npaid = true\n[time]\nhour_ore = {rate}\n',
        "insats": f'name = "insats"\n[visit]\nfee_ore = {given["visit_fee_kr"] * 100}\n[care_service]\n{fees}\n',
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.toml").write_text(text, encoding="utf-8")
    files = [str(tmp_path / f"{name}.toml") for name in texts]
    shown = komgick.json("shadow", MONTH, "--model", *files)
    (row,) = shown["per_client"]
    assert row["amounts_ore"] == {"time": expected["model_time_kr"] * 100, "insats": expected["model_insats_kr"] * 100}
    assert row["difference_ore"] == {"insats": expected["difference_kr"] * 100}
    assert row["difference_percent"] == {"insats": 7.5}
    assert sum(week["amounts_ore"]["insats"] for week in shown["per_week"]) == expected["model_insats_kr"] * 100
    assert row["fee_minutes"]["time"] == given["executed_minutes"]


def test_declines_at_the_door_of_two_percent_cost_what_an_uplift_of_exactly_two_percent_does(
    tmp_path: Path, komgick: Komgick
) -> None:
    bundle = VectorBundle()
    declined = {"planned_date": "2026-10-20", "notice": "at_door", "minutes": 30}
    executed = [{"date": f"2026-10-{day:02}", "minutes": 300} for day in (5, 6, 7, 8, 9)]
    bundle.add("M02", {"executed": executed, "declines": [declined]}, MONTH)
    komgick("import", str(bundle.write(tmp_path / "bundle")))
    time = f"[time]\nhour_ore = {SHADOWS['M02']['input']['rate_kr'] * 100}\n"
    for name, text in (
        ("old", f"paid = true\n{time}[declines]\nat_door = 100\n"),
        ("new", f'{time}uplift_percent = "2.0"\n'),
    ):
        (tmp_path / f"{name}.toml").write_text(f'name = "{name}"\n{text}', encoding="utf-8")
    shown = komgick.json("shadow", MONTH, "--model", str(tmp_path / "old.toml"), str(tmp_path / "new.toml"))
    assert [(row["model"], row["difference_ore"], row["difference_percent"]) for row in shown["models"]] == [
        ("old", 0, 0.0),
        ("new", 0, 0.0),
    ]
    assert shown["models"][1]["neutral_uplift_percent"] == 2.0
