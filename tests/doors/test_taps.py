"""POST /api/v1/device/taps over real HTTP against a real PostgreSQL: the table of answers, and commit before answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import httpx
import psycopg
import pytest

from app.api import door as tap_door
from app.db.callers import Caller
from app.db.engine import Database
from app.evidence.keys import open_keyring
from app.evidence.rules.signatures import take_apart
from device_agent.receipts import read_receipt
from tests.doors.serving import served
from tests.evidence.devices import Device, register, rows

PATH = "/api/v1/device/taps"


@pytest.fixture
def client(database: Database) -> Iterator[httpx.Client]:
    with served(database) as client:
        yield client


def stored(database: Database) -> int:
    return int(rows(database, "SELECT count(*) FROM taps")[0][0])


def owner_runs(database: Database, statements: str) -> None:
    with database.transaction(Caller.batch()) as connection:
        connection.exec_driver_sql(statements)


def test_a_200_is_a_receipt_the_agent_believes(database: Database, client: httpx.Client) -> None:
    device = register(database, Device())
    response = client.post(PATH, content=device.body([device.tap(), device.tap("GICK")]))
    assert response.status_code == 200
    assert response.json()["upto"] == 2
    receipt = read_receipt(response.content, "nonce-000001", "d_test", open_keyring(database.settings.data).public_jwk)
    assert (receipt.upto, receipt.missing, receipt.revoked) == (2, frozenset(), False)
    assert stored(database) == 2
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"


def test_an_empty_upload_is_a_heartbeat(database: Database, client: httpx.Client) -> None:
    device = register(database, Device())
    assert client.post(PATH, content=device.body()).json()["upto"] == 0
    assert rows(database, "SELECT count(*) FROM heads") == [(1,)]


def refused(response: httpx.Response, status: int, code: str) -> None:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert set(body) == {"type", "title", "status", "detail", "code", "request_id"}
    assert (body["status"], body["code"]) == (status, code)
    assert body["request_id"] == response.headers["x-request-id"]


def test_unknown_device_and_bad_signature_are_401(database: Database, client: httpx.Client) -> None:
    device, stranger = register(database, Device()), Device("d_stranger")
    imposter = Device()
    refused(client.post(PATH, content=stranger.body([stranger.tap()])), 401, "device_unknown")
    refused(client.post(PATH, content=imposter.body([imposter.tap()])), 401, "device_unknown")
    none = device.sign("head", json.loads(take_apart(device.head()).payload), '{"alg":"none"}')
    refused(client.post(PATH, json={"head": none, "taps": []}), 401, "device_unknown")
    assert (stored(database), rows(database, "SELECT count(*) FROM rejected_input")) == (0, [(3,)])


def test_more_than_256_kib_is_413_whatever_it_is(database: Database, client: httpx.Client) -> None:
    device = register(database, Device())
    body = device.body([device.tap()])
    padded = body[:-1] + b" " * (256 * 1024 + 1 - len(body)) + b"}"
    refused(client.post(PATH, content=padded), 413, "body_too_large")
    refused(client.post(PATH, content=(b"x" * 65536 for _ in range(5))), 413, "body_too_large")
    fits = body[:-1] + b" " * (256 * 1024 - len(body)) + b"}"
    assert client.post(PATH, content=fits).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b'{"head":"x"}', b'{"taps":[]}', b'{"head":1,"taps":[]}', b'{"head":"x","taps":["a",1]}',
        b'{"head":"x","taps":[],"more":1}', b'{"head":"\\ud800","taps":[]}', b'{"head":"","taps":[]}', b"\xff\xfe",
        b'{"head":"x","taps":' + b"[" * 5000,
    ],
)  # fmt: skip
def test_what_is_not_an_upload_is_422_and_nothing_is_echoed(client: httpx.Client, body: bytes) -> None:
    response = client.post(PATH, content=body)
    refused(response, 422, "invalid")


def test_an_unreadable_head_and_a_hundred_and_one_taps_are_422(database: Database, client: httpx.Client) -> None:
    device = register(database, Device())
    refused(client.post(PATH, json={"head": "Hemlig.text.här", "taps": []}), 422, "head_unreadable")
    assert "Hemlig" not in client.post(PATH, json={"head": "Hemlig", "taps": ["Hemlig"] * 101}).text
    documents = [device.tap() for _ in range(101)]
    refused(client.post(PATH, content=device.body(documents)), 422, "invalid")
    assert client.post(PATH, content=device.body(documents[:100])).json()["upto"] == 100


def test_a_bad_item_disturbs_nothing_else(database: Database, client: httpx.Client) -> None:
    device, other = register(database, Device()), register(database, Device("d_other"))
    documents = [device.tap(), device.tap(), device.tap()]
    body = device.body([documents[0], documents[1][:-4] + "AAAA", documents[2]])
    assert client.post(PATH, content=body).json()["upto"] == 3
    assert client.post(PATH, content=other.body([other.tap()])).json()["upto"] == 1
    assert stored(database) == 3


def test_an_unknown_version_is_200_and_kept(database: Database, client: httpx.Client) -> None:
    device = register(database, Device())
    device.seq = 1
    response = client.post(PATH, content=device.body([device.sign("tap", {"v": 7, "dev": "d_test", "seq": 1})]))
    assert response.json()["results"] == [{"seq": 1, "status": "quarantined", "findings": []}]


def test_a_tap_of_2031_and_one_of_1970_are_stored(database: Database, client: httpx.Client) -> None:
    device = register(database, Device())
    payload = json.loads(take_apart(device.tap()).payload)
    documents = [
        device.sign("tap", {**payload, "seq": seq, "t": t})
        for seq, t in ((1, "2031-05-05T05:05:05Z"), (2, "1970-01-01T00:00:00Z"))
    ]
    device.seq = 2
    response = client.post(PATH, content=device.body(documents, boot="b_other"))
    assert [result["findings"] for result in response.json()["results"]] == [["clock_doubt"], []]
    assert rows(database, "SELECT grade, extract(year FROM at)::int FROM taps ORDER BY seq") == [
        ("D", 2031),
        ("C", 1970),
    ]


def test_the_same_upload_fifty_times_at_once_stores_each_tap_once(database: Database, client: httpx.Client) -> None:
    device = register(database, Device())
    body = device.body([device.tap() for _ in range(20)])
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: client.post(PATH, content=body), range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["upto"] for answer in answers} == {20}
    new = [result["status"] for answer in answers for result in answer.json()["results"]].count("stored")
    assert (stored(database), new) == (20, 20)
    assert rows(database, "SELECT count(*) FROM tap_forks") == [(0,)]


FAIL_AT_COMMIT = """
CREATE FUNCTION fail_at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN IF NEW.device_id = 'd_doomed' THEN RAISE EXCEPTION 'the disk is full'; END IF; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER fail_at_commit AFTER INSERT ON taps DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION fail_at_commit()
"""


def test_a_commit_that_fails_never_answers_2xx_and_fails_alone(database: Database, client: httpx.Client) -> None:
    doomed = register(database, Device("d_doomed"))
    others = [register(database, Device(f"d_{number}")) for number in range(8)]
    owner_runs(database, FAIL_AT_COMMIT)
    bodies = [doomed.body([doomed.tap()])] + [other.body([other.tap()]) for other in others]
    with ThreadPoolExecutor(9) as pool:
        answers = list(pool.map(lambda body: client.post(PATH, content=body), bodies))
    refused(answers[0], 500, "internal_error")
    assert "disk" not in answers[0].text
    assert [answer.status_code for answer in answers[1:]] == [200] * 8
    assert stored(database) == 8
    owner_runs(database, "DROP TRIGGER fail_at_commit ON taps")
    assert client.post(PATH, content=bodies[0]).json()["upto"] == 1


KILLED_AT_COMMIT = """
CREATE FUNCTION die_at_commit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(5); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER die_at_commit AFTER INSERT ON taps DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION die_at_commit()
"""


def test_a_backend_killed_in_its_commit_answers_503_and_the_resent_upload_is_stored_once(
    database: Database, client: httpx.Client
) -> None:
    device = register(database, Device())
    owner_runs(database, KILLED_AT_COMMIT)
    body = device.body([device.tap()])
    response = client.post(PATH, content=body)
    refused(response, 503, "unavailable")
    assert response.headers["retry-after"]
    assert stored(database) == 0
    owner_runs(database, "DROP TRIGGER die_at_commit ON taps")
    assert client.post(PATH, content=body).json()["upto"] == 1
    assert stored(database) == 1


def test_an_answer_lost_after_commit_and_resent_is_stored_once(database: Database, client: httpx.Client) -> None:
    device = register(database, Device())
    body = device.body([device.tap(), device.tap()])
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{client.base_url}{PATH}", content=body, timeout=httpx.Timeout(10, read=0.0001))
    response = client.post(PATH, content=body)
    assert (response.json()["upto"], stored(database)) == (2, 2)


def test_a_full_queue_is_503_with_retry_after_and_the_rest_is_carried_through(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tap_door.TapDoor.__init__, "__defaults__", (3,))
    device = register(database, Device())
    bodies = [device.body([device.tap()]) for _ in range(12)]
    url = database.url.render_as_string(hide_password=False).replace("+psycopg", "")
    with served(database) as client, psycopg.connect(url) as owner:
        owner.execute(f"SET search_path TO {database.schema}")
        owner.execute("LOCK TABLE taps IN ACCESS EXCLUSIVE MODE")  # the flusher waits in its first statement
        with ThreadPoolExecutor(12) as pool:
            futures = [pool.submit(client.post, PATH, content=body) for body in bodies]
            wait(futures, return_when=FIRST_COMPLETED)
            assert client.get("/healthz").status_code == 200
            assert client.get("/readyz").status_code == 503
            owner.rollback()
            answers = [future.result() for future in futures]
        busy = [answer for answer in answers if answer.status_code == 503]
        assert busy
        for answer in busy:
            refused(answer, 503, "busy")
            assert answer.headers["retry-after"]
        taken = [answer for answer in answers if answer.status_code == 200]
        assert len(taken) == stored(database) == 12 - len(busy)
        assert client.get("/readyz").status_code == 200


def test_operators_see_health_readiness_and_metrics(database: Database, client: httpx.Client) -> None:
    device = register(database, Device())
    client.post(PATH, content=device.body([device.tap()]))
    for base in ("", "/api/v1"):
        assert client.get(f"{base}/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ok", "wrong": []}
    metrics = client.get("/metrics").text
    assert "komgick_taps_total{grade=" in metrics
    assert "d_test" not in metrics


def test_unknown_paths_and_methods_are_problems_too(client: httpx.Client) -> None:
    refused(client.get("/api/v1/nothing", headers={"X-Request-ID": "mine-1"}), 404, "not_found")
    refused(client.get(PATH), 405, "method_not_allowed")
    assert client.get("/api/v1/nothing", headers={"X-Request-ID": "mine-1"}).json()["request_id"] == "mine-1"
    assert PATH in client.get("/api/v1/openapi.json").json()["paths"]
