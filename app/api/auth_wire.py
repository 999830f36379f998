"""The JSON bodies of signing in and of one's own sessions and factors. Unknown members are refused."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field

from app.api.wire import Strict

_Line = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
_Secret = Annotated[str, Field(min_length=1, max_length=256)]
_Token = Annotated[str, Field(min_length=16, max_length=128, pattern=r"^[A-Za-z0-9_-]+$")]
_Code = Annotated[str, Field(pattern=r"^[0-9 ]{6,8}$")]
Credential = Annotated[dict[str, Any], Field(max_length=12)]
Id = Annotated[str, Path(max_length=1400, pattern=r"^[A-Za-z0-9_-]+$")]


class PasskeyBody(Strict):
    """What the browser's passkey call answered, in its JSON form."""

    credential: Credential
    label: _Line = ""


class PasswordBody(Strict):
    """Care staff's name, password and code of the authenticator app."""

    login_name: _Line
    password: _Secret
    code: _Code


class BadgeBody(Strict):
    """A staff badge as read, and its owner's PIN."""

    badge_uid: Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{8,20}$")]
    sun: Annotated[str, Field(max_length=64, pattern=r"^[0-9A-Fa-f.]*$")] = ""
    pin: Annotated[str, Field(pattern=r"^[0-9]{1,12}$")]


class RecoveryBody(Strict):
    """A one-use code."""

    code: Annotated[str, Field(pattern=r"^[0-9A-Fa-f -]{20,32}$")]


class InvitationBody(Strict):
    """The one-use token of an invitation."""

    token: _Token


class JoinPasskeyBody(InvitationBody):
    """The invitation used up for a passkey."""

    credential: Credential


class JoinPasswordBody(InvitationBody):
    """The invitation used up for password and TOTP; `code` is the first of the new secret."""

    login_name: _Line
    password: _Secret
    code: _Code


class JoinPinBody(InvitationBody):
    """The invitation used up for a PIN beside the badge."""

    pin: Annotated[str, Field(max_length=12, pattern=r"^[0-9]*$")]


class StepUpPasswordBody(Strict):
    """Password and code, shown again."""

    password: _Secret
    code: _Code


class PinBody(Strict):
    """A new PIN."""

    pin: Annotated[str, Field(max_length=12, pattern=r"^[0-9]*$")]


class RoleChoiceBody(Strict):
    """Which role to act in."""

    role_id: _Token


class EmploymentBody(Strict):
    """Which employment the shift is for."""

    staff_id: _Line


class BreakGlassBody(Strict):
    """Why an admin must see client data."""

    reason: Annotated[str, Field(min_length=10, max_length=500, pattern=r"^[^\x00]*$")]


class Answer(BaseModel):
    """A body of ours."""

    model_config = ConfigDict(extra="forbid")


class ChoiceBody(Answer):
    """What an invitation offers. `totp_*`: only for care staff."""

    name: str
    roles: list[str]
    passkey: dict[str, Any]
    totp_secret: str
    totp_uri: str


class SessionBody(Answer):
    """A fresh session; its token is in the cookie `__Host-sid` only. Send `csrf_token` as `X-CSRF-Token`."""

    person_id: str
    role: str
    expires_at: datetime
    csrf_token: str


class JoinedBody(Answer):
    """The first session, if the factor opens one, and the recovery codes: shown once."""

    session: SessionBody | None
    recovery_codes: list[str]


class RoleBody(Answer):
    """A role and where it holds."""

    role_id: str
    role: str
    provider_id: str
    unit_ids: list[str]
    district: str
    valid_from: date
    valid_to: date | None


class EmploymentChoice(Answer):
    """An employment to choose."""

    staff_id: str
    provider_id: str
    unit_id: str


class MeBody(Answer):
    """Who is signed in, as what, and what else she may choose."""

    person_id: str
    name: str
    role: str
    provider_id: str
    unit_ids: list[str]
    district: str
    staff_id: str
    method: str
    step_up: bool
    csrf_token: str
    roles: list[RoleBody]
    employments: list[EmploymentChoice]


class OwnSession(Answer):
    """One of a person's live sessions."""

    session_id: str
    method: str
    agent: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    current: bool


class OwnPasskey(Answer):
    """One of a person's passkeys."""

    credential_id: str
    label: str
    created_at: datetime
    used_at: datetime | None


class NewRoleBody(Strict):
    """A role to give: provider roles need a provider, a commissioner a district, an auditor an end."""

    model_config = ConfigDict(extra="forbid", strict=False)

    role: Literal[
        "carer", "scheduler", "manager", "provider_finance", "commissioner", "city_controller", "auditor", "admin"
    ]
    provider_id: _Line = ""
    unit_ids: Annotated[list[_Line], Field(max_length=100, default_factory=list)]
    district: _Line = ""
    valid_from: date
    valid_to: date | None = None


class NewPersonBody(Strict):
    """A person to invite with a first role; `person_key` links her to her employments."""

    model_config = ConfigDict(extra="forbid", strict=False)

    name: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
    person_key: _Line = ""
    role: NewRoleBody


class InvitedBody(Answer):
    """The invitation's token is shown here once; give it to the person herself."""

    person_id: str
    token: str
    expires_at: datetime


class RoleGivenBody(Answer):
    """The new role's id."""

    role_id: str


class GivenRole(RoleBody):
    """A role as managers see it."""

    ended_at: datetime | None


class PersonBody(Answer):
    """A login person and the roles the caller sees."""

    person_id: str
    name: str
    person_key: str
    created_at: datetime
    ended_at: datetime | None
    roles: list[GivenRole]


class PeoplePage(Answer):
    """People by person_id."""

    items: list[PersonBody]
    next_cursor: str | None
