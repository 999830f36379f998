"""The measures over a real database equal the measures over the same visits in memory."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Connection, insert

from app.core.month import Month
from app.db.callers import Caller
from app.db.engine import Database
from app.evidence.tables import planned_visits
from app.facts import Finding, Visit
from app.findings.store import to_row as finding_row
from app.findings.tables import findings
from app.insight.contacts import ContactPerson
from app.insight.continuity import measured_object
from app.insight.measure import compute
from app.insight.measures import measure_named
from app.insight.month_visits import load_month_visits, planned_starts
from app.insight.stays import microseconds
from app.insight.store import DatabaseSource, load_stays
from app.insight.windows import Window
from app.registry.tables import clients, contacts, employments, providers, units
from app.visits.store import to_row
from app.visits.tables import visits
from tests.insight.world import Town, visit

NOW = datetime(2026, 11, 1, tzinfo=UTC)
OCTOBER = Window.of_month(Month(2026, 10))


def some_visits(seed: int = 1, count: int = 400) -> list[Visit]:
    chance = random.Random(seed)
    made = []
    for number in range(count):
        start = datetime(2026, 9, 30, tzinfo=UTC) + timedelta(minutes=5 * chance.randrange(33 * 288))
        staff = f"s{chance.randrange(7)}"
        end = start + timedelta(minutes=chance.choice((10, 20, 40)))
        fields = {
            "provider_id": f"p{number % 2}",
            "unit_id": f"u{number % 2}",
            "person": f"person:k{int(staff[1:]) // 2}",
        }
        source = chance.choice(("taps", "taps", "manual"))
        made.append(
            visit(
                f"c{chance.randrange(5)}",
                staff,
                start,
                end if number % 11 else None,
                source=source,
                **fields,
            )
        )
    return list({v.visit_id: v for v in made}.values())


def put(connection: Connection, made: list[Visit]) -> None:
    """Registry and visits of the little world."""
    connection.execute(insert(providers), [{"provider_id": f"p{n}", "operation": "private"} for n in range(2)])
    connection.execute(insert(units), [{"unit_id": f"u{n}", "provider_id": f"p{n}"} for n in range(2)])
    connection.execute(insert(clients), [{"client_id": f"c{n}", "birth_date": date(1940, 1, 1)} for n in range(4)])
    working = {"valid_from": date(2020, 1, 1), "unit_id": "u0", "provider_id": "p0"}
    connection.execute(
        insert(employments), [{"staff_id": f"s{n}", "person_key": f"k{n // 2}", **working} for n in range(7)]
    )
    connection.execute(
        insert(contacts),
        [{"client_id": "c1", "provider_id": "p0", "kind": "contact", "valid_from": date(2026, 1, 1), "staff_id": "s2"}],
    )
    connection.execute(insert(visits), [to_row(v, v.staff_id, NOW) for v in made])


def test_the_database_gives_the_same_measure_as_the_visits_in_memory(database: Database) -> None:
    made = some_visits()
    unknown = Finding("f1", "unknown_tag", datetime(2026, 10, 9, tzinfo=UTC))
    with database.transaction(Caller.batch()) as connection:
        put(connection, made)
        connection.execute(insert(findings), [finding_row(unknown, "tap", NOW)])
        shown = measured_object(compute(measure_named("stockholm_month"), DatabaseSource(connection), OCTOBER))
        contact = ContactPerson("c1", "p0", "person:k1", date(2026, 1, 1), None)
        town = Town(made, contacts=[contact], unknown=1)
        expected = measured_object(compute(measure_named("stockholm_month"), town, OCTOBER))
        assert shown == expected
        assert shown["clients_included"] == 5
        assert [row["contact_share"] is None for row in shown["per_client"]] == [True, False, True, True, True]


def test_a_provider_sees_its_own_visits_only(database: Database) -> None:
    with database.transaction(Caller.batch()) as connection:
        put(connection, some_visits())
    with database.transaction(Caller.provider("p1"), read_only=True) as connection:
        stays = load_stays(connection, OCTOBER)
        assert stays.compact().providers == ["p1"]
        measured = compute(measure_named("stockholm_month"), DatabaseSource(connection), OCTOBER)
        assert measured.quality.visits == len(stays) > 50


def test_an_empty_database_gives_nulls(database: Database) -> None:
    with database.transaction(Caller.batch(), read_only=True) as connection:
        for name in ("stockholm_month", "kolada_14d"):
            window = OCTOBER if name == "stockholm_month" else Window.of_days(date(2026, 10, 12), 14)
            assert compute(measure_named(name), DatabaseSource(connection), window).mean is None


@pytest.mark.parametrize("variant", ["two_by_plan", "hours_by_overlap"])
def test_variants_ask_the_database_too(database: Database, variant: str) -> None:
    with database.transaction(Caller.batch(), read_only=True) as connection:
        measured = compute(
            measure_named("kolada_14d"), DatabaseSource(connection), Window.of_days(date(2026, 10, 12), 14),
            frozenset({variant}),
        )  # fmt: skip
        assert measured.variants == {variant}


def test_a_visit_was_planned_as_its_plans_newest_version_says(database: Database) -> None:
    first, moved, days_later = (datetime(2026, 10, day, hour, tzinfo=UTC) for day, hour in ((5, 8), (5, 9), (9, 9)))
    plan = {"client_id": "c1", "end_at": days_later, "stored_at": NOW}
    versions = [
        ("once", "p0", 1, first),
        ("once", "p1", 1, moved),
        ("twice", "p0", 1, first),
        ("twice", "p0", 2, moved),
    ]
    versions += [("away", "p0", 1, first), ("away", "p0", 2, datetime(2026, 12, 24, 8, tzinfo=UTC))]
    made = [
        visit(f"c{number}", "s1", first, moved, provider_id=provider_id, planned_id=planned_id)
        for number, (provider_id, planned_id) in enumerate(
            (("p0", "once"), ("p1", "once"), ("p0", "twice"), ("p0", "away"), ("p0", "nobody's"), ("p0", ""))
        )
    ]
    with database.transaction(Caller.batch()) as connection:
        put(connection, made)
        rows = [
            {**plan, "planned_id": planned_id, "provider_id": provider_id, "version": version, "start_at": start_at}
            for planned_id, provider_id, version, start_at in versions
        ]
        connection.execute(insert(planned_visits), rows)
        read = load_month_visits(connection, Month(2026, 10))
        planned = planned_starts(connection, Month(2026, 10), read)
    clients_of = [read.stays.clients[client] for client in planned.client.tolist()]
    assert dict(zip(clients_of, planned.planned_us.tolist(), strict=True)) == {
        "c0": microseconds(first), "c1": microseconds(moved), "c2": microseconds(moved),
        "c3": microseconds(datetime(2026, 12, 24, 8, tzinfo=UTC)),
    }  # fmt: skip
    assert set(planned.start_us.tolist()) == {microseconds(first)}
