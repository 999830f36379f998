"""What the database counts for the rules about irregularities equals the same month counted in Python."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert

from app.core.month import Month
from app.db.callers import Caller
from app.db.engine import Database
from app.evidence.tables import corrections, planned_visits, taps
from app.facts import Absence, Correction, DeclineOutcome, Employment, PlannedVisit, TapRef, Visit
from app.insight.irregularity import Scene
from app.insight.scene_store import load_scene, staff_of_visits
from app.registry.tables import absences, clients, devices, employments, providers, tags, units
from app.visits.store import to_row
from app.visits.tables import decline_outcomes, visits
from tests.insight.scenes import TapSeen, scene_of
from tests.insight.world import visit

NOW = datetime(2026, 11, 1, tzinfo=UTC)
MONTH = Month(2026, 10)
HOUR = timedelta(hours=1)


def _at(day: int, hour: int, minute: int = 0, second: int = 0) -> datetime:
    """UTC; Stockholm is two hours ahead until 25 October."""
    return datetime(2026, 10, day, hour, minute, second, tzinfo=UTC)


def _plan(name: str, start: datetime, minutes: int = 30, **fields: Any) -> PlannedVisit:
    return PlannedVisit(name, "c0", "p0", "s0", start, start + timedelta(minutes=minutes), **fields)


def _correction(name: str, seq: int | None, manual_id: str, start: datetime, end: datetime | None) -> Correction:
    """By name, in the order they are made: the names are so."""
    device = "" if seq is None else "d0"
    return Correction(
        name, NOW, "set_times", device, seq, manual_id, "", None, None, start, end, "", "", "wrong_time", "", "boss", ""
    )


PLANS = [
    _plan("as-planned", _at(1, 7)),
    _plan("late", _at(2, 7)),
    _plan("spanning", _at(3, 7)),
    _plan("missed", _at(3, 7, 30)),
    _plan("withdrawn", _at(2, 7, 5), 5, withdrawn_at=_at(2, 1)),
    _plan("next-day", _at(4, 22, 0), 5),  # local midnight: not the day of the visit that spans it
    _plan("spans-midnight", _at(4, 21, 30)),
    _plan("corrected", _at(6, 7)),
    _plan("last-month", datetime(2026, 9, 30, 21, 50, tzinfo=UTC)),
]
VISITS = [
    visit("c0", "s0", _at(1, 7, 0, 40), _at(1, 7, 30, 5), planned_id="as-planned"),
    visit("c0", "s0", _at(2, 7, 1), _at(2, 7, 30), planned_id="late", findings=("overlap",)),
    visit("c0", "s0", _at(3, 7), _at(3, 7, 56), planned_id="spanning"),
    visit("c0", "s0", _at(4, 21, 30), _at(4, 22, 10), planned_id="spans-midnight"),
    visit("c0", "s0", _at(6, 7), _at(6, 7, 30), planned_id="corrected", source="corrected",
          kom=TapRef("d0", 61, _at(6, 6)), gick=TapRef("d0", 62, _at(6, 6, 30))),
    visit("c0", "s1", _at(30, 7), None, planned_id="last-month"),
    visit("c1", "s1", _at(8, 9), _at(8, 9, 30), source="manual", manual_id="m1"),
    visit("c1", "s2", _at(9, 9), _at(9, 9, 30)),
    visit("c1", "s2", _at(10, 21, 59), _at(10, 23)),  # 23:59 local, the last day away: an edge day
    visit("c1", "s2", _at(10, 22, 1), _at(10, 23)),  # after midnight: home again
    visit("c1", "s2", _at(9, 21, 59), _at(9, 22, 30), status="cancelled"),
    visit("c2", "s1", _at(20, 9), _at(20, 9, 30)),
    visit("c2", "s1", _at(20, 12), _at(20, 12, 30)),
]  # fmt: skip
VISITS = [replace(one, provider_id="p0", unit_id="u0") for one in VISITS]
ABSENCES = [
    Absence("c1", date(2026, 10, 7), "hospital", date(2026, 10, 10)),
    Absence("c2", date(2026, 9, 3), "dead", date(2026, 9, 4)),  # for ever, whatever the last day says
]
DECLINES = [
    DeclineOutcome("n1", "c2", "p0", _at(20, 8), "at_door", (), 30, 0, 100, 30, 0, None),
    DeclineOutcome("n2", "c2", "p0", _at(20, 10), "at_door", (), 30, 0, 100, 30, 30, date(2026, 10, 20)),
    DeclineOutcome("n3", "c2", "p0", _at(21, 8), "at_door", (), 30, 0, 100, 30, 0, None),
    DeclineOutcome("n4", "c2", "p0", _at(20, 8), "in_advance", (), 30, 0, 0, 0, 0, None),
]
EMPLOYMENTS = [
    Employment(name, date(2020, 1, 1), date(2026, 10, 9) if name == "s2" else None, "", "u0", "p0")
    for name in ("s0", "s1", "s2")
]
CORRECTIONS = [
    _correction("k1", 62, "", _at(6, 7), _at(6, 7, 30)),
    _correction("k2", 61, "", _at(6, 7, 1), None),
    _correction("k3", None, "m1", _at(8, 9), None),  # its visit has no plan
]


def _taps() -> list[TapSeen]:
    """A phone of three on two of three days; a tag only s0 reads from when c0 holds it; late taps of s2."""
    made = [
        TapSeen("phone", "t1", staff, "c1", "p0", _at(day, 10))
        for day in (1, 2, 3)
        for staff in ("s0", "s1", *(["s2"] if day < 3 else []))
    ]
    made += [TapSeen("own", "sofa", "s0", "c1", "p0", _at(day, 6)) for day in range(5, 16)]
    made += [TapSeen("own", "moved", "s0", "c0", "p0", _at(day, 7)) for day in range(16, 27)]
    made += [TapSeen("reader", "moved", "s1", "c2", "p0", _at(2, 8)), TapSeen("own", "t0", "s1", "c0", "p0", _at(1, 8))]
    made += [TapSeen("reader", "nobodys", "s1", "", "p0", _at(day, 9)) for day in range(1, 13)]
    made += [TapSeen("reader", "t1", "s2", "c1", "p0", at) for at in (_at(9, 21, 59), _at(9, 22, 1), _at(12, 8))]
    return made


def _put(connection: Connection) -> None:
    connection.execute(insert(providers), [{"provider_id": "p0", "operation": "private"}])
    connection.execute(insert(units), [{"unit_id": "u0", "provider_id": "p0"}])
    connection.execute(insert(clients), [{"client_id": f"c{n}"} for n in range(3)])
    connection.execute(insert(employments), [_columns(row, employments) for row in EMPLOYMENTS])
    connection.execute(insert(devices), [{"device_id": "reader", "provider_id": "p0", "kind": "reader"}])
    held = {"valid_from_at": _at(1, 0) - 999 * HOUR, "kind": "uid", "valid_to_at": None}
    moved = _at(15, 0)
    connection.execute(
        insert(tags),
        [
            {**held, "tag_uid": "t0", "client_id": "c0"},
            {**held, "tag_uid": "t1", "client_id": "c1"},
            {**held, "tag_uid": "t1", "client_id": "c2"},  # a household: the first client_id
            {**held, "tag_uid": "sofa", "client_id": "c1"},
            {**held, "tag_uid": "moved", "client_id": "c2", "valid_to_at": moved},
            {**held, "tag_uid": "moved", "client_id": "c0", "valid_from_at": moved},
        ],
    )
    connection.execute(
        insert(taps),
        [
            {"device_id": tap.device_id, "seq": seq, "hash": str(seq).encode(), "act": "KOM", "tag_uid": tap.tag_uid,
             "staff_id": tap.staff_id, "provider_id": tap.provider_id, "tapped_at": tap.at, "at": tap.at,
             "received_at": tap.at}
            for seq, tap in enumerate(_taps())
        ],
    )  # fmt: skip
    current = [{**_columns(row, planned_visits), "version": 1 + (row.planned_id == "late")} for row in PLANS]
    connection.execute(insert(planned_visits), [{**row, "stored_at": NOW} for row in current])
    earlier = {**_columns(PLANS[1], planned_visits), "start_at": _at(2, 7, 1), "version": 1, "stored_at": NOW}
    connection.execute(insert(planned_visits), [earlier])  # to the minute, but no longer so
    connection.execute(insert(visits), [to_row(made, made.staff_id, NOW) for made in VISITS])
    ceased = replace(VISITS[0], visit_id="ceased", planned_id="missed", status="cancelled")
    connection.execute(insert(visits), [{**to_row(ceased, "s0", NOW), "ceased": True}])
    connection.execute(insert(absences), [_columns(row, absences) for row in ABSENCES])
    connection.execute(insert(decline_outcomes), [_columns(row, decline_outcomes) for row in DECLINES])
    connection.execute(
        insert(corrections), [{**_columns(row, corrections), "version": 1, "stored_at": NOW} for row in CORRECTIONS]
    )


def _columns(row: Any, table: Any) -> dict[str, Any]:
    return {column.name: getattr(row, column.name) for column in table.columns if hasattr(row, column.name)}


def _counted_here() -> Scene:
    of: dict[str, Visit] = {one.manual_id or one.planned_id: one for one in VISITS}
    return scene_of(
        MONTH, VISITS, plans={plan.planned_id: plan for plan in PLANS if plan.planned_id != "last-month"},
        taps=_taps(), absences=ABSENCES, declines=DECLINES, employments=EMPLOYMENTS,
        corrections=[(row, of["m1" if row.manual_id else "corrected"].visit_id) for row in CORRECTIONS],
        shared_devices=frozenset({"reader"}),
    )  # fmt: skip


def test_the_database_counts_what_python_counts(database: Database) -> None:
    with database.transaction(Caller.batch()) as connection:
        _put(connection)
        found, expected = load_scene(connection, MONTH), _counted_here()
        assert {_sorted(row) for row in found.staff_months} == {_sorted(row) for row in expected.staff_months}
        for part in ("merged", "in_absence", "declines", "corrections", "devices", "lone_tags", "late"):
            assert list(getattr(found, part)) == list(getattr(expected, part)), part
        # and the case has something to find in every part
        assert [len(found.merged), len(found.in_absence)] == [1, 4]
        assert [row.redone != "" for row in found.declines] == [True, True, False]
        assert [row.to_plan for row in found.corrections] == [True, False]
        assert [(row.device_id, row.crowded_days) for row in found.devices if row.crowded_days] == [("phone", 2)]
        assert [row.tag_uid for row in found.lone_tags] == ["moved", "sofa"]
        assert [(row.staff_id, row.taps) for row in found.late] == [("s2", 2)]
        assert sum(len(row.as_planned) for row in found.staff_months) == 2
        assert staff_of_visits(connection, MONTH, [VISITS[5].visit_id, VISITS[7].visit_id, "ceased"]) == {"s1", "s2"}


def _sorted(row: Any) -> Any:
    return replace(row, **{name: tuple(sorted(getattr(row, name))) for name in ("as_planned", "stated", "overlapping")})
