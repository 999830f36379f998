"""Findings as doors show them (CONTRACT.md 5): with text and state; hidden while it is too early to look at them.

`kom_without_gick` waits while its visit is open (DOMAIN.md 2.1 row 2), `visit_missed` for the policy
`missed_after_min` after its start (2.4), `order_misfit` until its month is over (3). Resolutions are statements joined
here, never an edit of a finding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, false, func, or_, select, tuple_

from app.core.localtime import format_instant, local_date
from app.evidence.store import is_current
from app.evidence.tables import resolutions
from app.facts import Finding, Resolution
from app.findings.store import from_row
from app.findings.tables import findings
from app.findings.texts import Language, finding_text
from app.policies import PolicyBook
from app.visits.presented import AWAITED
from app.visits.tables import visits

_AT_ONCE = 2000
MISSED = "visit_missed"
MISFIT = "order_misfit"


class Place(NamedTuple):
    """Where a page ended."""

    at: datetime
    finding_id: str


class Shown(NamedTuple):
    """A finding, whether it holds its visit now, and who dealt with it (None: nobody yet)."""

    finding: Finding
    holds: bool
    resolution: Resolution | None

    @property
    def state(self) -> str:
        """`resolved` when a person has dealt with it or nobody has to."""
        return "resolved" if self.finding.born_resolved or self.resolution is not None else "open"


@dataclass(frozen=True, slots=True)
class Asked:
    """Which findings: from_at <= at < to_at; empty texts restrict nothing. `conditions`: the walls, over `findings`."""

    now: datetime
    from_at: datetime | None = None
    to_at: datetime | None = None
    code: str = ""
    client_id: str = ""
    staff_id: str = ""
    provider_id: str = ""
    visit_id: str = ""
    state: str = ""
    conditions: tuple[ColumnElement[bool], ...] = ()


def load_page(
    connection: Connection, asked: Asked, book: PolicyBook, limit: int, after: Place | None = None
) -> list[Shown]:
    """At most `limit` findings after a place, by (at, finding_id)."""
    query = _query(asked, book)
    if after is not None:
        query = query.where(tuple_(findings.c.at, findings.c.finding_id) > tuple_(after.at, after.finding_id))
    return [_shown(row) for row in connection.execute(query.limit(limit))]


def stream(connection: Connection, asked: Asked, book: PolicyBook) -> Iterator[Shown]:
    """All of them, in order, without holding them in memory."""
    rows = connection.execution_options(yield_per=_AT_ONCE).execute(_query(asked, book))
    return (_shown(row) for row in rows)


def load_one(connection: Connection, asked: Asked, book: PolicyBook, finding_id: str) -> Shown | None:
    """The finding of an id; None where there is none under the conditions, or it is not to be seen yet."""
    row = connection.execute(_query(asked, book).where(findings.c.finding_id == finding_id)).first()
    return None if row is None else _shown(row)


def finding_fields(shown: Shown, language: Language = "sv", client_word: str = "brukare") -> dict[str, Any]:
    """The finding as CONTRACT.md 5 names it; empty ids are `null`, so is a missing proposal."""
    finding = shown.finding
    return {
        "finding_id": finding.finding_id,
        "code": finding.code,
        "at": format_instant(finding.at),
        "client_id": finding.client_id or None,
        "staff_id": finding.staff_id or None,
        "provider_id": finding.provider_id or None,
        "taps": [{"device_id": device_id, "seq": seq} for device_id, seq in finding.taps],
        "text": finding_text(finding, language, client_word),
        "proposal": dict(finding.proposal) or None,
        "holds": shown.holds,
        "state": shown.state,
    }


def _query(asked: Asked, book: PolicyBook) -> Select[Any]:
    visit = (
        select(visits.c.visit_id, visits.c.status, visits.c.open_until_at, visits.c.holds.label("visit_holds"))
        .where(visits.c.ceased.is_(False))
        .subquery("visit")
    )
    resolved = select(resolutions).where(is_current(resolutions)).subquery("resolved")
    joined = findings.outerjoin(resolved, resolved.c.finding_id == findings.c.finding_id).outerjoin(
        visit, and_(findings.c.visit_id != "", visit.c.visit_id == findings.c.visit_id)
    )
    query = (
        select(
            findings,
            func.coalesce(findings.c.code == func.any(visit.c.visit_holds), false()).label("holds_now"),
            resolved.c.resolved_at,
            resolved.c.by.label("resolved_by"),
            resolved.c.reason.label("resolved_reason"),
        )
        .select_from(joined)
        .where(*asked.conditions)
    )
    awaited = and_(visit.c.status == "incomplete", visit.c.open_until_at > asked.now)
    hidden = and_(findings.c.code == AWAITED, func.coalesce(awaited, false()))
    early = and_(findings.c.code == MISSED, findings.c.at > _missed_before(asked.now, book))
    unfinished = and_(findings.c.code == MISFIT, findings.c.at > asked.now)
    query = query.where(~hidden, ~early, ~unfinished)
    for column, value in (
        (findings.c.code, asked.code),
        (findings.c.client_id, asked.client_id),
        (findings.c.staff_id, asked.staff_id),
        (findings.c.provider_id, asked.provider_id),
        (findings.c.visit_id, asked.visit_id),
    ):
        if value:
            query = query.where(column == value)
    if asked.from_at is not None:
        query = query.where(findings.c.at >= asked.from_at)
    if asked.to_at is not None:
        query = query.where(findings.c.at < asked.to_at)
    if asked.state:
        done = or_(findings.c.born_resolved, resolved.c.finding_id.is_not(None))
        query = query.where(done if asked.state == "resolved" else ~done)
    return query.order_by(findings.c.at, findings.c.finding_id)


def _missed_before(now: datetime, book: PolicyBook) -> datetime:
    return now - timedelta(minutes=book.on(local_date(now)).missed_after_min)


def _shown(row: Row[Any]) -> Shown:
    resolution = None
    if row.resolved_at is not None:
        resolution = Resolution(row.finding_id, row.resolved_at, row.resolved_by, row.resolved_reason)
    return Shown(from_row(row), row.holds_now, resolution)
