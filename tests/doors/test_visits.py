"""GET /visits: what schedulers pull, over a real socket and a real database with its walls."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import httpx
import pytest
from sqlalchemy import select

from app.access.tables import reading
from app.api.visits import VisitDetail
from app.core.clock import utc_now
from app.db.callers import Caller
from app.db.engine import Database
from app.facts import Correction
from app.pipeline_derive import catch_up, rebuild
from app.visits import queue
from tests.doors.serving import served
from tests.doors.town import a_morning, at, items, machine, person, tap, tapped
from tests.flows.stored_world import store_statement


@pytest.fixture
def door(database: Database) -> Iterator[httpx.Client]:
    a_morning(database)
    with served(database) as client:
        yield client


def test_a_scheduling_system_pulls_its_providers_visits_of_a_day(database: Database, door: httpx.Client) -> None:
    own = machine(database, "scheduling", provider="P1")
    got = items(door.get("/api/v1/visits?from=2026-10-05&to=2026-10-06", headers=own))
    assert [(one["client_id"], one["minutes"], one["status"]) for one in got] == [
        ("c1", 30, "complete"), ("c2", 0, "incomplete"), ("c1", 20, "complete"),
    ]  # fmt: skip
    assert got[0]["start_at"] == "2026-10-05T06:00:00Z"
    assert got[0]["kom"] == {"device_id": "d1", "seq": 1, "at": "2026-10-05T06:00:00Z"}
    assert items(door.get("/api/v1/visits?to=2026-10-05", headers=own)) == []
    from_eight = items(door.get("/api/v1/visits?from=2026-10-05T08:00:00%2B02:00", headers=own))
    assert from_eight == got
    assert items(door.get("/api/v1/visits?from=2026-10-05T08:00:00+02:00", headers=own)) == from_eight
    assert items(door.get("/api/v1/visits?from=2026-10-05T08:00:01+02:00", headers=own)) == got[1:]
    assert len(items(door.get("/api/v1/visits", headers=machine(database, "scheduling")))) == 4


def test_foreign_and_unknown_visits_are_the_same_answer(database: Database, door: httpx.Client) -> None:
    mine, theirs = machine(database, "scheduling", provider="P1"), machine(database, "scheduling", provider="P2")
    theirs_id = items(door.get("/api/v1/visits", headers=theirs))[0]["visit_id"]
    foreign = door.get(f"/api/v1/visits/{theirs_id}", headers={**mine, "X-Request-ID": "same"})
    unknown = door.get("/api/v1/visits/0000", headers={**mine, "X-Request-ID": "same"})
    assert foreign.status_code == unknown.status_code == 404
    assert foreign.content == unknown.content
    assert items(door.get("/api/v1/visits?provider=P2", headers=mine)) == []


def test_a_commissioner_sees_the_own_district(database: Database, door: httpx.Client) -> None:
    north = person(database, "commissioner", district="north")
    assert {one["client_id"] for one in items(door.get("/api/v1/visits", headers=north))} == {"c1", "c2"}


def test_the_citys_people_see_a_staff_name_on_a_questioned_visit_only(database: Database, door: httpx.Client) -> None:
    north = person(database, "commissioner", district="north")
    first, second = [one["visit_id"] for one in items(door.get("/api/v1/visits?client=c1", headers=north))]
    own = door.get(f"/api/v1/visits/{first}", headers=person(database, "manager", provider="P1")).json()
    assert own["staff_name"] == "Anna A"
    assert door.get(f"/api/v1/visits/{first}", headers=north).json()["staff_name"] is None
    asked = {"visit_id": first, "text": "Var hon där?"}
    assert door.post("/api/v1/questions", headers=north, json=asked).status_code == 201
    assert door.get(f"/api/v1/visits/{first}", headers=north).json()["staff_name"] == "Anna A"
    assert door.get(f"/api/v1/visits/{second}", headers=north).json()["staff_name"] is None
    dispute = {"client_id": "c1", "on_date": "2026-10-05", "stated_by": "dottern", "text": "Ingen kom."}
    assert door.post("/api/v1/disputes", headers=north, json=dispute).status_code == 201
    assert door.get(f"/api/v1/visits/{second}", headers=north).json()["staff_name"] == "Anna A"
    controller = person(database, "city_controller")
    assert {one["name"] for one in items(door.get("/api/v1/staff", headers=controller))} == {""}
    names = {one["name"] for one in items(door.get("/api/v1/staff", headers=machine(database, "registry")))}
    assert names == {"Anna A", "Bo B", "Carl C"}, "a registry system keeps the register"
    assert door.get("/api/v1/tags", headers=north).status_code == 403
    assert door.get("/api/v1/staff", headers=north).status_code == 403


def test_pages_go_on_where_the_last_ended(database: Database, door: httpx.Client) -> None:
    city = machine(database, "scheduling")
    whole = [one["visit_id"] for one in items(door.get("/api/v1/visits", headers=city))]
    seen, cursor = [], ""
    for _ in range(10):
        page = door.get(f"/api/v1/visits?limit=1&cursor={cursor}", headers=city).json()
        seen += [one["visit_id"] for one in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == whole
    assert door.get("/api/v1/visits?cursor=nonsense", headers=city).json()["code"] == "invalid"
    assert door.get("/api/v1/visits?limit=201", headers=city).status_code == 422


def test_a_visit_that_ceased_is_told_to_pollers_only(database: Database, door: httpx.Client) -> None:
    own = machine(database, "scheduling", provider="P1")
    before = items(door.get("/api/v1/visits", headers=own))
    since = utc_now().isoformat().replace("+00:00", "Z")
    tapped(database, tap(6, "GICK", "anna", "c1", at("10:40")), tap(9, "KOM", "anna", "c2", at("8:50")))
    tapped(database, tap(8, "KOM", "anna", "c2", at("8:59")))
    changed = items(door.get(f"/api/v1/visits?changed_since={since}", headers=own))
    assert changed
    assert all(str(one["changed_at"]) >= since for one in changed)
    gone = [one for one in changed if one["status"] == "cancelled"]
    living = {one["visit_id"] for one in items(door.get("/api/v1/visits", headers=own))}
    assert not {one["visit_id"] for one in gone} & living
    assert {one["visit_id"] for one in before} - living == {one["visit_id"] for one in gone}


def _told(door: httpx.Client, who: dict[str, str], since: str, of: str = "") -> list[tuple[object, object]]:
    """(staff_id, status) of what changed since, for a poller."""
    path = f"/api/v1/visits?changed_since={since}&client=c1{of}"
    return [(one["staff_id"], one["status"]) for one in items(door.get(path, headers=who))]


@pytest.mark.parametrize("by", ["correction", "rebuild"])
def test_a_visit_that_moves_away_is_told_to_whom_it_was_with(database: Database, door: httpx.Client, by: str) -> None:
    first, second = (machine(database, "scheduling", provider=one) for one in ("P1", "P2"))
    city, since = machine(database, "scheduling"), utc_now().isoformat().replace("+00:00", "Z")
    moved = items(door.get("/api/v1/visits?client=c1", headers=first))[0]
    with database.transaction(Caller.batch()) as connection:
        changes = store_statement(connection, _set_staff("k1", "carl", at("12:00")))
        queue.enqueue(connection, changes if by == "correction" else [])
    if by == "correction":
        catch_up(database, utc_now())
    else:
        rebuild(database, utc_now())
    gone = items(door.get(f"/api/v1/visits?changed_since={since}", headers=first))
    assert [(one["visit_id"], one["status"], one["minutes"]) for one in gone] == [(moved["visit_id"], "cancelled", 0)]
    assert (gone[0]["provider_id"], gone[0]["replaced_by"]) == ("P1", None)
    assert _told(door, second, since) == _told(door, city, since) == [("carl", "complete")]
    assert _told(door, city, since, "&provider=P1") == _told(door, city, since, "&staff=anna") == [
        ("anna", "cancelled")
    ]  # fmt: skip
    assert _told(door, first, since, "&status=complete") == []
    assert moved["visit_id"] not in [one["visit_id"] for one in items(door.get("/api/v1/visits", headers=first))]


def test_a_visit_that_comes_back_is_told_as_it_is(database: Database, door: httpx.Client) -> None:
    first, second = (machine(database, "scheduling", provider=one) for one in ("P1", "P2"))
    since = utc_now().isoformat().replace("+00:00", "Z")
    for number, staff in enumerate(("carl", "bo")):
        with database.transaction(Caller.batch()) as connection:
            said = _set_staff(f"k{number}", staff, at(f"{12 + number}:00"))
            queue.enqueue(connection, store_statement(connection, said))
        catch_up(database, utc_now())
    assert _told(door, first, since) == [("bo", "complete")]
    assert _told(door, first, since, "&staff=anna") == [("anna", "cancelled")]
    assert _told(door, second, since) == [("carl", "cancelled")]


def _set_staff(correction_id: str, staff: str, made_at: datetime) -> Correction:
    return Correction(
        correction_id, made_at, "set_staff", "d1", 1, "", "", None, None, None, None, staff, "", "wrong_staff", "",
        "office", "chef",
    )  # fmt: skip


def test_polling_again_costs_nothing_when_nothing_differs(database: Database, door: httpx.Client) -> None:
    own = machine(database, "scheduling", provider="P1")
    first = door.get("/api/v1/visits", headers=own)
    assert first.headers["etag"].startswith('W/"')
    again = door.get("/api/v1/visits", headers={**own, "If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    tapped(database, tap(6, "KOM", "anna", "c2", at("12:00")))
    assert door.get("/api/v1/visits", headers={**own, "If-None-Match": first.headers["etag"]}).status_code == 200


def test_the_same_rows_as_csv(database: Database, door: httpx.Client) -> None:
    own = machine(database, "scheduling", provider="P1")
    answer = door.get("/api/v1/visits?limit=2", headers={**own, "Accept": "text/csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    lines = answer.text.splitlines()
    assert lines[0].startswith("visit_id,manual_id,client_id")
    assert len(lines) == 3
    assert answer.headers["x-next-cursor"]


def test_one_visit_with_taps_findings_and_history(database: Database, door: httpx.Client) -> None:
    own = machine(database, "scheduling", provider="P1")
    c2 = items(door.get("/api/v1/visits?client=c2", headers=own))[0]
    detail = door.get(f"/api/v1/visits/{c2['visit_id']}", headers=own).json()
    VisitDetail.model_validate(detail)
    assert [one["act"] for one in detail["taps"]] in ([], ["KOM"])
    assert [one["code"] for one in detail["finding_details"]] == ["kom_without_gick"]
    assert detail["history"] == []


def test_open_visits_by_client_name_only_the_own_staff(database: Database, door: httpx.Client) -> None:
    now = utc_now() - timedelta(minutes=5)
    tapped(database, tap(20, "KOM", "anna", "c1", now), tap(20, "KOM", "carl", "c3", now, device="d2"))
    own = items(door.get("/api/v1/visits/open", headers=machine(database, "scheduling", provider="P1")))
    assert [(one["client_id"], one["visits"][0]["staff_name"]) for one in own] == [("c1", "Anna A")]  # type: ignore[index]
    city = items(door.get("/api/v1/visits/open", headers=machine(database, "scheduling")))
    assert [(one["client_id"], one["visits"][0]["staff_name"]) for one in city] == [("c1", None), ("c3", None)]  # type: ignore[index]
    listed = items(door.get("/api/v1/visits?status=open", headers=machine(database, "scheduling", provider="P1")))
    assert [(one["status"], one["findings"]) for one in listed] == [("open", [])]


def test_whoever_reads_is_logged(database: Database, door: httpx.Client) -> None:
    door.get("/api/v1/visits", headers=machine(database, "scheduling", provider="P1"))
    with database.transaction(Caller.city()) as connection:
        row = connection.execute(select(reading)).one()
    assert (row.what, row.provider_id, row.subjects) == ("visits", "P1", ["anna", "c1", "c2"])


@pytest.mark.parametrize("role", ["carer", "provider_finance"])
def test_other_roles_are_refused(database: Database, door: httpx.Client, role: str) -> None:
    answer = door.get("/api/v1/visits", headers=person(database, role, provider="P1"))
    assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")
    assert door.get("/api/v1/visits").status_code == 401
