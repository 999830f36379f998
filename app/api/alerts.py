"""GET /alerts: what units were told: a planned visit missed, nobody opened, a device silent for a day."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from app.access.filters import of_provider, of_units
from app.access.principals import Principal, caller_of
from app.api.access import Access, access
from app.api.paging import (
    Answered,
    Cursor,
    Limit,
    PageOf,
    When,
    Word,
    cursor_of,
    instant_given,
    listed,
    page,
    place_of,
)
from app.office.alerting import text_of
from app.office.store import load_alerts
from app.office.tables import alerts

router = APIRouter(prefix="/api/v1/alerts", tags=["alerts"])

_READ = Access(frozenset({"scheduler", "manager", "city_controller", "scheduling"}), tenant="own_provider")


class AlertBody(Answered):
    """An alert, without personal data; `about` is a finding_id, decline_id or device_id."""

    alert_id: str
    kind: Literal["visit_missed", "absent", "device_silent"]
    at: datetime
    provider_id: str
    unit_id: str
    about: str
    text: str
    created_at: datetime
    delivered_at: datetime | None


@router.get("", response_model=PageOf[AlertBody], responses=listed())
def get_alerts(
    request: Request,
    principal: Annotated[Principal, access(_READ)],
    *,
    since: When = "",
    unit: Word = "",
    lang: Annotated[Literal["sv", "en"], Query()] = "sv",
    limit: Limit = 50,
    cursor: Cursor = "",
) -> Response:
    """Alerts, the latest first."""
    c = alerts.c
    conditions = [of_provider(principal, c.provider_id), of_units(principal, c.unit_id)]
    conditions += [c.unit_id == unit] if unit else []
    from_at = instant_given(since)
    conditions += [c.at >= from_at] if from_at else []
    place = place_of(cursor, datetime, str)
    with request.app.state.database.transaction(caller_of(principal), read_only=True) as connection:
        found = load_alerts(connection, conditions, limit + 1, (place[0], place[1]) if place else None)
    rows = [
        {
            **{name: getattr(row, name) for name in AlertBody.model_fields if name != "text"},
            "text": text_of(row.kind, row.at, row.about, lang),
        }
        for row in found[:limit]
    ]
    last = found[limit - 1] if len(found) > limit else None
    return page(request, rows, cursor_of(last.at, last.alert_id) if last else None, tuple(AlertBody.model_fields))
