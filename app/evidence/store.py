"""Reads and appends statements (those of taps: `tap_store`). Plain functions taking a connection.

People's statements are versioned: what is read here is the current version only (the highest), what is appended is a
new version, and the same again is nothing new.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    cast,
    exists,
    func,
    insert,
    literal,
    not_,
    or_,
    select,
    text,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY

from app.core.month import Month
from app.core.quick import quick
from app.evidence.tables import (
    attests,
    corrections,
    declines,
    disputes,
    excess_reasons,
    manual_visits,
    planned_visits,
    resolutions,
)
from app.evidence.tap_store import (
    Ids,
    among,
    among_many,
    append_taps,
    count_taps,
    has_tap,
    last_taps,
    load_forks,
    load_grades,
    load_taps,
    load_taps_of_stretches,
    note_forks,
    staff_borders,
    stream_taps,
    tap_columns,
    the_tap,
)
from app.facts import (
    Attest,
    Correction,
    Decline,
    Dispute,
    ExcessReason,
    ManualVisit,
    PlannedVisit,
    Resolution,
)

__all__ = [
    "EVERYTHING",
    "Stored",
    "Wanted",
    "among",
    "among_many",
    "append",
    "append_taps",
    "count_taps",
    "current",
    "has_tap",
    "is_current",
    "last_taps",
    "load_attests",
    "load_corrections",
    "load_declines",
    "load_disputes",
    "load_excess_reasons",
    "load_forks",
    "load_grades",
    "load_manual_visits",
    "load_planned_visits",
    "load_resolutions",
    "load_taps",
    "load_taps_of_stretches",
    "note_forks",
    "staff_borders",
    "stream_taps",
    "tap_columns",
    "the_tap",
]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which statements: None is no restriction. `from_at` <= the statement's own time < `to_at`."""

    clients: Ids = None
    providers: Ids = None
    staff: Ids = None
    from_at: datetime | None = None
    to_at: datetime | None = None


EVERYTHING = Wanted()


def load_planned_visits(connection: Connection, wanted: Wanted = EVERYTHING) -> list[PlannedVisit]:
    """Plans by start, withdrawn ones too, ordered by (start_at, planned_id)."""
    c = planned_visits.c
    query = _wanted(current(planned_visits), c, wanted, c.start_at, c.staff_id).order_by(c.start_at, c.planned_id)
    return _facts(connection, PlannedVisit, query)


def load_declines(connection: Connection, wanted: Wanted = EVERYTHING) -> list[Decline]:
    """Declines by planned start; `staff` does not restrict them."""
    c = declines.c
    query = _wanted(current(declines), c, wanted, c.planned_start_at).order_by(c.planned_start_at, c.decline_id)
    return _facts(connection, Decline, query)


def load_manual_visits(
    connection: Connection, wanted: Wanted = EVERYTHING, *, manual_ids: Ids = None
) -> list[ManualVisit]:
    """Manual visits by start, else end; only those of `manual_ids` when given."""
    c = manual_visits.c
    at = func.coalesce(c.start_at, c.end_at)
    query = _wanted(current(manual_visits), c, wanted, at, c.staff_id).order_by(at, c.manual_id)
    if manual_ids is not None:
        query = query.where(among(c.manual_id, manual_ids))
    return _facts(connection, ManualVisit, query)


