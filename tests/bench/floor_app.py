"""The HTTP floor: read a body, let pydantic validate it, answer with JSON; no signature, no database."""

from __future__ import annotations

from datetime import datetime

from fastapi import FastAPI, Request
from pydantic import BaseModel, TypeAdapter
from starlette.responses import Response


class FloorTap(BaseModel):
    """An unsigned tap."""

    dev: str
    seq: int
    act: str
    uid: str
    staff: str
    t: datetime


_TAPS = TypeAdapter(list[FloorTap])
app = FastAPI()


@app.post("/taps")
async def post_taps(request: Request) -> Response:
    """How many taps there were."""
    taps = _TAPS.validate_json(await request.body())
    return Response(b'{"taps":%d}' % len(taps), media_type="application/json")
