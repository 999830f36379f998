"""An honest month of a fictional town, and frauds planted in it: written apart from the rules that look for them.

Six kinds, as the field tells of them [S2]: visits that never happened, written from the plan; a tag taken home; one
phone for several absent colleagues; two homes tapped within a minute from copied tags; accounts filled up to the
ceiling; visits to clients in hospital.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import NamedTuple

from app.core.localtime import instant_of
from app.core.month import Month
from app.facts import Absence, Employment, Finding, PlannedVisit, Visit
from app.insight.irregularity import AccountSeen, Scene
from tests.insight.scenes import TapSeen, scene_of
from tests.insight.world import visit

MONTH = Month(2026, 10)
PROVIDERS, STAFF, CLIENTS = 8, 10, 3
"""Providers, staff of each, clients of each member of staff."""
DAYS = tuple(date(2026, 10, day) for day in range(1, 29))


class Planted(NamedTuple):
    """What was done, and to what a controller's eyes should be drawn."""

    kind: str
    about: str


@dataclass
class Town:
    """A month under construction."""

    chance: random.Random
    visits: dict[str, Visit] = field(default_factory=dict)
    plans: dict[str, PlannedVisit] = field(default_factory=dict)
    taps: list[TapSeen] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    absences: list[Absence] = field(default_factory=list)
    accounts: list[AccountSeen] = field(default_factory=list)
    planted: list[Planted] = field(default_factory=list)

    def scene(self) -> Scene:
        employments = [
            Employment(f"p{p}s{s}", date(2020, 1, 1), None, "", f"u{p}", f"p{p}")
            for p in range(PROVIDERS)
            for s in range(STAFF)
        ]
        return scene_of(
            MONTH, list(self.visits.values()), plans=self.plans, taps=self.taps, findings=self.findings,
            accounts=self.accounts, absences=self.absences, employments=employments,
        )  # fmt: skip

    def tap(self, made: Visit, device: str, tag: str) -> None:
        for at in (made.start_at, made.end_at):
            assert at is not None
            self.taps.append(TapSeen(device, tag, made.staff_id, made.client_id, made.provider_id, at))


def honest_town(seed: int) -> Town:
    """Rounds with human noise; some forgotten plans, a few visits that happen to hit the minute, one shared round."""
    town = Town(random.Random(seed))
    for p in range(PROVIDERS):
        for s in range(STAFF):
            for on in DAYS:
                for slot in range(CLIENTS):
                    # now and then a colleague takes the visit
                    who = s if town.chance.random() < 0.8 else town.chance.randrange(STAFF)
                    _carry_out(town, f"p{p}", f"p{p}s{who}", f"p{p}c{s}{slot}", (on, 8 + 3 * slot))
        for client in range(STAFF * CLIENTS):
            ordered = town.chance.randrange(600, 6000)
            reported = int(ordered * town.chance.uniform(0.7, 1.12))
            town.accounts.append(AccountSeen(f"p{p}a{client}", f"p{p}", ordered, ordered * 110 // 100, reported))
    for number in range(4):  # doorsteps without a common address in the register
        town.findings.append(_move(f"phone-p{number}s0", f"p{number}"))
    return town


def planted_town(seed: int) -> Town:
    """The honest town with twenty frauds of six kinds."""
    town = honest_town(seed)
    kinds: tuple[tuple[Callable[[Town, int], Planted], int], ...] = (
        (_ghost_visits, 4), (_tag_at_home, 4), (_one_phone, 3),
        (_copied_tags, 3), (_filled_accounts, 2), (_in_hospital, 4),
    )  # fmt: skip
    for plant, times in kinds:
        town.planted.extend(plant(town, number) for number in range(times))
    return town


def _carry_out(town: Town, provider: str, staff: str, client: str, slot: tuple[date, int]) -> None:
    on, hour = slot
    start = instant_of(on) + timedelta(hours=hour)
    plan = PlannedVisit(f"{client}-{on}", client, provider, staff, start, start + timedelta(minutes=30))
    late = timedelta(seconds=town.chance.gauss(120, 400))
    length = timedelta(seconds=max(300, town.chance.gauss(1800, 300)))
    made = visit(
        client, staff, start + late, start + late + length, provider_id=provider, unit_id=provider.replace("p", "u"),
        planned_id=plan.planned_id,
    )  # fmt: skip
    town.plans[plan.planned_id] = plan
    town.visits[made.visit_id] = made
    town.tap(made, f"phone-{staff}", f"tag-{client}")


def _move(device: str, provider: str) -> Finding:
    at = datetime.fromisoformat("2026-10-05T08:00:00+02:00")
    return Finding(f"{device}{provider}", "implausible_move", at, provider_id=provider, taps=((device, 1), (device, 2)))


def _ghost_visits(town: Town, number: int) -> Planted:
    """A third of one person's visits are written from the plan at the kitchen table."""
    staff = f"p{number}s{number}"
    for key, made in list(town.visits.items()):
        if made.staff_id == staff and town.chance.random() < 0.33:
            plan = town.plans[made.planned_id]
            town.visits[key] = replace(made, start_at=plan.start_at, end_at=plan.end_at)
    return Planted("ends_as_planned", staff)


def _tag_at_home(town: Town, number: int) -> Planted:
    """A second tag of a client hangs where one person can reach it from her sofa."""
    client, tag = f"p{number}c{number + 3}0", f"tag-sofa-{number}"
    for made in [made for made in town.visits.values() if made.client_id == client][:14]:
        mine = replace(made, staff_id=f"p{number}s{number + 3}")
        town.tap(mine, f"phone-{mine.staff_id}", tag)
    return Planted("tag_of_one", tag)


def _one_phone(town: Town, number: int) -> Planted:
    """One phone taps for two colleagues who are somewhere else."""
    device = f"phone-p{number}s5"
    for on in DAYS[3:9]:
        for colleague in (6, 7):
            at = instant_of(on) + timedelta(hours=9)
            town.taps.append(
                TapSeen(device, f"tag-p{number}c{colleague}0", f"p{number}s{colleague}", f"p{number}c{colleague}0",
                        f"p{number}", at)
            )  # fmt: skip
    return Planted("device_of_many", device)


def _copied_tags(town: Town, number: int) -> Planted:
    """Copies of two clients' tags lie beside each other."""
    device = f"phone-p{number}s8"
    town.findings.extend(_move(device, f"p{number}") for _ in range(6))
    return Planted("implausible_move", device)


def _filled_accounts(town: Town, number: int) -> Planted:
    """The office fills half of its accounts up to just under 110 percent."""
    provider = f"p{number + 6}"
    town.accounts = [
        replace(row, reported_minutes=row.ceiling_minutes - town.chance.randrange(0, max(row.ordered_minutes // 60, 1)))
        if row.provider_id == provider and town.chance.random() < 0.5
        else row
        for row in town.accounts
    ]
    return Planted("hugs_ceiling", provider)


def _in_hospital(town: Town, number: int) -> Planted:
    """Visits go on while the client is in hospital."""
    town.absences.append(Absence(f"p{number + 2}c21", date(2026, 10, 10), "hospital", date(2026, 10, 15)))
    return Planted("visit_in_absence", f"p{number + 2}")
