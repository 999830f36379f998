"""receipts.jsonl: evidence that is not in any CSV file, so that a copy loses nothing and `verify` can judge.

One JSON object a line: `table`, and the row's columns (bytes as \\x hex, instants RFC 3339). Table `taps` holds what
the server noted beside a tap of taps.csv or forks.csv that is signed or has a SUN text (receive time, bounds, grade,
doubts); the signed document itself stands there. Of a month's export, `elsewhere` holds signed taps that lie between
the exported ones in a device's chain, though not in time. Read only from an export of our own: a stranger's bundle
could claim any grade.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Table, text

from app.evidence import device_tables
from app.evidence.tables import device_statements, heads, receipts, rejected_input, voids
from app.registry.bundle.columns import RECEIPTS, STATEMENT_FILES
from app.registry.bundle.source import Source
from app.registry.bundle.staging import Run
from app.registry.bundle.storing import Counts

_BESIDE = (
    "device_id", "seq", "hash", "provider_id", "staff_by", "grant_id", "at", "received_at", "estimated_at",
    "not_before", "not_after", "boot", "mono", "grade", "doubts", "tag_level",
)  # fmt: skip

# Which tables, and the column whose time decides whether a row belongs to a month.
TABLES: Sequence[tuple[Table, str]] = (
    (heads, "received_at"),
    (voids, "received_at"),
    (device_statements, "received_at"),
    (receipts, "received_at"),
    (rejected_input, "received_at"),
    (device_tables.device_events, "at"),
    (device_tables.rejected_seqs, "received_at"),
    (device_tables.shift_grants, "issued_at"),
    (device_tables.sun_reads, "at"),
    (device_tables.tap_doubts, ""),
    (device_tables.chain_notes, "at"),
)


def stage_receipts(run: Run, source: Source | None) -> None:
    """Read receipts.jsonl into temporary tables; without it `judged_taps` is empty. Notes lines that are not JSON."""
    connection = run.connection
    connection.execute(text("CREATE TEMP TABLE stage_receipts (line int, row jsonb) ON COMMIT DROP"))
    if source is not None:
        with run.raw.cursor() as cursor, cursor.copy("COPY stage_receipts (line, row) FROM STDIN") as copy:
            for number, line in enumerate(source.lines(RECEIPTS), 1):
                if not line.strip():
                    continue
                if _is_object(line):
                    copy.write_row((number, line.strip()))
                elif not run.errors.full:
                    run.errors.add(RECEIPTS, number, "", line.encode("utf-8", "replace").decode(), "a JSON object")
    columns = ", ".join(f"(p).{name}" for name in _BESIDE)
    connection.execute(
        text(
            f"CREATE TEMP TABLE judged_taps ON COMMIT DROP AS SELECT {columns} FROM "  # noqa: S608 -- our own SQL
            "(SELECT jsonb_populate_record(NULL::taps, row) AS p FROM stage_receipts WHERE row ->> 'table' = 'taps') r"
        )
    )
    connection.execute(text("ANALYZE judged_taps"))


def store_receipts(run: Run) -> dict[str, Counts]:
    """Insert what receipts.jsonl holds; counts per table."""
    counts = {}
    for table, _ in TABLES:
        names = ", ".join(column.name for column in table.columns if column.identity is None)
        picked = ", ".join(f"(p).{column.name}" for column in table.columns if column.identity is None)
        staged = f"SELECT row FROM stage_receipts WHERE row ->> 'table' = '{table.name}'"  # noqa: S608 -- our own name
        found = run.connection.execute(text(f"SELECT count(*) FROM ({staged}) s")).scalar_one()  # noqa: S608 -- as above
        if not found:
            continue
        added = run.connection.execute(
            text(
                f"INSERT INTO {table.name} ({names}) SELECT {picked} FROM "  # noqa: S608 -- as above
                f"(SELECT jsonb_populate_record(NULL::{table.name}, row) AS p FROM ({staged}) s OFFSET 0) r "
                "ON CONFLICT DO NOTHING"
            )
        ).rowcount
        counts[table.name] = Counts(added, 0, found - added)
    run.connection.execute(text(_CLAIMED))
    return counts


# What heads claim that is not there, or other than they say: no line of its own, the signed heads tell it.
_CLAIMED = """
    INSERT INTO claimed_heads (device_id, seq, hash, provider_id, claimed_at, received_at)
    SELECT DISTINCT ON (h.device_id, h.head_seq, said.hash)
        h.device_id, h.head_seq, said.hash, h.provider_id, h.claimed_at, h.received_at
    FROM (SELECT DISTINCT row ->> 'device_id' AS device_id FROM stage_receipts WHERE row ->> 'table' = 'heads') d
    JOIN heads h ON h.device_id = d.device_id AND h.head_seq > 0
    CROSS JOIN LATERAL (SELECT CASE WHEN h.head_hash ~ '^[A-Za-z0-9_-]{43}$'
        THEN decode(translate(h.head_hash, '-_', '+/') || '=', 'base64') ELSE '' END AS hash) said
    WHERE NOT EXISTS (
        SELECT FROM taps t WHERE t.device_id = h.device_id AND t.seq = h.head_seq AND t.hash = said.hash
    ) AND NOT EXISTS (
        SELECT FROM voids v WHERE v.device_id = h.device_id AND v.seq = h.head_seq AND v.hash = said.hash
    ) AND NOT EXISTS (
        SELECT FROM device_statements s WHERE s.device_id = h.device_id AND s.seq = h.head_seq AND s.hash = said.hash
    )
    ORDER BY h.device_id, h.head_seq, said.hash, h.received_at
    ON CONFLICT DO NOTHING
