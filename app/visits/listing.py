"""Visits in lists: a restriction, an order that pages can go on from, and only the partitions that matter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    and_,
    exists,
    false,
    literal_column,
    or_,
    select,
    tuple_,
)

from app.core.localtime import local_date
from app.facts import Visit
from app.visits.store import columns, from_row
from app.visits.tables import moved_visits, visits

_AT_ONCE = 2000


class Place(NamedTuple):
    """Where a page ended: the last visit's instant (start or end; in lists of changes when it changed) and id."""

    at: datetime
    visit_id: str


class Listed(NamedTuple):
    """A visit of a list; `ceased`: it does not exist any more, for pollers only."""

    visit: Visit
    changed_at: datetime
    ceased: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """Which visits. Empty texts and None restrict nothing; from_at <= start (else end) < to_at.

    `status` as doors show it at `now`. `changed_since` gives what changed then or later, in order of change, with the
    visits that ceased to exist or belong to the asked ones no longer; without it the living ones in order of start
    (else end). `seen_in`: further conditions (the walls) over `visits` or `moved_visits`.
    """

    now: datetime
    from_at: datetime | None = None
    to_at: datetime | None = None
    client_id: str = ""
    staff_id: str = ""
    provider_id: str = ""
    unit_id: str = ""
    status: str = ""
    changed_since: datetime | None = None
    seen_in: Callable[[Table], tuple[ColumnElement[bool], ...]] = lambda _: ()


def load_page(connection: Connection, asked: Asked, limit: int, after: Place | None = None) -> list[Listed]:
    """At most `limit` visits after a place."""
    if asked.changed_since is None:
        return _rows(connection, _query(asked), visits.c.at, limit, after)
    found = _rows(connection, _query(asked), visits.c.changed_at, limit, after)
    found += _rows(connection, _moved(asked), moved_visits.c.changed_at, limit, after)
    return sorted(found, key=lambda one: (one.changed_at, one.visit.visit_id))[:limit]


def _rows(
    connection: Connection, query: Select[Any], at: ColumnElement[Any], limit: int, after: Place | None
) -> list[Listed]:
    if after is not None:
        visit_id = query.selected_columns["visit_id"]
        query = query.where(tuple_(at, visit_id) > tuple_(after.at, after.visit_id))
    return [_listed(row) for row in connection.execute(query.limit(limit)).all()]


def stream(connection: Connection, asked: Asked) -> Iterator[Visit]:
    """All of them, in order, without holding them in memory."""
    rows = connection.execution_options(yield_per=_AT_ONCE).execute(_query(asked))
    return (from_row(row) for row in rows)


def load_one(connection: Connection, visit_id: str, *conditions: ColumnElement[bool]) -> Listed | None:
    """The visit of an id, one that ceased too; None where there is none under the conditions."""
    found = select(visits).where(visits.c.visit_id == visit_id, *conditions)
    row = connection.execute(found.order_by(visits.c.ceased, visits.c.changed_at.desc()).limit(1)).first()
    return None if row is None else _listed(row)


def place_of(asked: Asked, listed: Listed) -> Place:
    """Where a page that ends with this visit ended."""
    return Place(listed.visit.at if asked.changed_since is None else listed.changed_at, listed.visit.visit_id)


LONGEST_OPEN = timedelta(hours=73)
"""No visit is called open for longer: the most that the policy `open_until_h` allows, and a little."""


def is_open(now: datetime) -> ColumnElement[bool]:
    """Visits that doors call open at `now`: begun, and their end still awaited."""
    # The status as a literal: a partial index serves no plan that is made for any status.
    incomplete = visits.c.status == literal_column("'incomplete'")
    return and_(incomplete, visits.c.open_until_at > now, *in_months(now - LONGEST_OPEN, None))


def in_months(from_at: datetime | None, to_at: datetime | None, table: Table = visits) -> list[ColumnElement[bool]]:
    """The range of instants as a range of `month_on`, so that the other partitions are not looked into."""
    conditions: list[ColumnElement[bool]] = []
    if from_at is not None:
        conditions += [table.c.at >= from_at, table.c.month_on >= _month_on(from_at)]
    if to_at is not None:
        conditions += [table.c.at < to_at, table.c.month_on <= _month_on(to_at)]
    return conditions


def _month_on(at: datetime) -> date:
    return local_date(at).replace(day=1)


def _query(asked: Asked) -> Select[Any]:
    query = select(*columns()).where(*in_months(asked.from_at, asked.to_at), *_place(asked, visits))
    if asked.status:
        query = query.where(_has_status(asked.status, asked.now))
    if asked.changed_since is None:
        return query.where(visits.c.ceased.is_(False)).order_by(visits.c.at, visits.c.visit_id)
    return query.where(visits.c.changed_at >= asked.changed_since).order_by(visits.c.changed_at, visits.c.visit_id)


def _moved(asked: Asked) -> Select[Any]:
    """Visits that were the asked ones' and are somebody else's now."""
    c = moved_visits.c
    still = exists().where(visits.c.visit_id == c.visit_id, *_place(asked, visits))
    query = select(*columns(moved_visits)).where(
        *in_months(asked.from_at, asked.to_at, moved_visits), *_place(asked, moved_visits), ~still,
        c.changed_at >= asked.changed_since,
    )  # fmt: skip
    if asked.status not in ("", "cancelled"):
        query = query.where(false())
    return query.order_by(c.changed_at, c.visit_id)


def _place(asked: Asked, table: Table) -> list[ColumnElement[bool]]:
    """Whose visits are asked for, of the rows of a table."""
    c = table.c
    given = (
        (c.client_id, asked.client_id),
        (c.staff_id, asked.staff_id),
        (c.provider_id, asked.provider_id),
        (c.unit_id, asked.unit_id),
    )
    return [*asked.seen_in(table), *(column == value for column, value in given if value)]


def _has_status(status: str, now: datetime) -> ColumnElement[bool]:
    if status == "open":
        return is_open(now)
    if status == "incomplete":
        ended = or_(visits.c.open_until_at.is_(None), visits.c.open_until_at <= now)
        return and_(visits.c.status == "incomplete", ended)
    return visits.c.status == status


def _listed(row: Any) -> Listed:
    return Listed(from_row(row), row.changed_at, row.ceased)
