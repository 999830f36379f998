"""The two logs as they are read: by an auditor page by page, by a log system line by line. Rows in the order of ids."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, select

from app.access.tables import audit_event, break_glasses, reading

Log = Literal["changes", "readings"]
KEYS = {"changes": "event_id", "readings": "reading_id"}
_TABLES = {"changes": audit_event, "readings": reading}
SETTLED_AFTER = timedelta(minutes=5)
_AT_ONCE = 1000


def columns_of(log: Log) -> tuple[str, ...]:
    """The names of a line's members."""
    return tuple(column.name for column in _TABLES[log].columns)


def read_log(connection: Connection, log: Log, after: int, limit: int) -> list[dict[str, Any]]:
    """At most `limit` rows after an id."""
    table = _TABLES[log]
    key = table.c[KEYS[log]]
    rows = connection.execute(select(table).where(key > after).order_by(key).limit(limit))
    return [dict(row) for row in rows.mappings()]


def read_lines(connection: Connection, log: Log, after: int, now: datetime) -> Iterator[dict[str, Any]]:
    """Rows after an id, up to the first of the last five minutes.

    A transaction that is not yet committed may hold a lower id than one that is: whoever goes on from the last id would
    miss it. No door's transaction lives five minutes.
    """
    while rows := read_log(connection, log, after, _AT_ONCE):
        for row in rows:
            if row["at"] > now - SETTLED_AFTER:
                return
            yield row
        after = rows[-1][KEYS[log]]


def glass_reasons(connection: Connection, rows: list[dict[str, Any]]) -> None:
    """Write the reason into readings made under break-glass. Needs the owner's connection."""
    for row in rows:
        row["reason"] = ""
        if row["break_glass"]:
            c = break_glasses.c
            given = select(c.reason).where(
                c.person_id == row["actor"], c.started_at <= row["at"], c.ends_at > row["at"]
            )
            row["reason"] = connection.execute(given.order_by(c.started_at.desc()).limit(1)).scalar_one_or_none() or ""