def load_corrections(
    connection: Connection,
    *,
    taps_named: Collection[tuple[str, int]] | None = None,
    manual_ids: Ids = None,
    devices: Ids = None,
    kind: str | None = None,
    correction_ids: Ids = None,
) -> list[Correction]:
    """Corrections in the order they apply, (made_at, correction_id): all, or those that name one of these.

    `taps_named` are (device_id, seq) of KOM or GICK; `devices` those a `set_staff_of_device` may be about.
    """
    c = corrections.c
    query = current(corrections).order_by(c.made_at, c.correction_id)
    if kind is not None:
        query = query.where(c.kind == kind)
    if correction_ids is not None:
        query = query.where(among(c.correction_id, correction_ids))
    named_by: list[ColumnElement[bool]] = []
    if taps_named is not None:
        keys = sorted(taps_named)
        named = (
            func.unnest(
                cast(literal([key[0] for key in keys], ARRAY(Text)), ARRAY(Text)),
                cast(literal([key[1] for key in keys], ARRAY(BigInteger)), ARRAY(BigInteger)),
            )
            .table_valued("device_id", "seq", name="named")
            .render_derived()
        )
        named_by.append(tuple_(c.kom_device_id, c.kom_seq).in_(select(named.c.device_id, named.c.seq)))
    if manual_ids is not None:
        named_by.append(and_(c.manual_id != "", among(c.manual_id, manual_ids)))
    if devices is not None:
        named_by.append(and_(c.kind == "set_staff_of_device", among(c.device_id, devices)))
    if named_by:  # alone each has its index; together the whole table is read
        query = query.where(or_(*named_by))
    return _facts(connection, Correction, query)


def load_disputes(connection: Connection, clients: Ids = None) -> list[Dispute]:
    """Disputes, of all or of these clients, by day."""
    c = disputes.c
    query = current(disputes).order_by(c.on_date, c.dispute_id)
    return _facts(connection, Dispute, query if clients is None else query.where(among(c.client_id, clients)))


def load_excess_reasons(
    connection: Connection, wanted: Wanted = EVERYTHING, months: Collection[Month] | None = None
) -> list[ExcessReason]:
    """Reasons for excess of these months (None: all), by (submitted_on, reason_id); times of `wanted` are ignored."""
    texts = None if months is None else [str(month) for month in months]
    asked = {"client_id": wanted.clients, "provider_id": wanted.providers, "month": texts}
    values = {name: list(among_) for name, among_ in asked.items() if among_ is not None}
    return _made(ExcessReason, connection.execute(_excess_reasons(tuple(values)), values).all())


@cache
def _excess_reasons(restricted: tuple[str, ...]) -> Select[Any]:
    """Made once: accounts ask for them all day."""
    c = excess_reasons.c
    query = current(excess_reasons).where(
        *(c[name] == func.any(bindparam(name, type_=ARRAY(Text))) for name in restricted)
    )
    return _only(ExcessReason, query.order_by(c.submitted_on, c.reason_id))


def load_resolutions(connection: Connection, finding_ids: Ids = None) -> list[Resolution]:
    """Resolutions of findings: all, or of these."""
    c = resolutions.c
    query = current(resolutions).order_by(c.finding_id)
    return _facts(
        connection, Resolution, query if finding_ids is None else query.where(among(c.finding_id, finding_ids))
    )


