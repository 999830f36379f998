"""What holds for every request: headers, a largest body counted while it streams, a longest time for it."""

from __future__ import annotations

import csv
import io
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert

from app.api import guard
from app.db.callers import Caller
from app.db.engine import Database
from app.main import create_app
from app.registry.tables import clients
from tests.doors import town
from tests.doors.serving import served


@pytest.mark.parametrize("path", ["/healthz", "/api/v1/clients", "/nowhere", "/sign-in", "/static/app.css"])
def test_every_answer_has_the_security_headers(database: Database, path: str) -> None:
    headers = TestClient(create_app(database)).get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "geolocation=()" in headers["permissions-policy"]
    assert "server" not in headers
    assert "strict-transport-security" not in headers
    assert headers["x-request-id"]


def test_https_is_insisted_on_where_it_is_the_public_address(database: Database) -> None:
    database.settings = database.settings.model_copy(update={"public_url": "https://komgick.example"})
    assert "max-age" in TestClient(create_app(database)).get("/healthz").headers["strict-transport-security"]


def test_personal_data_is_stored_in_no_cache(database: Database) -> None:
    town.furnish(database)
    answer = TestClient(create_app(database)).get(
        "/api/v1/clients", headers=town.person(database, "manager", provider="P1")
    )
    assert answer.json()["items"]
    assert answer.headers["cache-control"] == "no-store"


def test_no_cell_of_csv_is_a_formula(database: Database) -> None:
    town.furnish(database)
    names = ("=1+1", "+1", "-1", "@A1", "\t=1", "Åsa")
    with database.transaction(Caller.batch()) as connection:
        for number, name in enumerate(names):
            connection.execute(insert(clients), {"client_id": f"x{number}", "name": name})
    asks = {**town.person(database, "city_controller"), "accept": "text/csv"}
    rows = list(csv.DictReader(io.StringIO(TestClient(create_app(database)).get("/api/v1/clients", headers=asks).text)))
    shown = {row["client_id"]: row["name"] for row in rows}
    assert [shown[f"x{number}"] for number in range(6)] == ["'=1+1", "'+1", "'-1", "'@A1", "'\t=1", "Åsa"]


def test_a_body_is_counted_while_it_streams_whatever_it_says_of_its_length(database: Database) -> None:
    sent = 0

    def chunks() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(2000):
            sent += 1
            yield b"x" * 65536

    with served(database) as client:
        for path, limit in (("/api/v1/device/taps", 256 * 1024), ("/api/v1/auth/invitation", 1024 * 1024)):
            sent = 0
            try:
                answer = client.post(path, content=chunks(), headers={"content-type": "application/json"})
                assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
            except (httpx.WriteError, httpx.RemoteProtocolError):  # the server hung up on the rest
                pass
            assert sent < 500, "the rest of 125 MiB is not read"
            declared = {"content-type": "application/json", "content-length": str(limit + 1)}
            whole = client.post(path, content=b"x" * (limit + 1), headers=declared)
            assert (whole.status_code, whole.json()["code"]) == (413, "body_too_large")


def test_a_body_that_trickles_is_given_up(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY_WITHIN_S", 0.3)
    with served(database) as client:
        place = urlsplit(str(client.base_url))
        for path in ("/api/v1/auth/invitation", "/api/v1/device/taps"):
            with socket.create_connection((str(place.hostname), place.port or 0), timeout=10) as slow:
                head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100"
                slow.sendall(f"{head}\r\n\r\n{{".encode())
                answer = slow.recv(65536)
                assert answer.startswith(b"HTTP/1.1 408"), path
        assert client.get("/healthz").status_code == 200
