"""POST /device/taps: what devices say. Authenticated by the signed head, answered by a signed receipt after commit."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import Response

from app.api.access import declared
from app.api.door import TAPS, UPLOADS, TapDoor
from app.api.problems import DeviceUnknown, HeadUnreadable
from app.api.wire import ReceiptBody, UploadBody
from app.refusals import Invalid

router = APIRouter(prefix="/api/v1/device", tags=["devices"], dependencies=[declared("device")])

_PROBLEM: dict[str, Any] = {"content": {"application/problem+json": {}}}
_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": UploadBody.model_json_schema()}}}}


@router.post(
    "/taps",
    response_model=ReceiptBody,
    responses={
        401: {"description": "Unknown device or bad signature of the head", **_PROBLEM},
        413: {"description": "More than 256 KiB", **_PROBLEM},
        422: {"description": "Not of this form, or more than 100 statements", **_PROBLEM},
        503: {"description": "Too much is waiting, or the database is away", **_PROBLEM},
    },
    openapi_extra=_BODY,
)
async def post_taps(request: Request) -> Response:
    """Store an upload. Nothing a known device said is refused; doubts are findings in the receipt."""
    body = await request.body()
    try:
        upload = UploadBody.model_validate_json(body).from_wire()
    except ValidationError as error:
        UPLOADS.labels("422").inc()
        raise Invalid from error
    door: TapDoor = request.app.state.tap_door
    answer = await door.carry(upload, len(body))
    UPLOADS.labels(str(answer.status)).inc()
    if answer.status == 401:
        raise DeviceUnknown
    if answer.status != 200:
        raise HeadUnreadable
    for grade, taps in Counter(tap.grade for tap in answer.stamped).items():
        TAPS.labels(grade).inc(taps)
    content = json.dumps(answer.body, separators=(",", ":"), ensure_ascii=False)
    return Response(content.encode("utf-8"), media_type="application/json")