def load_attests(connection: Connection, month: Month | None = None) -> list[Attest]:
    """Attestations of a month, or all."""
    c = attests.c
    query = current(attests).order_by(c.month, c.provider_id)
    return _facts(connection, Attest, query if month is None else query.where(c.month == str(month)))


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of appended statements."""

    added: int
    changed: int
    unchanged: int


def append(connection: Connection, facts: Sequence[Any], now: datetime, *, provider_id: str = "") -> Stored:
    """Append people's statements of one kind (facts): new ones, and new versions of those that differ.

    `provider_id` is whose statement it is where the fact does not say (corrections, resolutions); empty: the city's.
    Two callers that state the same id at once wait for each other.
    """
    if not facts:
        return Stored(0, 0, 0)
    table, key = _TABLES[type(facts[0])]
    rows = {tuple(getattr(fact, name) for name in key): _row(fact, table, provider_id) for fact in facts}
    _lock(connection, table, rows)
    known = _latest(connection, table, key, rows)
    fresh = []
    unchanged = 0
    for index, row in rows.items():
        before = known.get(tuple(str(part) for part in index))
        if (
            before is not None
            and not before.moved
            and all(getattr(before, name) == row[name] for name in row if name != "provider_id")
        ):
            unchanged += 1
            continue
        fresh.append({**row, "version": before.version + 1 if before is not None else 1, "stored_at": now})
    if fresh:
        connection.execute(insert(table), fresh)
    changed = sum(1 for row in fresh if row["version"] > 1)
    return Stored(len(fresh) - changed, changed, unchanged)


def current(table: Table) -> Select[Any]:
    """The current versions of a versioned table: all its columns."""
    return select(table).where(is_current(table))


def is_current(table: Table) -> ColumnElement[bool]:
    """True for the highest version of its id, unless the statement has moved to another provider."""
    newer = table.alias("newer")
    key = [column.name for column in table.primary_key.columns if column.name != "version"]
    superseded = exists().where(*(newer.c[name] == table.c[name] for name in key), newer.c.version > table.c.version)
    return and_(not_(superseded), not_(table.c.moved))


_TABLES: Mapping[type[Any], tuple[Table, tuple[str, ...]]] = {
    PlannedVisit: (planned_visits, ("planned_id", "provider_id")),
    Decline: (declines, ("decline_id", "provider_id")),
    ManualVisit: (manual_visits, ("manual_id", "provider_id")),
    Correction: (corrections, ("correction_id",)),
    Dispute: (disputes, ("dispute_id",)),
    ExcessReason: (excess_reasons, ("reason_id", "provider_id")),
    Resolution: (resolutions, ("finding_id",)),
    Attest: (attests, ("provider_id", "month")),
}
_QUICK = {fact: quick(fact) for fact in _TABLES}


def _row(fact: Any, table: Table, provider_id: str) -> dict[str, Any]:
    row = {field.name: getattr(fact, field.name) for field in fields(fact)}
    if "month" in row:
        row["month"] = str(row["month"])
    if "provider_id" in table.c and "provider_id" not in row:
        row["provider_id"] = provider_id
    return row


def _lock(connection: Connection, table: Table, keys: Iterable[tuple[Any, ...]]) -> None:
    """One transaction at a time per id, in one order, so that versions count up and nobody deadlocks."""
    numbers = sorted(
        {
            int.from_bytes(hashlib.sha256(f"{table.name}/{'/'.join(map(str, key))}".encode()).digest()[:8], signed=True)
            for key in keys
        }
    )
    connection.execute(
        text("SELECT count(pg_advisory_xact_lock(n)) FROM unnest(CAST(:numbers AS bigint[])) AS n"),
        {"numbers": numbers},
    )


def _latest(
    connection: Connection, table: Table, key: Sequence[str], wanted: Iterable[tuple[Any, ...]]
) -> dict[tuple[str, ...], Row[Any]]:
    """The highest version of each id, moved or not."""
    newer = table.alias("newer")
    superseded = exists().where(*(newer.c[name] == table.c[name] for name in key), newer.c.version > table.c.version)
    firsts = sorted({str(index[0]) for index in wanted})
    query = select(table).where(among(table.c[key[0]], firsts), not_(superseded))
    return {tuple(str(getattr(row, name)) for name in key): row for row in connection.execute(query)}


def _wanted(
    query: Select[Any], c: Any, wanted: Wanted, at: ColumnElement[datetime], staff: ColumnElement[str] | None = None
) -> Select[Any]:
    for column, ids in ((c.client_id, wanted.clients), (c.provider_id, wanted.providers), (staff, wanted.staff)):
        if ids is not None and column is not None:
            query = query.where(among(column, ids))
    if wanted.from_at is not None:
        query = query.where(at >= wanted.from_at)
    if wanted.to_at is not None:
        query = query.where(at < wanted.to_at)
    return query


def _facts(connection: Connection, fact: type[Any], query: Select[Any]) -> list[Any]:
    return _made(fact, connection.execute(_only(fact, query)).all())


def _only(fact: type[Any], query: Select[Any]) -> Select[Any]:
    """The columns a fact is made of."""
    table_columns = {column.name: column for column in query.selected_columns}
    return query.with_only_columns(*(table_columns[field.name] for field in fields(fact)))


def _made(fact: type[Any], rows: Sequence[Row[Any]]) -> list[Any]:
    names = [field.name for field in fields(fact)]
    made = _QUICK[fact]
    if "month" not in names:
        return [made(*row) for row in rows]
    position = names.index("month")
    return [made(*row[:position], Month.parse(row[position]), *row[position + 1 :]) for row in rows]
