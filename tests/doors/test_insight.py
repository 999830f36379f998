"""GET /continuity/{measure}, /quality/{month}: the same figures for provider and city, each of what it may see."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.db.callers import Caller
from app.db.engine import Database
from tests.doors import town
from tests.doors.serving import served

STOCKHOLM = "/api/v1/continuity/stockholm_month?month=2026-10"


@pytest.fixture
def client(database: Database) -> Iterator[httpx.Client]:
    town.a_morning(database)
    with served(database) as client:
        yield client


def _clients(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [row["client_id"] for row in response.json()["per_client"]]


def test_a_provider_sees_its_own_a_district_its_clients_and_the_city_everybody(
    client: httpx.Client, database: Database
) -> None:
    own = town.person(database, "manager", provider="P1")
    assert _clients(client.get(STOCKHOLM, headers=own)) == ["c1", "c2"]
    other = town.person(database, "manager", provider="P2")
    assert _clients(client.get(STOCKHOLM, headers=other)) == ["c3"]
    north = town.person(database, "commissioner", district="north")
    assert _clients(client.get(STOCKHOLM, headers=north)) == ["c1", "c2"]
    city = town.person(database, "city_controller")
    assert _clients(client.get(STOCKHOLM, headers=city)) == ["c1", "c2", "c3"]
    with database.transaction(Caller.batch()) as connection:
        logged = connection.execute(text("SELECT subjects FROM reading WHERE what = 'continuity' ORDER BY at"))
        assert [list(row.subjects) for row in logged][-1] == ["c1", "c2", "c3"]


def test_quality_is_about_organisations_the_own_one_or_those_of_the_district(
    client: httpx.Client, database: Database
) -> None:
    def groups(role: str, **where: Any) -> dict[tuple[str, str], int]:
        answer = client.get("/api/v1/quality/2026-10", headers=town.person(database, role, **where))
        assert answer.status_code == 200, answer.text
        return {(row["level"], row["id"]): row["executed_minutes"] for row in answer.json()["groups"]}

    city = groups("city_controller")
    assert (city["municipality", ""], city["provider", "P1"], city["unit", "U2"]) == (110, 50, 60)
    own = groups("manager", provider="P1")
    assert (own["municipality", ""], own["unit", "U1"]) == (50, 50)
    assert not {("provider", "P2"), ("unit", "U2"), ("district", "south")} & own.keys()
    north = groups("commissioner", district="north")
    assert (north["municipality", ""], north["district", "north"]) == (110, 50)
    assert not {("provider", "P2"), ("unit", "U2"), ("district", "south")} & north.keys()


def test_an_answer_has_a_weak_etag_and_is_304_while_nothing_differs(client: httpx.Client, database: Database) -> None:
    headers = town.person(database, "city_controller")
    for route in (STOCKHOLM, "/api/v1/quality/2026-10"):
        tag = client.get(route, headers=headers).headers["etag"]
        assert tag.startswith('W/"')
        assert client.get(route, headers=headers | {"If-None-Match": tag}).status_code == 304
    rows = client.get(STOCKHOLM, headers=headers | {"Accept": "text/csv"}).text.splitlines()
    assert rows[0].startswith("client_id,distinct_staff,visits,upc")
    assert rows[1] == "c1,1,2,1.0,1.0,1.0,1.0,1.0,1.0,0.0,"


def test_what_is_unknown_or_contradicts_itself_is_refused(client: httpx.Client, database: Database) -> None:
    headers = town.person(database, "city_controller")
    for route, status in (
        ("/api/v1/continuity/nope?month=2026-10", 404),
        ("/api/v1/continuity/stockholm_month", 422),
        ("/api/v1/continuity/stockholm_month?month=2026-13", 422),
        ("/api/v1/continuity/stockholm_month?month=9999-12", 422),
        ("/api/v1/continuity/kolada_14d?month=2026-10&from=2026-10-05", 422),
        ("/api/v1/continuity/kolada_14d?from=2026-10-05&variant=nope", 422),
        ("/api/v1/quality/2026-1", 422),
    ):
        answer = client.get(route, headers=headers)
        assert (route, answer.status_code) == (route, status)
        assert answer.headers["content-type"] == "application/problem+json"
    assert client.get(STOCKHOLM).status_code == 401
    assert client.get(STOCKHOLM, headers=town.person(database, "admin")).status_code == 403
