"""GET and POST /months, /reasons, /billing, /fees over a real socket: who sees what, and what becomes of a month."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import insert

from app.core.clock import utc_now
from app.core.localtime import local_month
from app.core.month import Month
from app.db.callers import Caller
from app.db.engine import Database
from app.months.reading import explanation
from app.registry.tables import prices
from tests.doors.serving import served
from tests.doors.town import a_morning, at, items, machine, person, tap, tapped

OCTOBER = Month(2026, 10)
NEXT = "2026-11"


@pytest.fixture
def door(database: Database) -> Iterator[httpx.Client]:
    with database.transaction(Caller.batch()) as connection:
        for operation in ("private", "municipal"):
            row = {"operation": operation, "band": "day", "service": "care", "unit": "hour"}
            connection.execute(insert(prices), {**row, "valid_from": date(2020, 1, 1), "amount_ore": 51600})
    a_morning(database)
    with served(database) as client:
        yield client


def test_accounts_of_a_month_by_page_csv_and_etag(database: Database, door: httpx.Client) -> None:
    city = machine(database, "billing")
    whole = items(door.get("/api/v1/months/2026-10/accounts", headers=city))
    assert [(one["client_id"], one["executed_minutes"], one["ordered_minutes"]) for one in whole] == [
        ("c1", 50, 1200), ("c2", 0, 1200), ("c3", 60, 1200),
    ]  # fmt: skip
    assert whole[0]["time_left_minutes"] == 1150
    page = door.get("/api/v1/months/2026-10/accounts?limit=2", headers=city)
    rest = door.get(f"/api/v1/months/2026-10/accounts?limit=2&cursor={page.json()['next_cursor']}", headers=city)
    assert [*items(page), *items(rest)] == whole
    assert rest.json()["next_cursor"] is None
    again = door.get("/api/v1/months/2026-10/accounts?limit=2", headers={**city, "If-None-Match": page.headers["etag"]})
    assert again.status_code == 304
    text = door.get("/api/v1/months/2026-10/accounts", headers={**city, "Accept": "text/csv"}).text
    assert text.startswith("month,client_id,provider_id,unit_id,district,ordered_minutes")
    assert items(door.get("/api/v1/months/2026-10/accounts?client=c2", headers=city)) == [whole[1]]
    assert door.get("/api/v1/months/2026-13/accounts", headers=city).status_code == 422


def test_what_is_planned_and_carried_out_early_is_not_expected_again(
    database: Database, door: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DOMAIN.md 3: remaining plan. 50 done on the 5th; on the 20th a visit at 11:30 whose plan says 13:00."""
    day, last, planner = date(2026, 10, 20), date(2026, 10, 30), machine(database, "scheduling", provider="P1")

    def plan(name: str, start: datetime, end: datetime) -> None:
        times = {"start_at": start.isoformat(), "end_at": end.isoformat()}
        said = {"items": [{"planned_id": name, "client_id": "c1", **times}]}
        assert door.post("/api/v1/planned-visits", json=said, headers=planner).status_code == 200

    plan("early", at("13:00", day), at("13:30", day))
    plan("ahead", at("8:00", last), at("9:00", last))

    def seen(clock: str) -> tuple[object, ...]:
        monkeypatch.setattr("app.api.months.utc_now", lambda: at(clock, day))
        (one,) = items(door.get("/api/v1/months/2026-10/accounts?client=c1", headers=machine(database, "billing")))
        return one["forecast_minutes"], one["forecast_percent"], one["crosses_ceiling_on"], one["time_left_minutes"]

    assert seen("11:00") == (50 + 30 + 60, 11, None, 1150)
    tapped(database, tap(60, "KOM", "anna", "c1", at("11:30", day)), tap(61, "GICK", "anna", "c1", at("12:00", day)))
    assert seen("12:05") == (80 + 60, 11, None, 1120)
    plan("long", at("0:00", last), at("20:00", last))
    assert seen("12:05") == (140 + 1200, 111, "2026-10-30", 1120)
    closed = door.post("/api/v1/months/2026-10/close", json={"on": "2026-11-06"},
                       headers=person(database, "city_controller"))  # fmt: skip
    assert closed.status_code == 200, closed.text
    assert seen("12:05") == (None, None, None, None)


