"""`komgick serve` as a real process: it prints its address, is killed between commit and answer, and refuses a demo."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping

import httpx
import psycopg

from app.db.engine import Database
from app.db.mark import mark_demo
from tests.doors.serving import serving
from tests.evidence.devices import Device, register, rows

PATH = "/api/v1/device/taps"


def test_a_server_killed_between_commit_and_answer_has_each_tap_once_when_resent(
    database: Database, cli_environment: Mapping[str, str]
) -> None:
    device = register(database, Device())
    body = device.body([device.tap(), device.tap("GICK")])
    url = database.url.render_as_string(hide_password=False).replace("+psycopg", "")
    with serving(cli_environment) as (process, address), psycopg.connect(url, autocommit=True) as watcher:
        watcher.execute(f"SET search_path TO {database.schema}")
        _post_and_kill_at_commit(watcher, process, address, body)
        assert rows(database, "SELECT count(*) FROM taps") == [(2,)], "at the moment of the kill"
    with serving(cli_environment) as (_, address):
        answer = httpx.post(address + PATH, content=body, timeout=30)
    assert (answer.status_code, answer.json()["upto"], answer.json()["missing"]) == (200, 2, [])
    assert rows(database, "SELECT count(*) FROM taps") == [(2,)]


def _post_and_kill_at_commit(
    watcher: psycopg.Connection[tuple[object, ...]], process: subprocess.Popen[str], address: str, body: bytes
) -> None:
    """Kill the server the moment another connection sees its commit; the answer is on its way or never comes."""

    def kill() -> None:
        while watcher.execute("SELECT count(*) FROM taps").fetchone() != (2,):
            pass
        os.kill(process.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with contextlib.suppress(httpx.TransportError):
        httpx.post(address + PATH, content=body, timeout=30)
    killer.join(30)
    assert not killer.is_alive(), "nothing was committed"


def test_serve_refuses_a_demo(database: Database, cli_environment: Mapping[str, str]) -> None:
    mark_demo(database)
    command = [sys.executable, "-m", "app.cli", "serve", "--port", "0"]
    ended = subprocess.run(command, capture_output=True, text=True, env=dict(cli_environment), timeout=120, check=False)
    assert (ended.returncode, ended.stderr.partition(":")[0]) == (1, "demo_database")


def test_serve_told_to_end_closes_its_database_and_has_status_0(cli_environment: Mapping[str, str]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        with serving(cli_environment) as (process, _):
            process.send_signal(number)
            assert process.wait(30) == 0
