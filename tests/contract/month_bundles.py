"""Bundles for months, written by hand in local times: `town.visit(bo, "2026-03-03 08:00", "08:30")`.

Every name given to `client` gets a client, a provider, three carers, a tag and a device of its own (`vector_bundles`).
A statement or order given again under its id is a new version of it.
"""

from __future__ import annotations

from datetime import date, time
from pathlib import Path
from typing import Any

from app.core.localtime import instant_of, local_rfc3339
from tests.contract.commands import Komgick
from tests.contract.vector_bundles import Ids, VectorBundle


def stamp(text: str) -> str:
    """`2026-03-03 08:00` as RFC 3339."""
    on, clock = text.split(" ")
    return local_rfc3339(instant_of(date.fromisoformat(on), time.fromisoformat(clock)))


def figures(account: dict[str, Any]) -> str:
    """The figures of an account that are not 0, but for the ordered time and its ceiling, as one line."""
    silent = ("ordered_minutes", "ceiling_minutes", "forecast_minutes", "time_left_minutes")
    return ", ".join(
        f"{name.removesuffix('_minutes')} {value}"
        for name, value in account.items()
        if name.endswith("_minutes") and value and name not in silent
    )


class MonthBundle(VectorBundle):
    """What a town has said so far; `put` imports all of it."""

    def __init__(self, policies: str = "") -> None:
        super().__init__()
        self.policies = policies

    def prices(self) -> None:
        """Day 516 kr an hour, night 260 kr a visit; municipal 485 and 245."""
        for operation, day, night in (("private", 51600, 26000), ("municipal", 48500, 24500)):
            self.price("day", "hour", day, operation=operation)
            self.price("night", "visit", night, operation=operation)

    def price(self, band: str, unit: str, ore: int, since: str = "2010-01-01", **facts: str) -> None:
        row = {"operation": "private", "band": band, "service": "", "unit": unit, "valid_from": since} | facts
        self.rows["prices"].append({**row, "amount_ore": ore})

    def client(self, name: str, minutes: int = 0, since: str = "2016-01-01", until: str = "") -> Ids:
        """A client; with `minutes` a month ordered under the id `order-<name>`."""
        ids = self.add_registry(name)
        if minutes:
            self.order(ids, minutes, since, until)
        return ids

    def order(self, ids: Ids, minutes: int, since: str, until: str = "", **facts: Any) -> None:
        row = {
            "order_id": f"order-{ids.name}", "client_id": ids.client, "provider_id": ids.provider, "unit_id": ids.unit,
            "district": "Norr", "valid_from": since, "valid_to": until, "minutes_per_month": minutes,
            "minutes_per_day": "", "max_staff": 1, "service": "hemtjanst", "cost_code": "",
        }  # fmt: skip
        self._say("orders", "order_id", row | facts)

    def tap(self, ids: Ids, act: str, at: str, staff: int = 1, service: str = "") -> int:
        """One tap at the client's tag; its seq."""
        seq: int = 1 + sum(row["device_id"] == ids.device for row in self.rows["taps"])
        self.rows["taps"].append({
            "device_id": ids.device, "seq": seq, "act": act, "tag_uid": ids.tag, "staff_id": ids.staff(staff),
            "tapped_at": stamp(at), "received_at": stamp(at), "service": service,
        })  # fmt: skip
        return seq

    def visit(self, ids: Ids, start: str, end: str, staff: int = 1, service: str = "") -> int:
        """KOM and GICK; `end` may be a time of the same day. The KOM's seq."""
        seq = self.tap(ids, "KOM", start, staff, service)
        self.tap(ids, "GICK", _at(start, end), staff)
        return seq

    def reason(self, ids: Ids, month: str, minutes: int, submitted: str, decided: str = "pending") -> None:
        """The client's reason for the month; `decided` may be `approved 30`: in part."""
        decision, _, part = decided.partition(" ")
        self._say("excess_reasons", "reason_id", {
            "reason_id": f"{ids.name}-{month}", "client_id": ids.client, "provider_id": ids.provider, "month": month,
            "minutes": minutes, "reason": "illness", "submitted_on": submitted, "decision": decision,
            "approved_minutes": part,
        })  # fmt: skip

    def decline(self, ids: Ids, start: str, end: str, notice: str, noticed: str, **facts: Any) -> None:
        row = {
            "decline_id": f"{ids.name}-{start}", "client_id": ids.client, "provider_id": ids.provider,
            "planned_start_at": stamp(start), "planned_end_at": stamp(_at(start, end)), "staff_count": 1,
            "notice": notice, "noticed_at": stamp(_at(start, noticed)), "made_up_minutes": "", "made_up_on": "",
        }  # fmt: skip
        self._say("declines", "decline_id", row | facts)

    def plan(self, ids: Ids, start: str, end: str, staff: int | None = None, service: str = "care") -> None:
        self._say("planned_visits", "planned_id", {
            "planned_id": f"{ids.name}-{start}-plan", "client_id": ids.client, "provider_id": ids.provider,
            "staff_id": ids.staff(staff) if staff else "", "start_at": stamp(start),
            "end_at": stamp(_at(start, end)), "service": service, "staff_count": 1,
        })  # fmt: skip

    def code_given(self, ids: Ids, start: str) -> None:
        """A manual visit without an end by a client who refuses the tag."""
        self._say("manual_visits", "manual_id", {
            "manual_id": f"{ids.name}-code", "client_id": ids.client, "provider_id": ids.provider,
            "staff_id": ids.staff(1), "start_at": stamp(start), "end_at": "", "reason": "tag_refused",
            "made_by": ids.staff(1), "approved_by": "chef",
        })  # fmt: skip

    def new_end(self, ids: Ids, seq: int, end: str, made: str) -> None:
        """A confirmed correction of a visit's end."""
        self._say("corrections", "correction_id", {
            "correction_id": f"{ids.name}-{seq}-end", "made_at": stamp(made), "kind": "set_times",
            "kom_device_id": ids.device, "kom_seq": seq, "new_end_at": stamp(end), "reason": "wrong_time",
            "made_by": "maker", "approved_by": "confirmer",
        })  # fmt: skip

    def dispute(self, ids: Ids, on: str, state: str = "open") -> None:
        self._say("disputes", "dispute_id", {
            "dispute_id": f"{ids.name}-{on}", "client_id": ids.client, "on_date": on, "stated_at": stamp(f"{on} 20:00"),
            "stated_by": "dotter", "text": "Ingen kom.", "state": state,
        })  # fmt: skip

    def outage(self, ids: Ids, start: str, end: str) -> None:
        self._say("outages", "outage_id", {
            "outage_id": f"{ids.name}-outage", "provider_id": ids.provider, "from_at": stamp(start),
            "to_at": stamp(end), "reason": "strömavbrott",
        })  # fmt: skip

    def put(self, komgick: Komgick, folder: Path) -> None:
        """Import everything said so far."""
        self.write(folder)
        if self.policies:
            (folder / "policies.toml").write_text(self.policies, encoding="utf-8")
        komgick("import", str(folder))

    def _say(self, file: str, key: str, row: dict[str, Any]) -> None:
        self.rows[file] = [one for one in self.rows[file] if one[key] != row[key]] + [row]


def _at(start: str, clock: str) -> str:
    """A time of the same day in full."""
    return clock if " " in clock else f"{start[:10]} {clock}"
