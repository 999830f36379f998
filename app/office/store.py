"""Import jobs and alerts: rows in, rows out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, insert, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert

from app.office.tables import alerts, import_jobs


def add_job(connection: Connection, job: dict[str, Any]) -> None:
    """A new import job."""
    connection.execute(insert(import_jobs), job)


def find_job(connection: Connection, import_id: str, *conditions: ColumnElement[bool]) -> Row[Any] | None:
    """The job of an id under the conditions."""
    return connection.execute(select(import_jobs).where(import_jobs.c.import_id == import_id, *conditions)).first()


def take_job(connection: Connection) -> Row[Any] | None:
    """The oldest waiting job, now running; None when none waits. Two workers never take the same."""
    waiting = (
        select(import_jobs.c.import_id)
        .where(import_jobs.c.state == "waiting")
        .order_by(import_jobs.c.created_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    taken = update(import_jobs).where(import_jobs.c.import_id.in_(waiting)).values(state="running")
    return connection.execute(taken.returning(import_jobs)).first()


def wait_again(connection: Connection) -> None:
    """Jobs that ran when their process ended run again: an import is all or nothing."""
    connection.execute(update(import_jobs).where(import_jobs.c.state == "running").values(state="waiting"))


def finish_job(connection: Connection, import_id: str, values: dict[str, Any]) -> None:
    """What became of a job."""
    connection.execute(update(import_jobs).where(import_jobs.c.import_id == import_id).values(**values))


def add_alerts(connection: Connection, rows: Sequence[dict[str, Any]]) -> int:
    """Store new alerts; how many were new."""
    if not rows:
        return 0
    added = connection.execute(
        upsert(alerts).values(list(rows)).on_conflict_do_nothing().returning(alerts.c.alert_id)
    ).all()
    return len(added)


def take_alerts(connection: Connection, now: datetime, until: datetime, limit: int) -> list[Row[Any]]:
    """Alerts due to be sent, kept from other workers until an instant."""
    due = (
        select(alerts.c.alert_id)
        .where(alerts.c.delivered_at.is_(None), alerts.c.try_at <= now)
        .order_by(alerts.c.at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    taken = update(alerts).where(alerts.c.alert_id.in_(due)).values(try_at=until, attempts=alerts.c.attempts + 1)
    return list(connection.execute(taken.returning(alerts)).all())


def note_sent(connection: Connection, alert_id: str, *, delivered_at: datetime | None, try_at: datetime | None) -> None:
    """An alert was delivered, or is to be tried again at `try_at` (None: no more)."""
    connection.execute(
        update(alerts).where(alerts.c.alert_id == alert_id).values(delivered_at=delivered_at, try_at=try_at)
    )


def load_alerts(
    connection: Connection, conditions: Sequence[ColumnElement[bool]], limit: int, before: tuple[datetime, str] | None
) -> list[Row[Any]]:
    """The latest alerts before a place."""
    query = select(alerts).where(*conditions)
    if before is not None:
        query = query.where(tuple_(alerts.c.at, alerts.c.alert_id) < tuple_(*before))
    return list(connection.execute(query.order_by(alerts.c.at.desc(), alerts.c.alert_id.desc()).limit(limit)))
