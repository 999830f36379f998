"""Lists: pages by key, CSV on request, weak ETags, times as the contract reads them (CONTRACT.md section 3).

A cursor is opaque and says only where the page before ended; it holds no filter, so repeat the parameters with it.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Query, Request
from pydantic import AfterValidator, BaseModel, ConfigDict
from starlette.responses import Response

from app.core.localtime import format_instant, instant_of, parse_instant
from app.core.month import Month
from app.refusals import Invalid

Item = TypeVar("Item")
MOST = 200
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def printable(value: str) -> str:
    """No NUL, no lone surrogates: neither can be stored (EVIDENCE.md section 6)."""
    if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("characters that cannot be stored")
    return value


Word = Annotated[str, Query(max_length=128), AfterValidator(printable)]
Limit = Annotated[int, Query(ge=1, le=MOST, description="Most items of a page")]
Cursor = Annotated[str, Query(max_length=512, description="`next_cursor` of the page before, as it was")]
When = Annotated[str, Query(max_length=40, description="RFC 3339 with offset, or a local day YYYY-MM-DD")]


class Answered(BaseModel):
    """A body of ours: every member is named in the document."""

    model_config = ConfigDict(extra="forbid")


class PageOf(Answered, Generic[Item]):
    """A page of a list; `next_cursor` is null at the end."""

    items: list[Item]
    next_cursor: str | None


class Problem(Answered):
    """RFC 9457: what went wrong; `code` is stable, no value of the request is repeated."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str


_PROBLEM: dict[str, Any] = {"model": Problem, "content": {"application/problem+json": {}}}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route for these statuses, with those every protected route has."""
    texts = {
        401: "No valid credentials",
        403: "The role may not do this, or a step-up is needed",
        404: "There is no such thing, or it is not yours to see",
        409: "It contradicts what is stored",
        413: "The body is too large",
        422: "Not of the documented form",
        503: "Too much is waiting, or the database is away",
    }
    return {status: {**_PROBLEM, "description": texts[status]} for status in sorted({401, 403, 422, 503, *statuses})}


def polled(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of one thing that is polled: also 304."""
    return {304: {"description": "Nothing differs from the ETag in If-None-Match"}, **problems(*statuses)}


def listed(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a list: also 304, and the same rows as CSV."""
    return {
        200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "A page"},
        **polled(*statuses),
    }


_BARE_PLUS = re.compile(r" (?=[0-9]{2}:[0-9]{2}$)")


def instant_given(text: str) -> datetime | None:
    """The instant of `from`, `to`, `changed_since`: a plain date is the start of the local day. Invalid.

    A blank before the offset is a `+` that the address did not encode.
    """
    if not text:
        return None
    try:
        whole_day = len(text) == len("2026-10-05")
        at = instant_of(date.fromisoformat(text)) if whole_day else parse_instant(_BARE_PLUS.sub("+", text))
    except (ValueError, OverflowError) as error:
        raise Invalid from error
    if not 1000 < at.year < 9999:
        raise Invalid
    return at


def day_given(text: str) -> date:
    """A local day YYYY-MM-DD. Invalid."""
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise Invalid from error
    if not 1000 < day.year < 9999:
        raise Invalid
    return day


def cursor_of(*parts: datetime | str | int) -> str:
    """A place as an opaque text."""
    plain_parts = [format_instant(part) if isinstance(part, datetime) else part for part in parts]
    return base64.urlsafe_b64encode(json.dumps(plain_parts, separators=(",", ":")).encode()).decode().rstrip("=")


def place_of(cursor: str, *kinds: type[Any]) -> tuple[Any, ...] | None:
    """The place in a cursor, of parts of these kinds; None for an empty one. Invalid for what is no cursor of ours."""
    if not cursor:
        return None
    try:
        parts = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        if not isinstance(parts, list) or len(parts) != len(kinds):
            raise Invalid
        return tuple(_part(part, kind) for part, kind in zip(parts, kinds, strict=True))
    except (ValueError, TypeError, OverflowError) as error:
        raise Invalid from error


def _part(part: Any, kind: type[Any]) -> Any:
    if kind is datetime:
        return parse_instant(part)
    if type(part) is not kind:
        raise Invalid
    return printable(part) if kind is str else part


def page(
    request: Request, items: Sequence[Mapping[str, Any]], next_cursor: str | None, columns: Sequence[str]
) -> Response:
    """The page as JSON, as CSV where the caller asks for it, or 304 where nothing differs."""
    if wants_csv(request):
        content = csv_of(items, columns).encode("utf-8")
        headers = {"X-Next-Cursor": next_cursor} if next_cursor else {}
        return tagged(request, content, "text/csv; charset=utf-8", headers)
    return json_answer(request, {"items": list(items), "next_cursor": next_cursor})


def json_answer(request: Request, body: Mapping[str, Any]) -> Response:
    """The body with its weak ETag, or 304."""
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":"), default=plain).encode("utf-8")
    return tagged(request, content, "application/json")


def tagged(request: Request, content: bytes, media_type: str, headers: Mapping[str, str] | None = None) -> Response:
    """The content with its weak ETag; 304 without it when the caller has it already."""
    tag = f'W/"{hashlib.sha256(content).hexdigest()[:32]}"'
    sent = {**(headers or {}), "ETag": tag, "Vary": "Accept", "Cache-Control": "no-store"}
    known = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    if tag.removeprefix("W/") in known or "*" in known:
        return Response(status_code=304, headers=sent)
    return Response(content, 200, sent, media_type)


def wants_csv(request: Request) -> bool:
    """Whether the caller prefers CSV."""
    return request.headers.get("accept", "").split(",")[0].split(";")[0].strip().lower() == "text/csv"


def csv_of(items: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """The rows with a header; no cell is a formula to a spreadsheet."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(columns)
    for item in items:
        writer.writerow([_cell(item.get(name)) for name in columns])
    return out.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (dict, list)):
        value = json.dumps(value, ensure_ascii=False, default=plain)
    text = value if isinstance(value, str) else str(plain(value))
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA_STARTS) else text


def plain(value: Any) -> Any:
    """Instants as RFC 3339 UTC, days and months as ISO; numbers stay."""
    if isinstance(value, datetime):
        return format_instant(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Month):
        return str(value)
    if isinstance(value, int):
        return value
    raise TypeError(f"no JSON for {type(value).__name__}")
