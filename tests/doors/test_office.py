"""Registry, questions, and what a carer's phone asks for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import insert, select, update

from app.core.clock import utc_now
from app.db.callers import Caller
from app.db.engine import Database
from app.evidence.device_tables import shift_grants
from app.registry.tables import clients, devices
from tests.doors.serving import served
from tests.doors.town import a_morning, items, machine, person, tap, tapped


@pytest.fixture
def door(database: Database) -> Iterator[httpx.Client]:
    a_morning(database)
    with database.transaction(Caller.batch()) as connection:
        connection.execute(
            insert(devices), {"device_id": "d1", "provider_id": "P1", "kind": "phone", "enrolled_at": utc_now()}
        )
        connection.execute(update(clients).where(clients.c.client_id == "c2").values(protected_identity=True))
    with served(database) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "key", "own", "all_of_them"),
    [
        ("clients", "client_id", ["c1", "c2"], 3),
        ("staff", "staff_id", ["anna", "bo"], 3),
        ("orders", "order_id", ["o1", "o2"], 3),
        ("tags", "tag_uid", ["tag-c1", "tag-c2"], 3),
        ("devices", "device_id", ["d1"], 1),
    ],
)
def test_each_sees_its_own_part_of_the_registry(
    database: Database, door: httpx.Client, *, path: str, key: str, own: list[str], all_of_them: int
) -> None:
    mine = machine(database, "registry", provider="P1")
    assert [one[key] for one in items(door.get(f"/api/v1/{path}", headers=mine))] == own
    city = machine(database, "registry")
    seen: list[dict[str, object]] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = door.get(f"/api/v1/{path}?limit=1&cursor={cursor}", headers=city)
        seen, cursor = seen + items(answer), answer.json()["next_cursor"]
    assert len(seen) == all_of_them


def test_protected_identity_is_a_number(database: Database, door: httpx.Client) -> None:
    got = items(door.get("/api/v1/clients", headers=person(database, "manager", provider="P1")))
    assert [(one["client_id"], one["name"]) for one in got] == [("c1", "Ada"), ("c2", "")]


def test_the_city_asks_and_the_provider_answers(database: Database, door: httpx.Client) -> None:
    city, manager = person(database, "commissioner", district="north"), person(database, "manager", provider="P1")
    visit = items(door.get("/api/v1/visits?client=c1", headers=city))[0]
    asked = door.post("/api/v1/questions", json={"visit_id": visit["visit_id"], "text": "why twice?"}, headers=city)
    assert asked.status_code == 201, asked.text
    path = f"/api/v1/questions/{asked.json()['question_id']}/answer"
    assert door.post(path, json={"text": "x"}, headers=city).status_code == 403
    assert door.post(path, json={"text": "x"}, headers=person(database, "manager", provider="P2")).status_code == 404
    assert door.post(path, json={"text": "two showers"}, headers=manager).json()["answer"] == "two showers"
    assert door.post(path, json={"text": "again"}, headers=manager).status_code == 409
    assert len(items(door.get("/api/v1/questions?state=answered", headers=city))) == 1
    account = {"client_id": "c1", "provider_id": "P1", "month": "2026-10", "text": "excess?"}
    assert door.post("/api/v1/questions", json=account, headers=manager).status_code == 201
    foreign = account | {"client_id": "c3", "provider_id": "P2"}
    assert door.post("/api/v1/questions", json=foreign, headers=manager).status_code == 404
    assert door.post("/api/v1/questions", json={"text": "about nothing"}, headers=manager).status_code == 422


def test_a_question_is_between_the_two_sides_and_stops_no_run(database: Database, door: httpx.Client) -> None:
    finance = person(database, "provider_finance", provider="P1")
    north, south = (person(database, "commissioner", district=one) for one in ("north", "south"))
    controller, auditor = person(database, "city_controller"), person(database, "auditor")
    given = {"reason_id": "x1", "client_id": "c1", "minutes": 30, "reason": "illness"}
    assert door.post("/api/v1/months/2026-10/reasons", json=given, headers=finance).status_code == 201

    # The city asks about a reason: client, provider and month are the reason's own.
    asked = door.post("/api/v1/questions", json={"reason_id": "x1", "text": "Vad hände?"}, headers=north)
    assert asked.status_code == 201, asked.text
    assert {name: asked.json()[name] for name in ("about_kind", "client_id", "provider_id", "month")} == {
        "about_kind": "reason", "client_id": "c1", "provider_id": "P1", "month": "2026-10",
    }  # fmt: skip
    # The provider asks about its account: its client's district answers, not another one's.
    account = {"client_id": "c1", "provider_id": "P1", "month": "2026-10", "text": "Räcker tiden?"}
    path = f"/api/v1/questions/{door.post('/api/v1/questions', json=account, headers=finance).json()['question_id']}"
    for who, status in ((finance, 403), (south, 404), (auditor, 403), (machine(database, "scheduling"), 403)):
        assert door.post(f"{path}/answer", json={"text": "Ja."}, headers=who).status_code == status
    assert door.post("/api/v1/questions", json={"reason_id": "x1", "text": "?"}, headers=south).status_code == 404
    assert door.post("/api/v1/questions", json={**account, "reason_id": "x1"}, headers=north).status_code == 422

    closed = door.post("/api/v1/months/2026-10/close", json={"on": "2026-11-06"}, headers=controller)
    assert closed.status_code == 200, closed.text
    assert [len(items(door.get("/api/v1/questions?state=open", headers=who))) for who in (finance, north, south)] == [
        2, 2, 0,
    ]  # fmt: skip
    assert door.post(f"{path}/answer", json={"text": "Ja."}, headers=controller).json()["answer"] == "Ja."
    assert [one["text"] for one in items(door.get("/api/v1/questions?state=open", headers=auditor))] == ["Vad hände?"]
    assert door.get("/api/v1/months/2026-10", headers=controller).json()["hash"] == closed.json()["hash"]


def test_a_carer_begins_a_shift_with_a_signed_grant(database: Database, door: httpx.Client) -> None:
    anna = person(database, "carer", provider="P1", staff="anna")
    got = door.post("/api/v1/shifts", json={"device_id": "d1", "hours": 8}, headers=anna)
    assert got.status_code == 201, got.text
    with database.transaction(Caller.auth()) as connection:
        row = connection.execute(select(shift_grants)).one()
    assert (row.grant_id, row.staff_id, row.device_id) == (got.json()["grant_id"], "anna", "d1")
    assert row.expires_at - row.issued_at == timedelta(hours=8)
    assert door.post("/api/v1/shifts", json={"device_id": "d1", "hours": 15}, headers=anna).status_code == 422
    carl = person(database, "carer", provider="P2", staff="carl")
    assert door.post("/api/v1/shifts", json={"device_id": "d1"}, headers=carl).status_code == 404
    nobody = person(database, "carer", provider="P1")
    assert door.post("/api/v1/shifts", json={"device_id": "d1"}, headers=nobody).json()["code"] == "no_employment"


def test_a_carer_sees_her_own_day_and_visits(database: Database, door: httpx.Client) -> None:
    now = utc_now()
    tapped(database, tap(50, "KOM", "anna", "c1", now - timedelta(minutes=1)))
    plan = {
        "planned_id": "v1", "client_id": "c1", "staff_id": "anna", "start_at": now.isoformat(),
        "end_at": (now + timedelta(minutes=30)).isoformat(),
    }  # fmt: skip
    planner = machine(database, "scheduling", provider="P1")
    door.post("/api/v1/planned-visits", json={"items": [plan]}, headers=planner)
    anna, bo = (person(database, "carer", provider="P1", staff=staff) for staff in ("anna", "bo"))
    day = door.get("/api/v1/me/today", headers=anna).json()
    assert [(one["client_id"], one["name"]) for one in day["planned"]] == [("c1", "Ada")]
    assert [one["status"] for one in day["visits"]] == ["open"]
    assert len(items(door.get("/api/v1/me/visits", headers=anna))) == 4
    assert items(door.get("/api/v1/me/visits", headers=bo)) == []


def test_the_document_names_every_route_and_problem(door: httpx.Client) -> None:
    document = door.get("/api/v1/openapi.json").json()
    for path in (
        "visits", "visits/open", "findings", "planned-visits", "planned-visits/outcome", "declines", "manual-visits",
        "corrections", "disputes", "imports", "questions", "shifts", "me/today", "me/visits", "alerts", "clients",
        "staff", "orders", "tags", "devices",
    ):  # fmt: skip
        for method, route in document["paths"][f"/api/v1/{path}"].items():
            assert {"401", "403", "422"} <= set(route["responses"]), (method, path)
            if method == "get":
                assert "schema" in route["responses"]["200"]["content"]["application/json"], path
                assert "application/problem+json" in route["responses"]["401"]["content"]
