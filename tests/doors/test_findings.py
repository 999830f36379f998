"""GET /findings and what people do about them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime

import httpx
import pytest

from app.api.findings import FindingBody
from app.core.clock import utc_now
from app.db.engine import Database
from tests.doors.serving import served
from tests.doors.town import a_morning, at, items, machine, person, tap, tapped


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


LATER = date(2026, 10, 12)
"""A day on which nothing else happens."""


@pytest.mark.parametrize(
    ("code", "taps", "before", "after"),
    [
        ("acts_reversed", "GICK 8:00, KOM 8:30", [0, 0], [30]),
        ("too_short", "AUTO 8:00, AUTO 8:03, AUTO 8:40", [0, 3], [40]),
        ("kom_without_gick", "KOM 8:00", [0], [45]),
        ("kom_without_gick", "manual 8:00", [0], [45]),
    ],
)
def test_every_kind_of_proposal_is_accepted_and_told(
    database: Database, door: httpx.Client, *, code: str, taps: str, before: list[int], after: list[int]
) -> None:
    """DOMAIN.md 2.1 rows 2, 9, 10: acts reversed; a reader tried again; the planned end, of a visit by hand too."""
    scheduler = person(database, "scheduler", provider="P1")
    _plan_until_a_quarter_to_nine(door, scheduler)
    for number, (act, clock) in enumerate(one.split(" ") for one in taps.split(", ")):
        if act == "manual":
            said = {"client_id": "c1", "staff_id": "bo", "reason": "forgot_gick", "start_at": _later(clock).isoformat()}
            assert door.post("/api/v1/manual-visits", json=said, headers=scheduler).status_code == 201
        else:
            tapped(database, tap(100 + number, act, "bo", "c1", _later(clock), device="d9"))
    assert _minutes(door, scheduler) == before
    (found,) = items(door.get(f"/api/v1/findings?code={code}&staff=bo", headers=scheduler))
    answer = door.post(
        f"/api/v1/findings/{found['finding_id']}/accept", json={"reason": "wrong_time"}, headers=scheduler
    )
    assert answer.status_code == 200, answer.text
    assert _minutes(door, scheduler) == after
    assert items(door.get("/api/v1/findings?staff=bo&state=open", headers=scheduler)) == []
    said_ids = answer.json()["correction_ids"]
    visits = items(door.get("/api/v1/visits?staff=bo&from=2026-10-12&to=2026-10-13", headers=scheduler))
    told = [door.get(f"/api/v1/visits/{one['visit_id']}", headers=scheduler).json()["history"] for one in visits]
    assert [one["id"] for history in told for one in history if one["kind"] != "manual_visit"] == said_ids
    assert len(said_ids) == (1 if code == "kom_without_gick" else 2)


def test_a_proposal_accepted_after_the_close_settles_as_an_adjustment(database: Database, door: httpx.Client) -> None:
    manager, city = person(database, "manager", provider="P1"), person(database, "city_controller")
    found = _forgotten(door, manager)
    closed = door.post("/api/v1/months/2026-10/close", json={"on": "2026-11-06"}, headers=city)
    assert closed.status_code == 200, closed.text
    before = door.get("/api/v1/billing/2026-10/lines", headers=city).text
    path = f"/api/v1/findings/{found['finding_id']}/accept"
    assert door.post(path, json={"reason": "forgot_gick"}, headers=manager).status_code == 200
    assert door.get("/api/v1/billing/2026-10/lines", headers=city).text == before
    (account,) = items(door.get("/api/v1/months/2026-11/accounts?client=c2", headers=city))
    assert (account["adjustment_minutes"], account["settled_minutes"]) == (60, 60)
    assert door.post(path, json={"reason": "forgot_gick"}, headers=manager).status_code == 404
    (account,) = items(door.get("/api/v1/months/2026-11/accounts?client=c2", headers=city))
    assert account["adjustment_minutes"] == 60


def _later(clock: str) -> datetime:
    return at(clock, LATER)


def _plan_until_a_quarter_to_nine(door: httpx.Client, who: dict[str, str]) -> None:
    plan = {
        "planned_id": "v1", "client_id": "c1", "staff_id": "bo", "start_at": _later("8:00").isoformat(),
        "end_at": _later("8:45").isoformat(),
    }  # fmt: skip
    assert door.post("/api/v1/planned-visits", json={"items": [plan]}, headers=who).status_code == 200


def _minutes(door: httpx.Client, who: dict[str, str]) -> list[int]:
    """The minutes of the day's visits that are not cancelled, fewest first."""
    found = items(door.get("/api/v1/visits?staff=bo&from=2026-10-12&to=2026-10-13", headers=who))
    return sorted(int(str(one["minutes"])) for one in found if one["status"] != "cancelled")


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
