"""GET /logs/changes, /logs/readings: who changed what, who read whose data; for auditors (EVIDENCE.md section 3, 5)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from app.access.log_lines import KEYS, Log, columns_of, read_log
from app.access.principals import Principal
from app.access.retention import review_sample
from app.api.access import Access, access, reading
from app.api.paging import Answered, Cursor, Limit, PageOf, cursor_of, listed, page, place_of
from app.core.month import Month
from app.refusals import Invalid

router = APIRouter(prefix="/api/v1/logs", tags=["logs"])

_Auditor = Annotated[Principal, access(Access(frozenset({"auditor"}), tenant="city", reads="logs"))]
_Sample = Annotated[
    str, Query(pattern=r"^(\d{4}-\d{2})?$", description="A month: its sample for review, and all under break-glass")
]


class ChangeBody(Answered):
    """A change: ids, codes and numbers, never texts about people."""

    event_id: int
    at: datetime
    actor: str
    role: str
    provider_id: str
    action: str
    subject: str
    facts: dict[str, Any]
    request_id: str


class ReadingBody(Answered):
    """A reading of personal data: whose (`subjects`), through which route."""

    reading_id: int
    at: datetime
    actor: str
    role: str
    provider_id: str
    district: str
    what: str
    route: str
    subjects: list[str]
    count: int
    request_id: str
    break_glass: bool


@router.get("/changes", response_model=PageOf[ChangeBody], responses=listed())
def get_changes(request: Request, auditor: _Auditor, *, limit: Limit = 200, cursor: Cursor = "") -> Response:
    """Changes in the order in which they were made."""
    return _log(request, auditor, "changes", limit, cursor)


@router.get("/readings", response_model=PageOf[ReadingBody], responses=listed())
def get_readings(
    request: Request, auditor: _Auditor, *, sample: _Sample = "", limit: Limit = 200, cursor: Cursor = ""
) -> Response:
    """Readings in the order in which they were made; with `sample` a month's twenty, the same for everybody."""
    if not sample:
        return _log(request, auditor, "readings", limit, cursor)
    try:
        month = Month.parse(sample)
    except ValueError as error:
        raise Invalid from error
    with reading(request, auditor) as read:
        rows = review_sample(read.connection, month, 20)
        read.saw(row["actor"] for row in rows)
    return page(request, rows, None, columns_of("readings"))


def _log(request: Request, auditor: Principal, kind: Log, limit: int, cursor: str) -> Response:
    place = place_of(cursor, int)
    with reading(request, auditor) as read:
        rows = read_log(read.connection, kind, place[0] if place else 0, limit + 1)
        read.saw(row["actor"] for row in rows[:limit])
    following = cursor_of(rows[limit - 1][KEYS[kind]]) if len(rows) > limit else None
    return page(request, rows[:limit], following, columns_of(kind))
