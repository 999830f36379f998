"""Enrolment: the device makes its key, proves it with the one-use token, and both screens show the same six characters
(EVIDENCE.md section 1).
"""

from pathlib import Path

import httpx

from device_agent import __version__
from device_agent.clock import Clock
from device_agent.keys import BadSignature, DeviceKey, b64url, digest, jwk_digest, short_thumbprint
from device_agent.loop import http_client
from device_agent.setup import IDENTITY_NAME, KEY_NAME, Identity, Wrong, checked_server

PATH = "/api/v1/device/enrol"


def enrol(data: Path, server: str, token: str, clock: Clock) -> tuple[Identity, str]:
    """Makes the key if there is none, enrols it, stores who this device is; the identity and the server's state
    (`confirmed`, `pending`).

    Raises Wrong: already enrolled, no https, refused (the token is used up or too old), no answer. Safe to repeat with
    a new token.
    """
    url = checked_server(server)
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    if (data / IDENTITY_NAME).exists():
        raise Wrong("already_enrolled", device=Identity.load(data).device_id)
    key = DeviceKey.load_or_create(data / KEY_NAME)
    proof = {"token_sha256": digest(token.encode()), "jwk_thumbprint": b64url(jwk_digest(key.jwk)), "t": clock.now().t}
    body = {
        "token": token, "public_jwk": key.jwk, "proof": key.sign("enrol+jws", proof),
        "kind": "reader", "agent_version": __version__,
    }  # fmt: skip
    try:
        with http_client(url) as http:
            response = http.post(PATH, json=body)
    except httpx.HTTPError as error:
        raise Wrong("no_answer", detail=type(error).__name__) from error
    if response.status_code not in (200, 201):
        raise Wrong("enrol_refused", detail=response.status_code)
    try:
        answer = response.json()
        jwk = {name: str(answer["server_jwk"][name]) for name in ("kty", "crv", "x", "y")}
        identity = Identity(str(answer["device_id"]), url, jwk, short_thumbprint(key.jwk))
        state = str(answer.get("state", "pending"))
    except (ValueError, KeyError, TypeError, BadSignature) as error:
        raise Wrong("enrol_refused", detail=repr(error)) from error
    if answer.get("thumbprint", identity.thumbprint) != identity.thumbprint:
        raise Wrong("enrol_refused", detail="thumbprint")
    identity.save(data)
    return identity, state
