"""People and what they may, since when and where: roles with validity per provider, unit, district; invitations.

A person is not an employment: `person_key` links her to the staff rows of her employers.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, insert, select, true, update

from app.access.entrance import in_force
from app.access.principals import PROVIDER_ROLES, ROLES
from app.access.tables import invitations, people, person_roles, sessions
from app.access.tokens import hash_of, new_token
from app.refusals import Invalid, NotFound, Refused

INVITATION_LASTS = timedelta(hours=72)


class InvitationRefused(Refused):
    """The invitation is unknown, used or too old; ask for a new one."""

    code = "invitation_refused"


@dataclass(frozen=True, slots=True)
class NewRole:
    """A right and where it holds. Provider roles need a provider, a commissioner a district, an auditor an end."""

    role: str
    valid_from: date
    valid_to: date | None = None
    provider_id: str = ""
    unit_ids: tuple[str, ...] = ()
    district: str = ""


@dataclass(frozen=True, slots=True)
class Invited:
    """A person and the token that lets her choose her factors, shown once."""

    person_id: str
    token: str
    expires_at: datetime


def add_person(connection: Connection, name: str, person_key: str, now: datetime) -> str:
    """A new login person without role or factor; her person_id."""
    if not name.strip():
        raise Invalid("a person needs a name")
    person_id = f"u_{secrets.token_hex(8)}"
    row = {"person_id": person_id, "name": name.strip(), "person_key": person_key, "created_at": now}
    connection.execute(insert(people), row)
    return person_id


def grant_role(connection: Connection, person_id: str, wanted: NewRole, by: str, now: datetime) -> str:
    """The person may act in the role from its first day; the role_id. Invalid, NotFound."""
    require_possible(wanted)
    require_person(connection, person_id)
    role_id = f"r_{secrets.token_hex(8)}"
    row = {
        "role_id": role_id, "person_id": person_id, "role": wanted.role, "provider_id": wanted.provider_id,
        "unit_ids": list(wanted.unit_ids), "district": wanted.district, "valid_from": wanted.valid_from,
        "valid_to": wanted.valid_to, "granted_by": by, "granted_at": now,
    }  # fmt: skip
    connection.execute(insert(person_roles), row)
    return role_id


def require_possible(wanted: NewRole) -> None:
    """Invalid unless the role has the place it needs and no other."""
    of_provider = wanted.role in PROVIDER_ROLES
    if wanted.role not in ROLES:
        raise Invalid(f"roles are {', '.join(sorted(ROLES))}")
    if of_provider != bool(wanted.provider_id):
        raise Invalid("provider roles, and no others, have a provider")
    if (wanted.role == "commissioner") != bool(wanted.district):
        raise Invalid("commissioners, and no others, have a district")
    if wanted.unit_ids and not of_provider:
        raise Invalid("only provider roles are limited to units")
    if wanted.role == "auditor" and wanted.valid_to is None:
        raise Invalid("an auditor's role has an end")
    if wanted.valid_to is not None and wanted.valid_to < wanted.valid_from:
        raise Invalid("the role ends before it begins")


def end_role(connection: Connection, person_id: str, role_id: str, now: datetime) -> None:
    """The role holds no more; sessions that act in it lose it at once. NotFound."""
    ended = update(person_roles).where(
        person_roles.c.role_id == role_id, person_roles.c.person_id == person_id, person_roles.c.ended_at.is_(None)
    )
    if connection.execute(ended.values(ended_at=now)).rowcount != 1:
        raise NotFound(f"there is no role {role_id}")


def end_person(connection: Connection, person_id: str, now: datetime) -> None:
    """She signs in no more; her sessions and open invitations end."""
    require_person(connection, person_id)
    connection.execute(update(people).where(people.c.person_id == person_id).values(ended_at=now))
    open_ones = update(sessions).where(sessions.c.person_id == person_id, sessions.c.ended_at.is_(None))
    connection.execute(open_ones.values(ended_at=now))
    _use_up(connection, person_id, now)


def invite(connection: Connection, person_id: str, by: str, now: datetime) -> Invited:
    """A one-use token of 72 hours to choose factors with; earlier invitations of hers are void."""
    require_person(connection, person_id)
    _use_up(connection, person_id, now)
    token = new_token("kgi_")
    row = {
        "token_hash": hash_of(token), "person_id": person_id, "made_by": by, "created_at": now,
        "expires_at": now + INVITATION_LASTS,
    }  # fmt: skip
    connection.execute(insert(invitations), row)
    return Invited(person_id, token, now + INVITATION_LASTS)


def invited(connection: Connection, token: str, now: datetime, *, use: bool = False) -> str:
    """Whom the token invites; `use` takes it, once. InvitationRefused."""
    live = (
        invitations.c.token_hash == hash_of(token),
        invitations.c.used_at.is_(None),
        invitations.c.expires_at > now,
    )
    found = (
        update(invitations).where(*live).values(used_at=now).returning(invitations.c.person_id)
        if use
        else select(invitations.c.person_id).where(*live)
    )
    person_id = connection.execute(found).scalar_one_or_none()
    if person_id is None:
        raise InvitationRefused
    return str(person_id)


def roles_in_force(connection: Connection, person_id: str, now: datetime) -> list[dict[str, Any]]:
    """The roles a person may act in today, the oldest first."""
    rows = connection.execute(
        select(
            person_roles.c.role_id, person_roles.c.role, person_roles.c.provider_id, person_roles.c.unit_ids,
            person_roles.c.district, person_roles.c.valid_from, person_roles.c.valid_to,
        )
        .where(person_roles.c.person_id == person_id, in_force(now))
        .order_by(person_roles.c.granted_at, person_roles.c.role_id)
    )  # fmt: skip
    return [dict(row) for row in rows.mappings()]


def list_people(
    connection: Connection, *, among: ColumnElement[bool] | None = None, after: str = "", limit: int = 200
) -> list[dict[str, Any]]:
    """People with their roles, by person_id; `among` is a condition on person_roles: those without such a role are
    not there, nor are their other roles."""
    condition = true() if among is None else among
    inner = select(person_roles.c.person_id).where(condition)
    wanted = select(people.c.person_id, people.c.name, people.c.person_key, people.c.created_at, people.c.ended_at)
    if among is not None:
        wanted = wanted.where(people.c.person_id.in_(inner))
    rows = connection.execute(wanted.where(people.c.person_id > after).order_by(people.c.person_id).limit(limit))
    found = [dict(row) for row in rows.mappings()]
    roles = connection.execute(
        select(person_roles)
        .where(person_roles.c.person_id.in_([row["person_id"] for row in found]), condition)
        .order_by(person_roles.c.granted_at, person_roles.c.role_id)
    )
    by_person: dict[str, list[dict[str, Any]]] = {}
    for role in roles.mappings():
        by_person.setdefault(role["person_id"], []).append(dict(role))
    return [{**row, "roles": by_person.get(row["person_id"], [])} for row in found]


def only_roles(connection: Connection, person_id: str, roles: Collection[str], now: datetime) -> bool:
    """Whether a person has roles today and all are among `roles`."""
    held = {row["role"] for row in roles_in_force(connection, person_id, now)}
    return bool(held) and held <= frozenset(roles)


def any_admin(connection: Connection, now: datetime) -> bool:
    """Whether somebody is admin today."""
    count = select(func.count()).select_from(person_roles).where(person_roles.c.role == "admin", in_force(now))
    return bool(connection.execute(count).scalar_one())


def name_of(connection: Connection, person_id: str) -> str:
    """The person's name."""
    return str(connection.execute(select(people.c.name).where(people.c.person_id == person_id)).scalar_one())


def require_person(connection: Connection, person_id: str) -> None:
    """NotFound unless the person exists and has not ended; her row is locked against a simultaneous change."""
    live = select(people.c.person_id).where(people.c.person_id == person_id, people.c.ended_at.is_(None))
    if connection.execute(live.with_for_update()).first() is None:
        raise NotFound(f"there is no person {person_id}")


def _use_up(connection: Connection, person_id: str, now: datetime) -> None:
    waiting = update(invitations).where(invitations.c.person_id == person_id, invitations.c.used_at.is_(None))
    connection.execute(waiting.values(used_at=now))
