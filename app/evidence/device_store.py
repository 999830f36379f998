"""The tap door's SQL: one statement per step for all uploads of a flush, rows sorted by key.

Sorted, because two servers that insert overlapping unsorted rows deadlock. ON CONFLICT DO NOTHING, because the same
again is a duplicate, never an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Table, TextClause, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import BigInteger, Boolean, DateTime, LargeBinary

from app.core.localtime import local_date
from app.evidence import device_tables, tables
from app.evidence.clockwork import Sample
from app.evidence.rules.chain import Progress
from app.evidence.rules.signatures import Unreadable, unb64url
from app.evidence.sun import SunRead

# Keeps two servers from receiving for one device at once, so that a fork is always seen by one of them.
_LOCK = 0x4B6F6D47


@dataclass(frozen=True, slots=True)
class KnownDevice:
    """A device's row at the moment of receipt, with what was acknowledged last."""

    device_id: str
    provider_id: str
    public_jwk: str
    enrolled_at: datetime | None
    revoked_at: datetime | None
    upto: int
    upto_hash: str
    claimed: int
    """The highest number that a head claimed before it had come; above `upto`: a tail was, or still is, missing."""

    @property
    def pending(self) -> bool:
        """Whether nobody has confirmed its key yet."""
        return self.enrolled_at is None

    @property
    def revoked(self) -> bool:
        return self.revoked_at is not None


_DEVICES = text(
    """
    WITH locked AS MATERIALIZED (
        SELECT id, pg_advisory_xact_lock(:namespace, hashtext(id)) FROM unnest(CAST(:ids AS text[])) AS id
    )
    SELECT d.device_id, coalesce(d.provider_id, '') AS provider_id, d.public_jwk, d.enrolled_at, d.revoked_at,
        coalesce(r.upto, 0) AS upto, coalesce(r.upto_hash, '') AS upto_hash, coalesce(h.seq, 0) AS claimed
    FROM locked JOIN devices d ON d.device_id = locked.id
    LEFT JOIN LATERAL (
        SELECT upto, upto_hash FROM receipts WHERE receipts.device_id = d.device_id
        ORDER BY received_at DESC, upto DESC LIMIT 1
    ) r ON true
    LEFT JOIN LATERAL (
        SELECT max(seq) AS seq FROM claimed_heads WHERE claimed_heads.device_id = d.device_id
    ) h ON true
    """
)


def lock_devices(connection: Connection, device_ids: Iterable[str]) -> dict[str, KnownDevice]:
    """The devices of these ids that exist, each locked to this transaction."""
    rows = connection.execute(_DEVICES, {"ids": sorted(set(device_ids)), "namespace": _LOCK})
    return {row.device_id: KnownDevice(*row) for row in rows}


_RECEIVED = text(
    """
    SELECT d.device_id, x.seq, x.hash, x.from_seq, x.to_seq
    FROM unnest(CAST(:ids AS text[]), CAST(:uptos AS bigint[])) AS d(device_id, upto) CROSS JOIN LATERAL (
        SELECT seq, hash, NULL::bigint AS from_seq, NULL::bigint AS to_seq FROM taps t
            WHERE t.device_id = d.device_id AND t.seq > d.upto
        UNION ALL SELECT seq, hash, NULL, NULL FROM device_statements s
            WHERE s.device_id = d.device_id AND s.seq > d.upto
        UNION ALL SELECT seq, NULL, NULL, NULL FROM rejected_seqs j WHERE j.device_id = d.device_id AND j.seq > d.upto
        UNION ALL SELECT seq, hash, from_seq, to_seq FROM voids v WHERE v.device_id = d.device_id AND v.seq > d.upto
    ) x
    """
)


def load_progress(connection: Connection, devices: Iterable[KnownDevice]) -> dict[str, Progress]:
    """What is received of each device above its last acknowledged number."""
    known = sorted(devices, key=lambda device: device.device_id)
    progress = {device.device_id: Progress(device.upto) for device in known}
    for device in known:
        if device.upto and device.upto_hash:
            progress[device.device_id].hashes[device.upto] = {unb64url(device.upto_hash)}
    values = {"ids": [device.device_id for device in known], "uptos": [device.upto for device in known]}
    for row in connection.execute(_RECEIVED, values):
        mine = progress[row.device_id]
        if row.seq > mine.upto:
            mine.hashes.setdefault(row.seq, set()).update({bytes(row.hash)} if row.hash is not None else ())
        if row.from_seq is not None:
            mine.voided.append((row.from_seq, row.to_seq))
    return progress


