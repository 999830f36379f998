"""POST /device/enrol: a device proves its new key with the one-use token a manager gave it."""

from __future__ import annotations

from fastapi import APIRouter, Request

from app import pipeline
from app.api.access import declared
from app.api.wire import EnrolBody, EnrolledBody, Jwk
from app.core.clock import utc_now

router = APIRouter(prefix="/api/v1/device", tags=["devices"], dependencies=[declared("device")])


@router.post("/enrol")
def post_enrol(body: EnrolBody, request: Request) -> EnrolledBody:
    """Use the token up. 403 `token_refused`, 422 `proof_refused`; then nothing was stored."""
    enrolled, server_jwk = pipeline.enrol_device(
        request.app.state.database,
        pipeline.Enrolment(body.token, body.public_jwk.model_dump(), body.proof, body.agent_version),
        utc_now(),
    )
    jwk = Jwk.model_validate(dict(server_jwk))
    return EnrolledBody(
        device_id=enrolled.device_id, server_jwk=jwk, thumbprint=enrolled.thumbprint, state=enrolled.state
    )
