"""POST /imports?dry_run: a bundle as .zip, read behind the scenes; GET /imports/{import_id} tells what became of it."""

from __future__ import annotations

import os
import secrets
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from app import pipeline_office
from app.access.filters import of_provider
from app.access.principals import Principal, caller_of
from app.api.access import Access, access
from app.api.paging import Answered, json_answer, polled, problems
from app.api.said import speaker
from app.core.clock import utc_now
from app.core.localtime import format_instant
from app.office.store import find_job
from app.office.tables import import_jobs
from app.refusals import Invalid, NotAllowed, NotFound

router = APIRouter(prefix="/api/v1/imports", tags=["registry"])

_IMPORT = Access(frozenset({"registry", "scheduling", "manager", "city_controller"}), tenant="own_provider", fresh=True)
_OF_THE_CITY = frozenset({"registry", "city_controller"})
_ZIP = b"PK\x03\x04"
_BODY = {
    "requestBody": {
        "required": True, "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}
    }
}  # fmt: skip


class ImportCount(Answered):
    """What became of the rows of a file."""

    file: str
    added: int
    changed: int
    unchanged: int


class BundleErrorBody(Answered):
    """What is wrong and where; `line` 0 where no line can be named."""

    file: str
    line: int
    column: str
    value: str = ""
    expected: str


class ImportBody(Answered):
    """A job. `refused`: the bundle has errors and nothing was imported; `failed`: a fault of this server, try again."""

    import_id: str
    state: Literal["waiting", "running", "done", "refused", "failed"]
    dry_run: bool
    counts: list[ImportCount]
    errors: list[BundleErrorBody]
    created_at: datetime
    finished_at: datetime | None


@router.post("", status_code=202, response_model=ImportBody, responses=problems(413), openapi_extra=_BODY)
async def post_import(
    request: Request,
    principal: Annotated[Principal, access(_IMPORT)],
    dry_run: Annotated[
        str | None, Query(max_length=5, description="Present: everything is tried, nothing stored")
    ] = None,
) -> Response:
    """Hand in a bundle of at most 20 MiB. A provider's holds only what is its own; 202 with where to look."""
    if not principal.provider_id and not principal.roles & _OF_THE_CITY:
        raise NotAllowed
    dry = _flag(dry_run)
    database, import_id = request.app.state.database, f"i_{secrets.token_hex(8)}"
    path = pipeline_office.bundle_path(database, import_id)
    content = await request.body()
    if not content.startswith(_ZIP):
        raise Invalid
    now = utc_now()
    job = {
        "import_id": import_id, "provider_id": principal.provider_id, "made_by": principal.id, "dry_run": dry,
        "state": "waiting", "created_at": now,
    }  # fmt: skip
    await run_in_threadpool(_keep, path, content)
    await run_in_threadpool(pipeline_office.submit_import, database, speaker(request, principal), job, now)
    request.app.state.backstage.wake()
    body = {
        "import_id": import_id, "state": "waiting", "dry_run": dry, "counts": [], "errors": [],
        "created_at": format_instant(now), "finished_at": None,
    }  # fmt: skip
    return JSONResponse(body, 202, {"Location": f"/api/v1/imports/{import_id}"})


@router.get("/{import_id}", response_model=ImportBody, responses=polled(404))
def get_import(request: Request, principal: Annotated[Principal, access(_IMPORT)], import_id: str) -> Response:
    """What became of a bundle: counts per file, or up to 100 errors."""
    with request.app.state.database.transaction(caller_of(principal), read_only=True) as connection:
        own = of_provider(principal, import_jobs.c.provider_id)
        job = find_job(connection, import_id, own) if import_id.isprintable() else None
    if job is None or (not principal.provider_id and not principal.roles & _OF_THE_CITY):
        raise NotFound
    body = {name: getattr(job, name) for name in ImportBody.model_fields}
    return json_answer(request, body)


def _flag(given: str | None) -> bool:
    """`?dry_run` alone is yes. Invalid for what is neither yes nor no."""
    if given is None or given.lower() in ("false", "0", "no"):
        return False
    if given.lower() not in ("", "true", "1", "yes"):
        raise Invalid
    return True


def _keep(path: Path, content: bytes) -> None:
    """The bundle on disk, for this process's user only."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
