"""The database as a bundle again: import then export gives equal tables; with a month, what recomputes that month.

A month needs more than its own taps: the month before decides what is carried in, and a visit's other end may lie a
day outside. So `--month M` holds the whole registry and policies, what lies in M or the month before with a margin of
three days on either side (pairing looks back at most 24 h, an AUTO 16 h), the reasons for excess of both months, the
corrections of the taps, manual visits and devices exported, all resolutions and attestations, and the closes of both
months.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, text

from app.core.localtime import month_bounds
from app.core.month import Month
from app.evidence.keys import Keyring
from app.evidence.receipt_lines import receipt_queries
from app.evidence.seal import SealingSink, sealed_package
from app.policies import write_policies
from app.registry.bundle.columns import (
    DESCRIPTION,
    FORKS_FILE,
    POLICIES,
    RECEIPTS,
    REGISTRY_FILES,
    STATEMENT_FILES,
    TAPS_FILE,
    File,
)
from app.registry.bundle.staging import Progress, no_progress
from app.registry.bundle.writer import describe, open_sink, query_of, write_csv, write_lines, write_text
from app.registry.store import load_policies

MARGIN = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """`month`: only what recomputes it. `extra`: further files (frozen accounts, lines) by name, each with its SQL.
    `keyring`: seals the export; None leaves it unsealed."""

    month: Month | None = None
    keyring: Keyring | None = None
    extra: Mapping[str, str] = field(default_factory=dict)
    progress: Progress = no_progress


def export_bundle(connection: Connection, out: Path, options: ExportOptions | None = None) -> dict[str, int]:
    """Write the bundle to `out`, a folder or a .zip; rows per file. One snapshot: call it in one transaction.

    Needs the owner's connection, in a transaction of isolation level REPEATABLE READ where others write meanwhile.
    """
    options = options or ExportOptions()
    span = _span(options.month)
    counts: dict[str, int] = {}
    with open_sink(out) as opened:
        sink = SealingSink(opened)
        for file in (*REGISTRY_FILES, TAPS_FILE, FORKS_FILE, *STATEMENT_FILES):
            options.progress(file.name, 0)
            query = _query(connection, file, options.month, span)
            if file is FORKS_FILE and not _rows(connection, query):
                continue
            counts[file.name] = write_csv(connection, sink, file.name, query)
        for name, query in options.extra.items():
            counts[name] = write_csv(connection, sink, name, query)
        write_text(sink, POLICIES, write_policies(load_policies(connection)))
        options.progress(RECEIPTS, 0)
        counts[RECEIPTS] = write_lines(connection, sink, RECEIPTS, receipt_queries(*(span or (None, None))))
        now = connection.execute(text("SELECT now()")).scalar_one()
        meant = {"month": str(options.month) if options.month else None}
        write_text(opened, DESCRIPTION, sealed_package(describe(), sink.files(), options.keyring, meant, now))
    return counts


def _span(month: Month | None) -> tuple[datetime, datetime] | None:
    if month is None:
        return None
    return month_bounds(month.previous)[0] - MARGIN, month_bounds(month)[1] + MARGIN


def _rows(connection: Connection, query: str) -> bool:
    return bool(connection.execute(text(f"SELECT EXISTS ({query})")).scalar_one())


def _query(connection: Connection, file: File, month: Month | None, span: tuple[datetime, datetime] | None) -> str:
    conditions = []
    if file in STATEMENT_FILES:
        newer = " AND ".join(f'n."{key}" = t."{key}"' for key in file.identity)
        conditions.append(
            f"NOT t.moved AND NOT EXISTS (SELECT 1 FROM {file.table} n WHERE {newer} AND n.version > t.version)"  # noqa: S608 -- from columns.py
        )
    elif file.kind == "tap":
        earlier = (
            "EXISTS (SELECT 1 FROM tap_forks f WHERE f.device_id = t.device_id AND f.seq = t.seq) "
            "AND EXISTS (SELECT 1 FROM taps o WHERE o.device_id = t.device_id AND o.seq = t.seq "
            "AND (o.received_at, o.hash) < (t.received_at, t.hash))"
        )
        conditions.append(earlier if file is FORKS_FILE else f"NOT ({earlier})")
    if span is not None and month is not None:
        conditions.append(_touches(file, month, span))
    return query_of(connection, file, " AND ".join(conditions) or "true")


def _touches(file: File, month: Month, span: tuple[datetime, datetime]) -> str:
    """SQL: the row (`t`) matters for the month."""
    first, after = (f"'{moment.isoformat()}'::timestamptz" for moment in span)

    def within(at: str) -> str:
        return f"{at} >= {first} AND {at} < {after}"

    months = f"t.month IN ('{month.previous}', '{month}')"
    days = f"t.worked_on >= '{month.previous.first_on}' AND t.worked_on <= '{month.last_on}'"
    tap = "SELECT 1 FROM taps k WHERE k.device_id = t.kom_device_id AND k.seq = t.kom_seq"
    manual = "SELECT 1 FROM manual_visits m WHERE m.manual_id = t.manual_id"
    named = (
        f"(EXISTS ({tap} AND {within('k.at')}) "
        f"OR (t.manual_id <> '' AND EXISTS ({manual} AND {within('coalesce(m.start_at, m.end_at)')})) "
        f"OR (t.kind = 'set_staff_of_device' AND t.from_at < {after} AND (t.to_at IS NULL OR t.to_at >= {first})) "
        f"OR ({within('t.made_at')} AND NOT EXISTS ({tap}) AND NOT EXISTS ({manual})))"
    )
    return {
        "taps.csv": within("t.at"),
        "forks.csv": within("t.at"),
        "planned_visits.csv": within("t.start_at"),
        "declines.csv": within("t.planned_start_at"),
        "manual_visits.csv": within("coalesce(t.start_at, t.end_at)"),
        "corrections.csv": named,
        "excess_reasons.csv": months,
        # An earlier close without what it froze from would make everything of that month an adjustment.
        "closes.csv": months,
        "staff_hours.csv": days,
        "services_done.csv": within("t.done_at"),
    }.get(file.name, "true")
