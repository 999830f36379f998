"""GET /fees/{month}/lines: the basis of client fees, for the city's fee system (CONTRACT.md 4)."""

from __future__ import annotations

from itertools import groupby
from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.access.principals import Principal
from app.api.access import Access, access, reading
from app.api.months import MonthPath, made
from app.api.paging import Answered, Cursor, Limit, PageOf, cursor_of, listed, page, place_of
from app.billing.fee_flow import fees_page
from app.billing.formats.rows import FEE_COLUMNS, line_row
from app.core.clock import utc_now
from app.facts.accounts import FeeLine
from app.refusals import NotAllowed

router = APIRouter(prefix="/api/v1/fees", tags=["fees"])

_READ = Access(frozenset({"city_controller", "auditor", "billing"}), tenant="city", reads="fee_lines")


class FeeBody(Answered):
    """What a client's fee for a class rests on; never the fee itself. Over all providers: client-minutes count once."""

    month: str
    origin_month: str
    client_id: str
    fee_class: str
    client_minutes: int
    count: int
    late_cancellations: int
    absence_days: int
    cause: str


@router.get("/{month}/lines", response_model=PageOf[FeeBody], responses=listed())
def get_fee_lines(
    request: Request,
    principal: Annotated[Principal, access(_READ)],
    month: MonthPath,
    limit: Limit = 200,
    cursor: Cursor = "",
) -> Response:
    """Fee lines by client. What changed in closed months stands in the open one, with its origin month."""
    if principal.provider_id:
        raise NotAllowed
    wanted = made(request, month, utc_now())
    place = place_of(cursor, str, int)
    after = (place[0], max(place[1], 0)) if place else ("", 0)
    with reading(request, principal) as read:
        found = fees_page(read.connection, wanted, after, limit + 1)
        shown = found[:limit]
        read.saw(line.client_id for line in shown)
    following = _cursor(shown, after) if len(found) > limit else None
    return page(request, [line_row(line) for line in shown], following, FEE_COLUMNS)


def _cursor(shown: list[FeeLine], after: tuple[str, int]) -> str:
    """The last client of the page, and how many of its lines have been read."""
    client_id, lines = [(client, len(list(its))) for client, its in groupby(shown, lambda line: line.client_id)][-1]
    return cursor_of(client_id, lines + (after[1] if client_id == after[0] else 0))
