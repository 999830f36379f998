"""Persons, roles, invitations, the first admin. Who may do what to whom is decided here, for doors and commands alike.

An operator and an admin reach everybody; a manager those with a role at her provider, and gives provider roles there
only. Whom she cannot reach does not exist for her.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from app.access import people, retention, sessions
from app.access.filters import of_provider
from app.access.logs import note_change
from app.access.people import Invited, NewRole
from app.access.principals import PROVIDER_ROLES, Principal, caller_of
from app.access.tables import person_roles
from app.core.localtime import local_date
from app.db.callers import Caller
from app.db.engine import Database
from app.refusals import Conflict, NotAllowed, NotFound
from app.registry.tables import orders, providers, units


@dataclass(frozen=True, slots=True)
class NewPerson:
    """Whom to invite, and what she may do first. `person_key`: her key in the employers' staff registers."""

    name: str
    role: NewRole
    person_key: str = ""


def add_first_admin(database: Database, name: str, by: Principal, now: datetime, *, more: bool = False) -> Invited:
    """The installation's first admin, invited. Conflict when there is one already, unless `more` is said on purpose."""
    with database.transaction(Caller.auth()) as connection:
        if people.any_admin(connection, now) and not more:
            raise Conflict("there is an admin already; say --another to add one more")
        person_id = people.add_person(connection, name, "", now)
        people.grant_role(connection, person_id, NewRole("admin", local_date(now)), by.id, now)
        note_change(connection, by, "person.add_admin", person_id, now)
        return people.invite(connection, person_id, by.id, now)


def invite_person(database: Database, wanted: NewPerson, by: Principal, now: datetime) -> Invited:
    """A new person with a first role and an invitation. NotAllowed for a role the inviter may not give; Invalid."""
    _require_may_give(by, wanted.role)
    _require_place(database, wanted.role)
    with database.transaction(Caller.auth()) as connection:
        person_id = people.add_person(connection, wanted.name, wanted.person_key, now)
        role_id = people.grant_role(connection, person_id, wanted.role, by.id, now)
        facts = {"role": wanted.role.role, "role_id": role_id, "provider_id": wanted.role.provider_id}
        note_change(connection, by, "person.invite", person_id, now, facts=facts)
        return people.invite(connection, person_id, by.id, now)


def invite_again(database: Database, person_id: str, by: Principal, now: datetime) -> Invited:
    """A lost factor: a new invitation. Her sessions go on; what she registers replaces nothing silently. NotFound."""
    _require_reach(database, by, person_id)
    with database.transaction(Caller.auth()) as connection:
        _require_not_above(connection, by, person_id, now)
        note_change(connection, by, "person.invite_again", person_id, now)
        return people.invite(connection, person_id, by.id, now)


def grant_role(database: Database, person_id: str, wanted: NewRole, by: Principal, now: datetime) -> str:
    """One more role; the role_id. NotFound, NotAllowed, Invalid."""
    _require_reach(database, by, person_id)
    _require_may_give(by, wanted)
    _require_place(database, wanted)
    with database.transaction(Caller.auth()) as connection:
        role_id = people.grant_role(connection, person_id, wanted, by.id, now)
        facts = {"role": wanted.role, "role_id": role_id, "provider_id": wanted.provider_id}
        note_change(connection, by, "role.grant", person_id, now, facts=facts)
    return role_id


def end_role(database: Database, person_id: str, role_id: str, by: Principal, now: datetime) -> None:
    """A role ends now. NotFound for a role the caller does not see."""
    with database.transaction(_reader(by)) as connection:
        seen = select(person_roles.c.role_id).where(
            person_roles.c.role_id == role_id,
            person_roles.c.person_id == person_id,
            of_provider(by, person_roles.c.provider_id),
        )
        if connection.execute(seen).first() is None:
            raise NotFound(f"there is no role {role_id}")
    with database.transaction(Caller.auth()) as connection:
        people.end_role(connection, person_id, role_id, now)
        note_change(connection, by, "role.end", person_id, now, facts={"role_id": role_id})


