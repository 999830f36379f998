"""/auth/me and below: a signed-in person's own role, sessions and factors."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from app.access.delays import Try
from app.access.passkeys import Site
from app.access.principals import ROLES, SIGNED_IN
from app.access.tokens import csrf_of
from app.api.access import FRESH, SESSION_COOKIE, Access, Principal, access
from app.api.auth import browser_of, site_of
from app.api.auth_wire import (
    BadgeBody,
    BreakGlassBody,
    EmploymentBody,
    EmploymentChoice,
    Id,
    MeBody,
    OwnPasskey,
    OwnSession,
    PasskeyBody,
    PinBody,
    RoleBody,
    RoleChoiceBody,
    StepUpPasswordBody,
)
from app.core.clock import utc_now
from app.pipeline_access import own, signing_in
from app.pipeline_access.signing_in import Badge, Browser

router = APIRouter(prefix="/api/v1/auth", tags=["people"])

_PEOPLE = ROLES | {SIGNED_IN}
_Person = Annotated[Principal, access(Access(_PEOPLE, tenant="own"))]
_Acting = Annotated[Principal, access(Access(ROLES, tenant="own"))]
_Fresh = Annotated[Principal, access(Access(_PEOPLE, tenant="own", fresh=True))]
_FreshActing = Annotated[Principal, access(Access(ROLES, tenant="own", fresh=True))]
_FreshCarer = Annotated[Principal, access(Access(frozenset({"carer"}), tenant="own", fresh=True))]
_FreshAdmin = Annotated[Principal, access(Access(frozenset({"admin"}), tenant="own", fresh=True))]
_Carer = Annotated[Principal, access(Access(frozenset({"carer"}), tenant="own"))]
_Site = Annotated[Site, Depends(site_of)]


@router.get("/me")
def get_me(request: Request, person: _Person) -> MeBody:
    """Who is signed in, in which role, and which roles and employments she may choose."""
    now = utc_now()
    found = own.me(request.app.state.database, person, now)
    return MeBody(
        person_id=person.id,
        name=found["name"],
        role=person.role,
        provider_id=person.provider_id,
        unit_ids=sorted(person.unit_ids),
        district=person.district,
        staff_id=person.staff_id,
        method=found["method"],
        step_up=person.strong_at is not None and now - person.strong_at <= FRESH,
        csrf_token=csrf_of(request.cookies.get(SESSION_COOKIE, "")),
        roles=[RoleBody(**role) for role in found["roles"]],
        employments=[EmploymentChoice(**row) for row in found["employments"]],
    )


@router.post("/sign-out", status_code=204)
def post_sign_out(request: Request, response: Response, person: _Person) -> None:
    """End this session."""
    own.sign_out(request.app.state.database, person, utc_now())
    response.delete_cookie(SESSION_COOKIE, path="/", secure=True, httponly=True, samesite="lax")


@router.get("/sessions")
def get_sessions(request: Request, person: _Person) -> dict[str, list[OwnSession]]:
    """Where she is signed in."""
    rows = own.own_sessions(request.app.state.database, person, utc_now())
    kept = [{name: value for name, value in row.items() if name != "idle_minutes"} for row in rows]
    return {"items": [OwnSession(**row, current=row["session_id"] == person.session_id) for row in kept]}


@router.delete("/sessions/{session_id}", status_code=204)
def delete_session(session_id: Id, request: Request, person: _Person) -> None:
    """End one of her sessions. 404 for another's."""
    own.end_session(request.app.state.database, person, session_id, utc_now())


@router.post("/role", status_code=204)
def post_role(body: RoleChoiceBody, request: Request, person: _Acting) -> None:
    """Act in another of her roles."""
    own.switch_role(request.app.state.database, person, body.role_id, utc_now())


@router.post("/employment", status_code=204)
def post_employment(body: EmploymentBody, request: Request, person: _Carer) -> None:
    """Choose the employment of this shift."""
    own.choose_employment(request.app.state.database, person, body.staff_id, utc_now())


@router.post("/step-up/options")
def post_step_up_options(request: Request, person: _Acting, site: _Site) -> dict[str, Any]:
    """A challenge for her own passkeys."""
    return own.step_up_options(request.app.state.database, person, site, utc_now())


@router.post("/step-up/passkey", status_code=204)
def post_step_up_passkey(body: PasskeyBody, request: Request, person: _Acting, site: _Site) -> None:
    """Show a passkey again: ten minutes for exports, time corrections, enrolment, roles and own factors."""
    own.step_up_with_passkey(request.app.state.database, person, site, body.credential, utc_now())


@router.post("/step-up/password", status_code=204)
def post_step_up_password(
    body: StepUpPasswordBody, request: Request, person: _Carer, browser: Annotated[Browser, Depends(browser_of)]
) -> None:
    """Show password and code again."""
    attempt = Try(f"step-up:{person.id}", browser.address)
    own.step_up_with_password(request.app.state.database, person, body.password, body.code, attempt, now=utc_now())


@router.post("/step-up/badge", status_code=204)
def post_step_up_badge(
    body: BadgeBody, request: Request, person: _Carer, browser: Annotated[Browser, Depends(browser_of)]
) -> None:
    """Show badge and PIN again."""
    attempt, badge = Try(f"step-up:{person.id}", browser.address), Badge(body.badge_uid, body.sun)
    signing_in.step_up_with_badge(request.app.state.database, person, badge, body.pin, attempt, now=utc_now())


@router.get("/passkeys")
def get_passkeys(request: Request, person: _Acting) -> dict[str, list[OwnPasskey]]:
    """Her passkeys; a lost one is removed by its id."""
    rows = own.own_passkeys(request.app.state.database, person)
    return {"items": [OwnPasskey(**row) for row in rows]}


@router.post("/passkeys/options")
def post_new_passkey_options(request: Request, person: _Fresh, site: _Site) -> dict[str, Any]:
    """A challenge for one more passkey."""
    return own.new_passkey_options(request.app.state.database, person, site, utc_now())


@router.post("/passkeys", status_code=201)
def post_new_passkey(body: PasskeyBody, request: Request, person: _Fresh, site: _Site) -> dict[str, str]:
    """One more passkey. After a recovery code this ends the session: sign in with the new one."""
    credential_id = own.add_passkey(
        request.app.state.database, person, site, body.credential, body.label, now=utc_now()
    )
    return {"credential_id": credential_id}


@router.delete("/passkeys/{credential_id}", status_code=204)
def delete_passkey(credential_id: Id, request: Request, person: _FreshActing) -> None:
    """Remove a passkey; the last one stays."""
    own.remove_passkey(request.app.state.database, person, credential_id, utc_now())


@router.post("/recovery-codes", status_code=201)
def post_recovery_codes(request: Request, person: _FreshActing) -> dict[str, list[str]]:
    """Ten new codes, shown once; the earlier ones are void."""
    return {"recovery_codes": own.new_recovery_codes(request.app.state.database, person, utc_now())}


@router.put("/pin", status_code=204)
def put_pin(body: PinBody, request: Request, person: _FreshCarer) -> None:
    """A PIN beside the badge."""
    own.set_pin(request.app.state.database, person, body.pin, utc_now())


@router.post("/break-glass")
def post_break_glass(body: BreakGlassBody, request: Request, person: _FreshAdmin) -> dict[str, Any]:
    """An admin must see client data: 60 minutes, with a reason, every reading marked in the log."""
    return {"until": own.break_glass(request.app.state.database, person, body.reason, utc_now())}