_AT = text(
    """
    SELECT k.device_id, k.seq, x.hash
    FROM unnest(CAST(:ids AS text[]), CAST(:seqs AS bigint[])) AS k(device_id, seq) CROSS JOIN LATERAL (
        SELECT hash FROM taps t WHERE t.device_id = k.device_id AND t.seq = k.seq
        UNION ALL SELECT hash FROM device_statements s WHERE s.device_id = k.device_id AND s.seq = k.seq
        UNION ALL SELECT hash FROM voids v WHERE v.device_id = k.device_id AND v.seq = k.seq
    ) x
    """
)


def load_hashes(connection: Connection, keys: Iterable[tuple[str, int]]) -> dict[tuple[str, int], set[bytes]]:
    """The contents stored under these (device, seq)."""
    wanted = sorted(set(keys))
    found: dict[tuple[str, int], set[bytes]] = {}
    if wanted:
        values = {"ids": [device_id for device_id, _ in wanted], "seqs": [seq for _, seq in wanted]}
        for row in connection.execute(_AT, values):
            found.setdefault((row.device_id, row.seq), set()).add(bytes(row.hash))
    return found


_JWS = text(
    """
    SELECT k.device_id, k.seq, x.jws
    FROM unnest(CAST(:ids AS text[]), CAST(:seqs AS bigint[])) AS k(device_id, seq) CROSS JOIN LATERAL (
        SELECT jws FROM taps t WHERE t.device_id = k.device_id AND t.seq = k.seq
        UNION ALL SELECT jws FROM device_statements s WHERE s.device_id = k.device_id AND s.seq = k.seq
        UNION ALL SELECT jws FROM voids v WHERE v.device_id = k.device_id AND v.seq = k.seq
    ) x
    """
)


def load_documents(connection: Connection, keys: Iterable[tuple[str, int]]) -> list[tuple[str, int, str]]:
    """(device, seq, jws) of the statements stored under these keys."""
    wanted = sorted(set(keys))
    if not wanted:
        return []
    values = {"ids": [device_id for device_id, _ in wanted], "seqs": [seq for _, seq in wanted]}
    return [(row.device_id, row.seq, row.jws) for row in connection.execute(_JWS, values) if row.jws]


_ACKS = text("SELECT receipt_id, device_id, received_at FROM receipts WHERE receipt_id = ANY(CAST(:ids AS text[]))")


def load_acks(connection: Connection, receipt_ids: Iterable[str]) -> dict[tuple[str, str], datetime]:
    """When the receipts of these ids were given, by (device, receipt): another device's receipt bounds nothing."""
    wanted = sorted(set(receipt_ids))
    rows = connection.execute(_ACKS, {"ids": wanted}) if wanted else ()
    return {(row.device_id, row.receipt_id): row.received_at for row in rows}


_SAMPLES = text(
    """
    SELECT k.device_id, k.boot, k.mono AS asked, x.mono, x.received_at
    FROM unnest(CAST(:ids AS text[]), CAST(:boots AS text[]), CAST(:monos AS bigint[])) AS k(device_id, boot, mono)
    CROSS JOIN LATERAL (
        (SELECT mono, received_at FROM heads h WHERE h.device_id = k.device_id AND h.boot = k.boot AND h.mono < k.mono
            AND h.received_at <= :now ORDER BY h.mono DESC, h.received_at LIMIT 3)
        UNION ALL
        (SELECT mono, received_at FROM heads h WHERE h.device_id = k.device_id AND h.boot = k.boot AND h.mono >= k.mono
            AND h.received_at <= :now ORDER BY h.mono, h.received_at LIMIT 3)
    ) x
    """
)


def load_samples(
    connection: Connection, clocks: Iterable[tuple[str, str, int]], now: datetime
) -> dict[tuple[str, str, int], list[Sample]]:
    """For each (device, boot, mono): the three heads of that boot before it and after it, received until `now`."""
    wanted = sorted(set(clocks))
    found: dict[tuple[str, str, int], list[Sample]] = {key: [] for key in wanted}
    if wanted:
        ids, boots, monos = (list(column) for column in zip(*wanted, strict=True))
        for row in connection.execute(_SAMPLES, {"ids": ids, "boots": boots, "monos": monos, "now": now}):
            found[row.device_id, row.boot, row.asked].append(Sample(row.boot, row.mono, row.received_at))
    return found


_SAMPLES_AT = text("SELECT boot, mono, received_at FROM heads WHERE device_id = :device_id AND received_at = :at")


def load_samples_at(connection: Connection, device_id: str, at: datetime) -> list[Sample]:
    """The heads of a device received at exactly that time: those that came together with a tap received then."""
    rows = connection.execute(_SAMPLES_AT, {"device_id": device_id, "at": at})
    return [Sample(row.boot, row.mono, row.received_at) for row in rows]


