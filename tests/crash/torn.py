"""Torn outbox files: what a power cut or a bad memory card leaves. In this process, through the agent's own code.

A statement that can still be read and was committed must reach the server; a number is never given twice; what is
destroyed is said (`void`); and the device works again at once.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from device_agent.clock import SystemClock
from device_agent.keys import DeviceKey, payload_of, statement_hash
from device_agent.loop import http_client
from device_agent.outbox import FILE_NAME, MARK_NAME
from device_agent.sender import Sender, Server
from device_agent.setup import KEY_NAME
from tests.agent.conftest import tap
from tests.agent.server import TapServer
from tests.agent.torn import damage, grown, reopen
from tests.crash.result import Result, say

TAPS = 24
MARK_SLOT = 96
"""The first slot of the mark holds the last even number: the last one here."""
_FRAME, _WAL_HEADER, _FRAME_HEADER = 4096 + 24, 32, 24


def tear(folder: Path, result: Result, *, files: int, seed: int) -> None:
    """So many torn outboxes, each healed, sent and tapped on again. Counts into `result`."""
    data = folder / "whole"
    data.mkdir(parents=True)
    key = DeviceKey.load_or_create(data / KEY_NAME)
    whole, green = grown(data, key, TAPS)
    server = TapServer(key.jwk)
    destroyed = 0
    try:
        for number in range(files):
            chance = random.Random(f"{seed} torn {number}")
            torn = folder / "torn"
            shutil.rmtree(torn, ignore_errors=True)
            shutil.copytree(whole, torn)
            damage(torn, chance)
            readable = _readable(whole, torn, green)
            destroyed += len(green) - len(readable)
            server.held = {seq: green[seq] for seq in range(1, chance.choice([0, 0, 10]) + 1)}
            _heal(torn, key, server, (green, readable), (result, f"torn file {number}"))
    finally:
        server.close()
    say(f"{files} torn outboxes healed: {destroyed} of {files * TAPS} green taps were destroyed by the tear itself")


def _heal(
    torn: Path, key: DeviceKey, server: TapServer, said: tuple[dict[int, str], set[int]], account: tuple[Result, str]
) -> None:
    (green, readable), (result, where) = said, account
    marked = _bytes(torn / MARK_NAME)[:MARK_SLOT] == _bytes(torn.parent / "whole" / MARK_NAME)[:MARK_SLOT]
    outbox = reopen(torn, key).outbox
    with http_client(server.url) as http:
        sender = Sender(outbox, key, Server(http, server.key.jwk), SystemClock(), max_wait_s=0.1)
        for _ in range(4):
            sender.step()
        fresh = tap(outbox)
        for _ in range(4):
            sender.step()
    result.wrong("lost", [str(seq) for seq in sorted(readable) if server.held.get(seq) != green[seq]], where)
    result.wrong("lost", [str(fresh)] if fresh not in server.held else [], where)
    if marked or len(readable) == TAPS:
        # A damaged signature over sound words is made anew: the statement is its words (EVIDENCE.md section 1).
        again = [seq for seq, jws in green.items() if seq in server.held and not _same(server.held[seq], jws)]
        result.wrong("doubled", [str(seq) for seq in again] + ([str(fresh)] if fresh <= TAPS else []), where)
        result.wrong("lost", [f"{seq} in silence" for seq in _unsaid(server, fresh)], where)
    result.undrained += outbox.counts().waiting + outbox.counts().parked
    outbox.close()


def _same(one: str, other: str) -> bool:
    return statement_hash(one) == statement_hash(other)


def _unsaid(server: TapServer, last: int) -> list[int]:
    """Numbers of which the server has neither a statement nor a void."""
    voids = [said for said in map(payload_of, server.held.values()) if said["kind"] == "void"]
    voided = {seq for said in voids for seq in range(said["from_seq"], said["to_seq"] + 1)}
    return [seq for seq in range(1, last + 1) if seq not in server.held and seq not in voided]


def _readable(whole: Path, torn: Path, green: dict[int, str]) -> set[int]:
    """Green statements that lie whole in the torn main file, or in a transaction of the torn log whose end is whole."""
    main = _bytes(torn / FILE_NAME)
    before, after = _bytes(whole / f"{FILE_NAME}-wal"), _bytes(torn / f"{FILE_NAME}-wal")
    found = {seq for seq, jws in green.items() if jws.encode() in main}
    pending: set[int] = set()
    for start in range(_WAL_HEADER, len(before) - _FRAME + 1, _FRAME):
        page, end = after[start + _FRAME_HEADER : start + _FRAME], start + _FRAME
        pending |= {seq for seq, jws in green.items() if jws.encode() in page}
        ends_transaction = before[start + 4 : start + 8] != bytes(4)
        if ends_transaction and len(after) >= end and after[start : start + 8] == before[start : start + 8]:
            found |= pending
        if ends_transaction:
            pending = set()
    return found


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""
