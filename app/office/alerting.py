"""What a unit is told at once: a planned visit missed, nobody opened, a device silent for a day.

An alert says that something is, never about whom: the id of what it is about leads there after signing in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, case, exists, func, or_, select

from app.core.ids import digest_text
from app.core.localtime import local_date, local_text
from app.evidence.store import is_current
from app.evidence.tables import declines, heads, taps
from app.findings.tables import findings
from app.office.tables import alerts
from app.policies import PolicyBook
from app.registry.tables import devices, employments, orders

LOOK_BACK = timedelta(hours=24)
SILENT = timedelta(hours=24)
FORGOTTEN = timedelta(days=7)
"""A device silent for longer is out of use; it was alerted about when it fell silent."""

TEXTS: Mapping[str, tuple[str, str]] = {
    "visit_missed": (
        "Ett planerat besök {at} är inte registrerat. Logga in i KomGick för att se vilket.",
        "A planned visit {at} has not been registered. Sign in to KomGick to see which.",
    ),
    "absent": (
        "Ingen öppnade vid ett besök, anmält {at}. Logga in i KomGick för att se var.",
        "Nobody opened at a visit, reported {at}. Sign in to KomGick to see where.",
    ),
    "device_silent": (
        "Enheten {about} har inte hörts av sedan {at}.",
        "The device {about} has not been heard of since {at}.",
    ),
}
"""Per kind, Swedish and English."""


def text_of(kind: str, at: datetime, about: str, language: str = "sv") -> str:
    """The alert in words, without personal data; local time."""
    swedish, english = TEXTS[kind]
    return (swedish if language == "sv" else english).format(at=local_text(at), about=about)


def alerts_now(connection: Connection, now: datetime, book: PolicyBook) -> Iterator[dict[str, Any]]:
    """Rows of the alerts that stand at `now` and have not been raised."""
    yield from _missed(connection, now, book)
    yield from _absent(connection, now)
    yield from _silent(connection, now)


def _missed(connection: Connection, now: datetime, book: PolicyBook) -> Iterator[dict[str, Any]]:
    c = findings.c
    late = now - timedelta(minutes=book.on(local_date(now)).missed_after_min)
    query = select(c.finding_id, c.at, c.provider_id, c.client_id, c.staff_id).where(
        c.code == "visit_missed", c.at > now - LOOK_BACK, c.at <= late, _fresh("visit_missed", c.finding_id)
    )
    for row in connection.execute(query).all():
        unit = _unit_of_staff(connection, row.staff_id, row.at)
        yield _row("visit_missed", row.finding_id, row.at, row.provider_id, now) | {
            "unit_id": unit or _unit_of_order(connection, row.client_id, row.provider_id, row.at)
        }


def _absent(connection: Connection, now: datetime) -> Iterator[dict[str, Any]]:
    c = declines.c
    query = select(c.decline_id, c.noticed_at, c.provider_id, c.client_id).where(
        c.notice == "absent", c.noticed_at > now - LOOK_BACK, is_current(declines), _fresh("absent", c.decline_id)
    )
    for row in connection.execute(query).all():
        yield _row("absent", row.decline_id, row.noticed_at, row.provider_id, now) | {
            "unit_id": _unit_of_order(connection, row.client_id, row.provider_id, row.noticed_at)
        }


def _silent(connection: Connection, now: datetime) -> Iterator[dict[str, Any]]:
    last = select(func.max(heads.c.received_at)).where(heads.c.device_id == devices.c.device_id).scalar_subquery()
    # One that has a key and never said anything is silent since it was confirmed.
    since = func.coalesce(last, case((devices.c.public_jwk != "", devices.c.enrolled_at)))
    heard = select(devices.c.device_id, devices.c.provider_id, since.label("at")).where(
        devices.c.revoked_at.is_(None), devices.c.enrolled_at.is_not(None), devices.c.provider_id.is_not(None)
    )
    found = heard.subquery()
    query = select(found).where(found.c.at <= now - SILENT, found.c.at > now - FORGOTTEN)
    for row in connection.execute(query).all():
        staff = connection.execute(
            select(taps.c.staff_id)
            .where(taps.c.device_id == row.device_id, taps.c.staff_id != "")
            .order_by(taps.c.seq.desc())
            .limit(1)
        ).scalar()
        yield _row("device_silent", row.device_id, row.at, row.provider_id, now) | {
            "unit_id": _unit_of_staff(connection, staff or "", row.at)
        }


def _row(kind: str, about: str, at: datetime, provider_id: str, now: datetime) -> dict[str, Any]:
    """A device may fall silent again: then its last sign of life is another."""
    again = at.isoformat() if kind == "device_silent" else ""
    return {
        "alert_id": f"a_{digest_text(kind, provider_id, about, again)[:16]}",
        "kind": kind,
        "at": at,
        "provider_id": provider_id,
        "about": about,
        "created_at": now,
        "try_at": now,
    }


def _fresh(kind: str, about: Any) -> Any:
    return ~exists().where(alerts.c.kind == kind, alerts.c.about == about)


def _unit_of_staff(connection: Connection, staff_id: str, at: datetime) -> str:
    c, day = employments.c, local_date(at)
    query = select(c.unit_id).where(
        c.staff_id == staff_id, c.valid_from <= day, or_(c.valid_to.is_(None), c.valid_to >= day)
    )
    return connection.execute(query.limit(1)).scalar() or ""


def _unit_of_order(connection: Connection, client_id: str, provider_id: str, at: datetime) -> str:
    c, day = orders.c, local_date(at)
    query = select(c.unit_id).where(
        c.client_id == client_id, c.provider_id == provider_id, c.valid_from <= day,
        or_(c.valid_to.is_(None), c.valid_to >= day),
    )  # fmt: skip
    return connection.execute(query.order_by(c.order_id).limit(1)).scalar() or ""
