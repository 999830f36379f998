"""Reads and appends taps. A tap is one content per (device_id, seq), the first received; other contents (forks) are
kept as evidence and left out here. Doubts that other devices' statements cast (`tap_doubts`) are joined at read.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    DateTime,
    Row,
    Select,
    Text,
    and_,
    bindparam,
    case,
    cast,
    exists,
    func,
    literal,
    not_,
    select,
    text,
    tuple_,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import NullType

from app.core.quick import quick
from app.evidence.device_tables import tap_doubts
from app.evidence.tables import tap_forks, taps
from app.facts import Tap
from app.registry.tables import devices

Ids = Collection[str] | None
_TYPES = {"TEXT": "text", "BIGINT": "bigint", "BLOB": "bytea", "BYTEA": "bytea"}
_INSTANT = DateTime(timezone=True)
_DOUBTS = [field.name for field in fields(Tap)].index("doubts")
_new_tap = quick(Tap)


def load_taps(
    connection: Connection,
    *,
    staff: Ids = None,
    tag_uids: Ids = None,
    from_at: datetime | None = None,
    to_at: datetime | None = None,
) -> list[Tap]:
    """Taps of the named staff_ids and tags with from_at <= at < to_at, ordered by (staff_id, at, device_id, seq)."""
    query = _taps_query(tap_columns(), staff, tag_uids, from_at, to_at)
    return [_tap(row) for row in connection.execute(query).all()]


def stream_taps(
    connection: Connection,
    *,
    staff_from: str = "",
    staff_before: str | None = None,
    from_at: datetime | None = None,
    to_at: datetime | None = None,
) -> Iterator[Tap]:
    """All taps in the order of pairing, (staff_id, at, device_id, seq), by a server-side cursor: memory stays small.

    `staff_from` <= staff_id < `staff_before` cuts the work for several processes (`staff_borders`).
    """
    query = _taps_query(tap_columns(), None, None, from_at, to_at).where(taps.c.staff_id >= staff_from)
    if staff_before is not None:
        query = query.where(taps.c.staff_id < staff_before)
    result = connection.execution_options(stream_results=True, yield_per=5000).execute(query)
    for part in result.partitions():
        for row in part:
            yield _tap(row)


def load_taps_of_stretches(
    connection: Connection, column: str, stretches: Sequence[tuple[str, datetime, datetime]]
) -> list[Tap]:
    """Taps whose `column` (staff_id or device_id) has a stretch's key, from_at <= at < to_at, in pairing order."""
    given = (
        func.unnest(
            cast(literal([key for key, _, _ in stretches], ARRAY(Text)), ARRAY(Text)),
            cast(literal([from_at for _, from_at, _ in stretches], ARRAY(_INSTANT)), ARRAY(_INSTANT)),
            cast(literal([to_at for _, _, to_at in stretches], ARRAY(_INSTANT)), ARRAY(_INSTANT)),
        )
        .table_valued("key", "from_at", "to_at", name="given")
        .render_derived()
    )
    query = (
        select(*tap_columns())
        .join(given, and_(taps.c[column] == given.c.key, taps.c.at >= given.c.from_at, taps.c.at < given.c.to_at))
        .where(the_tap())
        .order_by(taps.c.staff_id, taps.c.at, taps.c.device_id, taps.c.seq)
    )
    return [_tap(row) for row in connection.execute(query).all()]


def load_grades(connection: Connection, keys: Collection[tuple[str, int]]) -> dict[tuple[str, int], str]:
    """The grade of each of these taps, (device_id, seq), that is stored."""
    values = {"devices": [device_id for device_id, _ in keys], "seqs": [seq for _, seq in keys]}
    return {(device_id, seq): grade for device_id, seq, grade in connection.execute(_grades(), values).all()}


@cache
def _grades() -> Select[Any]:
    given = (
        func.unnest(bindparam("devices", type_=ARRAY(Text)), bindparam("seqs", type_=ARRAY(BigInteger)))
        .table_valued("device_id", "seq", name="given")
        .render_derived()
    )
    mine = and_(taps.c.device_id == given.c.device_id, taps.c.seq == given.c.seq)
    return select(taps.c.device_id, taps.c.seq, _grade()).join(given, mine).where(the_tap())


