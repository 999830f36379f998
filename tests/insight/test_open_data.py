"""Open data: nothing about anybody, and nothing that subtraction would give."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from app.insight.open_data import open_rows, write_open_data


def _group(level: str, name: str, clients: int, staff: int = 20) -> dict[str, Any]:
    figures = {"executed_minutes": 100, "ordered_minutes": 200, "client_time_share": 0.5, "executed_share": 0.5}
    figures |= {"hourly_share": 0.1, "start_spread_minutes": 3.0, "hours_to_resolve_findings": 1.0}
    return {"level": level, "id": name, "name": name, "clients": clients, "staff": staff, **figures}


QUALITY = {
    "month": "2026-10",
    "groups": [
        _group("municipality", "", 109), _group("provider", "tiny", 2, 1), _group("provider", "small", 7),
        _group("provider", "big", 100), _group("unit", "u1", 100), _group("district", "Norr", 50, 0),
    ],
}  # fmt: skip


def test_a_small_group_is_hidden_and_another_with_it_so_that_it_cannot_be_subtracted() -> None:
    shown = {row["id"]: (row["suppressed"], row["executed_minutes"]) for row in open_rows(QUALITY)}
    assert shown == {"": (False, 100), "tiny": (True, None), "small": (True, None), "big": (False, 100),
                     "Norr": (False, 100)}  # fmt: skip


def test_csv_and_parquet_hold_the_same_rows_beside_a_data_package(tmp_path: Path) -> None:
    assert write_open_data(QUALITY, tmp_path / "open") == 5
    with (tmp_path / "open" / "quality.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    table = pq.read_table(tmp_path / "open" / "quality.parquet").to_pylist()
    assert [row["id"] for row in rows] == [row["id"] for row in table]
    assert [row["executed_minutes"] for row in table] == [100, 100, None, None, 100]
    assert '"path": "quality.csv"' in (tmp_path / "open" / "datapackage.json").read_text(encoding="utf-8")
