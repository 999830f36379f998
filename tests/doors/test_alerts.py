"""Units are told at once what cannot wait, by webhook or e-mail, without a word about whom."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from sqlalchemy import insert, select, update

from app import pipeline_office
from app.core.clock import utc_now
from app.core.settings import Settings
from app.db.callers import Caller
from app.db.engine import Database
from app.evidence.store import append
from app.evidence.tables import heads
from app.facts import Decline, PlannedVisit
from app.office.alerting import alerts_now
from app.office.tables import alerts
from app.pipeline_derive import catch_up
from app.policies import PolicyBook
from app.registry.tables import devices, units
from app.visits import queue
from app.visits.stated import changes_of_statement
from tests.doors.serving import served
from tests.doors.town import furnish, items, machine

NAMES = ("Ada", "Anna", "c1", "anna")


@contextmanager
def listening(statuses: list[int]) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A webhook on loopback that answers with the statuses in turn, then 200; (host:port, what it got)."""
    got: list[dict[str, str]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(statuses.pop(0) if statuses else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing on stderr."""

    server = HTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", got
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def _plan_missed(database: Database) -> None:
    start = utc_now() - timedelta(minutes=45)
    plan = PlannedVisit("v1", "c1", "P1", "anna", start, start + timedelta(minutes=30))
    with database.transaction(Caller.batch()) as connection:
        append(connection, [plan], utc_now())
        queue.enqueue(connection, changes_of_statement(connection, plan))
    catch_up(database, utc_now())


def _address(database: Database, alert_to: str, **settings: object) -> None:
    with database.transaction(Caller.batch()) as connection:
        connection.execute(update(units).where(units.c.unit_id == "U1").values(alert_to=alert_to))
    database.settings = Settings(data=database.settings.data, **settings)  # type: ignore[arg-type]


@pytest.fixture
def town(database: Database) -> Database:
    furnish(database)
    return database


def test_a_missed_visit_reaches_the_units_webhook_once(town: Database) -> None:
    _plan_missed(town)
    with listening([500]) as (host, got):
        _address(town, f"http://{host}/hook", webhook_hosts=host)
        assert pipeline_office.raise_alerts(town, utc_now()) == 1
        assert pipeline_office.deliver_alerts(town, utc_now()) == 1
        assert pipeline_office.raise_alerts(town, utc_now()) == 0
        assert pipeline_office.deliver_alerts(town, utc_now()) == 0
    assert [one["kind"] for one in got] == ["visit_missed", "visit_missed"]
    assert set(got[0]) == {"alert_id", "kind", "at", "unit_id", "text"}
    assert not any(name in str(got) for name in NAMES)


def test_what_cannot_be_delivered_is_tried_later(town: Database) -> None:
    _plan_missed(town)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{unused.getsockname()[1]}"
    _address(town, f"http://{host}/hook", webhook_hosts=host)
    pipeline_office.raise_alerts(town, utc_now())
    now = utc_now()
    assert pipeline_office.deliver_alerts(town, now) == 0
    assert pipeline_office.deliver_alerts(town, now) == 0
    with town.transaction(Caller.city()) as connection:
        row = connection.execute(select(alerts)).one()
    assert (row.attempts, row.delivered_at) == (1, None)
    assert row.try_at > now


def test_a_host_that_is_not_listed_is_never_called(town: Database) -> None:
    _plan_missed(town)
    with listening([]) as (host, got):
        _address(town, f"http://{host}/hook", webhook_hosts="other.example.org")
        pipeline_office.raise_alerts(town, utc_now())
        assert pipeline_office.deliver_alerts(town, utc_now()) == 0
    assert got == []


def test_nobody_opens_and_a_device_falls_silent(town: Database) -> None:
    now = utc_now()
    said = Decline("n1", "c1", "P1", now, now + timedelta(minutes=30), 1, "absent", now)
    head = {
        "device_id": "d1", "hash": b"1", "provider_id": "P1", "head_seq": 1, "claimed_at": now,
        "received_at": now - timedelta(hours=25),
    }  # fmt: skip
    with town.transaction(Caller.batch()) as connection:
        append(connection, [said], now)
        connection.execute(
            insert(devices), {"device_id": "d1", "provider_id": "P1", "kind": "phone", "enrolled_at": now}
        )
        connection.execute(insert(heads), head)
    assert pipeline_office.raise_alerts(town, now) == 2
    assert pipeline_office.raise_alerts(town, now) == 0
    with served(town) as door:
        got = items(door.get("/api/v1/alerts", headers=machine(town, "scheduling", provider="P1")))
        assert {(one["kind"], one["unit_id"]) for one in got} == {("absent", "U1"), ("device_silent", "")}
        assert items(door.get("/api/v1/alerts", headers=machine(town, "scheduling", provider="P2"))) == []
        english = items(door.get("/api/v1/alerts?lang=en&limit=1", headers=machine(town, "scheduling")))
        assert str(english[0]["text"]).startswith("Nobody opened")


def test_a_device_that_never_spoke_is_silent_a_day_after_it_was_confirmed_and_an_imported_one_never(
    town: Database,
) -> None:
    now = utc_now()
    rows = [
        {"device_id": name, "provider_id": "P1", "kind": "reader", "enrolled_at": now - timedelta(hours=hours),
         "public_jwk": jwk}
        for name, hours, jwk in (("d_mute", 25, "{}"), ("d_new", 23, "{}"), ("d_told", 25, ""))
    ]  # fmt: skip
    with town.transaction(Caller.batch()) as connection:
        connection.execute(insert(devices), rows)
        assert [one["about"] for one in alerts_now(connection, now, PolicyBook.built_in())] == ["d_mute"]


def test_an_alert_goes_by_e_mail(town: Database) -> None:
    _plan_missed(town)
    with _mailbox() as (port, got):
        _address(
            town, "ekbacken@example.org", smtp_host="127.0.0.1", smtp_port=port, smtp_starttls=False,
            mail_from="komgick@example.org",
        )  # fmt: skip
        pipeline_office.raise_alerts(town, utc_now())
        assert pipeline_office.deliver_alerts(town, utc_now()) == 1
    mail = "".join(got)
    assert "Subject: KomGick: visit_missed" in mail
    assert "To: ekbacken@example.org" in mail
    assert not any(name in mail for name in NAMES)


@contextmanager
def _mailbox() -> Iterator[tuple[int, list[str]]]:
    """A server that speaks enough SMTP to take one mail; (port, its lines)."""
    got: list[str] = []
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = server.accept()
        with connection, connection.makefile("rw", encoding="utf-8", newline="\r\n") as file:

            def say(line: str) -> None:
                file.write(line + "\n")
                file.flush()

            say("220 ready")
            reading = False
            for line in file:
                got.append(line)
                if reading:
                    if line.strip() == ".":
                        reading = False
                        say("250 taken")
                elif line.upper().startswith("DATA"):
                    reading = True
                    say("354 go on")
                elif line.upper().startswith("QUIT"):
                    say("221 bye")
                    return
                else:
                    say("250 ok")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server.getsockname()[1], got
    finally:
        thread.join(10)
        server.close()
