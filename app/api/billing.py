"""GET /billing/{month}/lines: what the billing system pulls, provisional and settled (CONTRACT.md 4)."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.access.principals import Principal
from app.api.access import Access, access, reading
from app.api.months import MonthPath, lines_seen_by, made
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
from app.billing import store
from app.billing.formats.rows import LINE_COLUMNS, line_row
from app.billing.tables import billing_lines
from app.core.clock import utc_now
from app.facts import BillingLine

router = APIRouter(prefix="/api/v1/billing", tags=["billing"])

_READ = Access(
    frozenset({"manager", "provider_finance", "city_controller", "auditor", "billing"}),
    tenant="own_provider",
    reads="billing_lines",
)


class LineBody(Answered):
    """What is owed, or corrected, at one price. A settled line never changes; a provisional one that is no longer owed
    is seen with `changed_since`, with nothing in it."""

    line_id: str
    run_on: date | None
    month: str
    origin_month: str
    client_id: str
    provider_id: str
    unit_id: str
    district: str
    order_id: str
    cost_code: str
    operation: str
    kind: Literal["time", "visit", "care_service", "month_item", "carried_in", "adjustment"]
    service: str
    band: str
    minutes: int
    count: int
    unit: str
    unit_price_ore: int
    amount_ore: int
    cause: str
    corrects: str
    policy_version: str
    account_hash: str
    changed_at: datetime
    state: Literal["provisional", "settled"]


@router.get("/{month}/lines", response_model=PageOf[LineBody], responses=listed())
def get_lines(
    request: Request,
    principal: Annotated[Principal, access(_READ)],
    month: MonthPath,
    *,
    provider: Word = "",
    changed_since: When = "",
    limit: Limit = 200,
    cursor: Cursor = "",
) -> Response:
    """Lines by client, provider and line; with `changed_since` by time of change, those no longer owed with zeros.

    Control totals over all of them: GET /months/{month}.
    """
    since = instant_given(changed_since)
    wanted = made(request, month, utc_now(), provider=provider or principal.provider_id)
    c = billing_lines.c
    conditions = [c.month_on == wanted.first_on, *lines_seen_by(principal)]
    conditions += [c.provider_id == provider] if provider else []
    after = place_of(cursor, datetime, str) if since else place_of(cursor, str, str, str)
    with reading(request, principal) as read:
        found = store.load_page(read.connection, conditions, limit + 1, after, since)
        shown = found[:limit]
        read.saw(line.client_id for line in shown)
    following = _cursor(shown[-1], by_change=since is not None) if len(found) > limit else None
    return page(request, [line_row(line) for line in shown], following, LINE_COLUMNS)


def _cursor(line: BillingLine, *, by_change: bool) -> str:
    if by_change and line.changed_at is not None:
        return cursor_of(line.changed_at, line.line_id)
    return cursor_of(line.client_id, line.provider_id, line.line_id)