"""


def receipt_queries(from_at: datetime | None, to_at: datetime | None) -> list[str]:
    """SQL of one text column each, the lines of receipts.jsonl; times restrict by receipt (`taps`: by stamp)."""
    beside = ", ".join(f"'{name}', t.{name}" for name in _BESIDE)
    signed = (
        f"SELECT jsonb_build_object('table', 'taps', 'signed', t.jws <> '', {beside})::text FROM taps t "  # noqa: S608 -- our own SQL
        f"WHERE (t.jws <> '' OR t.sun <> ''){_between('t.at', from_at, to_at)} ORDER BY t.device_id, t.seq, t.hash"
    )
    queries = [signed]
    if from_at is not None:
        queries.append(_between_others(from_at, to_at))
    for table, at in TABLES:
        keys = ", ".join(f"t.{column.name}" for column in table.primary_key.columns)
        span = _between(f"t.{at}", from_at, None) if at else ""
        queries.append(
            f"SELECT (jsonb_build_object('table', '{table.name}') || to_jsonb(t))::text FROM {table.name} t "  # noqa: S608 -- our own SQL
            f"WHERE true{span} ORDER BY {keys}"
        )
    return queries + [_stored_since(name, file, key) for name, file, key in _STATED]


# Statements of people that bear no receive time of their own: table, file, id.
_STATED = tuple(
    (file.table, file.name, file.keys[0]) for file in STATEMENT_FILES if file.name not in ("attests.csv", "closes.csv")
)


def _stored_since(table: str, file: str, key: str) -> str:
    """SQL of the statements that got in after the first close (table `stored`): what a close could not know."""
    return (
        f"SELECT jsonb_build_object('table', 'stored', 'file', '{file}', 'id', t.{key}, 'version', t.version, "  # noqa: S608 -- our own SQL
        f"'stored_at', t.stored_at)::text FROM {table} t WHERE t.stored_at > (SELECT min(c.at) FROM closes c) "
        f"ORDER BY t.{key}, t.version"
    )


def _between_others(from_at: datetime, to_at: datetime | None) -> str:
    """SQL of the signed taps whose number lies between those exported, while their time does not: the chain needs
    them (table `elsewhere`)."""
    within = f"true{_between('t.at', from_at, to_at)}"
    return (
        "SELECT jsonb_build_object('table', 'elsewhere', 'device_id', t.device_id, 'seq', t.seq, 'hash', t.hash, "  # noqa: S608 -- our own SQL
        "'jws', t.jws)::text FROM taps t JOIN (SELECT device_id, min(seq) AS low, max(seq) AS high FROM taps t "
        f"WHERE t.jws <> '' AND {within} GROUP BY device_id) k ON k.device_id = t.device_id "
        f"WHERE t.seq > k.low AND t.seq < k.high AND t.jws <> '' AND NOT ({within}) ORDER BY t.device_id, t.seq, t.hash"
    )


def _is_object(line: str) -> bool:
    """Whether PostgreSQL will take the line as a JSON object: no NUL, no bytes that were not UTF-8."""
    try:
        line.encode()
        return isinstance(json.loads(line), dict) and "\\u0000" not in line and "\0" not in line
    except ValueError:
        return False


def _between(at: str, from_at: datetime | None, to_at: datetime | None) -> str:
    after = f" AND {at} >= '{from_at.isoformat()}'" if from_at is not None else ""
    return after + (f" AND {at} < '{to_at.isoformat()}'" if to_at is not None else "")
