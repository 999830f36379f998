"""POST /devices, /devices/{device_id}/confirm, /revoke: a manager enrols phones and readers of the own provider."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import Field

from app.api.access import Access, Principal, access
from app.api.paging import Answered, problems
from app.api.said import Ident, OptionalIdent, Reason, Stating
from app.core.clock import utc_now
from app.evidence.enrolment import NewDevice
from app.pipeline_access import enrolling

router = APIRouter(prefix="/api/v1/devices", tags=["devices"])

_Manager = Annotated[Principal, access(Access(frozenset({"manager"}), tenant="own_provider", fresh=True))]


class NewDeviceBody(Stating):
    """What to enrol; `replaces`: the device whose key this one succeeds."""

    kind: Literal["reader", "phone"] = "reader"
    replaces: OptionalIdent = ""


class DeviceInvitedBody(Answered):
    """The token goes to the device as QR or text; it is shown here once and lives 15 minutes."""

    device_id: str
    token: str
    expires_at: datetime


class ConfirmBody(Stating):
    """The six characters on the device's screen."""

    thumbprint: Annotated[str, Field(pattern=r"^[A-Za-z0-9]{6}$")]


class RevokeBody(Stating):
    """Why: lost, stolen, broken, replaced, ..."""

    reason: Reason


@router.post("", status_code=201, responses=problems(404))
def post_device(body: NewDeviceBody, request: Request, by: _Manager) -> DeviceInvitedBody:
    """A new device without key, and its one-use token."""
    wanted = NewDevice(by.provider_id, body.kind, replaces=body.replaces)
    made = enrolling.create_device(request.app.state.database, wanted, by, utc_now())
    return DeviceInvitedBody(device_id=made.device_id, token=made.token, expires_at=made.expires_at)


@router.post("/{device_id}/confirm", status_code=204, responses=problems(404, 409))
def post_confirm(device_id: Ident, body: ConfirmBody, request: Request, by: _Manager) -> None:
    """Both screens show the same: trust the device. 409 when they differ, or the device has not shown its key yet."""
    enrolling.confirm_device(request.app.state.database, device_id, body.thumbprint, by, utc_now())


@router.post("/{device_id}/revoke", status_code=204, responses=problems(404))
def post_revoke(device_id: Ident, body: RevokeBody, request: Request, by: _Manager) -> None:
    """Trust the device no more; what it holds is not lost but quarantined."""
    enrolling.revoke_device(request.app.state.database, device_id, body.reason, by, utc_now())
