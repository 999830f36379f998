"""The simulated month is believable: the rates of DOMAIN.md 1 and of the project's sources, within tolerance."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date, datetime
from itertools import pairwise

from app.core.localtime import instant_of, local_date, local_time
from app.simulation import town_of
from tests.simulation.conftest import OCTOBER, Written

Span = tuple[str, str, datetime, datetime, str]
"""staff_id, tag_uid, KOM, GICK, visit class."""


def _paired(bundle: Written) -> tuple[list[Span], int, int]:
    """Visits with both ends by a pairing simple enough for counting, and the numbers of lonely KOM and GICK."""
    by_staff = defaultdict(list)
    for row in bundle["taps"]:
        by_staff[row["staff_id"]].append(row)
    spans: list[Span] = []
    lonely = Counter[str]()
    for staff_id, taps in by_staff.items():
        taps.sort(key=lambda tap: (tap["tapped_at"], tap["device_id"], int(tap["seq"])))
        came: dict[str, str] | None = None
        kept: dict[str, str] = {}
        for tap in taps:
            if _again(kept, tap):
                continue
            kept = tap
            here = came is not None and came["tag_uid"] == tap["tag_uid"]
            if tap["act"] == "KOM" or (tap["act"] == "AUTO" and not here):
                lonely["KOM"] += came is not None
                came = tap
            elif came is not None and here:
                start, end = (datetime.fromisoformat(at["tapped_at"]) for at in (came, tap))
                spans.append((staff_id, tap["tag_uid"], start, end, came["service"]))
                came = None
            else:
                lonely["GICK"] += 1
        lonely["KOM"] += came is not None
    return spans, lonely["KOM"], lonely["GICK"]


def _again(kept: dict[str, str], tap: dict[str, str]) -> bool:
    if not kept or (kept["tag_uid"], kept["act"]) != (tap["tag_uid"], tap["act"]):
        return False
    return (datetime.fromisoformat(tap["tapped_at"]) - datetime.fromisoformat(kept["tapped_at"])).total_seconds() <= 60


def test_a_town_of_300_taps_as_the_city_does(october: Written) -> None:
    per_day = len(october["taps"]) / 31 / 300 * 16_000
    assert 70_000 < per_day < 82_000


def test_ends_are_forgotten_as_often_as_the_sources_say(october: Written) -> None:
    spans, kom, gick = _paired(october)
    visits = len(spans) + kom + gick
    at_door = sum(row["notice"] == "at_door" for row in october["declines"])
    assert 0.010 < (kom - at_door * 0.7) / visits < 0.020
    assert 0.004 < gick / visits < 0.012


def test_visits_last_from_five_minutes_to_two_hours(october: Written) -> None:
    spans, _, _ = _paired(october)
    minutes = sorted((end - start).total_seconds() / 60 for _, _, start, end, _ in spans)
    assert minutes[-1] <= 120
    assert minutes[len(minutes) // 100] >= 4
    assert 20 < minutes[len(minutes) // 2] < 35


def test_most_visits_begin_between_seven_and_ten_at_night_and_some_at_night(october: Written) -> None:
    starts = [local_time(start).hour for _, _, start, _, _ in _paired(october)[0]]
    day = sum(6 <= hour < 22 for hour in starts) / len(starts)
    assert 0.93 < day < 0.995


def test_four_percent_of_the_planned_visits_have_two_staff(october: Written) -> None:
    double = sum(row["staff_count"] == "2" for row in october["planned_visits"]) / len(october["planned_visits"])
    assert 0.025 < double < 0.055


def test_clients_use_their_ordered_time_with_some_far_above_and_below(october: Written) -> None:
    used = _used_shares(october)
    shares = sorted(used)
    assert 0.88 < shares[len(shares) // 2] < 1.0
    assert sum(0.85 <= share <= 1.05 for share in shares) / len(shares) > 0.6
    assert 0.04 < sum(share > 1.10 for share in shares) / len(shares) < 0.16
    assert 0.03 < sum(share < 0.75 for share in shares) / len(shares) < 0.15


def _used_shares(bundle: Written) -> list[float]:
    holders = defaultdict(list)
    for row in bundle["tags"]:
        holders[row["tag_uid"]].append(row)
    provider_of = {row["unit_id"]: row["provider_id"] for row in bundle["units"]}
    staff = {row["staff_id"]: row for row in bundle["staff"]}
    executed: Counter[tuple[str, str]] = Counter()
    for staff_id, tag, start, end, service in _paired(bundle)[0]:
        if service in ("", "night_patrol") and staff_id in staff and staff[staff_id]["role"] == "carer":
            at = f"{start:%Y-%m-%dT%H:%M:%SZ}"
            mine = {r["client_id"] for r in holders[tag] if r["valid_from_at"] <= at < (r["valid_to_at"] or "9")}
            for client in mine:
                share = int((end - start).total_seconds() // 60) // len(mine)
                executed[client, provider_of[staff[staff_id]["unit_id"]]] += share
    for row in bundle["manual_visits"]:
        if row["service"] in ("care", "night_patrol"):
            start, end = (datetime.fromisoformat(row[name]) for name in ("start_at", "end_at"))
            executed[row["client_id"], row["provider_id"]] += int((end - start).total_seconds() // 60)
    ordered: Counter[tuple[str, str]] = Counter()
    for row in bundle["orders"]:
        first = max(date.fromisoformat(row["valid_from"]), OCTOBER.first_on)
        last = min(date.fromisoformat(row["valid_to"]), OCTOBER.last_on)
        days = (last - first).days + 1
        per_day = row["minutes_per_day"]
        amount = days * int(per_day) if per_day else days * int(row["minutes_per_month"]) // 31
        ordered[row["client_id"], row["provider_id"]] += amount
    return [executed[key] / minutes for key, minutes in ordered.items() if minutes > 0]


def test_providers_have_the_city_s_shape() -> None:
    city = town_of(16_000, 1)
    private = [p for p in city.providers if p.operation == "private"]
    assert len(private) == 130
    assert sum(p.places for p in city.providers) == 16_000
    assert city.providers[0].places == 5_600
    sizes = [len(unit.places) for unit in city.units if not unit.night and unit.provider.operation == "municipal"]
    assert all(100 <= size <= 130 for size in sizes)
    assert len(town_of(120, 1).providers) == 3
    assert min(p.places for p in private) < 40
    assert max(p.places for p in private) > 150


def test_every_client_place_has_exactly_one_client(october: Written) -> None:
    assert len(october["clients"]) == 300


def test_couples_share_one_tag_and_one_address(october: Written) -> None:
    clients = {row["client_id"]: row for row in october["clients"]}
    homes = defaultdict(set)
    for row in october["tags"]:
        homes[row["tag_uid"]].add(row["client_id"])
    couples = [sorted(home) for home in homes.values() if len(home) > 1]
    assert couples
    for one, two in couples:
        assert clients[one]["address"] == clients[two]["address"]
        assert clients[one]["site_id"] == clients[two]["site_id"] != ""


def test_some_orders_change_inside_the_month(october: Written) -> None:
    inside = [row for row in october["orders"] if "2026-10-01" < row["valid_from"] <= "2026-10-31"]
    assert any(row["valid_from"] > "2026-10-01" for row in inside)
    assert any("2026-10-01" <= row["valid_to"] < "2026-10-31" for row in october["orders"])
    given = {(bool(row["minutes_per_month"]), bool(row["minutes_per_day"])) for row in october["orders"]}
    assert given == {(True, False), (False, True)}


def test_one_person_is_rarely_in_two_places(october: Written) -> None:
    person = {row["staff_id"]: row["person_key"] or row["staff_id"] for row in october["staff"]}
    spans = defaultdict(list)
    for staff_id, _, start, end, _ in _paired(october)[0]:
        spans[person.get(staff_id, staff_id)].append((start, end, staff_id))
    overlaps = 0
    for found in spans.values():
        found.sort()
        for before, after in pairwise(found):
            if after[0] < before[1]:
                overlaps += 1
                assert before[2] != after[2], "only two employments of one person overlap"
    assert overlaps < 60
    assert any(len({s for s in person if person[s] == p}) == 2 for p in person.values())


def test_at_the_door_somebody_tapped_in_time_nearly_always(october: Written) -> None:
    door = [row for row in october["declines"] if row["notice"] == "at_door"]
    tags = defaultdict(set)
    for row in october["tags"]:
        tags[row["client_id"]].add(row["tag_uid"])
    koms = defaultdict(list)
    for row in october["taps"]:
        if row["act"] in ("KOM", "AUTO"):
            koms[row["tag_uid"]].append(datetime.fromisoformat(row["tapped_at"]))
    backed = 0
    for row in door:
        planned, noticed = (datetime.fromisoformat(row[name]) for name in ("planned_start_at", "noticed_at"))
        taps = [at for uid in tags[row["client_id"]] for at in koms[uid]]
        backed += any((at - planned).total_seconds() >= -3600 and at <= noticed for at in taps)
    assert 0.8 < backed / len(door) <= 1.0


def test_hours_offline_double_taps_and_fixed_readers_occur(october: Written) -> None:
    late = [
        row
        for row in october["taps"]
        if (datetime.fromisoformat(row["received_at"]) - datetime.fromisoformat(row["tapped_at"])).total_seconds()
        > 3600
    ]
    assert 0.003 < len(late) / len(october["taps"]) < 0.05
    readers = {row["device_id"] for row in october["devices"] if row["kind"] == "reader"}
    automatic = [row for row in october["taps"] if row["act"] == "AUTO"]
    assert automatic
    assert {row["device_id"] for row in automatic} <= readers
    assert {row["service"] for row in october["taps"]} >= {"", "meal", "alarm", "night_patrol"}
    assert {row["service"] for row in october["manual_visits"]} >= {"care", "digital", "phone"}


def test_the_night_of_the_clock_change_has_visits_and_is_an_hour_longer(october: Written) -> None:
    begin, end = instant_of(date(2026, 10, 25)), instant_of(date(2026, 10, 26))
    assert (end - begin).total_seconds() == 25 * 3600
    night = [s for s in _paired(october)[0] if local_date(s[2]) == date(2026, 10, 25) and local_time(s[2]).hour < 6]
    assert night
    assert all((s[3] - s[2]).total_seconds() < 3600 for s in night)


def test_reasons_are_given_and_decided_in_every_way(october: Written) -> None:
    decisions = {(row["decision"], bool(row["approved_minutes"])) for row in october["excess_reasons"]}
    assert decisions == {("pending", False), ("approved", False), ("approved", True), ("rejected", False)}
    for row in october["excess_reasons"]:
        assert (row["decision"] == "rejected") <= bool(row["decision_note"]), "a rejection has a text"
        assert row["month"] == "2026-10"
