"""POST /oauth/token: machines exchange id and secret for an opaque token of 15 minutes (RFC 6749 section 4.4).

Errors carry `error` as RFC 6749 section 5.2 says, beside the members of problem+json.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import unquote_plus

from fastapi import APIRouter, Form, Request
from pydantic import BaseModel
from starlette.responses import Response

from app import pipeline_access
from app.access.delays import CredentialsRefused, Try
from app.api.access import declared
from app.api.problems import problem
from app.core.clock import utc_now
from app.refusals import Invalid

router = APIRouter(prefix="/api/v1/oauth", tags=["machines"], dependencies=[declared("public")])

_Short = Annotated[str, Form(max_length=256)]


class TokenBody(BaseModel):
    """The answer. `scope`: the granted scopes, separated by blanks."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    scope: str


@router.post("/token", response_model=TokenBody, responses={401: {"description": "Unknown id or wrong secret"}})
def post_token(
    request: Request,
    grant_type: _Short = "",
    scope: _Short = "",
    client_id: _Short = "",
    client_secret: _Short = "",
) -> Response | TokenBody:
    """Issue a token. The id and secret come in the form, or by HTTP Basic; `scope` empty: all the machine has."""
    if grant_type != "client_credentials":
        return _refusal(request, "unsupported_grant_type", "Only client_credentials is known here.", 400)
    basic = _basic(request.headers.get("authorization", ""))
    credentials = basic or (client_id, client_secret)
    attempt = Try(f"machine:{credentials[0]}", request.client.host if request.client else "")
    try:
        token = pipeline_access.issue_machine_token(
            request.app.state.database, credentials, scope.split(), attempt, utc_now()
        )
    except CredentialsRefused:
        challenge = {"WWW-Authenticate": 'Basic realm="komgick"'} if basic else {}
        return _refusal(request, "invalid_client", "Unknown client, or the secret does not fit.", 401, challenge)
    except Invalid:
        return _refusal(request, "invalid_scope", "The client has not all of these scopes.", 400)
    body = TokenBody(
        access_token=token.token,
        token_type="Bearer",  # noqa: S106 -- the kind of token, not a password
        expires_in=int(token.lasts.total_seconds()),
        scope=" ".join(sorted(token.scopes)),
    )
    return Response(body.model_dump_json(), media_type="application/json", headers={"Pragma": "no-cache"})


def _basic(header: str) -> tuple[str, str] | None:
    """Id and secret of HTTP Basic, percent-decoded as RFC 6749 section 2.3.1 asks; None without such a header."""
    kind, _, encoded = header.partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return ("", "")
    return unquote_plus(user), unquote_plus(password)


def _refusal(
    request: Request, code: str, title: str, status: int, headers: Mapping[str, str] | None = None
) -> Response:
    answer = problem(request, code, title, status, headers)
    body: dict[str, Any] = {**json.loads(bytes(answer.body)), "error": code, "error_description": title}
    kept = {name: value for name, value in answer.headers.items() if name != "content-length"}
    return Response(json.dumps(body, ensure_ascii=False), status, kept)
