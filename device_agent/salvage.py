"""What can still be read of a damaged outbox: the statements themselves, found by their signed form in the raw bytes.

A statement is shorter than a database page, so it always lies in one piece. It carries its own proof: what the device's
own key signed was said, wherever in the file it is found. Only committed bytes count. In the main file everything was
committed once. In the write-ahead log a transaction counts when its commit frame follows: a tap that failed with a full
disk got red light and must not come back to life.
"""

import contextlib
import re
import struct
from collections.abc import Iterator
from pathlib import Path

from device_agent.keys import BadSignature, DeviceKey, header, payload_of, verify

PAGE_SIZE = 4096
_FRAME_HEADER = 24
_WAL_HEADER = 32
_JWS = re.compile(re.escape(header("tap+jws")).encode() + rb"\.[A-Za-z0-9_-]{20,4000}\.[A-Za-z0-9_-]{86}")


def salvage(database: Path, key: DeviceKey, device_id: str) -> dict[int, str]:
    """Every statement of this device that lies committed in the file or its write-ahead log, by seq; the latest found
    wins.

    Signatures are checked. Reads only; a missing or unreadable file gives nothing.
    """
    found: dict[int, str] = {}
    for jws in _candidates(database):
        with contextlib.suppress(BadSignature):
            seq = payload_of(jws).get("seq")
            if isinstance(seq, int) and found.get(seq) != jws:
                payload = verify(jws, key.jwk, "tap+jws")
                if payload.get("dev") == device_id and seq >= 1:
                    found[seq] = jws
    return found


def _candidates(database: Path) -> Iterator[str]:
    with contextlib.suppress(OSError):
        yield from _statements(database.read_bytes())
    with contextlib.suppress(OSError):
        yield from _committed_in_log(database.with_name(database.name + "-wal").read_bytes())


def _committed_in_log(log: bytes) -> Iterator[str]:
    """Statements in the log's transactions that end with a commit frame, whatever its checksums say.

    SQLite itself stops at the first torn frame; whole transactions behind it were green all the same.
    """
    pending: list[str] = []
    for start in range(_WAL_HEADER, len(log) - _FRAME_HEADER - PAGE_SIZE + 1, _FRAME_HEADER + PAGE_SIZE):
        pages_after_commit = struct.unpack_from(">I", log, start + 4)[0]
        page = start + _FRAME_HEADER
        pending.extend(_statements(log[page : page + PAGE_SIZE]))
        if pages_after_commit:
            yield from pending
            pending.clear()


def _statements(data: bytes) -> Iterator[str]:
    for match in _JWS.finditer(data):
        yield match.group().decode("ascii")
