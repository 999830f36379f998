"""The demo's devices: one agent process per provider, real but for the tags. They end with the demo, killed or not."""

from __future__ import annotations

import ctypes
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select

from app import pipeline
from app.core.localtime import local_date
from app.db.callers import Caller
from app.db.engine import Database
from app.demo.day import members_of, opening_of, script_of, touches_of
from app.evidence.enrolment import NewDevice
from app.evidence.keys import SUN_KEYS, write_secret
from app.evidence.sun import SunKeys
from app.registry.tables import tags
from app.simulation import Town

_PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class Crew:
    """Child processes: devices, and commands that run beside. Start them from a thread that lives as long as they."""

    data: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `python -m ARGUMENTS`; its words go to `logs`/NAME.log."""
        logs = self.data / "logs"
        logs.mkdir(exist_ok=True)
        with (logs / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the demo, which ends them
                preexec_fn=_dying_with_parent(),  # noqa: PLW1509 -- one prepared call
            )
        return self.running[name]

    def ended(self, name: str) -> bool:
        """Whether a child has ended, or was never started."""
        return name not in self.running or self.running[name].poll() is not None

    def stop(self) -> None:
        """End all of them and wait until they are gone."""
        for process in self.running.values():
            if process.poll() is None:
                process.terminate()
        for process in self.running.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(15)


def _dying_with_parent() -> Callable[[], None]:
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def become() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return become


def make_sun_keys(data: Path) -> SunKeys:
    """The keys of the town's cryptographic tags, made at the first demo, where the server looks for them."""
    path = data / "secrets" / SUN_KEYS
    if not path.exists():
        made = {"1": {"meta_key": secrets.token_hex(16), "master_key": secrets.token_hex(16)}}
        write_secret(path, json.dumps(made))
    known = json.loads(path.read_text(encoding="utf-8"))["1"]
    return SunKeys(1, bytes.fromhex(known["meta_key"]), bytes.fromhex(known["master_key"]))


def sun_tags(database: Database, keys: SunKeys, now: datetime) -> dict[str, dict[str, Any]]:
    """What simulates each of the town's cryptographic tags. Their counters only grow: ten seconds are one reading."""
    with database.transaction(Caller.batch(), read_only=True) as connection:
        found = connection.execute(select(tags.c.tag_uid).where(tags.c.kind == "sun").distinct()).scalars().all()
    counter = int(now.timestamp()) // 10 % (1 << 24)
    return {
        uid: {
            "tag": "ntag424",
            "meta_key": keys.meta_key.hex(),
            "file_key": keys.tag_key(bytes.fromhex(uid)).hex(),
            "counter": counter,
        }
        for uid in found
    }


@dataclass(frozen=True, slots=True)
class Device:
    """One provider's reader and where it keeps its key and its outbox."""

    provider_id: str
    folder: Path

    @property
    def name(self) -> str:
        return f"reader-{self.provider_id}"

    @property
    def device_id(self) -> str:
        """As the server knows it; empty before enrolment."""
        path = self.folder / "identity.json"
        return str(json.loads(path.read_text(encoding="utf-8"))["device_id"]) if path.exists() else ""


def devices_of(data: Path, town: Town) -> list[Device]:
    """A reader for every provider."""
    return [Device(one.provider_id, data / "agents" / one.provider_id) for one in town.providers]


def enrol(database: Database, crew: Crew, device: Device, url: str, now: datetime) -> None:
    """Enrol a device the way a technician does, unless it is enrolled."""
    if device.device_id:
        return
    invitation = pipeline.create_device(database, NewDevice(device.provider_id, confirm_at_once=True, by="demo"), now)
    arguments = ("--server", url, "--data", str(device.folder), f"--token={invitation.token}")
    crew.start(f"enrol-{device.provider_id}", "device_agent", "enrol", *arguments).wait(60)


def send_out(
    crew: Crew,
    device: Device,
    url: str,
    town: Town,
    *,
    now: datetime,
    sun: Mapping[str, Mapping[str, Any]],
    first: bool,
) -> None:
    """Start a device with the day before it. `first`: with short visits right now for whoever watches."""
    members = members_of(town, device.provider_id, local_date(now))
    badges = {member.staff_id: member.badge_uid for member in members}
    touches = touches_of(town, device.provider_id, now)
    if first:
        touches += opening_of(town, device.provider_id, now)
    script = device.folder / "tags.jsonl"
    lines = (json.dumps(item) for item in script_of(touches, badges, sun, now))
    script.write_text("\n".join(lines) + "\n", encoding="utf-8")
    options = [word for staff_id, uid in sorted(badges.items()) for word in ("--badge", f"{uid}={staff_id}")]
    crew.start(
        device.name, "device_agent", "simulate", "--data", str(device.folder), "--server", url, "--tags", str(script),
        "--act", "keys", "--max-wait", "5", *options,
    )  # fmt: skip
