"""Machines sign in by client credentials: opaque tokens, scopes, keys rotated without a gap."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert, select, text, update

from app import pipeline_access
from app.access.entrance import machine_of
from app.access.machines import NewMachine
from app.access.tables import audit_event, machine_secrets, machine_tokens
from app.core.clock import utc_now
from app.db.callers import Caller
from app.db.engine import Database
from app.main import create_app
from app.refusals import Conflict, Invalid, NotFound
from app.registry.tables import providers
from tests.doors import town

BY = pipeline_access.operator("test")


def make(database: Database, *scopes: str, provider_id: str = "", name: str = "ekonomi") -> tuple[str, str]:
    issued = pipeline_access.add_machine(database, NewMachine(name, frozenset(scopes), provider_id), BY, utc_now())
    return issued.machine_id, issued.secret


def ask(client: TestClient, credentials: tuple[str, str], **more: str) -> dict[str, object]:
    form = {"grant_type": "client_credentials", "client_id": credentials[0], "client_secret": credentials[1], **more}
    answer = client.post("/api/v1/oauth/token", data=form)
    return {"status": answer.status_code, **answer.json()}


def test_a_machine_gets_a_token_of_fifteen_minutes_and_only_hashes_are_stored(database: Database) -> None:
    credentials = make(database, "billing", "registry")
    client = TestClient(create_app(database))
    answer = ask(client, credentials, scope="billing")
    assert (answer["status"], answer["expires_in"], answer["scope"]) == (200, 900, "billing")
    token, now = str(answer["access_token"]), utc_now()
    with database.transaction(Caller.auth()) as connection:
        found = machine_of(connection, token, now)
        assert found is not None
        assert (found.id, found.scopes) == (credentials[0], frozenset({"billing"}))
        assert machine_of(connection, token, now + timedelta(minutes=15, seconds=1)) is None
    with database.transaction(Caller.batch()) as connection:
        dump = " ".join(
            str(connection.execute(text(f"SELECT array_agg(t::text) FROM {table} t")).scalar_one())
            for table in ("machines", "machine_secrets", "machine_tokens", "audit_event", "login_delays")
        )
    assert token not in dump
    assert credentials[1] not in dump


def test_basic_authentication_works_and_the_errors_are_those_of_rfc_6749(database: Database) -> None:
    machine_id, secret = make(database, "billing")
    client = TestClient(create_app(database))
    grant = {"grant_type": "client_credentials"}
    assert client.post("/api/v1/oauth/token", data=grant, auth=(machine_id, secret)).status_code == 200
    wrong = client.post("/api/v1/oauth/token", data=grant, auth=(machine_id, "x"))
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")
    assert wrong.headers["www-authenticate"].startswith("Basic")
    unknown = client.post("/api/v1/oauth/token", data=grant, auth=("m_unknown", "x"))
    assert {**unknown.json(), "request_id": ""} == {**wrong.json(), "request_id": ""}
    assert ask(client, (machine_id, secret), scope="scheduling")["error"] == "invalid_scope"
    other = client.post("/api/v1/oauth/token", data={"grant_type": "password"})
    assert (other.status_code, other.json()["error"]) == (400, "unsupported_grant_type")


def test_a_key_is_rotated_without_a_gap(database: Database) -> None:
    machine_id, old = make(database, "scheduling")
    client = TestClient(create_app(database))
    new = pipeline_access.rotate_machine_secret(database, machine_id, BY, utc_now()).secret
    assert ask(client, (machine_id, old))["status"] == ask(client, (machine_id, new))["status"] == 200
    with pytest.raises(Conflict):
        pipeline_access.rotate_machine_secret(database, machine_id, BY, utc_now())
    pipeline_access.end_old_machine_secret(database, machine_id, BY, utc_now())
    assert (ask(client, (machine_id, old))["status"], ask(client, (machine_id, new))["status"]) == (401, 200)
    with pytest.raises(Conflict):
        pipeline_access.end_old_machine_secret(database, machine_id, BY, utc_now())
    token = str(ask(client, (machine_id, new))["access_token"])
    pipeline_access.end_machine(database, machine_id, BY, utc_now())
    assert ask(client, (machine_id, new))["status"] == 401
    with database.transaction(Caller.auth()) as connection:
        assert machine_of(connection, token, utc_now()) is None
        actions = connection.execute(select(audit_event.c.action).order_by(audit_event.c.event_id)).scalars().all()
    assert actions == ["machine.add", "machine.rotate", "machine.end_secret", "machine.end"]


def test_an_admin_keeps_the_keys_over_http_and_nobody_else_does(database: Database) -> None:
    town.furnish(database)
    client = TestClient(create_app(database))
    wanted = {"name": "planering", "scopes": ["scheduling"], "provider_id": "P1"}

    def send(method: str, path: str = "", body: Any = None, *, role: str = "admin", stale: bool = False) -> Any:
        headers = town.person(database, role, provider="P1" if role == "manager" else "", stale=stale)
        client.cookies.clear()
        return client.request(method, f"/api/v1/machines{path}", headers=headers, json=body)

    assert send("POST", "", wanted, role="manager").status_code == 403
    assert send("POST", "", wanted, stale=True).json()["code"] == "step_up"
    made = send("POST", "", wanted).json()
    machine_id, old = made["client_id"], made["client_secret"]
    assert send("POST", "", wanted).status_code == 409, "the name is taken"
    assert send("POST", "", {**wanted, "name": "x", "provider_id": "P9"}).status_code == 404
    new = send("POST", f"/{machine_id}/secrets").json()["client_secret"]
    assert send("GET").json()["items"][0]["live_secrets"] == 2
    assert ask(client, (machine_id, old))["status"] == ask(client, (machine_id, new))["status"] == 200
    assert send("DELETE", f"/{machine_id}/secrets/old").status_code == 204
    assert send("DELETE", f"/{machine_id}/secrets/old").status_code == 409
    assert (ask(client, (machine_id, old))["status"], ask(client, (machine_id, new))["status"]) == (401, 200)
    assert send("DELETE", f"/{machine_id}").status_code == 204
    assert ask(client, (machine_id, new))["status"] == 401
    assert send("DELETE", "/m_nobody").status_code == 404
    assert old not in send("GET").text


def test_wrong_secrets_are_delayed_and_never_locked_out(database: Database) -> None:
    machine_id, secret = make(database, "billing")
    client = TestClient(create_app(database))
    for _ in range(3):
        assert ask(client, (machine_id, "wrong"))["status"] == 401
    delayed = client.post(
        "/api/v1/oauth/token",
        data={"grant_type": "client_credentials", "client_id": machine_id, "client_secret": secret},
    )
    assert (delayed.status_code, delayed.json()["code"]) == (429, "too_many_tries")
    assert 1 <= int(delayed.headers["retry-after"]) <= 300
    with database.transaction(Caller.auth()) as connection:
        connection.execute(text("UPDATE login_delays SET until_at = now() - interval '1 second'"))
    assert ask(client, (machine_id, secret))["status"] == 200


def test_a_providers_machine_is_bounded_to_it_and_the_citys_scopes_are_the_citys(database: Database) -> None:
    with database.transaction(Caller.city()) as connection:
        connection.execute(insert(providers), {"provider_id": "P1", "operation": "private"})
    with pytest.raises(Invalid):
        make(database, "billing", provider_id="P1")
    with pytest.raises(NotFound):
        make(database, "scheduling", provider_id="P9")
    with pytest.raises(Invalid):
        make(database, "everything")
    make(database, "scheduling", provider_id="P1")
    with pytest.raises(Conflict):
        make(database, "registry")


def test_the_tables_are_the_office_of_access_own(database: Database) -> None:
    make(database, "billing")
    for caller in (Caller.provider("P1"), Caller.city(), Caller.ingest()):
        for table in (machine_secrets, machine_tokens):
            with pytest.raises(Exception, match="permission denied"), database.transaction(caller) as connection:
                connection.execute(select(table))
    with pytest.raises(Exception, match="never changed"), database.transaction(Caller.batch()) as connection:
        connection.execute(update(audit_event).values(actor="nobody"))


def test_the_command_prints_id_and_secret_once(cli_environment: Mapping[str, str]) -> None:
    command = [sys.executable, "-m", "app.cli", "user", "machine"]
    added = subprocess.run(
        [*command, "add", "ekonomi", "--scope", "billing", "--format", "json"],
        env=dict(cli_environment), capture_output=True, text=True, check=True,
    )  # fmt: skip
    [row] = json.loads(added.stdout)
    assert set(row) == {"client_id", "client_secret"}
    listed = subprocess.run(
        [*command, "list", "--format", "json"], env=dict(cli_environment), capture_output=True, text=True, check=True
    )
    assert json.loads(listed.stdout)[0]["live_secrets"] == 1
    assert row["client_secret"] not in listed.stdout
