"""Every error as RFC 9457 problem+json: `type, title, status, detail, code, request_id`. No value is ever echoed.

A `Refused` class's docstring is what the caller reads: its `detail` may hold values and goes to the log only. An
unforeseen exception is a bug: 500, and a device tries again.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from app.refusals import Refused

log = structlog.get_logger()

STATUS: Mapping[str, int] = {
    "not_found": 404,
    "not_allowed": 403,
    "not_signed_in": 401,
    "credentials_refused": 401,
    "too_many_tries": 429,
    "invitation_refused": 403,
    "secrets_unfit": 503,
    "step_up": 403,
    "foreign_origin": 403,
    "invalid": 422,
    "conflict": 409,
    "unknown_policy": 422,
    "impossible_policy": 422,
    "bundle_refused": 422,
    "month_closed": 409,
    "month_not_closable": 409,
    "database_unfit": 503,
    "busy": 503,
    "unavailable": 503,
    "device_unknown": 401,
    "head_unreadable": 422,
    "token_refused": 403,
    "proof_refused": 422,
    "body_too_large": 413,
    "same_person": 409,
    "no_proposal": 409,
    "no_employment": 409,
}
"""Code -> HTTP status; a code that is not here is 400."""

RETRY_AFTER_S = 2
MOST_WRONG = 10
"""So many places of a malformed request are named."""


class Unavailable(Refused):
    """The database cannot be reached now; nothing was stored. Try again shortly."""

    code = "unavailable"


class DeviceUnknown(Refused):
    """The device is not known here, or the upload is not signed by its key."""

    code = "device_unknown"


class HeadUnreadable(Refused):
    """The upload has no readable head."""

    code = "head_unreadable"


def problem(
    request: Request,
    code: str,
    title: str,
    status: int,
    headers: Mapping[str, str] | None = None,
    *,
    detail: str = "",
) -> Response:
    """The response for a refusal. `title` is the same for every occurrence of the code; `detail` says more of this one
    where more can be said without a value."""
    body = {
        "type": f"urn:komgick:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail or title,
        "code": code,
        "request_id": getattr(request.state, "request_id", ""),
    }
    extra = {"Retry-After": str(RETRY_AFTER_S)} if status in (429, 503) else {}
    content = json.dumps(body, ensure_ascii=False).encode("utf-8")
    return Response(content, status, {**extra, **(headers or {})}, "application/problem+json")


def install(app: FastAPI) -> None:
    """Make `app` answer every error as a problem."""
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)  # noqa: S101 -- Starlette calls this for nothing else
    log.info("refused", code=error.code, detail=error.detail, request_id=getattr(request.state, "request_id", ""))
    waiting = {"Retry-After": str(error.facts["wait_s"])} if "wait_s" in error.facts else None
    return problem(request, error.code, _first_line(type(error)), STATUS.get(error.code, 400), waiting)


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 -- Starlette calls this for nothing else
    wrong = "; ".join(_place_and_rule(one) for one in error.errors()[:MOST_WRONG])
    return problem(request, "invalid", "The request is not of the documented form.", 422, detail=wrong)


def _place_and_rule(wrong: Mapping[str, Any]) -> str:
    """Where the request breaks which rule, without what stood there: a caller's own name for a member is a value."""
    place = wrong["loc"][:-1] if wrong["type"] == "extra_forbidden" else wrong["loc"]
    return f"{'.'.join(str(part) for part in place)}: {wrong['msg']}"


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 -- Starlette calls this for nothing else
    status = HTTPStatus(error.status_code)
    code = {404: "not_found", 413: "body_too_large"}.get(status.value, status.name.lower())
    title = "There is no such thing, or it is not yours to see." if code == "not_found" else f"{status.phrase}."
    return problem(request, code, title, status.value, error.headers)


def bug(request: Request, error: Exception) -> Response:
    """What nobody foresaw: logged with its traceback, answered with 500 (`guard.Guard` calls this)."""
    log.error("bug", path=request.url.path, **without_values(error))
    return problem(request, "internal_error", "Something went wrong here; nothing was promised.", 500)


def without_values(error: BaseException) -> dict[str, object]:
    """What the log may know of an exception: kind and places. Message and local variables may hold people's data."""
    return {"error": type(error).__name__, "places": traceback.format_tb(error.__traceback__)}


def _first_line(kind: type[Refused]) -> str:
    return (kind.__doc__ or kind.code).strip().splitlines()[0]
