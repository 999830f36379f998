"""Full and read-only disks on both sides: a small tmpfs under a device's outbox, another under the server's database.

Needs the right to mount (root); without it this says so and shows nothing. A full disk may cost green lights and
answers, never a tap: what was green or acknowledged is there afterwards, and everything works again without a hand.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg

from app.core.clock import utc_now
from app.core.settings import Settings
from app.db.embedded import EmbeddedServer
from app.db.engine import Database
from device_agent.keys import DeviceKey
from device_agent.setup import KEY_NAME, Identity
from tests.acceptance.processes import AGENT, KOMGICK, Watched
from tests.agent.server import TapServer
from tests.crash.device import tag_uid
from tests.crash.ledger import read_held
from tests.crash.result import Result, say
from tests.evidence.devices import Device, register

PATH = "/api/v1/device/taps"


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[bool]:
    """A tmpfs of that size at `place`; False, and an ordinary folder, without the right to mount one."""
    place.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=711", "none", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path) -> Path:
    """Leave not a byte; delete the file that is returned to make room."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(65536) if os.statvfs(place).f_bavail > 64 else bytes(4096))
    return ballast


def remount(place: Path, how: str) -> None:
    """`ro` or `rw`; nobody may have a file open for writing."""
    subprocess.run(["mount", "-o", f"remount,{how}", str(place)], check=True)


def try_disks(folder: Path, result: Result) -> None:
    """Both sides. Counts into `result`."""
    with small_disk(folder / "device disk", "512k") as mounted:
        if not mounted:
            say("no right to mount a small disk here: full and read-only disks are NOT shown")
            return
        _device(folder / "device disk", result)
    with small_disk(folder / "server disk", "160m"):
        _server(folder / "server disk", result)


# the device


def _device(place: Path, result: Result) -> None:
    data = place / "agent"
    data.mkdir(mode=0o700)
    server = TapServer(DeviceKey.load_or_create(data / KEY_NAME).jwk)
    lines: list[str] = []
    try:
        Identity(server.dev, server.url, server.key.jwk, "ABCDEF").save(data)
        server.always = 503
        lines += _while_it_fills(place)
        remount(place, "ro")
        while_read_only = _run(place, range(21, 22))
        remount(place, "rw")
        server.always = None
        lines += while_read_only + _run(place, range(22, 23), drain="20")
    finally:
        server.close()
    if any(line.startswith("green") for line in while_read_only):
        result.problem("green light on a read-only disk")
    green = [line.split()[3] for line in lines if line.startswith("green ")]
    held = [said["tag"]["uid"] for said in server.taps() if said["kind"] == "tap"]
    result.wrong("lost", sorted(set(green) - set(held)), "on a device's full disk")
    result.wrong("invented", sorted(set(held) - set(green)), "red on a device's full disk, and sent all the same")
    result.wrong("doubled", sorted({uid for uid in held if held.count(uid) > 1}), "on a device's full disk")
    kinds = [line.split()[0] for line in lines if line.startswith(("green", "red"))]
    if "red" not in kinds or kinds[-2:] != ["green", "green"]:
        result.problem(f"a device's lights around a full disk are {kinds}")
    say(f"device's disk: {kinds.count('red')} red while full, none while read-only, {len(green)} green, all there")


def _while_it_fills(place: Path) -> list[str]:
    """The lines of an agent whose disk is filled after its second tap and emptied after the second red light."""
    agent = _start(place, range(1, 9), "0")
    agent.line("green")
    agent.line("green")
    ballast = fill(place)
    agent.line("red")
    agent.line("red")
    ballast.unlink()
    agent.process.wait(60)
    agent.end(signal.SIGKILL)
    return agent.lines


def _run(place: Path, numbers: range, drain: str = "0") -> list[str]:
    """The lines of an agent to which these tags are laid, when it has ended."""
    agent = _start(place, numbers, drain)
    agent.process.wait(60)
    agent.end(signal.SIGKILL)
    return agent.lines


def _start(place: Path, numbers: range, drain: str) -> Watched:
    script = place.parent / "disk script"
    tags = [{"tag": "ntag213", "uid": tag_uid(1, number), "hold": 0.5, "gap": 0.5} for number in numbers]
    script.write_text("\n".join(map(json.dumps, tags)))
    return Watched(
        AGENT, "simulate", "--data", str(place / "agent"), "--tags", str(script), "--drain", drain, "--staff", "s_1",
        "--max-wait", "0.3", "--heartbeat", "0.5",
    )  # fmt: skip


