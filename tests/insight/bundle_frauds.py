"""Twenty frauds of six kinds planted into a simulated month's bundle, as somebody would commit them: in what is said.

Written apart from the rules that look for them. Taps are moved, added or said on another phone; the office corrects;
visits go on while the client is away. `plant` returns what was done: (the rule that should see it, what it is about).
"""

from __future__ import annotations

import csv
import random
from collections import defaultdict
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

Row = dict[str, str]
Planted = tuple[str, str]
_NEW_SEQ = 900_000_000


class Bundle:
    """The files that frauds touch, by row; `write` puts them back."""

    FILES = ("taps", "tags", "planned_visits", "corrections", "absences", "staff")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: dict[str, list[Row]] = {}
        for name in self.FILES:
            with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
                self.rows[name] = list(csv.DictReader(file))
        self.numbers = iter(range(_NEW_SEQ, _NEW_SEQ + 100_000))
        holders = defaultdict(set)
        for row in self.rows["tags"]:
            holders[row["tag_uid"]].add(row["client_id"])
        self.client_of = {uid: next(iter(names)) for uid, names in holders.items() if len(names) == 1}
        self.visits = self._visits()
        """staff_id -> her [(KOM, GICK)] at clients with a tag of their own, in order of time."""

    def _visits(self) -> dict[str, list[tuple[Row, Row]]]:
        by_staff: dict[str, list[Row]] = defaultdict(list)
        for row in sorted(self.rows["taps"], key=lambda row: row["tapped_at"]):
            by_staff[row["staff_id"]].append(row)
        return {
            staff: [
                (kom, gick)
                for kom, gick in pairwise(rows)
                if (kom["act"], gick["act"], kom["tag_uid"]) == ("KOM", "GICK", gick["tag_uid"])
                and kom["tag_uid"] in self.client_of and kom["service"] in {"", "care"}
            ]
            for staff, rows in by_staff.items()
        }  # fmt: skip

    def write(self) -> None:
        for name, rows in self.rows.items():
            with (self.folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _say(row: Row, when: datetime) -> None:
    row["tapped_at"] = row["received_at"] = when.strftime("%Y-%m-%dT%H:%M:%SZ")


def plant(folder: Path, seed: int) -> list[Planted]:
    """Plant the twenty; the bundle is changed in place."""
    chance, bundle = random.Random(seed), Bundle(folder)
    busy = sorted((staff for staff, made in bundle.visits.items() if len(made) > 80), key=lambda _: chance.random())
    assert len(busy) >= 14, "the town is too small for these frauds"
    planted = [_written_at_home(bundle, staff) for staff in busy[:4]]
    planted += [_tag_on_the_sofa(bundle, staff, number) for number, staff in enumerate(busy[4:8])]
    planted += [_one_phone_for_absent_friends(bundle, staff, number) for number, staff in enumerate(busy[8:11])]
    planted += [_copied_tags(bundle, staff) for staff in busy[11:14]]
    planted += _offices_that_correct_to_the_plan(bundle, 2, chance)
    planted += [_care_in_hospital(bundle, number) for number in range(4)]
    bundle.write()
    return planted


def _plans(bundle: Bundle, staff: str) -> dict[tuple[str, str], list[Row]]:
    """(client, UTC day) -> the plans of that member of staff."""
    found: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in bundle.rows["planned_visits"]:
        if row["staff_id"] == staff and not row["withdrawn_at"]:
            found[row["client_id"], row["start_at"][:10]].append(row)
    return found


def _planned(bundle: Bundle, plans: dict[tuple[str, str], list[Row]], kom: Row) -> Row | None:
    """The plan of a visit: the client's nearest within half an hour."""
    same_day = plans.get((bundle.client_of[kom["tag_uid"]], kom["tapped_at"][:10]), [])
    near = [plan for plan in same_day if abs(_at(plan["start_at"]) - _at(kom["tapped_at"])) < timedelta(minutes=30)]
    return near[0] if len(near) == 1 else None


def _written_at_home(bundle: Bundle, staff: str) -> Planted:
    """A third of her visits are tapped on the planned minute, from the kitchen table."""
    plans = _plans(bundle, staff)
    for kom, gick in bundle.visits[staff][::3]:
        plan = _planned(bundle, plans, kom)
        if plan:
            _say(kom, _at(plan["start_at"]) + timedelta(seconds=7))
            _say(gick, _at(plan["end_at"]) + timedelta(seconds=11))
    return "ends_as_planned", staff


def _tag_on_the_sofa(bundle: Bundle, staff: str, number: int) -> Planted:
    """A second tag was asked for a client whom others visit too; only she ever reads it."""
    readers: dict[str, set[str]] = defaultdict(set)
    times: dict[str, int] = defaultdict(int)
    for row in bundle.rows["taps"]:
        readers[row["tag_uid"]].add(row["staff_id"])
        times[row["tag_uid"]] += row["staff_id"] == staff
    mine = [kom["tag_uid"] for kom, _ in bundle.visits[staff] if len(readers[kom["tag_uid"]]) > 3]
    tag = max(sorted(set(mine)), key=lambda uid: times[uid])
    sofa = f"04FF00000000{number:02X}"
    bundle.rows["tags"].append(
        {"tag_uid": sofa, "client_id": bundle.client_of[tag], "valid_from_at": "2026-09-20T00:00:00Z",
         "valid_to_at": "", "kind": "uid"}
    )  # fmt: skip
    bundle.client_of[sofa] = bundle.client_of[tag]
    for row in bundle.rows["taps"]:
        if (row["tag_uid"], row["staff_id"]) == (tag, staff):
            row["tag_uid"] = sofa
    return "tag_of_one", sofa


def _one_phone_for_absent_friends(bundle: Bundle, staff: str, number: int) -> Planted:
    """On eight days she taps the visits of two colleagues of her unit on her own phone."""
    phone = bundle.visits[staff][0][0]["device_id"]
    units = {row["staff_id"]: row["unit_id"] for row in bundle.rows["staff"]}
    days = sorted({kom["tapped_at"][:10] for kom, _ in bundle.visits[staff]})[:8]
    for day in days:
        friends = [n for n in sorted(bundle.visits) if n != staff and units.get(n) == units[staff]]
        working = [n for n in friends if any(kom["tapped_at"].startswith(day) for kom, _ in bundle.visits[n])]
        for friend in working[2 * number : 2 * number + 2]:  # the next cheat has friends of her own
            for pair in bundle.visits[friend]:
                if pair[0]["tapped_at"].startswith(day):
                    for tap in pair:
                        tap["device_id"], tap["seq"] = phone, str(next(bundle.numbers))
    return "device_of_many", phone


def _copied_tags(bundle: Bundle, staff: str) -> Planted:
    """Copies of two clients' tags lie beside each other: seconds after one GICK the next KOM."""
    made = bundle.visits[staff]
    done = 0
    for (_, gick), (kom, _) in pairwise(made):
        gap = _at(kom["tapped_at"]) - _at(gick["tapped_at"])
        if kom["tag_uid"] != gick["tag_uid"] and timedelta(0) < gap < timedelta(minutes=45) and done < 12:
            _say(kom, _at(gick["tapped_at"]) + timedelta(seconds=15))
            done += 1
    return "implausible_move", made[0][0]["device_id"]


def _offices_that_correct_to_the_plan(bundle: Bundle, count: int, chance: random.Random) -> list[Planted]:
    """Offices set sixty of their visits to the planned times, two names under each."""
    provider_of = {row["planned_id"]: row["provider_id"] for row in bundle.rows["planned_visits"]}
    providers = sorted(set(provider_of.values()))[:count]
    by_provider: dict[str, list[tuple[Row, Row]]] = defaultdict(list)
    for staff in sorted(bundle.visits):
        plans = _plans(bundle, staff)
        for kom, _ in bundle.visits[staff]:
            plan = _planned(bundle, plans, kom)
            if plan:
                by_provider[plan["provider_id"]].append((kom, plan))
    for provider in providers:
        for kom, plan in chance.sample(by_provider[provider], 60):
            empty = dict.fromkeys(bundle.rows["corrections"][0], "")
            bundle.rows["corrections"].append(
                {**empty, "correction_id": f"F-{next(bundle.numbers)}", "made_at": "2026-11-02T08:00:00Z",
                 "kind": "set_times", "kom_device_id": kom["device_id"], "kom_seq": kom["seq"],
                 "new_start_at": plan["start_at"], "new_end_at": plan["end_at"], "reason": "wrong_time",
                 "made_by": "kontoret", "approved_by": "chefen"}
            )  # fmt: skip
    return [("corrections_to_plan", provider) for provider in providers]


def _care_in_hospital(bundle: Bundle, number: int) -> Planted:
    """A client is in hospital for a week; the visits go on. Each at a provider of its own."""
    provider_of = {(row["client_id"]): row["provider_id"] for row in bundle.rows["planned_visits"]}
    away = {row["client_id"] for row in bundle.rows["absences"]}
    providers = sorted(set(provider_of.values()))
    provider = providers[number % len(providers)]
    seen = sorted({bundle.client_of[kom["tag_uid"]] for made in bundle.visits.values() for kom, _ in made} - away)
    client = next(name for name in seen if provider_of.get(name) == provider)
    bundle.rows["absences"].append(
        {"client_id": client, "from_on": "2026-10-12", "kind": "hospital", "to_on": "2026-10-19"}
    )
    return "visit_in_absence", provider