def has_tap(connection: Connection, device_id: str, seq: int) -> bool:
    """Whether a tap of that name is stored."""
    query = select(taps.c.seq).where(taps.c.device_id == device_id, taps.c.seq == seq).limit(1)
    return connection.execute(query).first() is not None


def count_taps(connection: Connection) -> int:
    """How many are stored, forks and quarantine included."""
    return int(connection.execute(select(func.count()).select_from(taps)).scalar_one())


def last_taps(connection: Connection, staff_ids: Collection[str]) -> dict[str, datetime]:
    """Per staff_id its latest stamp; without those who never tapped."""
    given = (
        func.unnest(cast(literal(list(staff_ids), ARRAY(Text)), ARRAY(Text)))
        .table_valued("key", name="given")
        .render_derived()
    )
    latest = (
        select(taps.c.at).where(taps.c.staff_id == given.c.key).order_by(taps.c.at.desc()).limit(1).scalar_subquery()
    )
    rows = connection.execute(select(given.c.key, latest.label("at")))
    return {row.key: row.at for row in rows if row.at is not None}


def staff_borders(connection: Connection, parts: int) -> list[str]:
    """staff_ids that cut the taps into about equal parts: `parts` - 1 of them, ascending, fewer where there are few."""
    shares = [part / parts for part in range(1, parts)]
    if not shares:
        return []
    query = select(func.percentile_disc(shares).within_group(taps.c.staff_id)).select_from(
        text("taps TABLESAMPLE SYSTEM (10) REPEATABLE (1)")
    )
    found: Sequence[str] | None = connection.execute(query).scalar()
    return sorted(set(found or ()))


def load_forks(connection: Connection, devices: Ids = None) -> list[tuple[str, int]]:
    """Keys (device_id, seq) under which more than one content was received, in order."""
    query = select(tap_forks.c.device_id, tap_forks.c.seq).order_by(tap_forks.c.device_id, tap_forks.c.seq)
    if devices is not None:
        query = query.where(among(tap_forks.c.device_id, devices))
    return [(row.device_id, row.seq) for row in connection.execute(query)]


