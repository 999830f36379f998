"""Findings: kept per step of the derivation, read together with their resolutions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, text

from app.db.rows import upsert
from app.facts import Finding
from app.findings.tables import findings


def to_row(finding: Finding, step: str, now: datetime) -> dict[str, Any]:
    """The finding as a row of the step that made it."""
    return {
        "finding_id": finding.finding_id,
        "code": finding.code,
        "at": finding.at,
        "client_id": finding.client_id,
        "staff_id": finding.staff_id,
        "provider_id": finding.provider_id,
        "visit_id": finding.visit_id,
        "step": step,
        "taps": [[device_id, seq] for device_id, seq in finding.taps],
        "facts": [list(pair) for pair in finding.facts],
        "proposal": [list(pair) for pair in finding.proposal],
        "holds": finding.holds,
        "born_resolved": finding.born_resolved,
        "changed_at": now,
    }


def from_row(row: Row[Any]) -> Finding:
    """The finding of a row."""
    return Finding(
        finding_id=row.finding_id,
        code=row.code,
        at=row.at,
        client_id=row.client_id,
        staff_id=row.staff_id,
        provider_id=row.provider_id,
        visit_id=row.visit_id,
        taps=tuple((device_id, seq) for device_id, seq in row.taps),
        facts=tuple((name, value) for name, value in row.facts),
        proposal=tuple((name, value) for name, value in row.proposal),
        holds=row.holds,
        born_resolved=row.born_resolved,
    )


def load(connection: Connection, *conditions: Any) -> list[tuple[str, Finding]]:
    """(step, finding) for the rows under the conditions (SQLAlchemy expressions over `findings`)."""
    rows = connection.execute(select(findings).where(*conditions).order_by(findings.c.finding_id))
    return [(row.step, from_row(row)) for row in rows]


def load_tap_findings(
    connection: Connection, stretches: Sequence[tuple[str, datetime, datetime]]
) -> list[tuple[str, Finding]]:
    """(step, finding) about taps outside visits, per staff_id with from_at <= at < to_at."""
    return [(row.step, from_row(row)) for row in connection.execute(_OF_STAFF, _columns(stretches))]


def load_client_findings(
    connection: Connection, stretches: Sequence[tuple[str, datetime, datetime]]
) -> list[tuple[str, Finding]]:
    """(step, finding) of the client step, per client_id with from_at <= at <= to_at."""
    return [(row.step, from_row(row)) for row in connection.execute(_OF_CLIENTS, _columns(stretches))]


_GIVEN = (
    "SELECT DISTINCT f.* FROM unnest(CAST(:keys AS text[]), CAST(:from_ats AS timestamptz[]),"
    " CAST(:to_ats AS timestamptz[])) AS given (key, from_at, to_at) JOIN findings f ON "
)
_OF_STAFF = text(
    f"{_GIVEN} f.staff_id = given.key AND f.at >= given.from_at AND f.at < given.to_at WHERE f.step = 'tap'"
    " ORDER BY f.finding_id"
).columns(*findings.c)
_OF_CLIENTS = text(
    f"{_GIVEN} f.client_id = given.key AND f.at >= given.from_at AND f.at <= given.to_at WHERE f.step = 'client'"
    " ORDER BY f.finding_id"
).columns(*findings.c)


def _columns(stretches: Sequence[tuple[str, datetime, datetime]]) -> dict[str, Any]:
    keys, from_ats, to_ats = (list(column) for column in zip(*stretches, strict=True))
    return {"keys": keys, "from_ats": from_ats, "to_ats": to_ats}


def put(connection: Connection, step: str, made: Iterable[Finding], now: datetime) -> None:
    """Store the step's findings; one that stands already is overwritten."""
    upsert(connection, findings, [to_row(finding, step, now) for finding in made], ("finding_id",))


def drop(connection: Connection, finding_ids: Sequence[str]) -> None:
    """Take findings away that the derivation no longer makes."""
    if finding_ids:
        connection.execute(
            text("DELETE FROM findings WHERE finding_id = ANY(CAST(:ids AS text[]))"), {"ids": list(finding_ids)}
        )
