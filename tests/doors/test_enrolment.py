"""Enrolment over HTTP with the real agent's code, and `komgick device` for the manager's side."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from app import pipeline
from app.core.clock import utc_now
from app.db.callers import Caller
from app.db.engine import Database
from app.evidence.enrolment import Invitation, NewDevice
from app.evidence.rules.signatures import b64url, jwk_thumbprint, short_thumbprint
from app.refusals import Conflict, Invalid, NotFound
from device_agent.clock import SystemClock
from device_agent.enrolment import enrol
from tests.doors import town
from tests.doors.serving import served
from tests.evidence.devices import Device, instant, rows

PATH = "/api/v1/device/enrol"


@pytest.fixture
def client(database: Database) -> Iterator[httpx.Client]:
    with database.transaction(Caller.batch()) as connection:
        connection.execute(
            text("INSERT INTO providers (provider_id, name, operation) VALUES ('p_1', 'Ett', 'private')")
        )
    with served(database) as client:
        yield client


def invite(database: Database, *, at_once: bool = False, replaces: str = "") -> Invitation:
    return pipeline.create_device(database, NewDevice("p_1", "reader", at_once, replaces), utc_now())


def wish(device: Device, token: str, **changed: object) -> dict[str, object]:
    digest = b64url(hashlib.sha256(token.encode()).digest())
    proof = {"token_sha256": digest, "jwk_thumbprint": b64url(jwk_thumbprint(device.jwk)), "t": instant(device.at)}
    return {
        "token": token, "public_jwk": device.jwk, "proof": device.sign("enrol", proof), "kind": "reader",
        "agent_version": "1.0", **changed,
    }  # fmt: skip


def test_the_real_agent_enrols_and_both_screens_show_the_same(
    database: Database, client: httpx.Client, tmp_path: Path
) -> None:
    invitation = invite(database)
    assert len(base64.urlsafe_b64decode(invitation.token + "==")) == 16
    identity, state = enrol(tmp_path / "agent", str(client.base_url), invitation.token, SystemClock())
    assert (identity.device_id, state) == (invitation.device_id, "pending")
    pipeline.confirm_device(database, identity.device_id, identity.thumbprint, utc_now())
    kinds = rows(database, "SELECT kind FROM device_events ORDER BY at")
    assert kinds == [("created",), ("enrolled",), ("confirmed",)]


def test_a_token_is_used_once_and_only_its_hash_is_kept(database: Database, client: httpx.Client) -> None:
    invitation, device = invite(database, at_once=True), Device()
    body = client.post(PATH, json=wish(device, invitation.token)).json()
    assert set(body) == {"device_id", "server_jwk", "thumbprint", "state"}
    assert (body["state"], body["thumbprint"]) == ("confirmed", short_thumbprint(device.jwk))
    again = client.post(PATH, json=wish(Device(), invitation.token))
    assert (again.status_code, again.json()["code"]) == (403, "token_refused")
    stored = str(rows(database, "SELECT e.*, encode(e.token_hash, 'escape') FROM enrolments e"))
    assert invitation.token not in stored


def test_a_token_lives_fifteen_minutes(database: Database, client: httpx.Client) -> None:
    early = utc_now() - timedelta(minutes=15)
    invitation = pipeline.create_device(database, NewDevice("p_1"), early)
    assert client.post(PATH, json=wish(Device(), invitation.token)).status_code == 403


def test_a_proof_by_another_key_or_for_another_token_is_refused_and_uses_nothing_up(
    database: Database, client: httpx.Client
) -> None:
    invitation, device = invite(database), Device()
    other = wish(Device(), invitation.token)["proof"]
    for proof in (other, wish(device, "x" * 22)["proof"], "junk", device.head()):
        response = client.post(PATH, json=wish(device, invitation.token, proof=proof))
        assert (response.status_code, response.json()["code"]) == (422, "proof_refused")
    assert client.post(PATH, json=wish(device, invitation.token)).status_code == 200


def test_a_wish_of_another_form_is_422(client: httpx.Client) -> None:
    odd: list[dict[str, object]] = [
        {"kind": "fridge"},
        {"more": 1},
        {"token": ""},
        {"token": "\x00" * 22},
        {"public_jwk": {}},
        {"proof": 1},
    ]
    for changed in odd:
        response = client.post(PATH, json={**wish(Device(), "x" * 22), **changed})
        assert (response.status_code, response.json()["code"]) == (422, "invalid"), changed


def test_a_manager_compares_the_characters(database: Database, client: httpx.Client) -> None:
    invitation, device = invite(database), Device()
    with pytest.raises(Conflict):
        pipeline.confirm_device(database, invitation.device_id, "AAAAAA", utc_now())
    client.post(PATH, json=wish(device, invitation.token))
    with pytest.raises(Conflict):
        pipeline.confirm_device(database, invitation.device_id, "AAAAAA", utc_now())
    with pytest.raises(NotFound):
        pipeline.confirm_device(database, "d_none", "AAAAAA", utc_now())


@pytest.mark.usefixtures("client")
def test_a_device_needs_a_provider_and_a_kind_and_a_predecessor_of_its_own(database: Database) -> None:
    refusals = {
        NewDevice("p_none"): NotFound, NewDevice("p_1", "fridge"): Invalid,
        NewDevice("p_1", replaces="d_none"): NotFound,
    }  # fmt: skip
    for wanted, refusal in refusals.items():
        with pytest.raises(refusal):
            pipeline.create_device(database, wanted, utc_now())


def komgick(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "app.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=dict(environment), timeout=120, check=False)


def test_the_whole_story_by_command_line(
    database: Database, client: httpx.Client, cli_environment: Mapping[str, str]
) -> None:
    made = komgick(cli_environment, "device", "create", "--provider", "p_1", "--format", "json")
    assert made.returncode == 0, made.stderr
    [row] = json.loads(made.stdout)
    device = Device(row["device_id"])
    thumbprint = client.post(PATH, json=wish(device, row["token"])).json()["thumbprint"]
    wrong = komgick(cli_environment, "device", "confirm", device.device_id, "AAAAAA")
    assert (wrong.returncode, wrong.stderr.partition(":")[0]) == (1, "conflict")
    pipeline.confirm_device(database, device.device_id, thumbprint, utc_now())
    new = komgick(cli_environment, "device", "replace", device.device_id, "--format", "json")
    assert new.returncode == 0, new.stderr
    pipeline.revoke_device(database, device.device_id, "lost", utc_now())
    listed = json.loads(komgick(cli_environment, "device", "list", "--format", "json").stdout)
    states = {entry["device_id"]: (entry["state"], entry["replaces"]) for entry in listed}
    assert states == {
        device.device_id: ("revoked", ""),
        json.loads(new.stdout)[0]["device_id"]: ("invited", device.device_id),
    }


def test_a_manager_enrols_confirms_and_revokes_over_http_within_the_walls(
    database: Database, client: httpx.Client, tmp_path: Path
) -> None:
    with database.transaction(Caller.batch()) as connection:
        connection.execute(text("INSERT INTO providers (provider_id, operation) VALUES ('p_2', 'private')"))
    own, foreign = (town.person(database, "manager", provider=one) for one in ("p_1", "p_2"))
    made = client.post("/api/v1/devices", headers=own, json={"kind": "reader"})
    assert made.status_code == 201, made.text
    device_id = made.json()["device_id"]
    enrolled, _ = enrol(tmp_path / "agent", str(client.base_url), made.json()["token"], SystemClock())
    path = f"/api/v1/devices/{device_id}"
    shown = {"thumbprint": enrolled.thumbprint}
    for whose, headers in (("foreign", foreign), ("unknown", own)):
        asked = path if whose == "foreign" else f"{path}x"
        for what, body in (("confirm", shown), ("revoke", {"reason": "lost"})):
            assert client.post(f"{asked}/{what}", headers=headers, json=body).status_code == 404, whose
    assert client.post("/api/v1/devices", headers=foreign, json={"replaces": device_id}).status_code == 404
    wrong = {"thumbprint": "AAAAAA" if enrolled.thumbprint != "AAAAAA" else "BBBBBB"}
    assert client.post(f"{path}/confirm", headers=own, json=wrong).status_code == 409
    assert client.post(f"{path}/confirm", headers=own, json=shown).status_code == 204
    assert rows(database, "SELECT enrolled_at IS NULL FROM devices") == [(False,)]
    assert client.post(f"{path}/revoke", headers=own, json={"reason": "lost"}).status_code == 204
    assert rows(database, "SELECT revoked_at IS NULL FROM devices") == [(False,)]
    actions = rows(database, "SELECT action FROM audit_event ORDER BY event_id")
    assert actions == [("device.create",), ("device.confirm",), ("device.revoke",)]
    stale = town.person(database, "manager", provider="p_1", stale=True)
    assert client.post("/api/v1/devices", headers=stale, json={}).json()["code"] == "step_up"
    scheduler = town.person(database, "scheduler", provider="p_1")
    assert client.post("/api/v1/devices", headers=scheduler, json={}).status_code == 403
