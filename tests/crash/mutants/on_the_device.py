"""Scenarios on a device: a real `komgick-agent` process against a scripted HTTP server. Each returns what was wrong."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from device_agent.keys import DeviceKey, payload_of
from device_agent.outbox import FILE_NAME
from device_agent.setup import KEY_NAME, Identity
from tests.agent.server import TapServer
from tests.crash.device import tag_uid
from tests.crash.ledger import read_outbox
from tests.crash.mutants.nursery import Child, Nursery

DRAIN_S = 12.0


class Trouble(TapServer):
    """Also hangs up, answers with receipts that are not for this upload (then nothing is stored), and forgets: all that
    it holds, once, when the statement numbered `forgets_at` comes.
    """

    forgets_at = 0

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that breaks is what this is for."""
        del request, client_address

    def upload(self, body: bytes) -> tuple[int, bytes]:
        does = self.script[0] if self.script else None
        if does == "hang up":
            self.script.pop(0)
            raise ConnectionAbortedError
        if does in ("stranger", "older"):
            self.script.pop(0)
            head = json.loads(body)["head"]
            said = payload_of(head)
            said["nonce"] = "another-upload" if does == "older" else said["nonce"]
            own, self.key = self.key, DeviceKey(ec.generate_private_key(ec.SECP256R1()))
            self.key = own if does == "older" else self.key
            try:
                return 200, self._claim(said)
            finally:
                self.key = own
        if self.forgets_at in {payload_of(jws)["seq"] for jws in json.loads(body)["taps"]}:
            self.held.clear()
            self.forgets_at = 0
        return super().upload(body)

    def _claim(self, head: dict[str, Any]) -> bytes:
        said = {
            "r": "r_false", "dev": self.dev, "upto": head["head_seq"], "upto_hash": head["head_hash"], "missing": [],
            "recv": head["t"], "nonce": head["nonce"], "results": [],
        }  # fmt: skip
        return json.dumps({"receipt": self.key.sign("receipt+jws", said), **said}).encode()


class Bench:
    """One device on a bench: its folder, its server, and agents out of the nursery with one fault or none."""

    def __init__(self, folder: Path, nursery: Nursery, fault: str) -> None:
        folder.mkdir()
        self.folder, self._nursery, self._fault = folder / "agent", nursery, fault
        self.folder.mkdir(mode=0o700)
        self.server = Trouble(DeviceKey.load_or_create(self.folder / KEY_NAME).jwk)
        Identity(self.server.dev, self.server.url, self.server.key.jwk, "ABCDEF").save(self.folder)
        self._laid = 0
        self._children: list[Child] = []

    def close(self) -> None:
        """End every agent and the server."""
        for child in self._children:
            child.kill()
        self.server.close()

    def start(self, *gaps: float, drain: float = DRAIN_S, hold: float = 0.5) -> Child:
        """An agent to which a new tag is laid for every gap (the seconds after it); ends when all is received."""
        script = self.folder.parent / f"script_{len(self._children)}"
        lines = []
        for gap in gaps:
            self._laid += 1
            lines.append(json.dumps({"tag": "ntag213", "uid": tag_uid(1, self._laid), "hold": hold, "gap": gap}))
        script.write_text("\n".join(lines))
        child = self._nursery.fork(
            "device_agent", "simulate", "--data", str(self.folder), "--tags", str(script), "--drain", str(drain),
            "--staff", "s_1", "--max-wait", "0.2", "--heartbeat", "0.3", "--holdoff", "0.1", fault=self._fault,
        )  # fmt: skip
        self._children.append(child)
        return child

    def run(self, *gaps: float, drain: float = DRAIN_S) -> list[str]:
        """The same, run to its end: its lines."""
        child = self.start(*gaps, drain=drain)
        child.wait(DRAIN_S + 30)
        return child.lines()

    def settings(self) -> list[Any]:
        """Journal mode and synchronous of the outbox as the device opens it."""
        child = self._nursery.fork("outbox settings", str(self.folder), fault=self._fault)
        child.wait(20)
        return list(json.loads(child.lines()[0]))

    def held_uids(self) -> set[str]:
        """Tags of which the server holds a tap."""
        return {said["tag"]["uid"] for said in self.server.taps() if said["kind"] == "tap"}


def greens(lines: list[str]) -> dict[str, int]:
    """uid -> number of every green light."""
    return {line.split()[3]: int(line.split()[1]) for line in lines if line.startswith("green ")}


def _not_there(bench: Bench, lines: list[str], wanted: int) -> Iterator[str]:
    lit = greens(lines)
    if len(lit) < wanted:
        yield f"{len(lit)} of {wanted} tags got green light"
    if set(lit) - bench.held_uids():
        yield f"{len(set(lit) - bench.held_uids())} green taps never reach the server"


