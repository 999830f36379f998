"""The registry kept by people: a worker in one go, an order, a price, a tag; each in its own walls and in the log."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert, select

from app.access.tables import audit_event
from app.core.clock import utc_now
from app.db.callers import Caller
from app.db.engine import Database
from app.main import create_app
from app.registry.tables import clients, devices, employments, orders, tags
from app.visits.tables import derive_queue
from tests.doors import town

Post = Callable[..., Any]


@pytest.fixture
def post(database: Database) -> Post:
    """POST as somebody: status and body."""
    town.furnish(database)
    client = TestClient(create_app(database))

    def send(headers: dict[str, str], path: str, **body: Any) -> tuple[int, Any]:
        client.cookies.clear()
        answer = client.post(f"/api/v1{path}", json=body, headers=headers)
        return answer.status_code, answer.json() if answer.content else None

    return send


def test_a_manager_adds_an_hourly_worker_with_badge_invitation_and_grant_in_one_go(
    database: Database, post: Post
) -> None:
    with database.transaction(Caller.city()) as connection:
        connection.execute(insert(devices), {"device_id": "phone1", "provider_id": "P1", "kind": "phone"})
    manager = town.person(database, "manager", provider="P1")
    worker = {"name": "Eva Extra", "unit_id": "U1", "valid_from": "2026-11-22", "badge_uid": "04:aa:bb:cc:dd:ee:80"}
    status, body = post(manager, "/staff", **worker, invite=True, device_id="phone1")
    assert status == 201, body
    assert body["invitation"].startswith("kgi_")
    assert body["grant"].count(".") == 2
    with database.transaction(Caller.batch()) as connection:
        row = connection.execute(select(employments).where(employments.c.staff_id == body["staff_id"])).one()
        actions = connection.execute(select(audit_event.c.action)).scalars().all()
        waiting = connection.execute(select(derive_queue)).all()
    assert (row.provider_id, row.employment, row.badge_uid) == ("P1", "hourly", "04AABBCCDDEE80")
    assert set(actions) == {"staff.add", "person.invite", "grant.issue"}
    assert not waiting, "what follows was derived before the answer"

    assert post(manager, "/staff", **worker)[0] == 409, "somebody else has the badge"
    assert post(manager, "/staff", **{**worker, "badge_uid": "08112233"})[0] == 422, "a random UID"
    foreign, unknown = (
        post(manager, "/staff", **{**worker, "unit_id": "U2"}),
        post(manager, "/staff", **{**worker, "unit_id": "U9"}),
    )
    assert foreign[0] == unknown[0] == 404
    assert post(town.person(database, "carer", provider="P1"), "/staff", **worker)[0] == 403
    assert post(town.person(database, "manager", provider="P1", stale=True), "/staff", **worker)[1]["code"] == "step_up"


def test_a_commissioner_orders_in_the_own_district_only(database: Database, post: Post) -> None:
    north = town.person(database, "commissioner", district="north")
    order = {"provider_id": "P2", "district": "north", "valid_from": "2026-11-01", "minutes_per_month": 600}
    status, made = post(north, "/orders", client_id="c1", **order, services=[{"care_service": "dusch"}])
    assert status == 201, made
    assert post(north, "/orders", client_id="c1", **order)[0] == 409, "one of the same service overlaps"
    assert post(north, "/orders", client_id="c1", **{**order, "district": "south"})[0] == 403
    foreign, unknown = post(north, "/orders", client_id="c3", **order), post(north, "/orders", client_id="c9", **order)
    assert foreign[0] == unknown[0] == 404
    assert post(north, "/orders", client_id="c2", **{**order, "minutes_per_month": None})[0] == 422
    status, client = post(north, "/clients", name="Ny Klient")
    assert status == 201
    assert post(north, "/orders", client_id=client["id"], **order)[0] == 201
    with database.transaction(Caller.batch()) as connection:
        assert len(connection.execute(select(orders).where(orders.c.client_id == "c1")).all()) == 2


def test_a_name_that_cannot_be_stored_is_refused(database: Database, post: Post) -> None:
    north = town.person(database, "commissioner", district="north")
    assert post(north, "/clients", name="a\x00b")[0] == 422
    assert post(north, "/clients", target_group="\x00")[0] == 422


def test_a_controller_sets_a_price_that_is_never_edited(database: Database, post: Post) -> None:
    controller = town.person(database, "city_controller")
    price = {"operation": "private", "band": "day", "unit": "hour", "valid_from": "2027-01-01", "amount_ore": 49500}
    assert post(controller, "/prices", **price)[0] == 204
    assert post(controller, "/prices", **price)[0] == 204, "the same again"
    assert post(controller, "/prices", **{**price, "amount_ore": 1})[0] == 409
    assert post(town.person(database, "manager", provider="P1"), "/prices", **price)[0] == 403


def test_a_tag_is_assigned_replaced_and_retired_within_the_walls(database: Database, post: Post) -> None:
    manager, other = (town.person(database, "manager", provider=one) for one in ("P1", "P2"))
    assert post(manager, "/tags", tag_uid="04A1A2A3A4A580", client_id="c1") == (201, {"id": "04A1A2A3A4A580"})
    assert post(manager, "/tags", tag_uid="04A1A2A3A4A580", client_id="c2")[0] == 409
    assert post(manager, "/tags", tag_uid="04A1A2A3A4A580", client_id="c2", household=True)[0] == 201
    assert post(other, "/tags", tag_uid="04A1A2A3A4A580", client_id="c3", household=True)[0] == 409
    assert post(other, "/tags", tag_uid="04B1A2A3A4A580", client_id="c1")[0] == 404
    assert post(other, "/tags/04A1A2A3A4A580/retire")[0] == 404
    status, body = post(manager, "/tags/04A1A2A3A4A580/replace", tag_uid="04C1A2A3A4A580")
    assert (status, body["client_ids"]) == (201, ["c1", "c2"])
    assert post(manager, "/tags/04C1A2A3A4A580/retire")[1]["client_ids"] == ["c1", "c2"]
    with database.transaction(Caller.batch()) as connection:
        left = select(tags).where(tags.c.tag_uid.startswith("04"), tags.c.valid_to_at.is_(None))
        assert connection.execute(left).all() == []


def test_the_commands_do_the_same(database: Database, cli_environment: Mapping[str, str]) -> None:
    town.furnish(database)
    with database.transaction(Caller.city()) as connection:
        connection.execute(insert(clients), {"client_id": "c7"})

    def run(*words: str) -> list[dict[str, Any]]:
        done = subprocess.run(
            [sys.executable, "-m", "app.cli", *words, "--format", "json"],
            env=dict(cli_environment), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        rows: list[dict[str, Any]] = json.loads(done.stdout)
        return rows

    [worker] = run("registry", "staff", "Eva", "--provider", "P1", "--unit", "U1", "--badge", "04AABBCCDDEE80")
    assert worker["staff_id"].startswith("s_")
    [made] = run("registry", "order", "c7", "--provider", "P1", "--district", "north", "--minutes-per-month", "90")
    assert made["order_id"].startswith("o_")
    run("registry", "price", "private", "49500", "--from", "2027-01-01")
    run("tag", "assign", "04A1A2A3A4A580", "c7")
    run("tag", "replace", "04A1A2A3A4A580", "04C1A2A3A4A580")
    assert [row["tag_uid"] for row in run("tag", "history", "--client", "c7")] == ["04A1A2A3A4A580", "04C1A2A3A4A580"]
    [admin] = run("user", "add-admin", "Ada")
    assert admin["token"].startswith("kgi_")
    assert utc_now().isoformat() < admin["expires_at"]
