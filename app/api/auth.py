"""/auth: joining by invitation, signing in (EVIDENCE.md section 3). The session's token goes into a cookie only.

A page sends these requests itself: what a browser says comes from elsewhere is refused.
"""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request, Response

from app.access.passkeys import Site
from app.access.sessions import Opened
from app.access.tokens import csrf_of
from app.api.access import SESSION_COOKIE, ForeignOrigin, declared, from_own_page
from app.api.auth_wire import (
    BadgeBody,
    ChoiceBody,
    InvitationBody,
    JoinedBody,
    JoinPasskeyBody,
    JoinPasswordBody,
    JoinPinBody,
    PasskeyBody,
    PasswordBody,
    RecoveryBody,
    SessionBody,
)
from app.core.clock import utc_now
from app.db.engine import Database
from app.pipeline_access import joining, signing_in
from app.pipeline_access.joining import Joined
from app.pipeline_access.signing_in import Badge, Browser


def own_page(request: Request) -> None:
    """ForeignOrigin when the browser says that another site's page asks; other clients say nothing."""
    says = "sec-fetch-site" in request.headers or "origin" in request.headers
    if says and not from_own_page(request):
        raise ForeignOrigin


def site_of(request: Request) -> Site:
    """Where the browser thinks it is: by the setting, else by the request."""
    database: Database = request.app.state.database
    public = database.settings.public_url
    origin = public or f"{request.url.scheme}://{request.headers.get('host', '')}"
    return Site(urlsplit(origin).hostname or "", origin.rstrip("/"))


def browser_of(request: Request) -> Browser:
    """Address and agent of the request."""
    return Browser(request.client.host if request.client else "", request.headers.get("user-agent", ""))


_Site = Annotated[Site, Depends(site_of)]
_Browser = Annotated[Browser, Depends(browser_of)]

router = APIRouter(prefix="/api/v1/auth", tags=["people"], dependencies=[declared("public"), Depends(own_page)])


@router.post("/invitation")
def post_invitation(body: InvitationBody, request: Request, site: _Site) -> ChoiceBody:
    """What an invitation offers; it is not used up by looking. 403 `invitation_refused`."""
    choice = joining.look_at_invitation(request.app.state.database, site, body.token, utc_now())
    return ChoiceBody(
        name=choice.name,
        roles=list(choice.roles),
        passkey=choice.passkey,
        totp_secret=choice.totp_secret,
        totp_uri=choice.totp_uri,
    )


@router.post("/join/passkey", status_code=201)
def post_join_passkey(
    body: JoinPasskeyBody, request: Request, response: Response, site: _Site, browser: _Browser
) -> JoinedBody:
    """Use the invitation up for a passkey, and sign in."""
    joined = joining.join_with_passkey(
        request.app.state.database, site, body.token, body.credential, browser, now=utc_now()
    )
    return _joined(response, joined)


@router.post("/join/password", status_code=201)
def post_join_password(body: JoinPasswordBody, request: Request, response: Response, browser: _Browser) -> JoinedBody:
    """Care staff: use the invitation up for password and TOTP, and sign in."""
    joined = joining.join_with_password(
        request.app.state.database, body.token, (body.login_name, body.password), body.code, browser, now=utc_now()
    )
    return _joined(response, joined)


@router.post("/join/pin", status_code=201)
def post_join_pin(body: JoinPinBody, request: Request, response: Response) -> JoinedBody:
    """Care staff: use the invitation up for a PIN; signing in is by the badge."""
    return _joined(response, joining.join_with_pin(request.app.state.database, body.token, body.pin, utc_now()))


@router.post("/passkey/options")
def post_passkey_options(request: Request, site: _Site) -> dict[str, Any]:
    """A challenge for `navigator.credentials.get`."""
    return signing_in.passkey_options(request.app.state.database, site, utc_now())


@router.post("/passkey")
def post_passkey(
    body: PasskeyBody, request: Request, response: Response, site: _Site, browser: _Browser
) -> SessionBody:
    """Sign in with a passkey. 401 `credentials_refused`, 429 `too_many_tries`."""
    return set_session(
        response,
        signing_in.with_passkey(request.app.state.database, site, body.credential, browser, utc_now()),
    )


@router.post("/password")
def post_password(body: PasswordBody, request: Request, response: Response, browser: _Browser) -> SessionBody:
    """Sign in with name, password and code: care roles only."""
    return set_session(
        response,
        signing_in.with_password(
            request.app.state.database, (body.login_name, body.password), body.code, browser, utc_now()
        ),
    )


@router.post("/badge")
def post_badge(body: BadgeBody, request: Request, response: Response, browser: _Browser) -> SessionBody:
    """Sign in with badge and PIN on a shared phone: care roles only."""
    badge = Badge(body.badge_uid, body.sun)
    return set_session(response, signing_in.with_badge(request.app.state.database, badge, body.pin, browser, utc_now()))


@router.post("/recovery")
def post_recovery(body: RecoveryBody, request: Request, response: Response, browser: _Browser) -> SessionBody:
    """A recovery code opens a session in which a new passkey can be added, and nothing else."""
    return set_session(
        response, signing_in.with_recovery_code(request.app.state.database, body.code, browser, utc_now())
    )


def set_session(response: Response, opened: Opened) -> SessionBody:
    """Put the token into the cookie, and what the page needs into the body."""
    response.set_cookie(SESSION_COOKIE, opened.token, path="/", secure=True, httponly=True, samesite="lax")
    return SessionBody(
        person_id=opened.person_id, role=opened.role, expires_at=opened.expires_at, csrf_token=csrf_of(opened.token)
    )


def _joined(response: Response, joined: Joined) -> JoinedBody:
    session = set_session(response, joined.opened) if joined.opened is not None else None
    return JoinedBody(session=session, recovery_codes=list(joined.recovery_codes))