@pytest.mark.parametrize(
    ("month", "run_at"),
    [
        ("2026-10", "2026-11-06T17:00:00Z"),
        ("2026-11", "2026-12-06T17:00:00Z"),  # a Sunday is no public holiday by this policy
        ("2026-12", "2027-01-06T09:00:00Z"),  # Epiphany
        ("2027-01", "2027-02-06T17:00:00Z"),  # a Saturday
        ("2027-05", "2027-06-06T08:00:00Z"),  # the national day, a Sunday
    ],
)
def test_a_month_says_when_its_run_is(database: Database, door: httpx.Client, month: str, run_at: str) -> None:
    assert door.get(f"/api/v1/months/{month}", headers=machine(database, "billing")).json()["run_at"] == run_at


def test_pollers_see_what_changed_since(database: Database, door: httpx.Client) -> None:
    city = machine(database, "billing")
    door.get("/api/v1/months/2026-10/accounts", headers=city)
    lines = items(door.get("/api/v1/billing/2026-10/lines", headers=city))
    assert [(one["client_id"], one["amount_ore"], one["state"]) for one in lines] == [
        ("c1", 43000, "provisional"), ("c3", 51600, "provisional"),
    ]  # fmt: skip
    since = utc_now().isoformat().replace("+00:00", "Z")
    tapped(database, tap(3, "KOM", "carl", "c3", at("8:10"), device="d2"))
    changed = items(door.get(f"/api/v1/months/2026-10/accounts?changed_since={since}", headers=city))
    assert [(one["client_id"], one["executed_minutes"]) for one in changed] == [("c3", 50)]
    moved = items(door.get(f"/api/v1/billing/2026-10/lines?changed_since={since}&limit=1", headers=city))
    assert [(one["client_id"], one["minutes"]) for one in moved] == [("c3", 50)]
    tapped(database, tap(1, "KOM", "carl", "c3", at("9:00"), device="d0"))  # before the GICK of that minute
    gone = items(door.get(f"/api/v1/billing/2026-10/lines?changed_since={since}", headers=city))
    assert [(one["minutes"], one["amount_ore"]) for one in gone] == [(0, 0)]
    assert len(items(door.get("/api/v1/billing/2026-10/lines", headers=city))) == 1


def test_a_provider_sees_its_own_only_and_a_district_its_clients(database: Database, door: httpx.Client) -> None:
    finance = person(database, "provider_finance", provider="P2")
    assert [one["client_id"] for one in items(door.get("/api/v1/months/2026-10/accounts", headers=finance))] == ["c3"]
    assert [one["client_id"] for one in items(door.get("/api/v1/billing/2026-10/lines", headers=finance))] == ["c3"]
    month = door.get("/api/v1/months/2026-10", headers=finance).json()
    assert (month["state"], month["accounts"], month["totals"]["minutes"]) == ("open", 1, 60)
    assert door.get("/api/v1/months/2026-10/accounts/c1/P1/explain", headers=finance).status_code == 404
    assert door.get("/api/v1/fees/2026-10/lines", headers=finance).status_code == 403
    north = person(database, "commissioner", district="north")
    seen = items(door.get("/api/v1/months/2026-10/accounts", headers=north))
    assert [one["client_id"] for one in seen] == ["c1", "c2"]
    assert door.get("/api/v1/months/2026-10", headers=north).json()["totals"]["minutes"] == 50
    assert (
        door.get("/api/v1/months/2026-10/accounts", headers=person(database, "carer", provider="P1")).status_code == 403
    )


def test_the_explanation_is_the_same_for_provider_city_and_command(database: Database, door: httpx.Client) -> None:
    path = "/api/v1/months/2026-10/accounts/c1/P1/explain"
    own = door.get(path, headers=person(database, "manager", provider="P1"))
    assert own.status_code == 200, own.text
    city = door.get(path, headers=person(database, "city_controller"))
    with database.transaction(Caller.batch(), read_only=True) as connection:
        told = explanation(connection, OCTOBER, "c1", "P1")
    assert own.json()["sentences"] == city.json()["sentences"] == told["sentences"]
    assert sum(row["minutes"] for row in own.json()["rows"]) == 50


