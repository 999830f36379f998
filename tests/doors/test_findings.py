"""GET /findings and what people do about them."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from app.api.findings import FindingBody
from app.core.clock import utc_now
from app.db.engine import Database
from tests.doors.serving import served
from tests.doors.town import a_morning, items, machine, person, tap, tapped


@pytest.fixture
def door(database: Database) -> Iterator[httpx.Client]:
    a_morning(database)
    with served(database) as client:
        yield client


def _forgotten(door: httpx.Client, who: dict[str, str]) -> dict[str, object]:
    return items(door.get("/api/v1/findings?code=kom_without_gick", headers=who))[0]


def test_a_forgotten_gick_is_a_finding_with_a_proposal(database: Database, door: httpx.Client) -> None:
    manager = person(database, "manager", provider="P1")
    found = _forgotten(door, manager)
    FindingBody.model_validate(found)
    assert (found["client_id"], found["state"], found["holds"]) == ("c2", "open", False)
    assert str(found["text"]).startswith("KOM 2026-10-05 09:00 utan GICK.")
    english = items(door.get("/api/v1/findings?lang=en&code=kom_without_gick", headers=manager))[0]
    assert "without GICK" in str(english["text"])
    assert items(door.get("/api/v1/findings", headers=person(database, "manager", provider="P2"))) == []


def test_the_proposal_is_accepted_in_one_call(database: Database, door: httpx.Client) -> None:
    manager = person(database, "manager", provider="P1")
    found = _forgotten(door, manager)
    answer = door.post(
        f"/api/v1/findings/{found['finding_id']}/accept", json={"reason": "forgot_gick"}, headers=manager
    )
    assert answer.status_code == 200, answer.text
    visit = items(door.get("/api/v1/visits?client=c2", headers=manager))[0]
    assert (visit["status"], visit["minutes"], visit["source"]) == ("complete", 60, "corrected")
    detail = door.get(f"/api/v1/visits/{visit['visit_id']}", headers=manager).json()
    assert [(one["kind"], one["reason"], one["note"]) for one in detail["history"]] == [
        ("set_times", "wrong_time", "forgot_gick")
    ]
    again = door.post(f"/api/v1/findings/{found['finding_id']}/accept", json={"reason": "wrong_time"}, headers=manager)
    assert again.status_code == 404


def test_accepting_needs_a_listed_reason_and_a_fresh_second_factor(database: Database, door: httpx.Client) -> None:
    manager = person(database, "manager", provider="P1")
    path = f"/api/v1/findings/{_forgotten(door, manager)['finding_id']}/accept"
    assert door.post(path, json={"reason": "because"}, headers=manager).json()["code"] == "invalid"
    assert door.post(path, json={"reason": "other"}, headers=manager).status_code == 422
    stale = person(database, "manager", provider="P1", stale=True)
    assert door.post(path, json={"reason": "wrong_time"}, headers=stale).json()["code"] == "step_up"
    foreign = person(database, "manager", provider="P2")
    assert door.post(path, json={"reason": "wrong_time"}, headers=foreign).status_code == 404


def test_a_carer_accepts_for_the_own_visit_only(database: Database, door: httpx.Client) -> None:
    manager = person(database, "manager", provider="P1")
    path = f"/api/v1/findings/{_forgotten(door, manager)['finding_id']}/accept"
    bo, anna = (person(database, "carer", provider="P1", staff=staff) for staff in ("bo", "anna"))
    assert door.post(path, json={"reason": "wrong_time"}, headers=bo).status_code == 404
    assert door.post(path, json={"reason": "wrong_time"}, headers=anna).status_code == 200


def test_a_resolved_finding_stays_and_says_so(database: Database, door: httpx.Client) -> None:
    scheduler = person(database, "scheduler", provider="P1")
    found = _forgotten(door, scheduler)
    path = f"/api/v1/findings/{found['finding_id']}/resolve"
    done = door.post(path, json={"reason": "talked to Anna"}, headers=scheduler)
    assert done.status_code == 200, done.text
    assert _forgotten(door, scheduler)["state"] == "resolved"
    assert items(door.get("/api/v1/findings?state=open&client=c2", headers=scheduler)) == []
    city = machine(database, "scheduling")
    assert door.post(path, json={"reason": "x"}, headers=city).status_code == 403


def test_a_finding_about_an_open_visit_is_hidden(database: Database, door: httpx.Client) -> None:
    tapped(database, tap(30, "KOM", "bo", "c2", utc_now()))
    found = items(door.get("/api/v1/findings?staff=bo", headers=person(database, "manager", provider="P1")))
    assert "kom_without_gick" not in [one["code"] for one in found]
