"""Turn cases of tests/vectors/rules.json into one bundle (CONTRACT.md 2), as its `meta.notes` say.

Executed minutes are visits at the client's own tag by staff of the client's provider, from 08:00; a decline at the
door has a KOM at its planned start (13:00) and no GICK; where the same date has executed minutes of 10 or less the
decline came in the middle of that visit and the planned minutes are the decline's plus the executed ones.

Every case has a client, a provider, staff, a tag and a device of its own (`ids`), so that many share a database.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from app.core.localtime import instant_of, local_rfc3339

Row = dict[str, Any]
_SINCE = "2010-01-01"
_SINCE_AT = f"{_SINCE}T00:00:00+01:00"


@dataclass(frozen=True, slots=True)
class Ids:
    """The ids of one case; `staff(1)` to `staff(3)` are its carers."""

    name: str

    @property
    def client(self) -> str:
        return f"K-{self.name}"

    @property
    def provider(self) -> str:
        return f"P-{self.name}"

    @property
    def unit(self) -> str:
        return f"E-{self.name}"

    @property
    def device(self) -> str:
        return f"D-{self.name}"

    @property
    def tag(self) -> str:
        return self.name.encode().hex().upper().ljust(14, "0")

    def staff(self, number: int) -> str:
        return f"S-{self.name}-{number}"


class VectorBundle:
    """Rows by file. `policy` becomes policies.toml."""

    def __init__(self, policy: Mapping[str, Any] | None = None) -> None:
        self.rows: dict[str, list[Row]] = defaultdict(list)
        self._policy = policy or {}

    def add(self, name: str, case: Mapping[str, Any], month: str) -> Ids:
        """A case's `input` (order_periods, executed, declines, reasons) for a client and provider of its own."""
        ids = self.add_registry(name)
        self.add_orders(ids, case.get("order_periods", ()))
        executed = case.get("executed", ())
        middles = {row["planned_date"] for row in case.get("declines", ()) if row["notice"] == "at_door"}
        short = {row["date"]: row["minutes"] for row in executed if row["date"] in middles and row["minutes"] <= 10}
        for row in executed:
            if row["date"] not in short:
                for number in range(1, row.get("staff", 1) + 1):
                    self.add_visit(ids, number, at(row["date"], 8), row["minutes"])
        for row in case.get("declines", ()):
            self._add_decline(ids, row, short.get(row["planned_date"], 0))
        self.rows["excess_reasons"] += [_reason(ids, row, month) for row in case.get("reasons", ())]
        return ids

    def add_registry(self, name: str) -> Ids:
        """A private provider with a unit, three carers and a device; a client with a tag."""
        ids = Ids(name)
        self.rows["providers"].append({"provider_id": ids.provider, "name": ids.provider, "operation": "private"})
        self.rows["units"].append({"unit_id": ids.unit, "provider_id": ids.provider, "name": "Enheten"})
        self.rows["clients"].append({"client_id": ids.client, "name": "Bo"})
        work = {"valid_from": _SINCE, "unit_id": ids.unit, "employment": "monthly", "education": "usk", "role": "carer"}
        self.rows["staff"] += [{"staff_id": ids.staff(number), "name": "Anna", **work} for number in (1, 2, 3)]
        tag = {"tag_uid": ids.tag, "client_id": ids.client, "valid_from_at": _SINCE_AT, "kind": "uid"}
        self.rows["tags"].append(tag)
        device = {"device_id": ids.device, "provider_id": ids.provider, "kind": "reader", "enrolled_at": _SINCE_AT}
        self.rows["devices"].append(device)
        return ids

    def add_orders(self, ids: Ids, periods: Iterable[Mapping[str, Any]]) -> None:
        """A whole month's minutes, or minutes a day."""
        for number, period in enumerate(periods):
            first, last = date.fromisoformat(period["from"]), date.fromisoformat(period["to"])
            monthly = period.get("minutes")
            if monthly is not None and (first.day != 1 or (last + timedelta(days=1)).day != 1):
                raise ValueError(f"a period that is not a whole month needs minutes_per_day: {period}")
            self.rows["orders"].append(
                {
                    "order_id": f"B-{ids.name}-{number}",
                    "client_id": ids.client,
                    "provider_id": ids.provider,
                    "unit_id": ids.unit,
                    "district": "Norr",
                    "valid_from": period["from"],
                    "valid_to": period["to"],
                    "minutes_per_month": "" if monthly is None else monthly,
                    "minutes_per_day": period.get("minutes_per_day", ""),
                    "max_staff": 1,
                    "service": "hemtjanst",
                }
            )

    def add_visit(self, ids: Ids, number: int, start: datetime, minutes: int) -> int:
        """KOM and GICK of carer `number`; the KOM's seq."""
        seq = self.add_tap(ids, "KOM", number, start)
        self.add_tap(ids, "GICK", number, start + timedelta(minutes=minutes))
        return seq

    def add_tap(self, ids: Ids, act: str, number: int, instant: datetime) -> int:
        """One tap; its seq."""
        seq: int = 1 + sum(row["device_id"] == ids.device for row in self.rows["taps"])
        stamp = local_rfc3339(instant)
        self.rows["taps"].append(
            {
                "device_id": ids.device,
                "seq": seq,
                "act": act,
                "tag_uid": ids.tag,
                "staff_id": ids.staff(number),
                "tapped_at": stamp,
                "received_at": stamp,
            }
        )
        return seq

    def add_corrections(
        self, ids: Ids, before: Iterable[Mapping[str, Any]], after: Iterable[Mapping[str, Any]], made_at: datetime
    ) -> None:
        """`set_times` for every visit (one a day, in this bundle) whose minutes differ between two `executed` lists."""
        now = {row["date"]: row["minutes"] for row in after}
        for row in before:
            if now[row["date"]] != row["minutes"]:
                start = at(row["date"], 8)
                self.rows["corrections"].append(
                    {
                        "correction_id": f"R-{ids.name}-{row['date']}",
                        "made_at": local_rfc3339(made_at),
                        "kind": "set_times",
                        "kom_device_id": ids.device,
                        "kom_seq": self._seq_of(ids, start),
                        "new_end_at": local_rfc3339(start + timedelta(minutes=now[row["date"]])),
                        "reason": "wrong_time",
                        "made_by": "maker",
                        "approved_by": "confirmer",
                    }
                )

    def _seq_of(self, ids: Ids, start: datetime) -> int:
        stamp = local_rfc3339(start)
        found = (r["seq"] for r in self.rows["taps"] if (r["device_id"], r["tapped_at"]) == (ids.device, stamp))
        return int(next(found))

    def _add_decline(self, ids: Ids, row: Mapping[str, Any], executed: int) -> None:
        start = at(row["planned_date"], 13)
        if row["notice"] == "at_door":
            self.add_tap(ids, "KOM", 1, start)
            if executed:
                self.add_tap(ids, "GICK", 1, start + timedelta(minutes=executed))
        noticed = {
            "at_door": start + timedelta(minutes=executed),
            "absent": start + timedelta(minutes=5),
            "in_advance": start - timedelta(days=1),
        }[row["notice"]]
        self.rows["declines"].append(
            {
                "decline_id": f"A-{ids.name}-{len(self.rows['declines'])}",
                "client_id": ids.client,
                "provider_id": ids.provider,
                "planned_start_at": local_rfc3339(start),
                "planned_end_at": local_rfc3339(start + timedelta(minutes=row["minutes"] + executed)),
                "staff_count": 1,
                "notice": row["notice"],
                "noticed_at": local_rfc3339(noticed),
                "made_up_minutes": row.get("made_up_minutes", ""),
                "made_up_on": row.get("made_up_on", row["planned_date"]) if "made_up_minutes" in row else "",
            }
        )

    def write(self, folder: Path) -> Path:
        """The bundle's folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, rows in self.rows.items():
            if rows:
                with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as out:
                    writer = csv.DictWriter(out, fieldnames=list(rows[0]))
                    writer.writeheader()
                    writer.writerows(rows)
        if self._policy:
            lines = [f"{key} = {str(value).lower()}" for key, value in self._policy.items()]
            (folder / "policies.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return folder


def at(on: str, hour: int) -> datetime:
    """The instant of a local full hour."""
    return instant_of(date.fromisoformat(on), time(hour))


def _reason(ids: Ids, row: Mapping[str, Any], month: str) -> Row:
    return {
        "client_id": ids.client,
        "provider_id": ids.provider,
        "month": month,
        "minutes": row["minutes"],
        "reason": "illness",
        "submitted_on": row["submitted"],
        "decision": row["decision"],
        "approved_minutes": row.get("approved_minutes", ""),
    }
