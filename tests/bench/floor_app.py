"""The HTTP floor: read a signed upload, let pydantic validate what it says, answer with JSON; no signature is verified,
there is no database. An upload's form is EVIDENCE.md's: whoever serves devices takes documents apart and reads them."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from datetime import datetime

from fastapi import FastAPI, Request
from pydantic import BaseModel
from starlette.responses import Response


class FloorTag(BaseModel):
    """The tag as read."""

    uid: str


class FloorTap(BaseModel):
    """What a tap says."""

    dev: str
    seq: int
    prev: str
    t: datetime
    boot: str
    mono: int
    act: str
    tag: FloorTag
    staff: str


class FloorUpload(BaseModel):
    """What a device sends."""

    head: str
    taps: list[str]


app = FastAPI()


@app.post("/taps")
async def post_taps(request: Request) -> Response:
    """Each tap's lot, as a receipt tells it."""
    upload = FloorUpload.model_validate_json(await request.body())
    payloads = [document.split(".")[1] for document in upload.taps]
    taps = [FloorTap.model_validate_json(urlsafe_b64decode(payload + "==")) for payload in payloads]
    results = [{"seq": tap.seq, "status": "stored", "findings": []} for tap in taps]
    return Response(json.dumps({"results": results}, separators=(",", ":")).encode(), media_type="application/json")
