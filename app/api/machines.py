"""/machines: an admin keeps the keys of the systems that pull and push (EVIDENCE.md section 3). No data of care."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import Field

from app import pipeline_access
from app.access.machines import Issued, NewMachine, list_machines
from app.api.access import Access, Principal, access
from app.api.paging import Answered, problems
from app.api.said import Ident, OptionalIdent, Stating
from app.core.clock import utc_now
from app.db.callers import Caller

router = APIRouter(prefix="/api/v1/machines", tags=["machines"])

_ADMIN = frozenset({"admin"})
_Reader = Annotated[Principal, access(Access(_ADMIN, tenant="none"))]
_Keeper = Annotated[Principal, access(Access(_ADMIN, tenant="none", fresh=True))]


class NewMachineBody(Stating):
    """A system; `provider_id` empty for the city's own."""

    name: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
    scopes: Annotated[list[Literal["billing", "scheduling", "registry", "study"]], Field(min_length=1, max_length=4)]
    provider_id: OptionalIdent = ""


class IssuedBody(Answered):
    """Id and secret for POST /oauth/token; the secret is shown here once and stored nowhere."""

    client_id: str
    client_secret: str


class MachineBody(Answered):
    """A system with the number of its live secrets, two while it is being rotated."""

    machine_id: str
    name: str
    scopes: list[str]
    provider_id: str
    live_secrets: int
    created_at: datetime
    ended_at: datetime | None


@router.get("", responses=problems())
def get_machines(request: Request, admin: _Reader) -> dict[str, list[MachineBody]]:
    """Every system, by name."""
    del admin  # the declaration is what asks for her
    with request.app.state.database.transaction(Caller.auth(), read_only=True) as connection:
        return {"items": [MachineBody(**row) for row in list_machines(connection)]}


@router.post("", status_code=201, responses=problems(404, 409))
def post_machine(body: NewMachineBody, request: Request, admin: _Keeper) -> IssuedBody:
    """Add a system."""
    wanted = NewMachine(body.name, frozenset(body.scopes), body.provider_id)
    return _issued(pipeline_access.add_machine(request.app.state.database, wanted, admin, utc_now()))


@router.post("/{machine_id}/secrets", status_code=201, responses=problems(404, 409))
def post_secret(machine_id: Ident, request: Request, admin: _Keeper) -> IssuedBody:
    """A second secret; the first works until it is ended. 409 while two are live."""
    return _issued(pipeline_access.rotate_machine_secret(request.app.state.database, machine_id, admin, utc_now()))


@router.delete("/{machine_id}/secrets/old", status_code=204, responses=problems(404, 409))
def delete_old_secret(machine_id: Ident, request: Request, admin: _Keeper) -> None:
    """End the older of two secrets. 409 when there is only one."""
    pipeline_access.end_old_machine_secret(request.app.state.database, machine_id, admin, utc_now())


@router.delete("/{machine_id}", status_code=204, responses=problems(404))
def delete_machine(machine_id: Ident, request: Request, admin: _Keeper) -> None:
    """Let the system in no more, from this moment."""
    pipeline_access.end_machine(request.app.state.database, machine_id, admin, utc_now())


def _issued(issued: Issued) -> IssuedBody:
    return IssuedBody(client_id=issued.machine_id, client_secret=issued.secret)
