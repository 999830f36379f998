"""Manual visits, corrections, declines, disputes: stated through the doors, followed by what they lead to."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import func, insert, select

from app.access.tables import audit_event
from app.db.callers import Caller
from app.db.engine import Database
from app.evidence.tables import corrections
from app.registry.tables import devices
from tests.doors.serving import served
from tests.doors.town import a_morning, at, items, machine, person


@pytest.fixture
def door(database: Database) -> Iterator[httpx.Client]:
    a_morning(database)
    with served(database) as client:
        yield client


def _by_hand(**more: object) -> dict[str, object]:
    times = {"start_at": at("14:00").isoformat(), "end_at": at("14:45").isoformat()}
    return {"client_id": "c1", "staff_id": "bo", **times, "reason": "no_phone", **more}


def test_a_visit_by_hand_is_a_visit_and_a_second_person_confirms_it(database: Database, door: httpx.Client) -> None:
    bo, manager = person(database, "carer", provider="P1", staff="bo"), person(database, "manager", provider="P1")
    answer = door.post("/api/v1/manual-visits", json=_by_hand(), headers=bo)
    assert answer.status_code == 201, answer.text
    said = answer.json()
    visit = items(door.get("/api/v1/visits?staff=bo", headers=manager))[0]
    assert (visit["manual_id"], visit["minutes"], visit["source"]) == (said["manual_id"], 45, "manual")
    path = f"/api/v1/manual-visits/{said['manual_id']}/approve"
    assert door.post(path, headers=bo).json()["code"] == "same_person"
    assert door.post(path, headers=person(database, "manager", provider="P2")).status_code == 404
    confirmed = door.post(path, headers=manager)
    assert (confirmed.status_code, bool(confirmed.json()["approved_by"])) == (200, True)
    assert door.post(path, headers=person(database, "manager", provider="P1")).status_code == 409
    assert [one["version"] for one in items(door.get("/api/v1/manual-visits", headers=manager))] == [2]


@pytest.mark.parametrize(
    "wrong",
    [
        {"start_at": None, "end_at": None},
        {"end_at": at("14:00").isoformat()},
        {"reason": "other"},
        {"reason": "tired"},
        {"start_at": "2026-10-05T14:00:00"},
        {"start_at": 1791180000},
        {"end_at": "2026-11-05T14:00:00Z"},
        {"start_at": "1901-01-01T00:00:00Z", "end_at": None},
        {"start_at": "0001-01-01T00:00:00+14:00", "end_at": None},
        {"start_at": "9999-12-31T23:59:59-14:00", "end_at": None},
        {"note": "a\x00b"},
        {"note": "\ud800"},
        {"unknown": "member"},
    ],
)
def test_a_visit_by_hand_of_another_form_is_refused(
    database: Database, door: httpx.Client, wrong: dict[str, object]
) -> None:
    manager = person(database, "manager", provider="P1")
    content = json.dumps(_by_hand(**wrong))  # lone surrogates as escapes, as JSON may carry them
    headers = manager | {"Content-Type": "application/json"}
    answer = door.post("/api/v1/manual-visits", content=content, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), answer.text
    assert items(door.get("/api/v1/manual-visits", headers=manager)) == []


def test_the_same_key_states_a_visit_once(database: Database, door: httpx.Client) -> None:
    manager = person(database, "manager", provider="P1") | {"Idempotency-Key": "phone-17"}
    ids = [door.post("/api/v1/manual-visits", json=_by_hand(), headers=manager).json() for _ in range(2)]
    assert ids[0]["manual_id"] == ids[1]["manual_id"]
    assert ids[1]["version"] == 1


def test_times_are_corrected_and_the_visit_tells_its_history(database: Database, door: httpx.Client) -> None:
    manager = person(database, "manager", provider="P1")
    visit = items(door.get("/api/v1/visits?client=c1", headers=manager))[0]
    body = {
        "kind": "set_times", "visit_id": visit["visit_id"], "new_end_at": at("8:40").isoformat(),
        "reason": "wrong_time",
    }  # fmt: skip
    answer = door.post("/api/v1/corrections", json=body, headers=manager)
    assert answer.status_code == 201, answer.text
    said = answer.json()
    assert (said["kom_device_id"], said["kom_seq"], said["provider_id"]) == ("d1", 1, "P1")
    now = door.get(f"/api/v1/visits/{visit['visit_id']}", headers=manager).json()
    assert (now["minutes"], now["source"], [one["id"] for one in now["history"]]) == (
        40, "corrected", [said["correction_id"]],
    )  # fmt: skip
    path = f"/api/v1/corrections/{said['correction_id']}/approve"
    assert door.post(path, headers=manager).json()["code"] == "same_person"
    other = person(database, "scheduler", provider="P1")
    assert door.post(path, headers=other).status_code == 200
    assert items(door.get("/api/v1/corrections?unconfirmed=true", headers=manager)) == []
    city = person(database, "commissioner", district="north")
    assert len(items(door.get("/api/v1/corrections", headers=city))) == 1
    assert items(door.get("/api/v1/corrections", headers=person(database, "commissioner", district="south"))) == []


def test_nobody_corrects_anothers_visits(database: Database, door: httpx.Client) -> None:
    theirs = person(database, "manager", provider="P2")
    body = {"kind": "cancel_visit", "kom_device_id": "d1", "kom_seq": 1, "reason": "not_carried_out"}
    assert door.post("/api/v1/corrections", json=body, headers=theirs).status_code == 404
    carer = person(database, "carer", provider="P1", staff="bo")
    assert door.post("/api/v1/corrections", json=body, headers=carer).status_code == 404
    mine = person(database, "manager", provider="P1")
    moved = {"kind": "set_staff", "kom_device_id": "d1", "kom_seq": 1, "new_staff_id": "carl", "reason": "wrong_staff"}
    assert door.post("/api/v1/corrections", json=moved, headers=mine).status_code == 404
    with database.transaction(Caller.city()) as connection:
        assert connection.execute(select(func.count()).select_from(corrections)).scalar() == 0


def test_a_device_was_used_by_another_person(database: Database, door: httpx.Client) -> None:
    with database.transaction(Caller.batch()) as connection:
        connection.execute(insert(devices), {"device_id": "d1", "provider_id": "P1", "kind": "phone"})
    manager = person(database, "manager", provider="P1")
    body = {
        "kind": "set_staff_of_device", "device_id": "d1", "from_at": at("10:00").isoformat(),
        "to_at": at("10:20").isoformat(), "new_staff_id": "bo", "reason": "wrong_grant",
    }  # fmt: skip
    anna = person(database, "carer", provider="P1", staff="anna")
    assert door.post("/api/v1/corrections", json=body, headers=anna).status_code == 403
    theirs = person(database, "manager", provider="P2")
    assert door.post("/api/v1/corrections", json={**body, "new_staff_id": "carl"}, headers=theirs).status_code == 404
    assert door.post("/api/v1/corrections", json={**body, "new_staff_id": "carl"}, headers=manager).status_code == 404
    assert door.post("/api/v1/corrections", json={**body, "to_at": body["from_at"]}, headers=manager).status_code == 422

    # The period is half-open: the GICK at 10:20 stays anna's, and pairs with nothing.
    half = door.post("/api/v1/corrections", json=body, headers=manager)
    assert half.status_code == 201, half.text
    assert {(one["staff_id"], one["status"], one["minutes"]) for one in _of_c1(door, manager, "10:00")} == {
        ("bo", "incomplete", 0), ("anna", "incomplete", 0),
    }  # fmt: skip
    whole = door.post("/api/v1/corrections", json={**body, "to_at": at("10:21").isoformat()}, headers=manager)
    (visit,) = _of_c1(door, manager, "10:00")
    assert (visit["staff_id"], visit["status"], visit["minutes"]) == ("bo", "complete", 20)
    detail = door.get(f"/api/v1/visits/{visit['visit_id']}", headers=manager).json()
    assert [(one["kind"], one["id"], one["approved_by"]) for one in detail["history"]] == [
        ("set_staff_of_device", half.json()["correction_id"], None),
        ("set_staff_of_device", whole.json()["correction_id"], None),
    ]  # fmt: skip
    (early,) = [one for one in _of_c1(door, manager, "8:00") if one["minutes"] == 30]
    assert early["staff_id"] == "anna"
    assert door.get(f"/api/v1/visits/{early['visit_id']}", headers=manager).json()["history"] == []

    path = f"/api/v1/corrections/{whole.json()['correction_id']}/approve"
    assert door.post(path, headers=manager).json()["code"] == "same_person"
    assert door.post(path, headers=anna).status_code == 404
    assert door.post(path, headers=theirs).status_code == 404
    assert door.post(path, headers=person(database, "scheduler", provider="P1")).status_code == 200


def _of_c1(door: httpx.Client, who: dict[str, str], since: str) -> list[dict[str, object]]:
    """The client's visits from a time of the morning on."""
    return items(door.get("/api/v1/visits", params={"client": "c1", "from": at(since).isoformat()}, headers=who))


