"""A month as open data: figures of groups without persons, small ones suppressed; CSV and Parquet, a data package.

Units are left out; of the other levels a group with fewer than five staff or clients shows no figure. Where a level has
exactly one such group the smallest other one is hidden too, so that nobody finds it by subtraction.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LEVELS = ("municipality", "operation", "district", "provider")
COUNTS = ("clients", "executed_minutes", "ordered_minutes")
SHARES = ("client_time_share", "executed_share", "hourly_share", "start_spread_minutes", "hours_to_resolve_findings")
COLUMNS = ("month", "level", "id", "name", *COUNTS, *SHARES, "suppressed")
FEWEST = 5


def open_rows(quality: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a month's quality figures that may be published; figures of small groups are None."""
    rows: list[dict[str, Any]] = []
    for level in LEVELS:
        groups = [group for group in quality["groups"] if group["level"] == level]
        hidden = {group["id"] for group in groups if group["clients"] < FEWEST or _few_staff(group)}
        if len(hidden) == 1 and len(groups) > 1:
            others = [group for group in groups if group["id"] not in hidden]
            hidden.add(min(others, key=lambda group: (group["clients"], group["id"]))["id"])
        rows.extend(_row(quality["month"], group, suppressed=group["id"] in hidden) for group in groups)
    return rows


def write_open_data(quality: Mapping[str, Any], folder: Path) -> int:
    """Write quality.csv, quality.parquet and datapackage.json into a folder; how many rows. OSError if it cannot."""
    import pyarrow as pa  # noqa: PLC0415 -- an extra; only this asks for it
    import pyarrow.parquet as pq  # noqa: PLC0415 -- likewise

    rows = open_rows(quality)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "quality.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=_schema(pa)), folder / "quality.parquet")
    (folder / "datapackage.json").write_text(
        json.dumps(_package(str(quality["month"])), ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
    )
    return len(rows)


def _few_staff(group: Mapping[str, Any]) -> bool:
    """A district has no staff of its own."""
    return bool(group["level"] != "district" and group["staff"] < FEWEST)


def _row(month: str, group: Mapping[str, Any], *, suppressed: bool) -> dict[str, Any]:
    figures = {name: None if suppressed else group[name] for name in (*COUNTS, *SHARES)}
    named = {name: group[name] for name in ("level", "id", "name")}
    return {"month": month, **named, **figures, "suppressed": suppressed}


def _schema(pa: Any) -> Any:
    types = {**dict.fromkeys(COUNTS, pa.int64()), **dict.fromkeys(SHARES, pa.float64()), "suppressed": pa.bool_()}
    return pa.schema([(name, types.get(name, pa.string())) for name in COLUMNS])


def _package(month: str) -> dict[str, Any]:
    types = {**dict.fromkeys(COUNTS, "integer"), **dict.fromkeys(SHARES, "number"), "suppressed": "boolean"}
    fields: Sequence[dict[str, str]] = [{"name": name, "type": types.get(name, "string")} for name in COLUMNS]
    return {
        "name": f"komgick-open-{month}",
        "profile": "tabular-data-package",
        "resources": [
            {
                "name": "quality",
                "path": "quality.csv",
                "profile": "tabular-data-resource",
                "encoding": "utf-8",
                "schema": {"fields": fields, "primaryKey": ["month", "level", "id"]},
            }
        ],
    }
