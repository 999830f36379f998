"""/people: who may sign in and as what. A manager reaches those with a role at the own provider, an admin everybody."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from app.access.people import Invited, NewRole
from app.api.access import Access, Principal, access, reading
from app.api.auth_wire import (
    GivenRole,
    Id,
    InvitedBody,
    NewPersonBody,
    NewRoleBody,
    PeoplePage,
    PersonBody,
    RoleGivenBody,
)
from app.core.clock import utc_now
from app.pipeline_access import people
from app.pipeline_access.people import NewPerson

router = APIRouter(prefix="/api/v1/people", tags=["people"])

_GIVERS = frozenset({"manager", "admin"})
_Reader = Annotated[Principal, access(Access(_GIVERS, tenant="own_provider", reads="people"))]
_Giver = Annotated[Principal, access(Access(_GIVERS, tenant="own_provider", fresh=True))]
_Admin = Annotated[Principal, access(Access(frozenset({"admin"}), tenant="none", fresh=True))]
_Limit = Annotated[int, Query(ge=1, le=200)]
_Cursor = Annotated[str, Query(max_length=64, pattern=r"^[A-Za-z0-9_]*$")]


@router.get("")
def get_people(request: Request, by: _Reader, cursor: _Cursor = "", limit: _Limit = 100) -> PeoplePage:
    """The people the caller reaches, with the roles the caller sees."""
    with reading(request, by) as read:
        rows = people.read_people(read.connection, by, after=cursor, limit=limit + 1)
        read.saw(row["person_id"] for row in rows[:limit])
    names = set(GivenRole.model_fields)
    items = [
        PersonBody(
            **{**row, "roles": [GivenRole(**{n: v for n, v in one.items() if n in names}) for one in row["roles"]]}
        )
        for row in rows[:limit]
    ]
    return PeoplePage(items=items, next_cursor=items[-1].person_id if len(rows) > limit else None)


@router.post("", status_code=201)
def post_person(body: NewPersonBody, request: Request, by: _Giver) -> InvitedBody:
    """Invite a new person with a first role. The token is in this answer only."""
    wanted = NewPerson(body.name, _role(body.role), body.person_key)
    return _invited(people.invite_person(request.app.state.database, wanted, by, utc_now()))


@router.post("/{person_id}/invitation", status_code=201)
def post_invitation(person_id: Id, request: Request, by: _Giver) -> InvitedBody:
    """Invite again: all factors were lost."""
    return _invited(people.invite_again(request.app.state.database, person_id, by, utc_now()))


@router.post("/{person_id}/roles", status_code=201)
def post_role(person_id: Id, body: NewRoleBody, request: Request, by: _Giver) -> RoleGivenBody:
    """One more role."""
    role_id = people.grant_role(request.app.state.database, person_id, _role(body), by, utc_now())
    return RoleGivenBody(role_id=role_id)


@router.delete("/{person_id}/roles/{role_id}", status_code=204)
def delete_role(person_id: Id, role_id: Id, request: Request, by: _Giver) -> None:
    """A role ends now, in every session that acts in it."""
    people.end_role(request.app.state.database, person_id, role_id, by, utc_now())


@router.delete("/{person_id}/sessions", status_code=204)
def delete_sessions(person_id: Id, request: Request, by: _Giver) -> None:
    """End all of a person's sessions: a phone was lost."""
    people.end_all_sessions(request.app.state.database, person_id, by, utc_now())


@router.delete("/{person_id}", status_code=204)
def delete_person(person_id: Id, request: Request, by: _Admin) -> None:
    """She signs in no more."""
    people.end_person(request.app.state.database, person_id, by, utc_now())


def _role(body: NewRoleBody) -> NewRole:
    return NewRole(body.role, body.valid_from, body.valid_to, body.provider_id, tuple(body.unit_ids), body.district)


def _invited(invited: Invited) -> InvitedBody:
    return InvitedBody(person_id=invited.person_id, token=invited.token, expires_at=invited.expires_at)