def test_a_correction_states_what_its_kind_states(database: Database, door: httpx.Client) -> None:
    manager = person(database, "manager", provider="P1")
    tap = {"kom_device_id": "d1", "kom_seq": 1, "reason": "wrong_time"}
    for wrong in (
        {"kind": "set_times", **tap},
        {"kind": "cancel_visit", **tap, "new_end_at": at("8:40").isoformat()},
        {"kind": "set_times", **tap, "manual_id": "m1", "new_end_at": at("8:40").isoformat()},
        {"kind": "set_staff_of_device", "device_id": "d1", "new_staff_id": "bo", "reason": "wrong_grant"},
    ):
        assert door.post("/api/v1/corrections", json=wrong, headers=manager).status_code == 422


def test_a_dispute_holds_the_day_until_the_city_decides(database: Database, door: httpx.Client) -> None:
    manager, city = person(database, "manager", provider="P1"), person(database, "commissioner", district="north")
    body = {"client_id": "c1", "on_date": "2026-10-05", "stated_by": "daughter", "text": "nobody came"}
    said = door.post("/api/v1/disputes", json=body, headers=city)
    assert said.status_code == 201, said.text
    held = items(door.get("/api/v1/visits?client=c1", headers=manager))
    assert [one["held"] for one in held] == [True, True]
    path = f"/api/v1/disputes/{said.json()['dispute_id']}/decision"
    assert door.post(path, json={"state": "rejected"}, headers=manager).status_code == 403
    assert door.post(path, json={"state": "rejected"}, headers=city).json()["state"] == "rejected"
    assert not any(one["held"] for one in items(door.get("/api/v1/visits?client=c1", headers=manager)))
    assert items(door.get("/api/v1/disputes", headers=person(database, "manager", provider="P2"))) == []


def test_every_statement_is_in_the_audit_log(database: Database, door: httpx.Client) -> None:
    manager = person(database, "manager", provider="P1")
    said = door.post("/api/v1/manual-visits", json=_by_hand(), headers=manager).json()
    with database.transaction(Caller.city()) as connection:
        row = connection.execute(select(audit_event).where(audit_event.c.action == "manual_visit.state")).one()
    assert (row.subject, row.provider_id, row.actor) == (said["manual_id"], "P1", said["made_by"])


def test_a_machine_of_the_city_states_no_visits(database: Database, door: httpx.Client) -> None:
    answer = door.post("/api/v1/manual-visits", json=_by_hand(), headers=machine(database, "scheduling"))
    assert answer.status_code == 403