_CLAIMS = text(
    "SELECT seq, hash, tapped_at, boot, mono, received_at, not_before FROM taps"
    " WHERE device_id = :device_id AND jws <> '' ORDER BY seq, hash"
)


def load_claims(connection: Connection, device_id: str) -> Sequence[Row[Any]]:
    """What the signed taps of a device say of their time, with their first receive time and lower bound."""
    return connection.execute(_CLAIMS, {"device_id": device_id}).all()


_STAFF_PROVIDERS = text(
    """
    SELECT k.staff_id, k.at, e.provider_id
    FROM unnest(CAST(:ids AS text[]), CAST(:ats AS timestamptz[]), CAST(:days AS date[])) AS k(staff_id, at, day)
    JOIN employments e ON e.staff_id = k.staff_id AND e.valid_from <= k.day
        AND (e.valid_to IS NULL OR e.valid_to >= k.day)
    """
)


def load_staff_providers(
    connection: Connection, staff: Iterable[tuple[str, datetime]]
) -> dict[tuple[str, datetime], str]:
    """The provider that employed each staff member at that time."""
    wanted = sorted({(staff_id, at) for staff_id, at in staff if staff_id})
    if not wanted:
        return {}
    values = {
        "ids": [staff_id for staff_id, _ in wanted], "ats": [at for _, at in wanted],
        "days": [local_date(at) for _, at in wanted],
    }  # fmt: skip
    return {(row.staff_id, row.at): row.provider_id for row in connection.execute(_STAFF_PROVIDERS, values)}


_READS = text(
    """
    SELECT DISTINCT s.device_id, s.seq, s.tag_uid, s.counter, s.at, s.timed, s.provider_id
    FROM unnest(CAST(:tags AS text[]), CAST(:counters AS bigint[]), CAST(:ats AS timestamptz[]))
        AS n(tag_uid, counter, at)
    JOIN sun_reads s ON s.tag_uid = n.tag_uid AND (s.counter >= n.counter OR s.at >= n.at)
    WHERE s.counter = n.counter OR (s.counter > n.counter AND s.at <= n.at) OR (s.counter < n.counter AND s.at >= n.at)
        OR NOT s.timed
    """
)


def load_conflicting_reads(
    connection: Connection, reads: Sequence[SunRead]
) -> dict[tuple[str, int], tuple[SunRead, str]]:
    """The stored readings that can doubt one of these, or be doubted by it, with their provider."""
    values = {
        "tags": [read.tag_uid for read in reads], "counters": [read.counter for read in reads],
        "ats": [read.at for read in reads],
    }  # fmt: skip
    rows = connection.execute(_READS, values) if reads else ()
    return {
        (row.device_id, row.seq): (
            SunRead(row.device_id, row.seq, row.tag_uid, row.counter, row.at, row.timed), row.provider_id,
        )
        for row in rows
    }  # fmt: skip


def _inserting(table: Table, key: Sequence[str], columns: Sequence[str], returning: Sequence[str] = ()) -> TextClause:
    """INSERT ... SELECT FROM unnest(...) ON CONFLICT DO NOTHING, one array a column, for any number of rows."""
    arrays, values = [], []
    for name in columns:
        kind = table.c[name].type
        nested = isinstance(kind, ARRAY)
        arrays.append(f"CAST(:{name} AS {'text' if nested else _ARRAY_TYPES.get(type(kind), 'text')}[])")
        values.append(f"string_to_array(x.{name}, ',')" if nested else f"x.{name}")
    back = f" RETURNING {', '.join(returning)}" if returning else ""
    return text(
        f"INSERT INTO {table.name} ({', '.join(columns)}) SELECT {', '.join(values)}"  # noqa: S608 -- our own table's names
        f" FROM unnest({', '.join(arrays)}) AS x({', '.join(columns)}) ORDER BY {', '.join(f'x.{n}' for n in key)}"
        f" ON CONFLICT DO NOTHING{back}"
    )


_ARRAY_TYPES: Mapping[type[Any], str] = {
    BigInteger: "bigint",
    LargeBinary: "bytea",
    DateTime: "timestamptz",
    Boolean: "boolean",
}


