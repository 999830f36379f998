"""For operators: /healthz (this process works), /readyz (it can store a tap now), /metrics (Prometheus)."""

from __future__ import annotations

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import JSONResponse, Response

from app.api.access import declared
from app.api.door import TapDoor
from app.db.callers import Caller
from app.db.engine import Database

router = APIRouter(tags=["operators"], dependencies=[declared("public")])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz")
def readyz(request: Request) -> Response:
    """The database answers the tap door's login and the door takes uploads: 200, else 503 with what is wrong."""
    database: Database = request.app.state.database
    door: TapDoor = request.app.state.tap_door
    wrong = []
    try:
        with database.transaction(Caller.ingest(), read_only=True) as connection:
            connection.execute(text("SELECT FROM devices LIMIT 1"))
    except SQLAlchemyError:
        wrong.append("database")
    if not door.alive or door.full:
        wrong.append("tap_door")
    return JSONResponse({"status": "not ready" if wrong else "ok", "wrong": wrong}, 503 if wrong else 200)


@router.get("/metrics")
def metrics() -> Response:
    """Counters and timings, without names or ids of people, clients or devices."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