def end_person(database: Database, person_id: str, by: Principal, now: datetime) -> None:
    """She signs in no more. For admins and operators: a manager ends the roles at her own provider instead."""
    if by.kind != "operator" and by.role != "admin":
        raise NotAllowed
    with database.transaction(Caller.auth()) as connection:
        people.end_person(connection, person_id, now)
        note_change(connection, by, "person.end", person_id, now)


def end_all_sessions(database: Database, person_id: str, by: Principal, now: datetime) -> None:
    """A phone was lost: every session of the person ends. NotFound."""
    _require_reach(database, by, person_id)
    with database.transaction(Caller.auth()) as connection:
        sessions.end_sessions(connection, person_id, now)
        note_change(connection, by, "person.end_sessions", person_id, now)


def read_people(connection: Connection, by: Principal, *, after: str = "", limit: int = 200) -> list[dict[str, Any]]:
    """The people whom the caller reaches, with the roles she sees; in a transaction of hers."""
    among = of_provider(by, person_roles.c.provider_id) if by.of_provider else None
    return people.list_people(connection, among=among, after=after, limit=limit)


def _reader(by: Principal) -> Caller:
    return Caller.auth() if by.kind == "operator" else caller_of(by)


def _require_reach(database: Database, by: Principal, person_id: str) -> None:
    """NotFound unless the person has a role that the caller sees: a provider's login finds only its own."""
    with database.transaction(_reader(by)) as connection:
        found = select(person_roles.c.person_id).where(
            person_roles.c.person_id == person_id, of_provider(by, person_roles.c.provider_id)
        )
        if connection.execute(found.limit(1)).first() is None:
            raise NotFound(f"there is no person {person_id}")


def _require_not_above(connection: Connection, by: Principal, person_id: str, now: datetime) -> None:
    """A manager may not put herself in the place of somebody with rights elsewhere: that would be a way through."""
    if by.kind == "operator" or by.role == "admin":
        return
    roles = people.roles_in_force(connection, person_id, now)
    if any(role["provider_id"] != by.provider_id for role in roles):
        raise NotAllowed("she has roles elsewhere: an admin invites her again")


def _require_may_give(by: Principal, wanted: NewRole) -> None:
    if by.kind == "operator" or by.role == "admin":
        return
    if by.role != "manager" or wanted.role not in PROVIDER_ROLES or wanted.provider_id != by.provider_id:
        raise NotAllowed("a manager gives provider roles at the own provider")
    if by.unit_ids and not (wanted.unit_ids and frozenset(wanted.unit_ids) <= by.unit_ids):
        raise NotAllowed("a manager of units gives roles in these units")


def _require_place(database: Database, wanted: NewRole) -> None:
    """NotFound for a provider, units or a district that do not exist."""
    people.require_possible(wanted)
    with database.transaction(Caller.city(), read_only=True) as connection:
        provider = select(providers.c.provider_id).where(providers.c.provider_id == wanted.provider_id)
        if wanted.provider_id and connection.execute(provider).first() is None:
            raise NotFound(f"there is no provider {wanted.provider_id}")
        own_units = select(units.c.unit_id).where(units.c.provider_id == wanted.provider_id)
        if not set(wanted.unit_ids) <= set(connection.execute(own_units).scalars()):
            raise NotFound("there is no such unit of the provider")
        ordered = select(orders.c.order_id).where(orders.c.district == wanted.district).limit(1)
        any_order = connection.execute(select(orders.c.order_id).limit(1)).first()
        if wanted.district and any_order is not None and connection.execute(ordered).first() is None:
            raise NotFound(f"no order has the district {wanted.district}")


def keep_no_longer(database: Database, by: Principal, now: datetime, *, delete_them: bool) -> list[dict[str, Any]]:
    """What is over its time in the tables of access, per rule; a dry run unless `delete_them`."""
    with database.transaction(Caller.batch()) as connection:
        found = retention.apply_rules(connection, now, delete_them=delete_them)
        if delete_them:
            facts = {row["table"]: row["rows"] for row in found if row["deleted"]}
            note_change(connection, by, "retention.delete", "", now, facts=facts)
    return found
