"""Visits and decline outcomes: rows to facts and back, and the questions doors and later stages ask."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime, timedelta
from functools import cache
from operator import attrgetter
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Date,
    DateTime,
    Row,
    Select,
    Table,
    TableValuedAlias,
    Text,
    TextClause,
    and_,
    between,
    bindparam,
    delete,
    func,
    select,
    text,
    tuple_,
    type_coerce,
    update,
)  # fmt: skip
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import NullType

from app.core.localtime import local_date
from app.db.rows import upsert
from app.facts import DeclineOutcome, Share, TapRef, Visit
from app.visits.rules.changed import new_visit
from app.visits.tables import ELSEWHERE, decline_outcomes, moved_visits, visits

_INSTANT = DateTime(timezone=True)
DAY = text("interval '1 day'")
CEASED: Mapping[str, Any] = {
    "status": "cancelled", "stated_status": "cancelled", "ceased": True, "minutes": 0, "accepted": False, "holds": [],
    "findings": [], "marks": [], "planned_id": "", "decline_id": "", "open_until_at": None,
}  # fmt: skip
"""What a row becomes when its visit is no more: told to pollers, counted nowhere."""
PLACE = ("provider_id", "unit_id", "staff_id", "client_id")
"""Whose a visit is: lists of it are asked for by these."""


def month_on(visit: Visit) -> date:
    """The partition of a visit: first day of the local month of its start, else end."""
    return local_date(visit.at).replace(day=1)


def to_row(visit: Visit, paired_staff_id: str, now: datetime) -> dict[str, Any]:
    """The visit as a row."""
    first = visit.kom or visit.gick
    return {
        "month_on": month_on(visit),
        "visit_id": visit.visit_id,
        "manual_id": visit.manual_id,
        "client_id": visit.client_id,
        "provider_id": visit.provider_id,
        "unit_id": visit.unit_id,
        "staff_id": visit.staff_id,
        "person": visit.person,
        "role": visit.role,
        "at": visit.at,
        "start_at": visit.start_at,
        "end_at": visit.end_at,
        "minutes": visit.minutes,
        "status": visit.status,
        "stated_status": visit.stated_status,
        "source": visit.source,
        "grade": visit.grade,
        "service": visit.service,
        "stated_service": visit.stated_service,
        "kom_device_id": visit.kom.device_id if visit.kom else None,
        "kom_seq": visit.kom.seq if visit.kom else None,
        "kom_at": visit.kom.at if visit.kom else None,
        "gick_device_id": visit.gick.device_id if visit.gick else None,
        "gick_seq": visit.gick.seq if visit.gick else None,
        "gick_at": visit.gick.at if visit.gick else None,
        "planned_id": visit.planned_id,
        "decline_id": visit.decline_id,
        "replaced_by": visit.replaced_by,
        "care_service": visit.care_service,
        "paired_staff_id": paired_staff_id,
        "tapped_at": first.at if first else None,
        "marks": list(visit.marks),
        "proposal": [list(pair) for pair in visit.proposal],
        "share_position": visit.share.position if visit.share else None,
        "share_weights": list(visit.share.weights) if visit.share else None,
        "holds": list(visit.holds),
        "findings": list(visit.findings),
        "accepted": visit.accepted,
        "open_until_at": visit.open_until_at,
        "ceased": False,
        "changed_at": now,
    }


_CELLS = attrgetter(
    "visit_id", "manual_id", "client_id", "provider_id", "unit_id", "staff_id", "person", "role", "start_at", "end_at",
    "status", "source", "grade", "service", "kom_device_id", "kom_seq", "kom_at", "gick_device_id", "gick_seq",
    "gick_at", "planned_id", "decline_id", "replaced_by", "care_service", "share_position", "share_weights", "holds",
    "findings", "open_until_at", "stated_service", "stated_status", "marks", "proposal",
)  # fmt: skip


def columns(table: Table = visits) -> list[ColumnElement[Any]]:
    """All columns, lists as the driver reads them: SQLAlchemy would copy every one."""
    return [
        type_coerce(column, NullType()).label(column.name) if isinstance(column.type, ARRAY) else column
        for column in table.c
    ]


def from_row(row: Row[Any]) -> Visit:
    """The visit of a row."""
    (
        visit_id, manual_id, client_id, provider_id, unit_id, staff_id, person, role, start_at, end_at,
        status, source, grade, service, kom_device_id, kom_seq, kom_at, gick_device_id, gick_seq,
        gick_at, planned_id, decline_id, replaced_by, care_service, position, weights, holds,
        codes, open_until_at, stated_service, stated_status, marks, proposal,
    ) = _CELLS(row)  # fmt: skip
    return new_visit(
        visit_id, manual_id, client_id, provider_id, unit_id, staff_id, person, role, start_at, end_at,
        status, source, grade, service,
        TapRef(kom_device_id, kom_seq, kom_at) if kom_device_id is not None else None,
        TapRef(gick_device_id, gick_seq, gick_at) if gick_device_id is not None else None,
        planned_id, decline_id, replaced_by, care_service,
        Share(position, tuple(weights)) if weights else None,
        tuple(holds), tuple(codes), open_until_at, stated_service, stated_status, tuple(marks),
        tuple((name, value) for name, value in proposal),
    )  # fmt: skip


def load(connection: Connection, *conditions: Any) -> list[tuple[Visit, str]]:
    """(visit, paired_staff_id) of the living rows under the conditions (SQLAlchemy expressions over `visits`)."""
    rows = connection.execute(select(visits).where(visits.c.ceased.is_(False), *conditions))
    return [(from_row(row), row.paired_staff_id) for row in rows]


def put(
    connection: Connection, changed: Iterable[tuple[Visit, str]], stored: Mapping[str, Visit], now: datetime
) -> None:
    """Store visits as they are now; a row of the same visit in another month goes away.

    `stored`: living visits by visit_id as this transaction has read them. One that stays in its month has no other row,
    so that no other month is asked; of one that is not among them a ceased row may lie anywhere.
    """
    rows = [to_row(visit, paired_staff_id, now) for visit, paired_staff_id in changed]
    fresh = [(row["visit_id"], row["month_on"]) for row in rows if row["visit_id"] not in stored]
    if fresh:
        _run(connection, _DROP_CEASED, fresh)
    left = [(row["visit_id"], month_on(before)) for row in rows if (before := _left(row, stored)) is not None]
    if left:
        _run(connection, _DROP_LEFT, left)
    upsert(connection, visits, rows, ("visit_id", "month_on"))


_DROP_LEFT = text(
    "DELETE FROM visits v USING unnest(CAST(:ids AS text[]), CAST(:months AS date[])) AS k (visit_id, month_on)"
    " WHERE v.visit_id = k.visit_id AND v.month_on = k.month_on"
)
# By a small index of each month's partition, all ids at once.
_DROP_CEASED = text(
    "DELETE FROM visits v WHERE v.ceased AND v.visit_id = ANY(CAST(:ids AS text[]))"
    " AND NOT EXISTS (SELECT FROM unnest(CAST(:ids AS text[]), CAST(:months AS date[])) AS k (visit_id, month_on)"
    " WHERE v.visit_id = k.visit_id AND v.month_on = k.month_on)"
)


def _run(connection: Connection, statement: TextClause, keys: Sequence[tuple[str, date]]) -> None:
    ids, months = (list(part) for part in zip(*keys, strict=True))
    connection.execute(statement, {"ids": ids, "months": months})


def _left(row: Mapping[str, Any], stored: Mapping[str, Visit]) -> Visit | None:
    """The visit as it was, where it lies in another month from now on."""
    before = stored.get(row["visit_id"])
    return before if before is not None and month_on(before) != row["month_on"] else None


def bury(connection: Connection, ceased: Iterable[tuple[Visit, str]], now: datetime) -> None:
    """Let visits that ceased to exist stay as `cancelled`, with what replaced them, so that pollers see it."""
    for visit, replaced_by in ceased:
        connection.execute(
            update(visits)
            .where(visits.c.visit_id == visit.visit_id, visits.c.month_on == month_on(visit))
            .values(**CEASED, replaced_by=replaced_by, changed_at=now)
        )


def note_moves(connection: Connection, left: Iterable[tuple[Visit, str]], now: datetime) -> None:
    """Let visits stay as `cancelled` where they were: with another provider, unit, staff member or client from now on.
    `left` has them as they were."""
    rows = [{**to_row(visit, paired_staff_id, now), **CEASED} for visit, paired_staff_id in left]
    upsert(connection, moved_visits, rows, tuple(column.name for column in moved_visits.primary_key))


def load_stretches(
    connection: Connection,
    column: str,
    stretches: Sequence[tuple[str, datetime, datetime]],
    known: Collection[str] = (),
) -> list[tuple[Visit, str]]:
    """(visit, paired_staff_id) of the living visits whose `column` has a stretch's key, without the `known` visit_ids.

    For paired_staff_id those first tapped in [from_at, to_at]; else those any part of which lies in it.
    """
    keys, from_ats, to_ats = (list(part) for part in zip(*stretches, strict=True))
    values: dict[str, Any] = {"keys": keys, "from_ats": from_ats, "to_ats": to_ats, "known": list(known)}
    if column == "paired_staff_id":
        values |= _months(min(from_ats), _later(max(to_ats)))
        rows = [*connection.execute(_FIRST_TAPPED, values), *_elsewhere(connection, stretches, known)]
    else:
        values |= _months(min(from_ats), max(to_ats)) | {"earliest": min(from_ats), "latest": max(to_ats)}
        rows = [row for query in _in_stretches(column) for row in connection.execute(query, values)]
    unique = {row.visit_id: row for row in rows}
    return [(from_row(row), row.paired_staff_id) for row in unique.values()]


_FIRST_TAPPED = text(
    "SELECT v.* FROM unnest(CAST(:keys AS text[]), CAST(:from_ats AS timestamptz[]), CAST(:to_ats AS timestamptz[]))"
    " AS given (key, from_at, to_at) JOIN visits v ON v.paired_staff_id = given.key"
    " AND v.tapped_at BETWEEN given.from_at AND given.to_at WHERE NOT v.ceased"
    " AND v.month_on BETWEEN :first_on AND :last_on AND v.visit_id NOT IN (SELECT unnest(CAST(:known AS text[])))"
).columns(*visits.c)
_REACHING = text(
    "SELECT v.* FROM unnest(CAST(:keys AS text[]), CAST(:from_ats AS timestamptz[])) AS given (key, from_at)"
    " JOIN visits v ON v.paired_staff_id = given.key AND v.tapped_at < given.from_at"
    " AND v.tapped_at >= given.from_at - CAST(:far AS interval) WHERE NOT v.ceased"
    " AND v.month_on BETWEEN :first_on AND :last_on AND (v.kom_at IS NULL"
    " OR v.gick_at IS NULL OR v.gick_at >= given.from_at - CAST(:touch AS interval)"
    " OR v.gick_at - v.kom_at <= CAST(:retry AS interval))"
).columns(*visits.c)
_ELSEWHERE = select(*columns()).where(
    visits.c.paired_staff_id == func.any(bindparam("keys", type_=ARRAY(Text))),
    visits.c.ceased.is_(False),
    text(f"({ELSEWHERE})"),
)


def load_reaching(
    connection: Connection, points: Sequence[tuple[str, datetime]], far: timedelta, touch: timedelta, retry: timedelta
) -> list[tuple[Visit, str]]:
    """(visit, paired_staff_id) of the living visits of these staff_ids first tapped before their instant, at most
    `far`, that a later tap may still meet: without an end, ended at most `touch` before, or at most `retry` long; and
    maybe others."""
    keys, from_ats = (list(part) for part in zip(*points, strict=True))
    values: dict[str, Any] = {"keys": keys, "from_ats": from_ats, "far": far, "touch": touch, "retry": retry}
    values |= _months(min(from_ats) - far, _later(max(from_ats)))
    rows = [
        *connection.execute(_REACHING, values),
        *_elsewhere(connection, [(key, at - far, at) for key, at in points]),
    ]
    return [(from_row(row), row.paired_staff_id) for row in rows]


def _elsewhere(
    connection: Connection, stretches: Sequence[tuple[str, datetime, datetime]], known: Collection[str] = ()
) -> list[Row[Any]]:
    """The living visits first tapped within the stretches of their paired staff_id whose times a correction has moved
    more than a day from that tap, to whatever month: they are so few that all of these staff_ids are read."""
    rows = connection.execute(_ELSEWHERE, {"keys": sorted({key for key, _, _ in stretches})}).all()
    return [
        row
        for row in rows
        if row.visit_id not in known
        and any(key == row.paired_staff_id and start <= row.tapped_at <= end for key, start, end in stretches)
    ]


@cache
def _in_stretches(column: str) -> tuple[Select[Any], ...]:
    """The queries of `load_stretches` for a column of whose visits any part counts, made once."""
    given, key = _given(), visits.c[column]
    # A subquery is looked up in a table of hashes; `<> ALL (:known)` compared every row with thousands of them.
    known = select(func.unnest(bindparam("known", type_=ARRAY(Text))))
    fresh = visits.c.visit_id.not_in(known)
    living = select(*columns()).where(visits.c.ceased.is_(False), fresh)
    # The months first, so that other partitions are not looked at.
    first_on, last_on = bindparam("first_on", type_=Date), bindparam("last_on", type_=Date)
    months = between(visits.c.month_on, first_on, last_on)
    reach = func.greatest(visits.c.at, visits.c.end_at)
    begun = and_(visits.c.at >= given.c.from_at - DAY, visits.c.at <= given.c.to_at)
    near = living.join(given, and_(key == given.c.key, months, begun, reach >= given.c.from_at))
    # What lasts longer than a day may have begun in any month: all keys at once in each one's small index.
    long = living.where(
        key == func.any(bindparam("keys", type_=ARRAY(Text))),
        visits.c.month_on <= last_on,
        visits.c.end_at - visits.c.start_at > DAY,
        visits.c.at <= bindparam("latest", type_=_INSTANT),
        reach >= bindparam("earliest", type_=_INSTANT),
    )
    few = long.cte("few").prefix_with("MATERIALIZED")
    same = and_(few.c[column] == given.c.key, few.c.at <= given.c.to_at)
    return near, select(few).join(given, and_(same, func.greatest(few.c.at, few.c.end_at) >= given.c.from_at))


def _months(from_at: datetime, to_at: datetime) -> dict[str, date]:
    """The bounds of month_on for visits that began between a day before one instant and another."""
    return {"first_on": _days_before(from_at), "last_on": _day_after(to_at)}


def _later(at: datetime) -> datetime:
    """A day later, where there is one."""
    return at + timedelta(days=1) if at.year < 9999 else at


def _days_before(at: datetime) -> date:
    """No later than the first day of the local month in which a visit began at most a day before."""
    return date.min if at.year < 2 else (at - timedelta(days=33)).date()


def _day_after(at: datetime) -> date:
    """No earlier than the local day of the instant."""
    return date.max if at.year > 9998 else (at + timedelta(days=1)).date()


def _given() -> TableValuedAlias:
    """The stretches as a table: key, from_at, to_at."""
    return (
        func.unnest(
            bindparam("keys", type_=ARRAY(Text)),
            bindparam("from_ats", type_=ARRAY(_INSTANT)),
            bindparam("to_ats", type_=ARRAY(_INSTANT)),
        )
        .table_valued("key", "from_at", "to_at", name="given")
        .render_derived()
    )


def count_living(connection: Connection, provider_id: str, month_on: date) -> int:
    """How many visits of a provider in a local month (of start, else end) are not cancelled."""
    query = select(func.count()).where(
        visits.c.provider_id == provider_id, visits.c.month_on == month_on, visits.c.status != "cancelled"
    )
    return int(connection.execute(query).scalar_one())


_OUTCOMES = text(
    "SELECT o.* FROM unnest(CAST(:keys AS text[]), CAST(:from_ats AS timestamptz[]), CAST(:to_ats AS timestamptz[]))"
    " AS given (key, from_at, to_at) JOIN decline_outcomes o ON o.client_id = given.key"
    " AND o.planned_start_at BETWEEN given.from_at AND given.to_at"
    " UNION SELECT o.* FROM decline_outcomes o"
    " WHERE o.client_id = ANY(CAST(:keys AS text[])) AND o.decline_id = ANY(CAST(:decline_ids AS text[]))"
).columns(*decline_outcomes.c)


def load_outcomes(
    connection: Connection, stretches: Sequence[tuple[str, datetime, datetime]], decline_ids: Collection[str]
) -> list[DeclineOutcome]:
    """What became of clients' declines planned within their stretches, ends included, and of the named ones."""
    keys, from_ats, to_ats = (list(column) for column in zip(*stretches, strict=True))
    values = {"keys": keys, "from_ats": from_ats, "to_ats": to_ats, "decline_ids": list(decline_ids)}
    return [outcome_from_row(row) for row in connection.execute(_OUTCOMES, values)]


def put_outcomes(connection: Connection, changed: Sequence[DeclineOutcome], gone: Sequence[DeclineOutcome]) -> None:
    """Store what became of declines, and take away what is no more."""
    if gone:
        keys = [(one.provider_id, one.decline_id) for one in gone]
        connection.execute(
            delete(decline_outcomes).where(
                tuple_(decline_outcomes.c.provider_id, decline_outcomes.c.decline_id).in_(keys)
            )
        )
    if changed:
        rows = [{**asdict(one), "visit_ids": list(one.visit_ids)} for one in changed]
        upsert(connection, decline_outcomes, rows, ("provider_id", "decline_id"))


def outcome_from_row(row: Row[Any]) -> DeclineOutcome:
    """The outcome of a row."""
    values = dict(row._mapping)
    return DeclineOutcome(**{**values, "visit_ids": tuple(values["visit_ids"])})
