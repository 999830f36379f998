"""The plan goes in, planned against executed comes out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from app.core.clock import utc_now
from app.core.localtime import local_date
from app.db.engine import Database
from tests.doors.serving import served
from tests.doors.town import a_morning, at, items, machine, person


@pytest.fixture
def door(database: Database) -> Iterator[httpx.Client]:
    a_morning(database)
    with served(database) as client:
        yield client


def _plan(planned_id: str, client: str, start: str, end: str, **more: object) -> dict[str, object]:
    times = {"start_at": at(start).isoformat(), "end_at": at(end).isoformat()}
    return {"planned_id": planned_id, "client_id": client, "staff_id": "anna", **times, **more}


def test_the_plan_is_stated_once_however_often_it_is_sent(database: Database, door: httpx.Client) -> None:
    planner = machine(database, "scheduling", provider="P1")
    body = {"items": [_plan("v1", "c1", "8:05", "8:35"), _plan("v2", "c2", "13:00", "13:30")]}
    first = door.post("/api/v1/planned-visits", json=body, headers=planner)
    assert first.json() == {"added": 2, "changed": 0, "unchanged": 0}, first.text
    assert door.post("/api/v1/planned-visits", json=body, headers=planner).json()["unchanged"] == 2
    visit = items(door.get("/api/v1/visits?client=c1", headers=planner))[0]
    assert visit["planned_id"] == "v1"
    body["items"][0]["staff_id"] = "bo"
    assert door.post("/api/v1/planned-visits", json=body, headers=planner).json()["changed"] == 1
    assert items(door.get("/api/v1/planned-visits?client=c1", headers=planner))[0]["version"] == 2
    alone = door.post("/api/v1/planned-visits", json=body["items"], headers=planner)
    assert alone.json() == {"added": 0, "changed": 0, "unchanged": 2}


def test_a_malformed_request_is_told_where_it_is_wrong_and_never_what_stood_there(
    database: Database, door: httpx.Client
) -> None:
    planner = machine(database, "scheduling", provider="P1")
    wrong = [_plan("v1", "c1", "8:05", "8:35", staff_count="Sven Secret", **{"Sven Secret": 1})]
    answer = door.post("/api/v1/planned-visits", json={"items": wrong}, headers=planner).json()
    assert answer["detail"].startswith("body.items.0.staff_count: Input should be a valid integer")
    assert "body.items.0: Extra inputs are not permitted" in answer["detail"]
    assert "Secret" not in str(answer)
    asked = door.get("/api/v1/planned-visits?limit=201", headers=planner).json()
    assert asked["detail"] == "query.limit: Input should be less than or equal to 200"
    assert asked["title"] == answer["title"]


def test_planned_against_executed(database: Database, door: httpx.Client) -> None:
    planner = machine(database, "scheduling", provider="P1")
    plans = [
        _plan("v1", "c1", "8:05", "8:35"), _plan("v2", "c2", "13:00", "13:30"), _plan("v3", "c2", "15:00", "15:30"),
        _plan("v4", "c2", "18:00", "18:30"),
    ]  # fmt: skip
    door.post("/api/v1/planned-visits", json={"items": plans}, headers=planner)
    door.post("/api/v1/planned-visits/v3/withdraw", headers=planner)
    said = {
        "client_id": "c2", "planned_start_at": at("18:00").isoformat(), "planned_end_at": at("18:30").isoformat(),
        "notice": "in_advance", "noticed_at": at("12:00").isoformat(),
    }  # fmt: skip
    assert door.post("/api/v1/declines", json=said, headers=planner).status_code == 201
    rows = items(door.get("/api/v1/planned-visits/outcome?day=2026-10-05", headers=planner))
    assert [(row["client_id"], row["planned_id"], row["outcome"], row["minutes"]) for row in rows] == [
        ("c1", "v1", "matched", 30), ("c1", None, "unplanned", 20), ("c2", None, "unplanned", 0),
        ("c2", "v2", "missed", 0), ("c2", "v3", "withdrawn", 0), ("c2", "v4", "declined", 0),
    ]  # fmt: skip
    seen: list[dict[str, object]] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = door.get(f"/api/v1/planned-visits/outcome?day=2026-10-05&limit=1&cursor={cursor}", headers=planner)
        seen, cursor = seen + items(answer), answer.json()["next_cursor"]
    assert seen == rows
    missed = items(door.get("/api/v1/findings?code=visit_missed", headers=planner))
    assert [one["at"] for one in missed] == ["2026-10-05T11:00:00Z"]


def test_a_visit_is_not_missed_before_it_is_late(database: Database, door: httpx.Client) -> None:
    planner = machine(database, "scheduling", provider="P1")
    start = utc_now() - timedelta(minutes=10)
    plan = _plan("v9", "c1", "8:00", "9:00") | {
        "start_at": start.isoformat(), "end_at": (start + timedelta(minutes=30)).isoformat(),
    }  # fmt: skip
    door.post("/api/v1/planned-visits", json={"items": [plan]}, headers=planner)
    assert items(door.get("/api/v1/findings?code=visit_missed", headers=planner)) == []
    rows = items(door.get(f"/api/v1/planned-visits/outcome?day={local_date(start)}", headers=planner))
    assert [row["outcome"] for row in rows] == ["expected"]


def test_a_provider_plans_for_itself_and_its_own_clients(database: Database, door: httpx.Client) -> None:
    planner = machine(database, "scheduling", provider="P1")

    def code(plan: dict[str, object], who: dict[str, str] = planner) -> int:
        return door.post("/api/v1/planned-visits", json={"items": [plan]}, headers=who).status_code

    good = _plan("v1", "c1", "8:05", "8:35")
    assert code(good | {"provider_id": "P2"}) == 404
    assert code(good | {"client_id": "c3"}) == code(good | {"client_id": "nobody"}) == 404
    assert code(good | {"staff_id": "carl"}) == 404
    assert code(good | {"end_at": good["start_at"]}) == 422
    assert code(good | {"more": 1}) == 422
    assert code(good | {"client_id": "c1\x00"}) == 422
    assert code(good, person(database, "commissioner", district="north")) == 403
    assert code(good, machine(database, "scheduling")) == 422
    assert code(good | {"provider_id": "P1"}, machine(database, "scheduling")) == 200
    theirs = machine(database, "scheduling", provider="P2")
    assert door.post("/api/v1/planned-visits/v1/withdraw", headers=theirs).status_code == 404
