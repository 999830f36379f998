"""People's statements by id and in pages, current versions only; for doors and for whoever changes one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, tuple_

from app.core.month import Month
from app.evidence.store import among, current
from app.evidence.tables import corrections, declines, disputes, excess_reasons, manual_visits, planned_visits
from app.facts import Correction, Decline, Dispute, ExcessReason, ManualVisit, PlannedVisit


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of statement: its table, its id, and the column by which it lies in time."""

    fact: type[Any]
    table: Table
    key: str
    at: str

    @property
    def names(self) -> tuple[str, ...]:
        """The statement's fields, in order."""
        return tuple(field.name for field in fields(self.fact))


KINDS: Mapping[type[Any], Kind] = {
    PlannedVisit: Kind(PlannedVisit, planned_visits, "planned_id", "start_at"),
    Decline: Kind(Decline, declines, "decline_id", "planned_start_at"),
    ManualVisit: Kind(ManualVisit, manual_visits, "manual_id", "stored_at"),
    Correction: Kind(Correction, corrections, "correction_id", "made_at"),
    Dispute: Kind(Dispute, disputes, "dispute_id", "stated_at"),
    ExcessReason: Kind(ExcessReason, excess_reasons, "reason_id", "stored_at"),
}


@dataclass(frozen=True, slots=True)
class Said:
    """A statement with its version, when that was stored, and whose it is (empty: the city's)."""

    fact: Any
    version: int
    stored_at: datetime
    provider_id: str = ""


def load_by_id(
    connection: Connection, fact: type[Any], ids: Collection[str], conditions: Sequence[ColumnElement[bool]] = ()
) -> list[Said]:
    """The current versions of these ids under the conditions; an id may be several providers'."""
    kind = KINDS[fact]
    query = current(kind.table).where(among(kind.table.c[kind.key], ids), *conditions)
    return [_said(kind, row) for row in connection.execute(query.order_by(kind.table.c[kind.key]))]


def load_said(
    connection: Connection,
    fact: type[Any],
    conditions: Sequence[ColumnElement[bool]],
    limit: int,
    after: tuple[datetime, str] | None = None,
) -> list[Said]:
    """At most `limit` statements of a kind after a place, by (time, id)."""
    kind = KINDS[fact]
    at, key = kind.table.c[kind.at], kind.table.c[kind.key]
    query = current(kind.table).where(*conditions)
    if after is not None:
        query = query.where(tuple_(at, key) > tuple_(*after))
    return [_said(kind, row) for row in connection.execute(query.order_by(at, key).limit(limit))]


def at_of(said: Said) -> datetime:
    """Where the statement lies in time, as pages are ordered."""
    kind = KINDS[type(said.fact)]
    at: datetime = said.stored_at if kind.at == "stored_at" else getattr(said.fact, kind.at)
    return at


def _said(kind: Kind, row: Row[Any]) -> Said:
    values = {name: getattr(row, name) for name in kind.names}
    if "month" in values:
        values["month"] = Month.parse(values["month"])
    fact = kind.fact(**values)
    return Said(fact, row.version, row.stored_at, getattr(row, "provider_id", ""))