def disk_held(bench: Bench) -> Iterator[str]:
    """While the disk cannot be written there is no green light; afterwards there is."""
    bench.run(0.1)
    bench.server.always = 503  # no receipt to be written down: only the tap waits for the disk
    with contextlib.closing(sqlite3.connect(bench.folder / FILE_NAME, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        child = bench.start(0.1)
        child.line("ready", 30)
        if child.line("green", 2.5):
            yield "green light before the tap was written"
        other.execute("ROLLBACK")
    if not child.line("green", 10):
        yield "no green light when the disk can be written again"


def disk_refuses(bench: Bench) -> Iterator[str]:
    """A tap that cannot be stored is red. (The refusal comes while the agent runs: at its start it would be healed.)"""
    child = bench.start(3.0, 0.1, drain=0.0)
    if not child.line("green", 30):
        yield "no green light before the disk refuses"
    with contextlib.closing(sqlite3.connect(bench.folder / FILE_NAME, isolation_level=None)) as other:
        other.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON statements BEGIN SELECT RAISE(ABORT, 'the disk refuses'); END"
        )
        child.wait(DRAIN_S + 30)
        other.execute("DROP TRIGGER refuse")
    lines = child.lines()
    if len(greens(lines)) > 1:
        yield "green light for a tap that is not stored"
    elif not any(line.startswith("red ") for line in lines):
        yield "neither green nor red"


def server_in_trouble(bench: Bench) -> Iterator[str]:
    """Errors of every kind, lost answers and hang-ups cost nothing."""
    bench.server.script = ["hang up", 500, "lose", 503, "hang up", 401, 302, 204, 500, "hang up"]
    yield from _not_there(bench, bench.run(0.1, 0.1), 2)


def false_receipts(bench: Bench) -> Iterator[str]:
    """A receipt of a stranger, or of another upload, receives nothing."""
    bench.server.script = ["stranger", "older"] * 3
    yield from _not_there(bench, bench.run(0.1, 0.1), 2)


def server_forgets(bench: Bench) -> Iterator[str]:
    """A server put back to an older backup gets again what it had acknowledged."""
    bench.server.forgets_at = 3
    yield from _not_there(bench, bench.run(0.1, 1.5, 0.1), 3)


def poison(bench: Bench) -> Iterator[str]:
    """A statement that the server will not have is set aside, kept, and stops no other."""
    bench.server.poison = {1}
    lines = bench.run(0.1, 0.1)
    held = read_outbox(bench.folder)
    if len(greens(lines)) != 2 or [one.seq for one in held if one.parked] != [1]:
        yield "the statement is not kept aside"
    if set(bench.server.held) != {2}:
        yield "what comes after it is stopped"


def device_revoked(bench: Bench) -> Iterator[str]:
    """A revoked device shows red, signs nothing, keeps what it has."""
    bench.run(0.1)
    bench.server.revoked = True
    bench.run(0.1)
    if "red device_revoked" not in " ".join(bench.run(0.1)):
        yield "it taps on, though it was told"
    if not read_outbox(bench.folder):
        yield "it throws away what it had"


def disk_lost(bench: Bench) -> Iterator[str]:
    """A lost outbox costs its taps, but no number is given twice."""
    bench.server.always = 503
    before = greens(bench.run(0.1, 0.1, drain=0.0))
    for file in bench.folder.glob(f"{FILE_NAME}*"):
        file.unlink()
    after = greens(bench.run(0.1, drain=0.0))
    if len(before) != 2 or not after or min(after.values()) <= max(before.values()):
        yield f"numbers {sorted(before.values())}, after the loss {sorted(after.values())}"


def disk_torn(bench: Bench) -> Iterator[str]:
    """Statements that can still be read in a torn file are found again and sent."""
    bench.server.always = 503
    lines = bench.run(0.1, 0.1, drain=0.0)
    file = bench.folder / FILE_NAME
    torn = bytearray(file.read_bytes())
    torn[:100] = os.urandom(100)
    file.write_bytes(torn)
    bench.server.always = None
    lines += bench.run(0.1)
    yield from _not_there(bench, lines, 3)


def older_disk(bench: Bench) -> Iterator[str]:
    """A device put back to an older copy of its disk goes on behind what the server holds."""
    lines = bench.run(0.1, 0.1)
    copy = bench.folder.parent / "copy"
    shutil.copytree(bench.folder, copy)
    lines += bench.run(0.1, 0.1)
    shutil.rmtree(bench.folder)
    copy.rename(bench.folder)
    bench.run(0.1)  # may still be one of the old numbers: a fork, kept and found
    last, after = max(greens(lines).values(), default=0), greens(bench.run(0.1))
    if last != 4 or len(after) != 1 or min(after.values()) <= last:
        yield f"the server holds numbers to {last}, it goes on with {list(after.values())}"


def disk_settings(bench: Bench) -> Iterator[str]:
    """The outbox is opened so that a commit is on the disk. (A SIGKILL cannot show this: see the package.)"""
    if bench.settings() != ["wal", 2]:
        yield f"journal mode and synchronous are {bench.settings()}"


ON_THE_DEVICE: dict[str, Callable[[Bench], Iterator[str]]] = {
    function.__name__: function
    for function in (
        disk_held, disk_refuses, server_in_trouble, false_receipts, server_forgets, poison, device_revoked, disk_lost,
        disk_torn, older_disk, disk_settings,
    )
}  # fmt: skip
