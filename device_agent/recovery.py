"""Opening the outbox after whatever happened to its file.

A sound file is used as it is. A damaged one is set aside, never deleted, and a new one is built from every statement
that can still be proved (salvage.py). In both cases the chain mark tells whether green taps are gone; their numbers are
never given out again but stated as `void`, so that nothing blocks the device and nothing is hidden.
"""

import contextlib
import logging
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from device_agent.clock import Clock
from device_agent.keys import BadSignature, DeviceKey, payload_of, statement_hash, sync_folder, verify
from device_agent.mark import Mark, MarkFile
from device_agent.outbox import FILE_NAME, MARK_NAME, SCHEMA, Outbox, ranges, read_head, write_head
from device_agent.salvage import salvage
from device_agent.statements import VoidCause

log = logging.getLogger(__name__)

_DAMAGE = {
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_FORMAT,
    sqlite3.SQLITE_MISMATCH,
}
_PARTS = (FILE_NAME + "-shm", FILE_NAME + "-wal", FILE_NAME)
"""Moved in this order: a log without its database would be taken for the new database's own."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """The outbox, and what had to be done to it: folder with the damaged file, ranges stated as void, statements found
    again.
    """

    outbox: Outbox
    quarantined: Path | None
    voided: tuple[tuple[int, int], ...]
    restored: int


class _Damaged(Exception):  # noqa: N818 - said of the file
    """The database opens, but what it holds is not what was written."""


def open_outbox(folder: Path, key: DeviceKey, device_id: str, clock: Clock) -> Recovered:
    """The device's outbox in `folder`, healed as far as possible.

    Raises sqlite3.Error, OSError or NotStored when the disk cannot be written (full, read-only): then there is no
    outbox and no green light.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / FILE_NAME
    mark = MarkFile(folder / MARK_NAME).read() or Mark(0, "")
    # Files set aside earlier are read too: a crash in the middle of a recovery must not forget what it was recovering.
    found = {
        seq: jws
        for place in (*sorted(folder.glob("damaged-*")), folder)
        for seq, jws in salvage(place / FILE_NAME, key, device_id).items()
    }
    lost_file = not path.exists() and mark.seq > 0
    outbox = Outbox(folder, key, device_id)
    quarantined = None
    try:
        _check(outbox, key)
    except (sqlite3.DatabaseError, ValueError, _Damaged) as error:
        # Errors that Python's own layer raises (text that is not UTF-8) carry no code: damage too. A full disk is none.
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF not in _DAMAGE:
            raise
        log.warning("outbox damaged (%s): set aside", error)
        outbox.close()
        quarantined = _set_aside(folder, clock)
        _check(outbox, key)
    cause: VoidCause = "outbox_corrupt" if quarantined else "storage_lost"
    restored, gaps = _take_up(outbox, found, mark, everything=quarantined is not None or lost_file)
    for first, last in gaps:
        outbox.void(first, last, cause, clock.now())
    return Recovered(outbox, quarantined, tuple(gaps), restored)


def _check(outbox: Outbox, key: DeviceKey) -> None:
    """Raises sqlite3.DatabaseError or _Damaged unless every statement that is still needed reads as it was written."""
    db = outbox.connection()
    db.executescript(SCHEMA)
    if db.execute("PRAGMA quick_check").fetchone()[0] != "ok":
        raise _Damaged("quick_check")
    if _tables(db) != _tables_wanted():  # a flipped bit in a column's name passes every check of SQLite's own
        raise _Damaged("tables")
    last_seq, last_hash = read_head(db)
    rows = db.execute("SELECT seq, jws, hash FROM statements WHERE receipt IS NULL OR seq = ?", (last_seq,)).fetchall()
    for seq, jws, stored_hash in rows:
        if not isinstance(jws, str) or not jws.isascii() or statement_hash(jws) != stored_hash:
            raise _Damaged(f"statement {seq}")
        if seq == last_seq and stored_hash != last_hash:
            raise _Damaged("head")
        try:
            verify(jws, key.jwk, "tap+jws")
        except BadSignature:
            # What was said is whole, as its hash shows; only the signature rotted. The same words are signed again.
            log.warning("statement %s: signature damaged, signed again", seq)
            db.execute("UPDATE statements SET jws = ? WHERE seq = ?", (key.sign_again(jws.rpartition(".")[0]), seq))
    highest = db.execute("SELECT coalesce(max(seq), 0) FROM statements").fetchone()[0]
    if highest > last_seq:
        raise _Damaged("head behind its statements")


def _tables(db: sqlite3.Connection) -> list[tuple[str, str]]:
    return db.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()


def _tables_wanted() -> list[tuple[str, str]]:
    with contextlib.closing(sqlite3.connect(":memory:")) as fresh:
        fresh.executescript(SCHEMA)
        return _tables(fresh)


def _set_aside(folder: Path, clock: Clock) -> Path:
    """Moves the damaged files into a folder of their own, where an expert may still look at them."""
    stem = "damaged-" + clock.now().t.replace(":", "")
    place = folder / stem
    attempt = 1
    while place.exists():
        attempt += 1
        place = folder / f"{stem}-{attempt}"
    place.mkdir(mode=0o700)
    for name in _PARTS:
        with contextlib.suppress(FileNotFoundError):
            (folder / name).rename(place / name)
    sync_folder(place)
    sync_folder(folder)
    return place


def _take_up(
    outbox: Outbox, found: dict[int, str], mark: Mark, *, everything: bool
) -> tuple[int, list[tuple[int, int]]]:
    """Puts salvaged statements back and sets the head behind everything that was ever green; how many, and what is
    lost.

    everything: rebuild from nothing. Otherwise only what lies behind the head is taken: what is gone before it was
    dropped on purpose.
    """
    db = outbox.connection()
    head_seq, head_hash = read_head(db)
    wanted = {seq: jws for seq, jws in found.items() if everything or seq > head_seq}
    last = max([head_seq, mark.seq, *wanted])
    if last == head_seq:
        return 0, []
    first = min(wanted, default=1) if everything else head_seq + 1
    gaps = ranges(seq for seq in range(first, last + 1) if seq not in wanted)
    db.execute("BEGIN IMMEDIATE")
    for seq, jws in sorted(wanted.items()):
        said = payload_of(jws)
        db.execute(
            "INSERT INTO statements (seq, jws, hash, kind, void_from, void_to) VALUES (?, ?, ?, ?, ?, ?)",
            (seq, jws, statement_hash(jws), said.get("kind", "tap"), said.get("from_seq"), said.get("to_seq")),
        )
    last_hash = statement_hash(wanted[last]) if last in wanted else mark.hash if last == mark.seq else head_hash
    write_head(db, last, last_hash)
    db.execute("COMMIT")
    return len(wanted), gaps