# the server


def _server(place: Path, result: Result) -> None:
    data = place / "data"
    server = Watched(KOMGICK, "serve", "--port", "0", "--data", str(data))
    try:
        address = server.line("KomGick: ", 120).split()[1]
        database = Database(EmbeddedServer(data / "postgres").url("komgick"), Settings(data=data), passwordless=True)
        at = utc_now()
        device = register(database, Device("d_disk", at=at, booted_at=at))
        database.close()
        documents: list[str] = []
        answered = _post(address, device, documents, 3)
        ballast = fill(place)
        while_full = _post(address, device, documents, 60)
        _compare(data, device, answered | while_full, result, "while the server's disk is full")
        ballast.unlink()
        answered |= while_full | _post_until_taken(address, device, documents, result)
    finally:
        server.end(signal.SIGKILL)
    _read_only(place, data, result)
    with _alone(data) as connection:
        held = read_held(connection)
    result.wrong("lost", [str(seq) for seq in range(1, device.seq + 1) if ("d_disk", seq) not in _numbers(held.taps)],
                 "on the server's full disk")  # fmt: skip
    result.wrong("doubled", [str(seq) for _, seq in _numbers(held.taps) if _count(held.taps, seq) > 1], "there")
    say(f"server's disk: {len(while_full)} of 60 uploads answered 200 while full, {device.seq} taps, all there")


def _post(address: str, device: Device, documents: list[str], count: int) -> set[int]:
    """One tap an upload, each with a long tail of heads; the numbers that were answered with 200."""
    answered = set()
    with httpx.Client(base_url=address, timeout=10) as http:
        for _ in range(count):
            documents.append(device.tap())
            with contextlib.suppress(httpx.HTTPError):
                if http.post(PATH, content=device.body(documents[-1:])).status_code == 200:
                    answered.add(device.seq)
    return answered


def _post_until_taken(address: str, device: Device, documents: list[str], result: Result) -> set[int]:
    """Everything again, as a device does, until the server takes it; it may need a moment to stand up."""
    until = time.monotonic() + 90
    with httpx.Client(base_url=address, timeout=10) as http:
        while time.monotonic() < until:
            with contextlib.suppress(httpx.HTTPError):
                if http.post(PATH, content=device.body(documents)).status_code == 200:
                    return set(range(1, device.seq + 1))
            time.sleep(0.3)
    result.problem("the server does not stand up again when its disk has room")
    return set()


def _compare(data: Path, device: Device, answered: set[int], result: Result, where: str) -> None:
    """What was answered for is stored, where the database can be asked at all."""
    with contextlib.suppress(psycopg.Error):
        with psycopg.connect(EmbeddedServer(data / "postgres").url("komgick"), connect_timeout=5) as connection:
            held = _numbers(read_held(connection).taps)
        missing = [str(seq) for seq in answered if (device.device_id, seq) not in held]
        result.wrong("acked_missing", missing, where)


def _read_only(place: Path, data: Path, result: Result) -> None:
    """On a read-only disk `serve` does not pretend to serve; with a good disk it starts again."""
    _wait_for_rest(data)
    remount(place, "ro")
    refused = Watched(KOMGICK, "serve", "--port", "0", "--data", str(data))
    try:
        status = refused.process.wait(60)
    except subprocess.TimeoutExpired:
        status = 0
    refused.end(signal.SIGKILL)
    remount(place, "rw")
    if status == 0 or any("KomGick: " in line for line in refused.lines):
        result.problem("a server serves, or waits for ever, on a read-only disk")


def _wait_for_rest(data: Path) -> None:
    """Until nothing of the killed server's database works in the folder."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        places = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                places.append((process / "cwd").readlink())
        if data / "postgres" / "cluster" not in places:
            return
        time.sleep(0.1)


@contextmanager
def _alone(data: Path) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    database = EmbeddedServer(data / "postgres").start()
    try:
        with psycopg.connect(database.url("komgick")) as connection:
            yield connection
    finally:
        database.stop()


def _numbers(taps: list[tuple[str, int, str]]) -> set[tuple[str, int]]:
    return {(device_id, seq) for device_id, seq, _ in taps}


def _count(taps: list[tuple[str, int, str]], seq: int) -> int:
    return sum(1 for _, number, _ in taps if number == seq)