class Appender:
    """Appends rows to one table; rows are tuples in the order of `columns`. Lists of texts are joined by a comma."""

    def __init__(self, table: Table, key: Sequence[str], columns: Sequence[str], returning: Sequence[str] = ()) -> None:
        self.columns = tuple(columns)
        self._statement = _inserting(table, key, columns, returning)
        self._returning = bool(returning)

    def append(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> list[Row[Any]]:
        """Append what is not there yet; what `returning` names, of the rows that were new."""
        if not rows:
            return []
        arrays = {name: list(values) for name, values in zip(self.columns, zip(*rows, strict=True), strict=True)}
        result = connection.execute(self._statement, arrays)
        return list(result) if self._returning else []


HEADS = Appender(
    tables.heads,
    ("device_id", "hash"),
    ("device_id", "hash", "provider_id", "head_seq", "head_hash", "claimed_at", "received_at", "boot", "mono", "nonce",
     "agent_version", "jws"),
    ("device_id", "hash"),
)  # fmt: skip
TAPS = Appender(
    tables.taps,
    ("device_id", "seq", "hash"),
    ("device_id", "seq", "hash", "provider_id", "act", "tag_uid", "staff_id", "staff_by", "grant_id", "service",
     "tapped_at", "at", "received_at", "estimated_at", "not_before", "not_after", "boot", "mono", "grade", "doubts",
     "tag_level", "sun", "jws"),
)  # fmt: skip
FORKS = Appender(tables.tap_forks, ("device_id", "seq"), ("device_id", "seq", "provider_id"))
VOIDS = Appender(
    tables.voids,
    ("device_id", "seq", "hash"),
    ("device_id", "seq", "hash", "provider_id", "from_seq", "to_seq", "cause", "received_at", "jws"),
)
RECEIPTS = Appender(
    tables.receipts,
    ("receipt_id",),
    ("receipt_id", "device_id", "provider_id", "upto", "upto_hash", "received_at", "nonce", "jws"),
)
REJECTED = Appender(
    tables.rejected_input,
    ("device_id", "hash"),
    ("device_id", "provider_id", "received_at", "why", "hash", "item"),
)
REJECTED_SEQS = Appender(
    device_tables.rejected_seqs, ("device_id", "seq"), ("device_id", "seq", "provider_id", "received_at")
)
SUN_READS = Appender(
    device_tables.sun_reads,
    ("device_id", "seq"),
    ("device_id", "seq", "provider_id", "tag_uid", "counter", "at", "timed"),
)
TAP_DOUBTS = Appender(
    device_tables.tap_doubts,
    ("device_id", "seq", "code"),
    ("device_id", "seq", "code", "provider_id"),
    ("device_id", "seq"),
)
CLAIMED_HEADS = Appender(
    device_tables.claimed_heads,
    ("device_id", "seq", "hash"),
    ("device_id", "seq", "hash", "provider_id", "claimed_at", "received_at"),
)
CHAIN_NOTES = Appender(
    device_tables.chain_notes, ("device_id", "seq", "prev"), ("device_id", "seq", "prev", "provider_id", "at")
)

_STATEMENTS = text(
    "INSERT INTO device_statements (device_id, seq, hash, provider_id, kind, body, received_at, quarantined, jws)"
    " SELECT device_id, seq, hash, provider_id, kind, CAST(body AS jsonb), received_at, quarantined, jws"
    " FROM unnest(CAST(:device_id AS text[]), CAST(:seq AS bigint[]), CAST(:hash AS bytea[]),"
    " CAST(:provider_id AS text[]), CAST(:kind AS text[]), CAST(:body AS text[]), CAST(:received_at AS timestamptz[]),"
    " CAST(:quarantined AS boolean[]), CAST(:jws AS text[]))"
    " AS x(device_id, seq, hash, provider_id, kind, body, received_at, quarantined, jws)"
    " ORDER BY device_id, seq, hash ON CONFLICT DO NOTHING"
)
_STATEMENT_COLUMNS = (
    "device_id", "seq", "hash", "provider_id", "kind", "body", "received_at", "quarantined", "jws",
)  # fmt: skip


def append_statements(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Append statements of other kinds than taps and voids; `body` as JSON text."""
    if rows:
        columns = zip(_STATEMENT_COLUMNS, zip(*rows, strict=True), strict=True)
        connection.execute(_STATEMENTS, {name: list(values) for name, values in columns})


_REJECTED_TODAY = text(
    "SELECT count(*) FROM (SELECT FROM rejected_input WHERE device_id = :device_id"
    " AND received_at > CAST(:now AS timestamptz) - interval '1 day' LIMIT :most) AS today"
)


def rejected_today(connection: Connection, device_id: str, now: datetime, most: int) -> int:
    """How many rejected items of a device were kept in the last 24 hours, at most `most`."""
    return int(connection.execute(_REJECTED_TODAY, {"device_id": device_id, "now": now, "most": most}).scalar_one())


def hash_bytes(prev: str) -> bytes:
    """The bytes of a hash as statements spell it; empty for a spelling that is not canonical."""
    try:
        return unb64url(prev)
    except Unreadable:
        return b""
