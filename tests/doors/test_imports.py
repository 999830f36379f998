"""POST /imports: a bundle over HTTP, read behind the scenes, and only what the caller owns."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Iterator

import httpx
import pytest

from app.api.imports import ImportBody
from app.db.engine import Database
from tests.doors.serving import served
from tests.doors.town import at, furnish, items, machine, person

PLAN = "planned_id,client_id,provider_id,staff_id,start_at,end_at,service,staff_count,withdrawn_at\n"
ROW = f"v1,c1,{{}},anna,{at('8:00').isoformat()},{at('8:30').isoformat()},,,\n"


@pytest.fixture
def door(database: Database) -> Iterator[httpx.Client]:
    furnish(database)
    with served(database) as client:
        yield client


def _zip(**files: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"{name}.csv", content)
    return out.getvalue()


def _send(door: httpx.Client, content: bytes, who: dict[str, str], query: str = "") -> dict[str, object]:
    headers = {**who, "Content-Type": "application/zip"}
    answer = door.post(f"/api/v1/imports{query}", content=content, headers=headers)
    assert answer.status_code == 202, answer.text
    for _ in range(300):
        job = door.get(answer.headers["location"], headers=who).json()
        ImportBody.model_validate(job)
        if job["state"] not in ("waiting", "running"):
            return dict(job)
        time.sleep(0.1)
    raise AssertionError("the job did not end")


def test_a_provider_brings_its_plan(database: Database, door: httpx.Client) -> None:
    own = machine(database, "scheduling", provider="P1")
    content = _zip(planned_visits=PLAN + ROW.format("P1"))
    tried = _send(door, content, own, "?dry_run")
    assert (tried["state"], tried["dry_run"]) == ("done", True)
    assert items(door.get("/api/v1/planned-visits", headers=own)) == []
    done = _send(door, content, own)
    assert done["counts"] == [{"file": "planned_visits.csv", "added": 1, "changed": 0, "unchanged": 0}]
    assert [one["planned_id"] for one in items(door.get("/api/v1/planned-visits", headers=own))] == ["v1"]


def test_a_provider_brings_nothing_of_anothers(database: Database, door: httpx.Client) -> None:
    own = machine(database, "scheduling", provider="P1")
    refused = _send(door, _zip(planned_visits=PLAN + ROW.format("P2")), own)
    assert refused["state"] == "refused"
    assert [(one["file"], one["line"], one["column"]) for one in refused["errors"]] == [  # type: ignore[attr-defined]
        ("planned_visits.csv", 2, "provider_id")
    ]
    assert _send(door, _zip(prices="operation,band,service,unit,valid_from,amount_ore\n"), own)["state"] == "refused"


def test_a_provider_does_not_learn_whose_ids_exist_elsewhere(database: Database, door: httpx.Client) -> None:
    own = machine(database, "scheduling", provider="P1")
    files = {
        "planned_visits": PLAN + f"v2,{{client}},P1,{{staff}},{at('8:00').isoformat()},{at('8:30').isoformat()},,,\n",
        "contacts": "client_id,provider_id,kind,valid_from,staff_id\n{client},P1,contact,2026-01-01,{staff}\n",
        "staff": "staff_id,valid_from,unit_id,name,employment\nnew,2026-01-01,{unit},Ny,hourly\n",
    }
    foreign = {"client": "c3", "staff": "carl", "unit": "U2"}
    for name, content in files.items():
        said = []
        for ids in (foreign, {key: f"{value}x" for key, value in foreign.items()}):
            job = _send(door, _zip(**{name: content.format(**ids)}), own)
            assert job["state"] == "refused", (name, ids)
            said.append([{**one, "value": ""} for one in job["errors"]])  # type: ignore[attr-defined]
        assert said[0] == said[1], name
    known = {"client": "c1", "staff": "anna", "unit": "U1"}
    for name, content in files.items():
        assert _send(door, _zip(**{name: content.format(**known)}), own)["state"] == "done", name


def test_what_is_no_bundle_is_refused_at_once(database: Database, door: httpx.Client) -> None:
    own = machine(database, "registry")
    answer = door.post("/api/v1/imports", content=b"hello", headers=own)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert _send(door, b"PK\x03\x04 broken", own)["state"] == "refused"
    whole = _zip(planned_visits=(PLAN + ROW.format("P1")) * 50)
    for damaged in (whole[:60] + b"\xff\xff" + whole[62:], whole.replace(b"PK\x03\x04", b"PK\x03\x05"), whole[:-30]):
        assert _send(door, b"PK\x03\x04" + damaged[4:], own)["state"] == "refused", "its own fault, not the server's"
    endless = _zip(planned_visits=PLAN + "v" * 9_000_000)
    assert _send(door, endless, own)["state"] == "refused", "a line without end"
    too_much = door.post("/api/v1/imports", content=b"PK\x03\x04" + bytes(21 * 1024 * 1024), headers=own)
    assert too_much.status_code == 413


def test_others_jobs_and_other_roles(database: Database, door: httpx.Client) -> None:
    own = machine(database, "scheduling", provider="P1")
    job = _send(door, _zip(planned_visits=PLAN), own)
    path = f"/api/v1/imports/{job['import_id']}"
    assert door.get(path, headers=machine(database, "scheduling", provider="P2")).status_code == 404
    assert door.post("/api/v1/imports", content=b"PK", headers=machine(database, "scheduling")).status_code == 403
    carer = person(database, "carer", provider="P1", staff="anna")
    assert door.post("/api/v1/imports", content=b"PK", headers=carer).status_code == 403
