"""The logs: no reading without its row, a sample for review, and rows that are kept no longer than they may."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Request
from fastapi.testclient import TestClient
from sqlalchemy import insert, select, text, update

from app import main
from app.access import retention
from app.access.logs import note_change, note_reading
from app.access.principals import Principal
from app.access.tables import audit_event, challenges, person_roles, reading
from app.api import access as doors
from app.api.access import Access, access
from app.core.clock import utc_now
from app.core.localtime import local_date
from app.core.month import Month
from app.db.callers import Caller
from app.db.engine import Database
from app.pipeline_access import operator, people
from tests.doors import town

NOW = utc_now()
_READS = Access(frozenset({"manager"}), tenant="own_provider", reads="clients")


def _client(database: Database, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    router = APIRouter()

    @router.get("/logged")
    def logged(request: Request, principal: Annotated[Principal, access(_READS)]) -> str:
        with doors.reading(request, principal) as read:
            read.saw(["c2", "c1", "c1", ""])
        return "HEMLIG"

    @router.get("/unlogged")
    def unlogged(principal: Annotated[Principal, access(_READS)]) -> str:
        return f"HEMLIG {principal.id}"

    monkeypatch.setattr(main, "ROUTERS", (router,))
    return TestClient(main.create_app(database), raise_server_exceptions=False)


def test_a_reading_is_logged_with_whose_data_it_was(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    client = _client(database, monkeypatch)
    answer = client.get("/logged", headers={**town.person(database, "manager", provider="P1"), "x-request-id": "r1"})
    assert answer.status_code == 200
    with database.transaction(Caller.batch()) as connection:
        row = connection.execute(select(reading)).mappings().one()
    noted = {"what": "clients", "subjects": ["c1", "c2"], "count": 2, "role": "manager", "provider_id": "P1"}
    assert {name: row[name] for name in noted} == noted
    assert (row["route"], row["request_id"]) == ("GET /logged", "r1")


def test_nothing_is_answered_by_a_route_that_forgot_the_log(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = _client(database, monkeypatch).get("/unlogged", headers=town.person(database, "manager", provider="P1"))
    assert answer.status_code == 500
    assert "HEMLIG" not in answer.text


def test_nothing_is_answered_where_the_log_cannot_be_written(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, headers = _client(database, monkeypatch), town.person(database, "manager", provider="P1")
    with database.transaction(Caller.batch()) as connection:
        connection.execute(text("REVOKE INSERT ON reading FROM provider"))
    answer = client.get("/logged", headers=headers)
    assert answer.status_code == 500
    assert "HEMLIG" not in answer.text


def test_the_months_sample_is_the_same_for_all_and_holds_every_break_glass(database: Database) -> None:
    who = Principal("person", "u_1", role="auditor")
    admin = Principal("person", "u_2", role="admin", break_glass=True)
    with database.transaction(Caller.city()) as connection:
        for number in range(30):
            note_reading(connection, who, "clients", [f"c{number}"], NOW)
        note_reading(connection, admin, "clients", ["c99"], NOW)
        note_reading(connection, who, "clients", ["old"], NOW - timedelta(days=40))
    with database.transaction(Caller.batch()) as connection:
        drawn = retention.review_sample(connection, Month.of(local_date(NOW)), 5)
        assert drawn == retention.review_sample(connection, Month.of(local_date(NOW)), 5)
    assert len(drawn) == 6
    assert [row["actor"] for row in drawn if row["break_glass"]] == ["u_2"]
    assert "old" not in str(drawn)


def test_retention_counts_first_and_deletes_only_when_told(database: Database) -> None:
    who = Principal("person", "u_1", role="auditor")
    with database.transaction(Caller.city()) as connection:
        note_reading(connection, who, "clients", ["c1"], NOW)
        note_reading(connection, who, "clients", ["c2"], NOW - timedelta(days=5 * 366 + 1))
    with database.transaction(Caller.auth()) as connection:
        row = {"challenge_hash": b"x", "purpose": "sign_in", "expires_at": NOW - timedelta(minutes=1)}
        connection.execute(insert(challenges), row)
    for delete, left in ((False, 2), (True, 1)):
        found = people.keep_no_longer(database, operator(), NOW, delete_them=delete)
        assert {one["table"]: one["rows"] for one in found if one["rows"]} == {"reading": 1, "challenges": 1}
        with database.transaction(Caller.batch()) as connection:
            assert len(connection.execute(select(reading)).all()) == left
    with pytest.raises(Exception, match="never changed"), database.transaction(Caller.batch()) as connection:
        connection.execute(reading.delete())
    with database.transaction(Caller.batch()) as connection:
        assert connection.execute(select(audit_event.c.action)).scalars().all() == ["retention.delete"]


def test_an_auditor_reads_both_logs_for_a_limited_time_and_nobody_else_does(database: Database) -> None:
    town.furnish(database)
    client = TestClient(main.create_app(database))
    manager = town.person(database, "manager", provider="P1")
    assert client.get("/api/v1/clients", headers=manager).status_code == 200
    auditor = town.person(database, "auditor")
    readings = town.items(client.get("/api/v1/logs/readings", headers=auditor))
    assert [(row["what"], row["provider_id"], row["subjects"]) for row in readings] == [("clients", "P1", ["c1", "c2"])]
    month = str(Month.of(local_date(NOW)))
    sample = town.items(client.get(f"/api/v1/logs/readings?sample={month}", headers=auditor))
    assert [row["what"] for row in sample] == ["clients", "logs"], "looking at the log is logged too"
    people.add_first_admin(database, "Ada", operator("test"), NOW)
    changes = town.items(client.get("/api/v1/logs/changes", headers=auditor))
    assert [(row["action"], row["actor"]) for row in changes] == [("person.add_admin", "cli:test")]
    for other in ("admin", "city_controller"):
        assert client.get("/api/v1/logs/changes", headers=town.person(database, other)).status_code == 403
    with database.transaction(Caller.auth()) as connection:
        yesterday = local_date(NOW) - timedelta(days=1)
        ended = update(person_roles).where(person_roles.c.role == "auditor")
        connection.execute(ended.values(valid_from=yesterday, valid_to=yesterday))
    assert client.get("/api/v1/logs/changes", headers=auditor).status_code == 403


def test_a_log_system_takes_json_lines_and_goes_on_where_it_was(
    database: Database, cli_environment: Mapping[str, str]
) -> None:
    who = Principal("person", "u_1", role="manager", provider_id="P1")
    now = utc_now()  # not NOW: the module may have been read minutes ago, and the last five are what this is about
    with database.transaction(Caller.city()) as connection:
        for minutes in (20, 10, 1):
            note_change(connection, who, "test", f"{minutes}", now - timedelta(minutes=minutes), facts={"å": 1})

    def lines(*words: str) -> list[dict[str, Any]]:
        command = [sys.executable, "-m", "app.cli", "user", "log", *words]
        done = subprocess.run(command, env=dict(cli_environment), capture_output=True, text=True, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    first = lines("changes")
    assert [row["subject"] for row in first] == ["20", "10"], "what is younger than five minutes waits"
    assert first[0]["facts"] == {"å": 1}
    assert [row["subject"] for row in lines("changes", "--after", str(first[0]["event_id"]))] == ["10"]
    assert lines("readings") == []