def append_taps(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> set[tuple[str, int, bytes]]:
    """Store taps given as rows of the table; the (device_id, seq, hash) that are new. The same again is nothing.

    One statement however many, sorted by key so that overlapping uploads never deadlock. Notes forks.
    """
    if not rows:
        return set()
    ordered = sorted(rows, key=lambda row: (row["device_id"], row["seq"], row["hash"]))
    names = [column.name for column in taps.columns if column.name in ordered[0]]
    arrays = ", ".join(f"CAST(:{name} AS {_array_type(name)})" for name in names)
    values = ", ".join(
        f"ARRAY(SELECT jsonb_array_elements_text(given.{name}))" if name == "doubts" else f"given.{name}"
        for name in names
    )
    listed = ", ".join(names)
    parameters = {name: [row[name] for row in ordered] for name in names}
    if "doubts" in parameters:
        parameters["doubts"] = [_json_list(doubts) for doubts in parameters["doubts"]]
    stored = connection.execute(
        text(
            f"INSERT INTO taps ({listed}) SELECT {values} FROM unnest({arrays}) AS given ({listed}) "  # noqa: S608 -- names of our own columns
            "ON CONFLICT DO NOTHING RETURNING device_id, seq, hash"
        ),
        parameters,
    ).all()
    new = {(row.device_id, row.seq, bytes(row.hash)) for row in stored}
    if new:
        note_forks(connection, [(device_id, seq) for device_id, seq, _ in new])
    return new


def note_forks(connection: Connection, keys: Collection[tuple[str, int]]) -> None:
    """Note which of the keys, just stored, hold more than one content."""
    connection.execute(
        text(
            "INSERT INTO tap_forks (device_id, seq, provider_id) "
            "SELECT t.device_id, t.seq, min(t.provider_id) FROM taps t "
            "JOIN unnest(CAST(:devices AS text[]), CAST(:seqs AS bigint[])) AS k (device_id, seq) "
            "ON t.device_id = k.device_id AND t.seq = k.seq "
            "GROUP BY t.device_id, t.seq HAVING count(DISTINCT t.hash) > 1 ON CONFLICT DO NOTHING"
        ),
        {"devices": [device_id for device_id, _ in keys], "seqs": [seq for _, seq in keys]},
    )


def tap_columns() -> list[ColumnElement[Any]]:
    """The columns `Tap` is made of, in its order; what other statements cast doubt on is grade D."""
    codes = (
        select(func.array_agg(tap_doubts.c.code))
        .where(tap_doubts.c.device_id == taps.c.device_id, tap_doubts.c.seq == taps.c.seq)
        .scalar_subquery()
    )
    changed: dict[str, ColumnElement[Any]] = {
        "grade": _grade(),
        # As psycopg reads it: SQLAlchemy would copy every list.
        "doubts": type_coerce(
            case((_doubted(), func.array_cat(taps.c.doubts, codes)), else_=taps.c.doubts), NullType()
        ),
    }
    return [changed.get(field.name, taps.c[field.name]) for field in fields(Tap)]


def _doubted() -> ColumnElement[bool]:
    return exists().where(tap_doubts.c.device_id == taps.c.device_id, tap_doubts.c.seq == taps.c.seq)


def _grade() -> ColumnElement[str]:
    return case((_doubted(), "D"), else_=taps.c.grade)


def the_tap() -> ColumnElement[bool]:
    """True for the first received content of its (device_id, seq): THE tap. Costs nothing where there are no forks.

    What a device signed before a manager confirmed its key is in quarantine: stored, and no tap yet.
    """
    unconfirmed = select(devices.c.device_id).where(devices.c.public_jwk != "", devices.c.enrolled_at.is_(None))
    quarantined = and_(taps.c.jws != "", taps.c.device_id.in_(unconfirmed))
    other = taps.alias("other")
    earlier = exists().where(
        other.c.device_id == taps.c.device_id,
        other.c.seq == taps.c.seq,
        tuple_(other.c.received_at, other.c.hash) < tuple_(taps.c.received_at, taps.c.hash),
    )
    forked = exists().where(tap_forks.c.device_id == taps.c.device_id, tap_forks.c.seq == taps.c.seq)
    return and_(not_(and_(forked, earlier)), not_(quarantined))


def _taps_query(
    columns: Sequence[ColumnElement[Any]], staff: Ids, tag_uids: Ids, from_at: datetime | None, to_at: datetime | None
) -> Select[Any]:
    query = select(*columns).where(the_tap())
    if staff is not None:
        query = query.where(among(taps.c.staff_id, staff))
    if tag_uids is not None:
        query = query.where(among(taps.c.tag_uid, tag_uids))
    if from_at is not None:
        query = query.where(taps.c.at >= from_at)
    if to_at is not None:
        query = query.where(taps.c.at < to_at)
    return query.order_by(taps.c.staff_id, taps.c.at, taps.c.device_id, taps.c.seq)


def _tap(row: Row[Any]) -> Tap:
    """A row of `tap_columns` as the rules see it."""
    cells = list(row)
    cells[_DOUBTS] = tuple(sorted(set(cells[_DOUBTS]))) if cells[_DOUBTS] else ()
    return _new_tap(*cells)


def _array_type(name: str) -> str:
    if name == "doubts":
        return "jsonb[]"
    return f"{_TYPES.get(str(taps.c[name].type), 'timestamptz')}[]"


def _json_list(values: Iterable[str]) -> str:
    return json.dumps(list(values))


def among(column: ColumnElement[Any], values: Collection[str]) -> ColumnElement[bool]:
    """`= ANY(array)`: one parameter and one prepared statement however many values."""
    return column == func.any(cast(literal(list(values), ARRAY(Text)), ARRAY(Text)))


def among_many(column: ColumnElement[Any], values: Collection[str]) -> ColumnElement[bool]:
    """As `among`, for many values and many rows: each row is looked up once, where `= ANY` compares it with each."""
    return column.in_(select(func.unnest(cast(literal(list(values), ARRAY(Text)), ARRAY(Text)))))
