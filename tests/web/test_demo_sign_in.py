"""In a demo one click signs in as any role; anywhere else, and from any other machine, there is no such page."""

from __future__ import annotations

import re

import httpx
import pytest
from fastapi.testclient import TestClient

from app.access.principals import ROLES
from app.api.access import SESSION_COOKIE
from app.core.clock import utc_now
from app.db.engine import Database
from app.db.mark import mark_demo
from app.main import create_app
from app.pipeline_access.demo import demo_people, make_people
from tests.doors import town
from tests.doors.serving import served


@pytest.fixture
def demo(database: Database) -> Database:
    town.a_morning(database)
    mark_demo(database)
    make_people(database, utc_now())
    return database


def _sign_in(client: httpx.Client, role: str) -> httpx.Response:
    return client.post("/demo", data={"role": role})


def test_one_click_per_role_signs_in_as_that_role(demo: Database) -> None:
    with served(demo) as client:
        shown = client.get("/demo?lang=en")
        assert set(re.findall(r'<button name="role" value="(\w+)"', shown.text)) == ROLES
        for role in sorted(ROLES):
            answer = _sign_in(client, role)
            assert (answer.status_code, answer.headers["location"]) == (303, "/me"), role
            token = answer.cookies[SESSION_COOKIE]
            me = client.get("/api/v1/auth/me", headers={"Cookie": f"{SESSION_COOKIE}={token}"}).json()
            assert me["role"] == role
            assert me["provider_id"] == ("P1" if role in ("carer", "scheduler", "manager", "provider_finance") else "")
            assert me["district"] == ("north" if role == "commissioner" else "")
        assert _sign_in(client, "emperor").status_code == 404


def test_a_second_demo_in_the_same_folder_has_the_same_people(demo: Database) -> None:
    before = demo_people(demo, utc_now())
    make_people(demo, utc_now())
    assert demo_people(demo, utc_now()) == before


def test_outside_a_demo_nobody_is_let_in_so(database: Database) -> None:
    town.a_morning(database)
    with served(database) as client:
        assert client.get("/demo").status_code == 404
        assert _sign_in(client, "admin").status_code == 404


@pytest.mark.parametrize("elsewhere", ["192.0.2.7", "2001:db8::7", "unknown"])
def test_a_demo_is_for_this_machine_only(demo: Database, elsewhere: str) -> None:
    with TestClient(create_app(demo), client=(elsewhere, 50000)) as client:
        assert client.get("/demo").status_code == 404
        assert client.post("/demo", data={"role": "admin"}).status_code == 404


def test_another_sites_page_signs_nobody_in(demo: Database) -> None:
    with served(demo) as client:
        answer = client.post("/demo", data={"role": "admin"}, headers={"Origin": "https://evil.example"})
        assert (answer.status_code, answer.headers.get("set-cookie")) == (403, None)