def test_the_explanation_has_the_grade_of_each_tap(database: Database, door: httpx.Client) -> None:
    late = date(2026, 10, 20)
    kom, gick = tap(900, "KOM", "anna", "c1", at("8:00", late)), tap(901, "GICK", "anna", "c1", at("8:30", late))
    tapped(database, replace(kom, grade="A"), replace(gick, grade="B"))
    told = door.get("/api/v1/months/2026-10/accounts/c1/P1/explain", headers=person(database, "city_controller")).json()
    (row,) = [one for one in told["rows"] if one["on"] == "2026-10-20"]
    assert [(one["seq"], one["grade"]) for one in row["taps"]] == [(900, "A"), (901, "B")]


def test_fee_lines_come_page_by_page(database: Database, door: httpx.Client) -> None:
    city = machine(database, "billing")
    whole = items(door.get("/api/v1/fees/2026-10/lines", headers=city))
    assert [(one["client_id"], one["client_minutes"]) for one in whole if one["client_minutes"]] == [
        ("c1", 50),
        ("c3", 60),
    ]
    seen: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        page = door.get(f"/api/v1/fees/2026-10/lines?limit=1&cursor={cursor}", headers=city).json()
        seen += page["items"]
        cursor = page["next_cursor"]
    assert seen == whole


def today(monkeypatch: pytest.MonkeyPatch, on: date) -> None:
    """Reasons are given on that day."""
    monkeypatch.setattr("app.api.reasons.utc_now", lambda: at("12:00", on))


