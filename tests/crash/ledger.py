"""What the devices say and what the database holds, read from outside: files and tables, no product code but its SQL
schema and the hash that identifies a statement.
"""

from __future__ import annotations

import base64
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

Key = tuple[str, int, str]
"""(device_id, seq, base64url of the SHA-256 of the signing input): the identity of a statement."""

_HELD = """
SELECT device_id, seq, hash, tag_uid, jws FROM komgick.taps
UNION ALL SELECT device_id, seq, hash, '', jws FROM komgick.device_statements
UNION ALL SELECT device_id, seq, hash, '', jws FROM komgick.voids
"""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement as it lies in an outbox."""

    seq: int
    hash: str
    kind: str
    jws: str
    received: bool
    parked: bool


def read_outbox(folder: Path) -> list[Statement]:
    """Every statement in a device's outbox, whoever has it open."""
    file = folder / "outbox.sqlite3"
    if not file.exists():
        return []
    with sqlite3.connect(file, timeout=20) as db:
        rows = db.execute(
            "SELECT seq, hash, kind, jws, receipt IS NOT NULL, parked IS NOT NULL FROM statements"
        ).fetchall()
    db.close()
    return [Statement(seq, digest, kind, jws, bool(got), bool(parked)) for seq, digest, kind, jws, got, parked in rows]


@dataclass(frozen=True, slots=True)
class Held:
    """What the database holds: each statement's bytes, and every tap's (device_id, seq, tag_uid), repeated where it is
    there twice.
    """

    statements: dict[Key, str]
    taps: list[tuple[str, int, str]]


def read_held(connection: psycopg.Connection[tuple[object, ...]]) -> Held:
    """Everything of devices in the database."""
    statements: dict[Key, str] = {}
    taps = []
    for device, seq, digest, uid, jws in connection.execute(_HELD):
        assert isinstance(digest, bytes)
        key = (str(device), int(str(seq)), base64.urlsafe_b64encode(digest).rstrip(b"=").decode())
        statements[key] = str(jws)
        if uid:
            taps.append((key[0], key[1], str(uid)))
    return Held(statements, taps)


@dataclass
class Ledger:
    """What the harness itself saw: tags it laid on readers, and green lights. Every tag is laid once in its life."""

    presented: dict[str, str] = field(default_factory=dict)
    """tag uid -> device_id"""
    green: dict[str, tuple[str, int]] = field(default_factory=dict)
    """tag uid -> (device_id, seq)"""
    twice_green: list[str] = field(default_factory=list)
    said: dict[Key, str] = field(default_factory=dict)
    """Every statement ever seen in an outbox, with its bytes."""
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def lay(self, uid: str, device_id: str) -> None:
        """A tag is laid on a device's reader."""
        with self._guard:
            self.presented[uid] = device_id

    def lit(self, uid: str, device_id: str, seq: int) -> None:
        """The device showed green for it."""
        with self._guard:
            if uid in self.green:
                self.twice_green.append(uid)
            self.green[uid] = (device_id, seq)

    def look_at(self, device_id: str, statements: Iterable[Statement]) -> set[Key]:
        """Remembers what an outbox holds; the keys that its device takes for received."""
        keys = {(device_id, one.seq, one.hash): one for one in statements}
        with self._guard:
            self.said |= {key: one.jws for key, one in keys.items()}
        return {key for key, one in keys.items() if one.received}

    def lost(self, held: Held) -> list[str]:
        """Green taps that the database does not hold under the number the device showed."""
        there = {(device, seq, uid) for device, seq, uid in held.taps}
        with self._guard:
            return [uid for uid, (device, seq) in self.green.items() if (device, seq, uid) not in there]

    def doubled(self, held: Held) -> list[str]:
        """Tags laid once and stored twice, or shown green twice."""
        counts = Counter(uid for _, _, uid in held.taps)
        return [uid for uid, times in counts.items() if times > 1] + self.twice_green

    def invented(self, held: Held) -> list[str]:
        """What no device said in these very bytes, or about a tag that was never laid on its reader."""
        strange = [uid for device, _, uid in held.taps if self.presented.get(uid) != device]
        return strange + [f"{key[0]} {key[1]}" for key, jws in held.statements.items() if self.said.get(key) != jws]
