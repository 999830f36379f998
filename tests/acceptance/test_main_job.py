"""The main job, end to end, with nothing pretended but the tags: from a tag on a reader to the month's minutes.

Server, agent and the hand that lays the tags are three processes. The tags answer over nfcpy's UDP driver; the agent is
killed once in the middle; the minutes are read over HTTP and stand in the month's account.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from app.core.clock import utc_now
from app.core.localtime import local_date
from app.core.minutes import whole_minutes
from app.core.month import Month
from app.db.embedded import EmbeddedServer
from app.evidence.sun import SunKeys
from tests.acceptance.processes import AGENT, KOMGICK, Watched, free_udp_port, rows, run
from tests.acceptance.town import BADGES, TAGS, write_town

KEYS = SunKeys(1, bytes(range(16)), bytes(range(16, 32)))
VISITORS = (("s_1", "ntag213"), ("s_2", "ntag424"), ("s_3", "felica"))


@pytest.fixture
def start() -> Iterator[Callable[..., Watched]]:
    running: list[Watched] = []

    def begin(module: str, *arguments: str) -> Watched:
        running.append(Watched(module, *arguments))
        return running[-1]

    yield begin
    for process in reversed(running):
        process.end(signal.SIGKILL)


@pytest.mark.timeout(300)
def test_three_tags_become_minutes_of_the_month_although_the_agent_is_killed(
    tmp_path: Path, start: Callable[..., Watched]
) -> None:
    data, device, port = tmp_path / "data", tmp_path / "device", free_udp_port()
    _write_sun_keys(data)
    server = start(KOMGICK, "serve", "--port", "0", "--data", str(data))
    address = server.line("KomGick: ", 120).split()[1]
    run(KOMGICK, "import", str(write_town(tmp_path / "town")), "--data", str(data))
    http = _signed_in(address, data)
    _enrol(address, data, device)

    badges = [word for staff_id, uid in BADGES.items() for word in ("--badge", f"{uid}={staff_id}")]
    reading = (
        AGENT, "run", "--data", str(device), "--reader", f"udp:127.0.0.1:{port}", "--act", "keys", "--holdoff", "0.5",
        "--max-wait", "1", "--heartbeat", "5", *badges,
    )  # fmt: skip
    agent = start(*reading)
    agent.line("ready")
    came = _round(start, agent, tmp_path, port, "KOM")
    agent.end(signal.SIGKILL)
    agent = start(*reading)
    agent.line("ready")
    _wait_for_another_minute(came[-1])
    left = _round(start, agent, tmp_path, port, "GICK")

    visits = _complete_visits(http, 3)
    for visit, (staff_id, kind), kom_at, gick_at in zip(visits, VISITORS, came, left, strict=True):
        assert (visit["staff_id"], visit["client_id"]) == (staff_id, f"c_{kind}")
        start_at, end_at = _instant(visit["kom"]["at"]), _instant(visit["gick"]["at"])
        assert abs((start_at - kom_at).total_seconds()) < 5
        assert abs((end_at - gick_at).total_seconds()) < 5
        assert visit["minutes"] == whole_minutes(start_at, end_at) > 0
        assert (visit["held"], visit["status"], visit["source"], visit["grade"]) == (False, "complete", "taps", "A")
    assert sorted(tap["seq"] for visit in visits for tap in (visit["kom"], visit["gick"])) == [1, 2, 3, 4, 5, 6]
    assert _levels(data) == {TAGS["ntag213"]: {"uid"}, TAGS["ntag424"]: {"sun"}, TAGS["felica"]: {"uid"}}

    accounts = _accounts(http, visits)
    assert accounts == {visit["client_id"]: visit["minutes"] for visit in visits}
    assert agent.end() == 0, "a clean end on SIGTERM"


def _write_sun_keys(data: Path) -> None:
    secrets = data / "secrets"
    secrets.mkdir(parents=True, mode=0o700)
    data.chmod(0o711)
    content = json.dumps({"1": {"meta_key": KEYS.meta_key.hex(), "master_key": KEYS.master_key.hex()}})
    with os.fdopen(os.open(secrets / "sun_keys.json", os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(content)


def _signed_in(address: str, data: Path) -> httpx.Client:
    """A scheduling and billing system of the city, as an operator adds it."""
    wanted = ("user", "machine", "add", "planner", "--scope", "scheduling", "--scope", "billing")
    issued = rows(KOMGICK, *wanted, "--data", str(data))[0]
    form = {"grant_type": "client_credentials", **issued}
    token = httpx.post(f"{address}/api/v1/oauth/token", data=form, timeout=30).raise_for_status().json()
    return httpx.Client(
        base_url=f"{address}/api/v1", headers={"Authorization": f"Bearer {token['access_token']}"}, timeout=30
    )


def _enrol(address: str, data: Path, device: Path) -> None:
    made = rows(KOMGICK, "device", "create", "--provider", "p_1", "--confirm-at-once", "--data", str(data))[0]
    thumbprint = run(AGENT, "enrol", "--server", address, "--data", str(device), f"--token={made['token']}")
    assert len(thumbprint.strip()) == 6


def _round(start: Callable[..., Watched], agent: Watched, folder: Path, port: int, act: str) -> list[datetime]:
    """Each carer presses a key, lays her badge and then the tag on the reader; when the light went green for each."""
    script = folder / f"{act}.jsonl"
    script.write_text("\n".join(json.dumps(item) for item in _presentations(0 if act == "KOM" else 7)), "utf-8")
    agent.type(act)
    hand = start(AGENT, "simulate", "--udp", str(port), "--tags", str(script))
    lit = []
    for _, kind in VISITORS:
        assert agent.line("green").split()[2:4] == [act, TAGS[kind]]
        lit.append(utc_now())
        agent.type(act)  # the next carer's key; the last one's is pressed in vain
    assert hand.end() in (0, -signal.SIGTERM)
    return lit


def _presentations(counter: int) -> Iterator[dict[str, Any]]:
    for staff_id, kind in VISITORS:
        uid = TAGS[kind]
        file_key = KEYS.tag_key(bytes.fromhex(uid)).hex()
        keys = {"meta_key": KEYS.meta_key.hex(), "file_key": file_key, "counter": counter} if kind == "ntag424" else {}
        yield {"tag": "ntag213", "uid": BADGES[staff_id], "hold": 1.2, "gap": 0.8}
        yield {"tag": kind, "uid": uid, "hold": 1.5, "gap": 1.2, **keys}


def _wait_for_another_minute(since: datetime) -> None:
    while utc_now().replace(second=0, microsecond=0) <= since.replace(second=0, microsecond=0):
        time.sleep(0.5)


def _complete_visits(http: httpx.Client, wanted: int) -> list[dict[str, Any]]:
    """The visits by their KOM, once the server has derived them all."""
    until = time.monotonic() + 30
    found: list[dict[str, Any]] = []
    while time.monotonic() < until:
        found = http.get("/visits").raise_for_status().json()["items"]
        if [one["status"] for one in found] == ["complete"] * wanted:
            return found
        time.sleep(0.3)
    raise AssertionError(found)


def _levels(data: Path) -> dict[str, set[str]]:
    """How far the server could verify each tag."""
    socket = EmbeddedServer(data / "postgres").start()
    with psycopg.connect(socket.url("komgick")) as connection:
        found = connection.execute("SELECT tag_uid, array_agg(DISTINCT tag_level) FROM komgick.taps GROUP BY tag_uid")
        return {uid: set(levels) for uid, levels in found}


def _accounts(http: httpx.Client, visits: list[dict[str, Any]]) -> dict[str, int]:
    """Executed minutes by client as the billing system reads them, over the months of the visits (at a border: two)."""
    stamps = [_instant(tap["at"]) for visit in visits for tap in (visit["kom"], visit["gick"])]
    found: dict[str, int] = {}
    for month in sorted({Month.of(local_date(stamp)) for stamp in stamps}):
        for one in http.get(f"/months/{month}/accounts").raise_for_status().json()["items"]:
            found[one["client_id"]] = found.get(one["client_id"], 0) + one["executed_minutes"]
    return found


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