def test_a_reason_put_in_other_words_keeps_its_day_unless_it_asks_for_more(
    database: Database, door: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager, route = person(database, "manager", provider="P1"), "/api/v1/months/2026-10/reasons"
    said: dict[str, Any] = {"reason_id": "x1", "client_id": "c1", "minutes": 30, "reason": "illness"}
    days = []
    for on, change in (
        (date(2026, 11, 20), {}),
        (date(2026, 12, 5), {"note": "Lunginflammation"}),
        (date(2026, 12, 6), {"minutes": 25}),
        (date(2026, 12, 7), {"minutes": 26}),
    ):
        today(monkeypatch, on)
        said |= change
        given = door.post(route, json=said, headers=manager)
        assert given.status_code == 201, given.text
        days.append((given.json()["submitted_on"], given.json()["in_time"], given.json()["version"]))
    assert days == [
        ("2026-11-20", True, 1), ("2026-11-20", True, 2), ("2026-11-20", True, 3), ("2026-12-07", False, 4),
    ]  # fmt: skip


def test_a_reason_is_given_decided_in_part_and_carried(
    database: Database, door: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    today(monkeypatch, date(2026, 11, 20))
    for day in range(6, 10):
        start = at("8:00", date(2026, 10, day))
        tapped(database, tap(100 + day * 2, "KOM", "anna", "c1", start),
               tap(101 + day * 2, "GICK", "anna", "c1", at("14:00", date(2026, 10, day))))  # fmt: skip
    manager = person(database, "manager", provider="P1")
    # 50 + 4 x 360 = 1490 executed; 1200 ordered, ceiling 1320: 170 over.
    given = door.post(
        "/api/v1/months/2026-10/reasons",
        json={"reason_id": "x1", "client_id": "c1", "minutes": 170, "reason": "illness"},
        headers=manager,
    )
    assert given.status_code == 201, given.text
    assert (given.json()["decision"], given.json()["deadline"]) == ("pending", "2026-11-30")
    account = items(door.get("/api/v1/months/2026-10/accounts?client=c1", headers=manager))[0]
    assert (account["excess_minutes"], account["excess_pending_minutes"], account["unpaid_minutes"]) == (170, 170, 0)
    assert [one["reason_id"] for one in items(door.get("/api/v1/reasons?state=pending", headers=manager))] == ["x1"]
    assert items(door.get("/api/v1/reasons", headers=person(database, "manager", provider="P2"))) == []

    decide = "/api/v1/reasons/x1/decision"
    north = person(database, "commissioner", district="north")
    assert door.post(decide, json={"decision": "rejected"}, headers=north).status_code == 422
    assert door.post(decide, json={"decision": "approved", "approved_minutes": 171}, headers=north).status_code == 422
    south = person(database, "commissioner", district="south")
    assert door.post(decide, json={"decision": "approved"}, headers=south).status_code == 404
    assert door.post(decide, json={"decision": "approved"}, headers=manager).status_code == 403
    stale = person(database, "commissioner", district="north", stale=True)
    assert door.post(decide, json={"decision": "approved"}, headers=stale).json()["code"] == "step_up"
    decided = door.post(decide, json={"decision": "approved", "approved_minutes": 100}, headers=north)
    assert (decided.status_code, decided.json()["approved_minutes"], decided.json()["version"]) == (200, 100, 2)
    account = items(door.get("/api/v1/months/2026-10/accounts?client=c1", headers=manager))[0]
    assert (account["excess_approved_minutes"], account["unpaid_minutes"]) == (100, 70)
    carried = items(door.get(f"/api/v1/months/{NEXT}/accounts?client=c1", headers=manager))[0]
    assert (carried["carried_in_minutes"], carried["settled_minutes"]) == (100, 100)

    again = door.post(
        "/api/v1/months/2026-10/reasons",
        json={"reason_id": "x1", "client_id": "c1", "minutes": 160, "reason": "illness"},
        headers=manager,
    )
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    foreign = {"client_id": "c3", "minutes": 10, "reason": "illness"}
    assert door.post("/api/v1/months/2026-10/reasons", json=foreign, headers=manager).status_code == 404
    made_up = {"client_id": "c1", "minutes": 10, "reason": "because"}
    assert door.post("/api/v1/months/2026-10/reasons", json=made_up, headers=manager).status_code == 422


def test_a_month_is_attested_closed_and_adjusted(database: Database, door: httpx.Client) -> None:
    if local_month(utc_now()) <= OCTOBER:
        pytest.fail("the clock of this machine is before the month that this test closes")
    manager, controller = person(database, "manager", provider="P1"), person(database, "city_controller")
    attested = door.post("/api/v1/months/2026-10/attest", json={}, headers=manager)
    assert attested.status_code == 200, attested.text
    assert attested.json()["left_open"]["not_attested"] == 0
    states = {
        one["client_id"]: one["state"] for one in items(door.get("/api/v1/months/2026-10/accounts", headers=controller))
    }
    assert states == {"c1": "attested", "c2": "attested", "c3": "open"}
    assert door.post("/api/v1/months/2026-10/attest", json={"provider_id": "P2"}, headers=manager).status_code == 404

    assert door.post("/api/v1/months/2026-10/close", json={}, headers=manager).status_code == 403
    closed = door.post("/api/v1/months/2026-10/close", json={"on": "2026-11-06"}, headers=controller)
    assert closed.status_code == 200, closed.text
    assert (closed.json()["totals"]["minutes"], closed.json()["left_open"]["not_attested"]) == (110, 1)
    shown = door.get("/api/v1/months/2026-10", headers=controller).json()
    assert (shown["state"], shown["hash"], shown["attested"]) == ("closed", closed.json()["hash"], ["P1"])
    before = door.get("/api/v1/billing/2026-10/lines", headers=controller).text
    twice = door.post("/api/v1/months/2026-10/close", json={"on": "2026-11-06"}, headers=controller)
    assert (twice.status_code, twice.json()["code"]) == (409, "month_closed")
    assert door.post("/api/v1/months/2026-10/attest", json={}, headers=manager).json()["code"] == "month_closed"

    tapped(database, tap(50, "KOM", "anna", "c1", at("15:00")), tap(51, "GICK", "anna", "c1", at("15:15")))
    assert door.get("/api/v1/billing/2026-10/lines", headers=controller).text == before
    november = items(door.get(f"/api/v1/billing/{NEXT}/lines", headers=controller))
    assert [(one["kind"], one["origin_month"], one["minutes"]) for one in november] == [("adjustment", "2026-10", 15)]
    fees = items(door.get(f"/api/v1/fees/{NEXT}/lines", headers=machine(database, "billing")))
    assert [(one["origin_month"], one["client_minutes"]) for one in fees if one["client_minutes"]] == [("2026-10", 15)]
