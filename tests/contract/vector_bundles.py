"""Turn a case of tests/vectors/rules.json into a bundle (CONTRACT.md 2), as its `meta.notes` say.

Executed minutes are visits at the client's own tag by staff of the client's provider, from 08:00; a decline at the
door has a KOM at its planned start (13:00) and no GICK; where the same date has executed minutes of 10 or less the
decline came in the middle of that visit and the planned minutes are the decline's plus the executed ones.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from app.core.localtime import instant_of, local_rfc3339

CLIENT, PROVIDER, UNIT = "K1", "P1", "E1"


def write_vector_bundle(folder: Path, case: Mapping[str, Any], policy: Mapping[str, Any] | None = None) -> Path:
    """The bundle of one vector's `input`; `policy` becomes policies.toml."""
    folder.mkdir(parents=True, exist_ok=True)
    _registry(folder)
    _orders(folder, case["order_periods"])
    taps = _Taps()
    executed = case.get("executed", ())
    middles = {row["planned_date"] for row in case.get("declines", ()) if row["notice"] == "at_door"}
    short = {row["date"]: row["minutes"] for row in executed if row["date"] in middles and row["minutes"] <= 10}
    for row in executed:
        if row["date"] not in short:
            for number in range(row.get("staff", 1)):
                taps.visit(f"S{number + 1}", at(row["date"], 8), row["minutes"])
    declines = enumerate(case.get("declines", ()))
    _write(folder, "declines", [_decline(number, row, short, taps) for number, row in declines])
    _write(folder, "excess_reasons", [_reason(row, case) for row in case.get("reasons", ())])
    _write(folder, "taps", taps.rows)
    if policy:
        lines = [f"{key} = {str(value).lower()}" for key, value in policy.items()]
        (folder / "policies.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def at(on: str, hour: int) -> datetime:
    """The instant of a local full hour."""
    return instant_of(date.fromisoformat(on), time(hour))


class _Taps:
    """Rows of taps.csv of one device."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def tap(self, act: str, staff_id: str, instant: datetime) -> None:
        stamp = local_rfc3339(instant)
        self.rows.append(
            {
                "device_id": "D1",
                "seq": len(self.rows) + 1,
                "act": act,
                "tag_uid": "04A1B2C3D4E5F6",
                "staff_id": staff_id,
                "tapped_at": stamp,
                "received_at": stamp,
            }
        )

    def visit(self, staff_id: str, start: datetime, minutes: int) -> None:
        self.tap("KOM", staff_id, start)
        self.tap("GICK", staff_id, start + timedelta(minutes=minutes))


def _decline(number: int, row: Mapping[str, Any], short: Mapping[str, int], taps: _Taps) -> dict[str, Any]:
    start = at(row["planned_date"], 13)
    executed = short.get(row["planned_date"], 0)
    if row["notice"] == "at_door":
        taps.tap("KOM", "S1", start)
        if executed:
            taps.tap("GICK", "S1", start + timedelta(minutes=executed))
    noticed = {
        "at_door": start + timedelta(minutes=executed),
        "absent": start + timedelta(minutes=5),
        "in_advance": start - timedelta(days=1),
    }[row["notice"]]
    return {
        "decline_id": f"A{number}",
        "client_id": CLIENT,
        "provider_id": PROVIDER,
        "planned_start_at": local_rfc3339(start),
        "planned_end_at": local_rfc3339(start + timedelta(minutes=row["minutes"] + executed)),
        "staff_count": 1,
        "notice": row["notice"],
        "noticed_at": local_rfc3339(noticed),
        "made_up_minutes": row.get("made_up_minutes", ""),
        "made_up_on": row.get("made_up_on", row["planned_date"]) if "made_up_minutes" in row else "",
    }


def _reason(row: Mapping[str, Any], case: Mapping[str, Any]) -> dict[str, Any]:
    month = case.get("month") or case["executed"][0]["date"][:7]
    return {
        "client_id": CLIENT,
        "provider_id": PROVIDER,
        "month": month,
        "minutes": row["minutes"],
        "reason": "illness",
        "submitted_on": row["submitted"],
        "decision": row["decision"],
        "approved_minutes": row.get("approved_minutes", ""),
    }


def _orders(folder: Path, periods: Iterable[Mapping[str, Any]]) -> None:
    rows = []
    for number, period in enumerate(periods):
        first, last = date.fromisoformat(period["from"]), date.fromisoformat(period["to"])
        monthly = period.get("minutes")
        days_in_month = ((first.replace(day=28) + timedelta(days=4)).replace(day=1) - first.replace(day=1)).days
        if monthly is not None and (last - first).days + 1 != days_in_month:
            raise ValueError(f"a period that is not a whole month needs minutes_per_day: {period}")
        rows.append(
            {
                "order_id": f"B{number}",
                "client_id": CLIENT,
                "provider_id": PROVIDER,
                "unit_id": UNIT,
                "district": "Norr",
                "valid_from": period["from"],
                "valid_to": period["to"],
                "minutes_per_month": "" if monthly is None else monthly,
                "minutes_per_day": period.get("minutes_per_day", ""),
                "max_staff": 1,
                "service": "hemtjanst",
            }
        )
    _write(folder, "orders", rows)


def _registry(folder: Path) -> None:
    _write(folder, "providers", [{"provider_id": PROVIDER, "name": "Utföraren", "operation": "private"}])
    _write(folder, "units", [{"unit_id": UNIT, "provider_id": PROVIDER, "name": "Enheten"}])
    _write(folder, "clients", [{"client_id": CLIENT, "name": "Bo"}])
    staff = {"valid_from": "2010-01-01", "unit_id": UNIT, "employment": "monthly", "education": "usk", "role": "carer"}
    _write(folder, "staff", [{"staff_id": f"S{number}", "name": f"Anna {number}", **staff} for number in (1, 2, 3)])
    since = "2010-01-01T00:00:00+01:00"
    _write(folder, "tags", [{"tag_uid": "04A1B2C3D4E5F6", "client_id": CLIENT, "valid_from_at": since, "kind": "uid"}])
    device = {"device_id": "D1", "provider_id": PROVIDER, "kind": "reader", "enrolled_at": since}
    _write(folder, "devices", [device])


def _write(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
