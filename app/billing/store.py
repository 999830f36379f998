"""Billing lines and fee lines: rows to facts and back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, insert, or_, select, tuple_, update

from app.billing.tables import billing_lines, closed_fee_lines
from app.core.localtime import month_bounds
from app.core.month import Month
from app.db.rows import upsert
from app.evidence.store import among
from app.facts import BillingLine
from app.facts.accounts import FeeLine, ServiceDone
from app.registry.tables import employments
from app.registry.tables import services_done as done_table

Key = tuple[str, str]
_NAMES = [field.name for field in fields(BillingLine) if field.name not in ("month", "origin_month")]


def line_from_row(row: Row[Any]) -> BillingLine:
    """The line of a row."""
    values = {name: row._mapping[name] for name in _NAMES}
    return BillingLine(month=Month.of(row.month_on), origin_month=Month.of(row.origin_month_on), **values)


def line_to_row(line: BillingLine) -> dict[str, Any]:
    """The line as a row."""
    values = {name: getattr(line, name) for name in _NAMES}
    return {**values, "month_on": line.month.first_on, "origin_month_on": line.origin_month.first_on, "gone": 0}


def load_lines(connection: Connection, *conditions: Any, gone: bool = False) -> list[BillingLine]:
    """Lines under the conditions, by client, provider and line; with `gone` also those no longer owed."""
    c = billing_lines.c
    query = select(billing_lines).where(*conditions).order_by(c.month_on, c.client_id, c.provider_id, c.line_id)
    return [line_from_row(row) for row in connection.execute(query if gone else query.where(c.gone == 0))]


def load_page(
    connection: Connection,
    conditions: Sequence[Any],
    limit: int,
    after: tuple[datetime, str] | tuple[str, str, str] | None,
    changed_since: datetime | None = None,
) -> list[BillingLine]:
    """At most `limit` lines after a place, by (client, provider, line); with `changed_since` by (time of change,
    line), and also those no longer owed, with nothing in them."""
    c = billing_lines.c
    order: tuple[Any, ...] = (c.client_id, c.provider_id, c.line_id)
    query = select(billing_lines).where(*conditions)
    if changed_since is None:
        query = query.where(c.gone == 0)
    else:
        order = (c.changed_at, c.line_id)
        query = query.where(c.changed_at >= changed_since)
    if after is not None:
        query = query.where(tuple_(*order) > tuple_(*after))
    return [line_from_row(row) for row in connection.execute(query.order_by(*order).limit(limit))]


def settled_lines(
    connection: Connection, clients: Collection[str], origins: Collection[Month] | None = None
) -> dict[Key, list[BillingLine]]:
    """Every settled line of these clients, or those for these origin months, by client and provider."""
    found: dict[Key, list[BillingLine]] = defaultdict(list)
    c = billing_lines.c
    conditions = [among(c.client_id, clients), c.state == "settled"]
    if origins is not None:
        conditions.append(c.origin_month_on.in_([month.first_on for month in origins]))
    for line in load_lines(connection, *conditions) if origins is None or origins else ():
        found[line.client_id, line.provider_id].append(line)
    return found


def provisional_lines(connection: Connection, clients: Collection[str], months: Collection[Month]) -> list[BillingLine]:
    """Provisional lines of these clients and months that are owed."""
    c = billing_lines.c
    inside = c.month_on.in_([month.first_on for month in months])
    return load_lines(connection, among(c.client_id, clients), inside, c.state == "provisional")


def put_lines(connection: Connection, lines: Iterable[BillingLine], now: datetime) -> None:
    """Store lines; a provisional one of the same id is overwritten, a settled one never."""
    rows = [{**line_to_row(line), "changed_at": line.changed_at or now} for line in lines]
    upsert(connection, billing_lines, rows, ("month_on", "line_id"), where="state = 'provisional'")


def empty_lines(connection: Connection, lines: Sequence[BillingLine], now: datetime) -> None:
    """Let provisional lines that are no longer owed stay with nothing in them."""
    if not lines:
        return
    c = billing_lines.c
    named = or_(*(and_(c.month_on == line.month.first_on, c.line_id == line.line_id) for line in lines))
    connection.execute(
        update(billing_lines)
        .where(named, c.state == "provisional")
        .values(minutes=0, count=0, amount_ore=0, gone=1, changed_at=now)
    )


def services_done(
    connection: Connection, clients: Collection[str], months: Collection[Month] | None = None
) -> dict[Key, list[ServiceDone]]:
    """Care services carried out at these clients, by client and the staff member's provider on the day; with `months`
    from the first of them to the last."""
    d, e = done_table.c, employments.c
    on = d.done_at.op("AT TIME ZONE")("Europe/Stockholm").cast(e.valid_from.type)
    valid = and_(e.staff_id == d.staff_id, e.valid_from <= on, or_(e.valid_to.is_(None), e.valid_to >= on))
    query = select(d.client_id, e.provider_id, d.staff_id, d.done_at, d.care_service, d["count"]).join(
        employments, valid
    )
    if months is not None:
        query = query.where(d.done_at >= month_bounds(min(months))[0], d.done_at < month_bounds(max(months))[1])
    found: dict[Key, list[ServiceDone]] = defaultdict(list)
    for row in connection.execute(query.where(among(d.client_id, clients)).order_by(d.done_at)).all():
        done = ServiceDone(row[0], row[1], row[2], row[3], row[4], row[5])
        found[done.client_id, done.provider_id].append(done)
    return found


def load_fee_lines(connection: Connection, *conditions: Any) -> list[FeeLine]:
    """Fee lines that runs have left, under the conditions."""
    c = closed_fee_lines.c
    rows = connection.execute(select(closed_fee_lines).where(*conditions).order_by(c.month_on, c.client_id))
    return [
        FeeLine(
            Month.of(row.month_on), Month.of(row.origin_month_on), row.client_id, row.fee_class, row.client_minutes,
            row._mapping["count"], row.late_cancellations, row.absence_days, row.cause,
        )
        for row in rows
    ]  # fmt: skip


def freeze_fee_lines(connection: Connection, lines: Sequence[FeeLine]) -> None:
    """Store the basis of fees as a run leaves it."""
    rows = [
        {
            "month_on": line.month.first_on,
            "origin_month_on": line.origin_month.first_on,
            "client_id": line.client_id,
            "fee_class": line.fee_class,
            "client_minutes": line.client_minutes,
            "count": line.count,
            "late_cancellations": line.late_cancellations,
            "absence_days": line.absence_days,
            "cause": line.cause,
        }
        for line in lines
    ]
    if rows:
        connection.execute(insert(closed_fee_lines), rows)
