"""Visits in lists: a restriction, an order that pages can go on from, and only the partitions that matter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, or_, select, tuple_

from app.core.localtime import local_date
from app.facts import Visit
from app.visits.store import from_row
from app.visits.tables import visits

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
    visits that ceased to exist; without it the living ones in order of start (else end). `conditions`: further ones
    (the walls) over `visits`.
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
    conditions: tuple[ColumnElement[bool], ...] = ()


def load_page(connection: Connection, asked: Asked, limit: int, after: Place | None = None) -> list[Listed]:
    """At most `limit` visits after a place."""
    query = _query(asked)
    at = _order(asked)
    if after is not None:
        query = query.where(tuple_(at, visits.c.visit_id) > tuple_(after.at, after.visit_id))
    return [_listed(row) for row in connection.execute(query.limit(limit))]


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
    return and_(visits.c.status == "incomplete", visits.c.open_until_at > now, *in_months(now - LONGEST_OPEN, None))


def in_months(from_at: datetime | None, to_at: datetime | None) -> list[ColumnElement[bool]]:
    """The range of instants as a range of `month_on`, so that the other partitions are not looked into."""
    conditions: list[ColumnElement[bool]] = []
    if from_at is not None:
        conditions += [visits.c.at >= from_at, visits.c.month_on >= _month_on(from_at)]
    if to_at is not None:
        conditions += [visits.c.at < to_at, visits.c.month_on <= _month_on(to_at)]
    return conditions


def _month_on(at: datetime) -> date:
    return local_date(at).replace(day=1)


def _order(asked: Asked) -> ColumnElement[Any]:
    return visits.c.at if asked.changed_since is None else visits.c.changed_at


def _query(asked: Asked) -> Select[Any]:
    query = select(visits).where(*in_months(asked.from_at, asked.to_at), *asked.conditions)
    for column, value in (
        (visits.c.client_id, asked.client_id),
        (visits.c.staff_id, asked.staff_id),
        (visits.c.provider_id, asked.provider_id),
        (visits.c.unit_id, asked.unit_id),
    ):
        if value:
            query = query.where(column == value)
    if asked.status:
        query = query.where(_has_status(asked.status, asked.now))
    if asked.changed_since is None:
        query = query.where(visits.c.ceased.is_(False))
    else:
        query = query.where(visits.c.changed_at >= asked.changed_since)
    return query.order_by(_order(asked), visits.c.visit_id)


def _has_status(status: str, now: datetime) -> ColumnElement[bool]:
    if status == "open":
        return is_open(now)
    if status == "incomplete":
        ended = or_(visits.c.open_until_at.is_(None), visits.c.open_until_at <= now)
        return and_(visits.c.status == "incomplete", ended)
    return visits.c.status == status


def _listed(row: Any) -> Listed:
    return Listed(from_row(row), row.changed_at, row.ceased)
