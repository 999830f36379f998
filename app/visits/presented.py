"""How a visit looks from outside (CONTRACT.md 5): the same fields on the command line and over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.core.localtime import format_instant
from app.facts import TapRef, Visit

# Hidden while a visit is open: its end is still awaited (DOMAIN.md 2.1 row 2).
AWAITED = "kom_without_gick"


def status_at(visit: Visit, now: datetime) -> str:
    """The status doors show: `open` while an incomplete visit's end is still awaited."""
    awaited = visit.status == "incomplete" and visit.open_until_at is not None and now < visit.open_until_at
    return "open" if awaited else visit.status


def visit_fields(visit: Visit, now: datetime) -> dict[str, Any]:
    """The visit as CONTRACT.md 5 names it; instants RFC 3339 UTC, `null` where there is none."""
    status = status_at(visit, now)
    codes = [code for code in visit.findings if not (status == "open" and code == AWAITED)]
    return {
        "visit_id": visit.visit_id,
        "manual_id": visit.manual_id or None,
        "client_id": visit.client_id,
        "provider_id": visit.provider_id,
        "unit_id": visit.unit_id,
        "staff_id": visit.staff_id,
        "start_at": _instant(visit.start_at),
        "end_at": _instant(visit.end_at),
        "minutes": visit.minutes,
        "status": status,
        "held": visit.held,
        "source": visit.source,
        "grade": visit.grade,
        "service": visit.service,
        "planned_id": visit.planned_id or None,
        "replaced_by": visit.replaced_by or None,
        "findings": codes,
        "kom": _tap(visit.kom),
        "gick": _tap(visit.gick),
    }


def _tap(ref: TapRef | None) -> dict[str, Any] | None:
    return None if ref is None else {"device_id": ref.device_id, "seq": ref.seq, "at": format_instant(ref.at)}


def _instant(instant: datetime | None) -> str | None:
    return None if instant is None else format_instant(instant)
