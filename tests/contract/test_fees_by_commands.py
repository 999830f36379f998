"""The basis of client fees (DOMAIN.md 5) through bundles and commands, before and after a close."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.contract.commands import Komgick
from tests.contract.month_bundles import MonthBundle, stamp

MARCH, APRIL = "2026-03", "2026-04"
ON = "2026-03-03"


@pytest.fixture
def komgick(cli_environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Komgick:
    for name, value in cli_environment.items():
        monkeypatch.setenv(name, value)
    return Komgick()


def fees(komgick: Komgick, month: str) -> dict[str, list[str]]:
    """Per client its lines: origin, class, minutes, visits, late cancellations, days of absence."""
    found: dict[str, list[str]] = {}
    for line in komgick.json("fees", "export", month):
        much = (line[name] for name in ("client_minutes", "count", "late_cancellations", "absence_days"))
        text = f"{line['origin_month']} {line['fee_class']} " + " ".join(map(str, much))
        found.setdefault(line["client_id"], []).append(text)
    return found


def test_what_fees_rest_on_and_what_a_closed_month_corrects(tmp_path: Path, komgick: Komgick) -> None:
    town = MonthBundle()
    two, providers, meals = town.client("two", 600), town.client("providers", 600), town.client("meals", 600)
    late, excess, held = town.client("late", 600), town.client("excess", 100), town.client("held", 600)
    town.visit(two, f"{ON} 08:00", "08:30")
    town.visit(two, f"{ON} 08:10", "08:50", staff=2)
    other = town.client("other provider")
    town.order(other, 600, "2016-01-01", client_id=providers.client)
    town.visit(providers, f"{ON} 08:00", "08:30")
    for seq, (act, at) in enumerate((("KOM", "08:20"), ("GICK", "09:00")), 1):
        town.rows["taps"].append({
            "device_id": other.device, "seq": seq, "act": act, "tag_uid": providers.tag, "staff_id": other.staff(1),
            "tapped_at": stamp(f"{ON} {at}"), "received_at": stamp(f"{ON} {at}"), "service": "",
        })  # fmt: skip
    lunch = {"care_service": "lunch", "care_area": "maltider", "times": 1, "per": "day", "standard_minutes": 15}
    town.rows["order_services"].append({"order_id": "order-meals", **lunch, "proof": "both"})
    town.visit(meals, f"{ON} 12:00", "12:40", service="meal")
    town.visit(meals, "2026-03-04 12:00", "12:05", service="meal")
    town.decline(late, "2026-03-10 08:00", "08:30", "in_advance", "2026-03-08 08:00")  # 48 h before: not late
    town.decline(late, "2026-03-11 08:00", "08:30", "in_advance", "2026-03-09 08:01")
    town.decline(late, "2026-03-12 08:00", "08:30", "absent", "08:05")
    town.rows["absences"].append(
        {"client_id": late.client, "kind": "away", "from_on": "2026-03-30", "to_on": "2026-04-02"}
    )
    town.visit(excess, f"{ON} 08:00", "11:00")
    town.reason(excess, MARCH, 70, "2026-04-01", "approved 30")
    town.visit(held, f"{ON} 08:00", "08:30")
    town.dispute(held, ON)
    town.put(komgick, tmp_path / "one")
    march = {
        two.client: ["2026-03 care 50 2 0 0"],
        providers.client: ["2026-03 care 60 2 0 0"],
        meals.client: ["2026-03 meal 30 2 0 0"],
        late.client: ["2026-03 care 0 0 1 2"],
        excess.client: ["2026-03 care 140 1 0 0"],
    }
    assert fees(komgick, MARCH) == march
    komgick("month", "close", MARCH, "--on", "2026-04-06")
    away = {late.client: ["2026-04 care 0 0 0 2"]}
    assert fees(komgick, APRIL) == away, "what was settled is not settled again"

    town.visit(two, f"{ON} 08:40", "09:10", staff=3)
    town.dispute(held, ON, "rejected")
    town.decline(late, "2026-03-13 08:00", "08:30", "in_advance", "06:00")
    town.reason(excess, MARCH, 70, "2026-04-01", "approved 50")
    town.visit(meals, "2026-03-05 12:00", "12:05", service="meal")
    town.put(komgick, tmp_path / "two")
    assert fees(komgick, APRIL) == {
        two.client: ["2026-03 care 20 1 0 0"],
        meals.client: ["2026-03 meal 15 1 0 0"],
        late.client: ["2026-03 care 0 0 1 0", *away[late.client]],
        excess.client: ["2026-03 care 20 0 0 0"],
        held.client: ["2026-03 care 30 1 0 0"],
    }
    assert fees(komgick, MARCH) == march
    komgick("month", "close", APRIL, "--on", "2026-05-06")
    assert fees(komgick, "2026-05") == {}
