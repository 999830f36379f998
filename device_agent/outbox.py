"""The outbox: every statement of this device, byte for byte as signed, until 35 days after the server's receipt.

`append` returns only when the statement is on the disk (WAL, synchronous=FULL) - that, and not delivery, is what green
light means (EVIDENCE.md section 1). Numbers are given out in one transaction with the statement, so a failed write uses
up no number.
"""

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from device_agent.clock import Moment
from device_agent.keys import NOTHING_BEFORE, DeviceKey, statement_hash
from device_agent.mark import Mark, MarkFile
from device_agent.salvage import PAGE_SIZE
from device_agent.statements import Place, VoidCause, envelope, void_body

FILE_NAME = "outbox.sqlite3"
MARK_NAME = "chain.mark"
KEEP_MS = 35 * 24 * 3600 * 1000
"""How long a statement is kept after its receipt: the server may be restored from a backup that old."""
MAX_STATEMENT = 3000
"""Characters; a statement must lie in one piece on a page so that it can be salvaged."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS statements (
    seq INTEGER PRIMARY KEY, jws TEXT NOT NULL, hash TEXT NOT NULL, kind TEXT NOT NULL,
    void_from INTEGER, void_to INTEGER, sent INTEGER NOT NULL DEFAULT 0, receipt TEXT, received_ms INTEGER,
    result TEXT, parked TEXT);
CREATE INDEX IF NOT EXISTS statements_waiting ON statements (seq) WHERE receipt IS NULL;
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


class NotStored(Exception):  # noqa: N818 - says what happened to the tap
    """The statement is not on the disk: no green light, the tap is not claimed. `code`: disk_full, not_writable,
    too_long.
    """

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(detail or code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Stored:
    """A statement that is durably written: its number, its signed form, its hash."""

    seq: int
    jws: str
    hash: str


@dataclass(frozen=True, slots=True)
class Counts:
    """What lies in the outbox: waiting for a receipt, parked as poison, received; and the last number given out."""

    waiting: int
    parked: int
    received: int
    last_seq: int


class Outbox:
    """One device's statements in `folder`. Safe for several threads and for several processes. Open it with
    `recovery.open_outbox`.
    """

    def __init__(self, folder: Path, key: DeviceKey, device_id: str) -> None:
        self.path = folder / FILE_NAME
        self.device_id = device_id
        self._key = key
        self._mark = MarkFile(folder / MARK_NAME)
        self._lock = threading.RLock()
        self._db: sqlite3.Connection | None = None

    # writing

    def append(self, kind: str, body: Mapping[str, Any], moment: Moment) -> Stored:
        """Signs and stores the next statement; durable when this returns. Raises NotStored, and then nothing was used
        up.
        """
        with self._lock:
            try:
                with self._transaction() as db:
                    stored = self._insert_next(db, kind, body, moment)
            except sqlite3.Error as error:
                raise NotStored(_code(error), str(error)) from error
            except OSError as error:
                raise NotStored("not_writable", str(error)) from error
            # The statement is safe. A mark left one behind costs only the notice of a later loss, so it never turns
            # green to red.
            with contextlib.suppress(OSError):
                self._mark.write(Mark(stored.seq, stored.hash))
            return stored

    def _insert_next(self, db: sqlite3.Connection, kind: str, body: Mapping[str, Any], moment: Moment) -> Stored:
        last_seq, last_hash = read_head(db)
        place = Place(self.device_id, last_seq + 1, last_hash, read_state(db, "last_receipt"))
        jws = self._key.sign("tap+jws", envelope(place, moment, kind, body))
        if len(jws) > MAX_STATEMENT:
            raise NotStored("too_long")
        stored = Stored(place.seq, jws, statement_hash(jws))
        db.execute(
            "INSERT INTO statements (seq, jws, hash, kind, void_from, void_to) VALUES (?, ?, ?, ?, ?, ?)",
            (stored.seq, jws, stored.hash, kind, body.get("from_seq"), body.get("to_seq")),
        )
        write_head(db, stored.seq, stored.hash)
        return stored

    def void(self, from_seq: int, to_seq: int, cause: VoidCause, moment: Moment) -> Stored:
        """States that from_seq..to_seq can no longer be produced. Raises NotStored."""
        return self.append("void", void_body(from_seq, to_seq, cause), moment)

    def acknowledge(
        self, receipt: str, received_ms: int, head_seq: int, missing: Iterable[int], sent: Iterable[int]
    ) -> None:
        """Takes a receipt: what was sent up to head_seq and is not missing is received; what is missing is un-received.

        A statement that this outbox never sent is not received by being unmentioned. Statements are dropped 35 days
        after their receipt by the server's clock, since ours may be wrong. Raises sqlite3.Error; then nothing is
        changed.
        """
        gone, fresh = json.dumps(sorted(missing)), json.dumps(sorted(sent))
        with self._lock, self._transaction() as db:
            db.execute("UPDATE statements SET sent = 1 WHERE seq IN (SELECT value FROM json_each(?))", (fresh,))
            db.execute(
                "UPDATE statements SET receipt = NULL, received_ms = NULL"
                " WHERE receipt IS NOT NULL AND seq IN (SELECT value FROM json_each(?))",
                (gone,),
            )
            db.execute(
                "UPDATE statements SET receipt = ?, received_ms = ?, parked = NULL WHERE receipt IS NULL AND sent = 1"
                " AND seq <= ? AND seq NOT IN (SELECT value FROM json_each(?))",
                (receipt, received_ms, head_seq, gone),
            )
            db.execute("DELETE FROM statements WHERE receipt IS NOT NULL AND received_ms < ?", (received_ms - KEEP_MS,))
            write_state(db, "last_receipt", receipt)

    def note_results(self, results: Iterable[tuple[int, str]]) -> None:
        """Keeps what the server said of single statements, for `queue`."""
        with self._lock, self._transaction() as db:
            db.executemany("UPDATE statements SET result = ? WHERE seq = ?", [(said, seq) for seq, said in results])

    def park(self, seq: int, reason: str) -> None:
        """Sets a poison statement aside: kept and shown, not sent until released."""
        with self._lock, self._transaction() as db:
            db.execute("UPDATE statements SET parked = ? WHERE seq = ?", (reason, seq))

    def release(self, seq: int | None = None) -> int:
        """Lets parked statements (or one) be sent again; how many."""
        with self._lock, self._transaction() as db:
            return db.execute(
                "UPDATE statements SET parked = NULL WHERE parked IS NOT NULL AND (?1 IS NULL OR seq = ?1)", (seq,)
            ).rowcount

    def skip_to(self, seq: int, hash_there: str) -> None:
        """Continues after `seq`: the server holds statements of ours that this disk has forgotten."""
        with self._lock:
            with self._transaction() as db:
                if read_head(db)[0] < seq:
                    write_head(db, seq, hash_there)
            with contextlib.suppress(OSError):
                self._mark.write(Mark(seq, hash_there))

    @property
    def revoked(self) -> bool:
        """The server said that this device is revoked: no more taps, nothing thrown away."""
        with self._lock:
            return read_state(self.connection(), "revoked") == "yes"

    def set_revoked(self, *, revoked: bool) -> None:
        """Remembers, over restarts, what the last receipt said."""
        with self._lock, self._transaction() as db:
            write_state(db, "revoked", "yes" if revoked else "no")

    # reading

    def head(self) -> tuple[int, str]:
        """The last number given out and its hash; 0 and the hash of nothing at the beginning."""
        with self._lock:
            return read_head(self.connection())

    def waiting(self, up_to: int, limit: int, max_bytes: int) -> list[Stored]:
        """The oldest statements without a receipt, parked ones left out, within both limits (always at least one)."""
        with self._lock:
            rows = self.connection().execute(
                "SELECT seq, jws, hash FROM statements WHERE receipt IS NULL AND parked IS NULL AND seq <= ?"
                " ORDER BY seq LIMIT ?",
                (up_to, limit),
            )
            batch: list[Stored] = []
            size = 0
            for row in rows.fetchall():
                size += len(row[1]) + 3
                if batch and size > max_bytes:
                    break
                batch.append(Stored(*row))
            return batch

    def not_producible(self, missing: Iterable[int]) -> list[tuple[int, int]]:
        """Those of the missing numbers that are neither held nor covered by a void, as ranges."""
        with self._lock:
            rows = self.connection().execute(
                "SELECT m.value FROM json_each(?) AS m"
                " WHERE NOT EXISTS (SELECT 1 FROM statements s WHERE s.seq = m.value)"
                " AND NOT EXISTS (SELECT 1 FROM statements v WHERE m.value BETWEEN v.void_from AND v.void_to)"
                " ORDER BY 1",
                (json.dumps(sorted(missing)),),
            )
            return ranges(row[0] for row in rows)

    def hash_of(self, seq: int) -> str | None:
        """The hash of a statement that is still here."""
        with self._lock:
            row = self.connection().execute("SELECT hash FROM statements WHERE seq = ?", (seq,)).fetchone()
            return None if row is None else str(row[0])

    def counts(self) -> Counts:
        """How much waits, is parked, is received."""
        with self._lock:
            row = (
                self.connection()
                .execute(
                    "SELECT count(*) FILTER (WHERE receipt IS NULL AND parked IS NULL),"
                    " count(*) FILTER (WHERE parked IS NOT NULL),"
                    " count(*) FILTER (WHERE receipt IS NOT NULL) FROM statements"
                )
                .fetchone()
            )
            return Counts(row[0], row[1], row[2], self.head()[0])

    def rows(self, limit: int) -> list[tuple[int, str, str | None, str | None, str | None, str]]:
        """seq, kind, receipt, parked, result, jws: parked first, then waiting, then the newest received."""
        with self._lock:
            return (
                self.connection()
                .execute(
                    "SELECT seq, kind, receipt, parked, result, jws FROM statements"
                    " ORDER BY parked IS NULL, receipt IS NOT NULL, CASE WHEN receipt IS NULL THEN seq ELSE -seq END"
                    " LIMIT ?",
                    (limit,),
                )
                .fetchall()
            )

    # connection

    def connection(self) -> sqlite3.Connection:
        """The open database; opens it when needed. Raises sqlite3.Error."""
        if self._db is None:
            db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=10)
            db.execute(f"PRAGMA page_size={PAGE_SIZE}")
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            self._db = db
        return self._db

    def close(self) -> None:
        """Closes the file; the next use opens it again."""
        with self._lock:
            if self._db is not None:
                with contextlib.suppress(sqlite3.Error):
                    self._db.close()
                self._db = None

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        db = self.connection()
        try:
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")
        except BaseException as error:
            with contextlib.suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            # After a full disk the connection is sound; after any other fault of the disk a fresh one must prove
            # itself.
            if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) != sqlite3.SQLITE_FULL:
                self.close()
            raise


def read_state(db: sqlite3.Connection, name: str) -> str | None:
    """One remembered value."""
    row = db.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def write_state(db: sqlite3.Connection, name: str, value: str) -> None:
    """Remembers one value."""
    db.execute("INSERT INTO state VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value))


def read_head(db: sqlite3.Connection) -> tuple[int, str]:
    """Last number given out and its hash."""
    return int(read_state(db, "last_seq") or 0), read_state(db, "last_hash") or NOTHING_BEFORE


def write_head(db: sqlite3.Connection, seq: int, hash_there: str) -> None:
    """Sets the last number given out and its hash."""
    write_state(db, "last_seq", str(seq))
    write_state(db, "last_hash", hash_there)


def ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Sorted numbers as inclusive ranges: 3, 4, 5, 9 is (3, 5), (9, 9)."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def _code(error: sqlite3.Error) -> str:
    return "disk_full" if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL else "not_writable"
