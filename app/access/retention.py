"""How long the office of access keeps what, and the sample of readings a person looks at every month.

The sample is drawn by a hash, so that everybody who asks sees the same one; readings under break-glass are all in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, func, or_, select, text

from app.access.tables import (
    break_glasses,
    challenges,
    invitations,
    login_delays,
    machine_secrets,
    machine_tokens,
    reading,
    sessions,
)
from app.core.localtime import month_bounds
from app.core.month import Month

READINGS_KEPT = timedelta(days=5 * 366)
ENDED_KEPT = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Rule:
    """Rows of a table that are kept no longer, and why."""

    table: Table
    over: ColumnElement[bool]
    why: str


def rules(now: datetime) -> Iterator[Rule]:
    """The retention table. audit_event is kept while the installation lives: it says who gave whom which right."""
    ended = now - ENDED_KEPT
    yield Rule(reading, reading.c.at < now - READINGS_KEPT, "the read log is kept 5 years")
    yield Rule(challenges, challenges.c.expires_at < now, "a challenge lives 5 minutes")
    yield Rule(machine_tokens, machine_tokens.c.expires_at < now, "a token lives 15 minutes")
    yield Rule(login_delays, login_delays.c.last_at < now - timedelta(days=1), "failures are forgotten after a day")
    used = or_(invitations.c.used_at < ended, invitations.c.expires_at < ended)
    yield Rule(invitations, used, "invitations 90 days after their end")
    yield Rule(machine_secrets, machine_secrets.c.ended_at < ended, "secrets 90 days after their end")
    glassless = sessions.c.session_id.not_in(select(break_glasses.c.session_id))
    over = and_(or_(sessions.c.ended_at < ended, sessions.c.expires_at < ended), glassless)
    yield Rule(sessions, over, "sessions 90 days after their end; those that broke the glass stay")


def apply_rules(connection: Connection, now: datetime, *, delete_them: bool) -> list[dict[str, Any]]:
    """Rows per table that are over their time; `delete_them` deletes them too. Needs the owner's connection."""
    found = []
    for rule in rules(now):
        rows = connection.execute(select(func.count()).select_from(rule.table).where(rule.over)).scalar_one()
        if rows and delete_them:
            _delete(connection, rule)
        found.append({"table": rule.table.name, "rows": rows, "deleted": bool(rows) and delete_them, "why": rule.why})
    return found


def review_sample(connection: Connection, month: Month, size: int) -> list[dict[str, Any]]:
    """`size` readings of a month for a person to look at, and all under break-glass; oldest first."""
    begin, end = month_bounds(month)
    wanted = select(reading).where(reading.c.at >= begin, reading.c.at < end)
    drawn = func.sha256(func.convert_to(func.concat(str(month), "/", reading.c.reading_id), "UTF8"))
    sample = connection.execute(wanted.where(~reading.c.break_glass).order_by(drawn).limit(size)).mappings().all()
    glass = connection.execute(wanted.where(reading.c.break_glass)).mappings().all()
    return sorted((dict(row) for row in (*sample, *glass)), key=lambda row: int(row["reading_id"]))


def _delete(connection: Connection, rule: Rule) -> None:
    """The log's trigger refuses even the owner; for its retention alone it is off, inside this transaction."""
    insert_only = rule.table is reading
    if insert_only:
        connection.execute(text("ALTER TABLE reading DISABLE TRIGGER refuse_change"))
    connection.execute(delete(rule.table).where(rule.over))
    if insert_only:
        connection.execute(text("ALTER TABLE reading ENABLE TRIGGER refuse_change"))
