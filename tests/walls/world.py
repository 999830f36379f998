"""Two sides that must never see each other: every text and every id of side 2 is a canary.

A real bundle goes in through the import, visits and accounts are derived from it. Side n has the provider Pn with the
district `IDn-district`. Ids begin with `IDn-`, every other text with `HEMLIGn`; hashes (visits, findings)
are read back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path

from sqlalchemy import insert, select, text

from app import pipeline
from app.core.clock import utc_now
from app.core.localtime import day_bounds, format_instant, local_date
from app.core.month import Month
from app.db.callers import Caller
from app.db.engine import Database
from app.findings.tables import findings
from app.office.tables import import_jobs
from app.pipeline_months import complete_month
from app.visits.tables import visits
from tests.doors import town
from tests.flows.bundles import Bundle, write
from tests.walls.canaries import fill

SIDES = (1, 2)


@dataclass
class World:
    """The database, ids by name of a path or query parameter and side, and who asks."""

    database: Database
    ids: dict[int, dict[str, str]]
    hashes: dict[int, set[str]]
    makers: dict[str, Callable[[], dict[str, str]]] = field(default_factory=dict)
    kept: dict[str, dict[str, str]] = field(default_factory=dict)

    def canaries(self, side: int) -> list[str]:
        """What only this side may see."""
        return [f"HEMLIG{side}", f"ID{side}-", f"04{side}C0FFEE", *sorted(self.hashes[side])]


def build(database: Database, folder: Path) -> World:
    """Both sides in one database, with a visit yesterday, one by hand, a plan, a decline, a dispute, a reason each."""
    today = local_date(utc_now())
    bundle: Bundle = {}
    for side in SIDES:
        for name, rows in _side(side, today - timedelta(days=2)).items():
            bundle.setdefault(name, []).extend(rows)
    pipeline.import_bundle(database, write(folder / "bundle", bundle), now=utc_now())
    complete_month(database, Month.of(today - timedelta(days=2)), utc_now())
    ids, hashes = {}, {}
    with database.transaction(Caller.batch()) as connection:
        for side in SIDES:
            of_side = visits.c.provider_id == f"P{side}"
            seen = connection.execute(select(visits.c.visit_id).where(of_side)).scalars().all()
            found = connection.execute(select(findings.c.finding_id).where(findings.c.provider_id == f"P{side}"))
            finding_ids = found.scalars().all()
            assert seen, "both sides have visits"
            assert finding_ids, "both sides have findings"
            ids[side] = _ids(side) | {"visit_id": seen[0], "visit": seen[0], "finding_id": finding_ids[0]}
            hashes[side] = {*seen, *finding_ids}
        for side in SIDES:
            job = {
                "import_id": ids[side]["import_id"], "provider_id": f"P{side}", "made_by": f"HEMLIG{side}",
                "dry_run": False, "state": "refused", "created_at": utc_now(),
                "counts": [{"file": f"HEMLIG{side}", "added": 1, "changed": 0, "unchanged": 0}],
                "errors": [{"file": f"HEMLIG{side}", "line": 1, "column": "", "value": "", "expected": ""}],
            }  # fmt: skip
            connection.execute(insert(import_jobs), job)
    world = World(database, ids, hashes)
    _people(world)
    with database.transaction(Caller.batch()) as connection:
        fill(connection, world.ids)
    return world


def unknown() -> dict[str, str]:
    """Ids of the same form that nobody has."""
    return {name: value.replace("ID2", "ID9").replace("P2", "P9").replace("042C", "049C") for name, value in
            _ids(2).items()} | {"visit_id": "0" * 16, "visit": "0" * 16, "finding_id": "0" * 16}  # fmt: skip


def _people(world: World) -> None:
    """A principal of every kind, on side 1; and one of each side as a target."""
    database = world.database
    staff, district = world.ids[1]["staff_id"], world.ids[1]["district"]
    for role in ("scheduler", "manager", "provider_finance"):
        world.makers[role] = partial(town.person, database, role, provider="P1")
    world.makers["carer"] = partial(town.person, database, "carer", provider="P1", staff=staff)
    world.makers["commissioner"] = partial(town.person, database, "commissioner", district=district)
    for role in ("city_controller", "auditor", "admin"):
        world.makers[role] = partial(town.person, database, role)
    for scope in ("billing", "registry", "scheduling", "study"):
        world.makers[f"city {scope}"] = partial(town.machine, database, scope)
    for scope in ("registry", "scheduling"):
        world.makers[f"provider {scope}"] = partial(town.machine, database, scope, provider="P1")
    world.makers["nobody"] = dict
    for side in SIDES:
        town.person(database, "manager", provider=f"P{side}")
        with database.transaction(Caller.batch()) as connection:
            row = connection.execute(
                text(
                    "SELECT p.person_id, r.role_id, s.session_id FROM people p JOIN person_roles r USING (person_id)"
                    " JOIN sessions s USING (person_id) WHERE r.provider_id = :one ORDER BY p.created_at DESC LIMIT 1"
                ),
                {"one": f"P{side}"},
            ).one()
            renamed = {"name": f"HEMLIG{side} person", "person_id": row.person_id}
            connection.execute(text("UPDATE people SET name = :name WHERE person_id = :person_id"), renamed)
        world.ids[side] |= row._asdict()
        world.hashes[side] |= set(row)


def _ids(side: int) -> dict[str, str]:
    named = {
        name: f"ID{side}-{name.removesuffix('_id')}"
        for name in (
            "client_id", "staff_id", "unit_id", "order_id", "device_id", "planned_id", "decline_id", "manual_id",
            "correction_id", "dispute_id", "reason_id", "district", "person_id", "role_id", "session_id", "question_id",
            "line_id", "import_id", "outage_id", "credential_id", "grant_id",
        )
    }  # fmt: skip
    short = {name: named[f"{name}_id"] for name in ("client", "staff", "unit", "order", "device")}
    provider = {"provider_id": f"P{side}", "provider": f"P{side}"}
    return named | short | provider | {"tag_uid": f"04{side}C0FFEE00000", "badge_uid": f"04{side}C0FFEE00001"}


def _side(side: int, day: date) -> Bundle:
    ids, secret = _ids(side), f"HEMLIG{side} text"
    return {
        **_registry(side, ids, secret),
        **_statements(ids, secret, day),
        "taps.csv": [
            {"device_id": ids["device_id"], "seq": str(number), "act": act, "tag_uid": ids["tag_uid"],
             "staff_id": ids["staff_id"], "tapped_at": _at(day, minutes), "received_at": _at(day, minutes)}
            for number, (act, minutes) in enumerate(
                [("KOM", 480), ("GICK", 520), ("KOM", 600), ("KOM", 900), ("GICK", 940)], start=1
            )
        ],
    }  # fmt: skip


def _registry(side: int, ids: dict[str, str], secret: str) -> Bundle:
    since = "2026-01-01"
    return {
        "providers.csv": [{"provider_id": ids["provider_id"], "name": f"Utförare {side}", "operation": "private"}],
        "units.csv": [{"unit_id": ids["unit_id"], "provider_id": ids["provider_id"], "name": secret, "phone": secret,
                       "alert_to": secret}],
        "staff.csv": [
            {"staff_id": ids["staff_id"], "valid_from": since, "person_key": f"ID{side}-key", "unit_id": ids["unit_id"],
             "name": secret, "employment": "hourly", "badge_uid": ids["badge_uid"]},
        ],
        "clients.csv": [
            {"client_id": ids["client_id"], "name": secret, "birth_date": f"194{side}-01-01",
             "site_id": f"ID{side}-site", "address": secret, "entry_note": secret, "target_group": secret},
        ],
        "contacts.csv": [{"client_id": ids["client_id"], "provider_id": ids["provider_id"], "kind": "contact",
                          "valid_from": since, "staff_id": ids["staff_id"]}],
        "tags.csv": [{"tag_uid": ids["tag_uid"], "client_id": ids["client_id"],
                      "valid_from_at": "2026-01-01T00:00:00Z", "kind": "uid"}],
        "orders.csv": [
            {"order_id": ids["order_id"], "client_id": ids["client_id"], "provider_id": ids["provider_id"],
             "unit_id": ids["unit_id"], "district": ids["district"], "valid_from": since, "minutes_per_month": "60",
             "service": secret, "cost_code": secret},
        ],
        "order_services.csv": [{"order_id": ids["order_id"], "care_service": secret, "care_area": "service"}],
        "devices.csv": [{"device_id": ids["device_id"], "provider_id": ids["provider_id"], "kind": "reader",
                         "enrolled_at": "2026-01-01T00:00:00Z"}],
        "outages.csv": [{"outage_id": ids["outage_id"], "provider_id": ids["provider_id"],
                         "from_at": "2026-01-02T00:00:00Z", "to_at": "2026-01-03T00:00:00Z", "reason": secret}],
        "prices.csv": [{"operation": "private", "band": band, "service": "", "unit": "hour",
                        "valid_from": "2024-01-01", "amount_ore": "48500"} for band in ("day", "night")] * (side == 1),
    }  # fmt: skip


def _statements(ids: dict[str, str], secret: str, day: date) -> Bundle:
    who = {"client_id": ids["client_id"], "provider_id": ids["provider_id"]}
    staffed = who | {"staff_id": ids["staff_id"]}
    return {
        "planned_visits.csv": [staffed | {"planned_id": ids["planned_id"], "start_at": _at(day, 480),
                                          "end_at": _at(day, 520)}],
        "declines.csv": [who | {"decline_id": ids["decline_id"], "planned_start_at": _at(day, 1000),
                                "planned_end_at": _at(day, 1030), "notice": "at_door", "noticed_at": _at(day, 1001)}],
        "manual_visits.csv": [staffed | {"manual_id": ids["manual_id"], "start_at": _at(day, 1100),
                                         "end_at": _at(day, 1130), "reason": "other", "note": secret,
                                         "care_service": secret, "made_by": ids["staff_id"], "approved_by": secret}],
        "corrections.csv": [{"correction_id": ids["correction_id"], "made_at": _at(day, 1200), "kind": "set_times",
                             "kom_device_id": ids["device_id"], "kom_seq": "1", "new_start_at": _at(day, 482),
                             "reason": "wrong_time", "note": secret, "made_by": ids["staff_id"],
                             "approved_by": secret}],
        "disputes.csv": [{"dispute_id": ids["dispute_id"], "client_id": ids["client_id"], "on_date": day.isoformat(),
                          "stated_at": _at(day, 1200), "stated_by": secret, "text": secret}],
        "excess_reasons.csv": [who | {"reason_id": ids["reason_id"], "month": str(Month.of(day)), "minutes": "10",
                                      "reason": "illness", "note": secret, "submitted_on": day.isoformat(),
                                      "decision": "rejected", "decided_on": day.isoformat(), "decided_by": secret,
                                      "decision_note": secret}],
        "absences.csv": [{"client_id": ids["client_id"], "from_on": "2026-02-01", "kind": "away",
                          "to_on": "2026-02-02"}],
        "staff_hours.csv": [{"staff_id": ids["staff_id"], "worked_on": day.isoformat(), "kind": "", "minutes": "480"}],
        "services_done.csv": [{"client_id": ids["client_id"], "staff_id": ids["staff_id"], "done_at": _at(day, 490),
                               "care_service": secret}],
    }  # fmt: skip


def _at(day: date, minutes: int) -> str:
    at: datetime = day_bounds(day)[0] + timedelta(minutes=minutes)
    return format_instant(at)
