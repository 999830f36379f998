"""Taps out of a bundle: staged rows into the table, in bulk; a known key with other content refuses the bundle.

A tap without signature has no chain, clock or jump check and is grade C by definition (CONTRACT.md section 2). Where
received_at is empty the claim stands for it: when an import happens to run must not change any result.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from app.core.localtime import STOCKHOLM
from app.evidence.sun_import import SUN_COUNTERS
from app.registry.bundle.columns import FORKS_FILE, TAPS_FILE, File
from app.registry.bundle.staging import Run, stage_name
from app.registry.bundle.storing import Counts, drop_indexes_for_first_load

# SHA-256 of the signing input; without signature of everything the row says (instants in microseconds).
_HASH = r"""
CASE WHEN s.jws <> '' THEN sha256(convert_to(left(s.jws, length(s.jws) - position('.' in reverse(s.jws))), 'UTF8'))
ELSE sha256(convert_to(concat_ws(E'\x1f', s.act, s.tag_uid, s.staff_id,
    (extract(epoch FROM s.tapped_at) * 1000000)::bigint,
    (extract(epoch FROM coalesce(s.received_at, s.tapped_at)) * 1000000)::bigint,
    s.sun, coalesce(s.service, '')), 'UTF8'))
END
"""

# What receipts.jsonl says beside a signed tap: how it was judged when it came.
_JUDGED = (
    "provider_id", "staff_by", "grant_id", "at", "received_at", "estimated_at", "not_before", "not_after", "boot",
    "mono", "grade", "doubts", "tag_level",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TapsStored:
    """What became of the taps: counts, and per staff_id the first and last stamp of what is new."""

    counts: Counts
    touched: dict[str, tuple[datetime, datetime]]
    new_devices: tuple[str, ...]


def check_taps(run: Run) -> None:
    """Note keys with two contents, in the file or against what is stored; remember what is stored already."""
    stage = stage_name(TAPS_FILE)
    connection = run.connection
    connection.execute(
        text(
            f"CREATE TEMP TABLE known_taps ON COMMIT DROP AS SELECT s.line, bool_or(t.hash = {_HASH}) AS same "  # noqa: S608 -- our own SQL
            f"FROM {stage} s JOIN taps t USING (device_id, seq) GROUP BY s.line"
        )
    )
    twice = connection.execute(
        text(
            f"SELECT line, k.device_id, k.seq, first_line FROM (SELECT line, device_id, seq, {_HASH} AS hash, "  # noqa: S608 -- our own SQL
            f"first_value(line) OVER w AS first_line, first_value({_HASH}) OVER w AS first_hash FROM {stage} s "
            f"JOIN (SELECT device_id, seq FROM {stage} GROUP BY 1, 2 HAVING count(*) > 1) d USING (device_id, seq) "
            "WINDOW w AS (PARTITION BY device_id, seq ORDER BY line)) k WHERE hash <> first_hash "
            "ORDER BY line LIMIT :room"
        ),
        {"room": run.errors.room},
    )
    for row in twice:
        expected = f"one content per device_id and seq; line {row.first_line} has another"
        run.errors.add(TAPS_FILE.name, row.line, "seq", f"{row.device_id}/{row.seq}", expected)
    stored = connection.execute(
        text(
            f"SELECT line, device_id, seq FROM known_taps JOIN {stage} USING (line) "  # noqa: S608 -- our own SQL
            "WHERE NOT same ORDER BY line LIMIT :room"
        ),
        {"room": run.errors.room},
    )
    for row in stored:
        run.errors.add(
            TAPS_FILE.name, row.line, "seq", f"{row.device_id}/{row.seq}", "the content that is stored under this key"
        )


def store_taps(run: Run, file: File) -> TapsStored:
    """Make unknown devices known, then insert what is new. `check_taps` has run (for taps.csv)."""
    stage, connection = stage_name(file), run.connection
    devices = connection.execute(
        text(
            f"INSERT INTO devices (device_id, kind) SELECT DISTINCT device_id, 'imported' FROM {stage} "  # noqa: S608 -- our own SQL
            "ON CONFLICT DO NOTHING RETURNING device_id"
        )
    )
    new_devices = tuple(sorted(row.device_id for row in devices))
    fresh = "" if file is FORKS_FILE else "WHERE line NOT IN (SELECT line FROM known_taps)"
    touched = connection.execute(
        text(
            f"SELECT staff_id, min(tapped_at) AS first_at, max(tapped_at) AS last_at FROM {stage} {fresh} GROUP BY 1"  # noqa: S608 -- our own SQL
        )
    ).all()
    judged = bool(connection.execute(text("SELECT EXISTS (SELECT 1 FROM judged_taps)")).scalar_one())
    statement = text(_insert(stage, fresh, judged_too=judged))
    indexes = drop_indexes_for_first_load(run, file, "taps")
    added = connection.execute(statement, {"zone": STOCKHOLM.key}).rowcount
    for definition in (*indexes, "ANALYZE taps"):
        connection.execute(text(definition))
    if file is FORKS_FILE:
        connection.execute(
            text(
                "INSERT INTO tap_forks (device_id, seq, provider_id) SELECT device_id, seq, min(provider_id) FROM taps "  # noqa: S608 -- our own SQL
                f"WHERE (device_id, seq) IN (SELECT device_id, seq FROM {stage}) "
                "GROUP BY 1, 2 HAVING count(*) > 1 ON CONFLICT DO NOTHING"
            )
        )
    counts = Counts(added, 0, run.staged[file.name] - added)
    return TapsStored(counts, {row.staff_id: (row.first_at, row.last_at) for row in touched}, new_devices)


def _insert(stage: str, fresh: str, *, judged_too: bool) -> str:
    """Sorted by (staff_id, at): rebuilds then read the table front to back."""
    same = f"s.jws <> '' AND j.device_id = s.device_id AND j.seq = s.seq AND j.hash = {_HASH}"
    noted = same if judged_too else "false"  # the hash is what costs most here
    judged = {name: f"j.{name}" for name in _JUDGED}
    employed = (
        "SELECT e.provider_id FROM employments e WHERE e.staff_id = s.staff_id AND "
        "e.valid_from <= (s.tapped_at AT TIME ZONE :zone)::date AND "
        "(e.valid_to IS NULL OR (s.tapped_at AT TIME ZONE :zone)::date <= e.valid_to) "
        "ORDER BY e.valid_from DESC LIMIT 1"
    )
    plain = {
        "provider_id": f"nullif(coalesce(d.provider_id, ({employed}), ''), '')",
        "at": "s.tapped_at",
        "received_at": "coalesce(s.received_at, s.tapped_at)",
        "grade": "'C'",
        "doubts": "CASE WHEN c.line IS NULL OR c.counter IS NOT NULL THEN '{}'::text[] ELSE '{sun_invalid}' END",
        "tag_level": "CASE WHEN c.counter IS NULL THEN 'uid' ELSE 'sun' END",
    }
    empty = {"provider_id": "''", "staff_by": "''", "grant_id": "''", "boot": "''"}
    values = {
        "device_id": "s.device_id",
        "seq": "s.seq",
        "hash": _HASH,
        "act": "s.act",
        "tag_uid": "s.tag_uid",
        "staff_id": "s.staff_id",
        "service": "s.service",
        "tapped_at": "s.tapped_at",
        "received_given": "s.received_at IS NOT NULL",
        "sun": "s.sun",
        "jws": "s.jws",
    }
    for name in _JUDGED:
        values[name] = "coalesce(" + ", ".join([judged[name], *(m[name] for m in (plain, empty) if name in m)]) + ")"
    return (
        f"INSERT INTO taps ({', '.join(values)}) SELECT {', '.join(values.values())} FROM {stage} s "  # noqa: S608 -- our own SQL
        "LEFT JOIN devices d ON d.device_id = s.device_id "
        f"LEFT JOIN judged_taps j ON {noted} "
        f"LEFT JOIN {SUN_COUNTERS} c ON c.line = s.line "
        f"{fresh.replace('line NOT', 's.line NOT')} ORDER BY s.staff_id, s.tapped_at ON CONFLICT DO NOTHING"
    )
