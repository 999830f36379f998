"""A credential in, a `Principal` out: machine tokens and people's sessions, as the `auth` login."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, or_, select, update

from app.access.principals import Principal
from app.access.tables import break_glasses, machine_tokens, machines, people, person_roles, sessions
from app.access.tokens import hash_of
from app.core.localtime import local_date
from app.refusals import Refused

_SEEN_EVERY = timedelta(minutes=1)


class NotSignedIn(Refused):
    """Sign in first: there are no valid credentials with the request."""

    code = "not_signed_in"


def machine_of(connection: Connection, token: str, now: datetime) -> Principal | None:
    """The machine a bearer token was issued to, while token and machine live."""
    row = connection.execute(_OF_TOKEN, {"token": hash_of(token), "now": now}).one_or_none()
    if row is None:
        return None
    scopes = frozenset(row.scopes) & frozenset(row.all)
    return Principal("machine", row.machine_id, scopes=scopes, provider_id=row.provider_id)


_OF_TOKEN = (
    select(machine_tokens.c.scopes, machines.c.machine_id, machines.c.provider_id, machines.c.scopes.label("all"))
    .join(machines, machines.c.machine_id == machine_tokens.c.machine_id)
    .where(
        machine_tokens.c.token_hash == bindparam("token"),
        machine_tokens.c.expires_at > bindparam("now"),
        machines.c.ended_at.is_(None),
    )
)


def person_of(connection: Connection, token: str, now: datetime) -> Principal | None:
    """The person of a session cookie, in the role she acts in today; None when the session or the person has ended.

    A session ends at its time, after its idle time, or with the validity of the role: then no role is left in it.
    """
    row = connection.execute(_session(token, now)).one_or_none()
    if row is None or now - row.seen_at > timedelta(minutes=row.idle_minutes):
        return None
    if now - row.seen_at > _SEEN_EVERY:
        seen = update(sessions).where(sessions.c.session_id == row.session_id, sessions.c.seen_at < now)
        connection.execute(seen.values(seen_at=now))
    return _principal(row, glass=row.role == "admin" and _glass_broken(connection, row.session_id, now))


def in_force(now: datetime) -> Any:
    """The condition that a row of person_roles holds today."""
    today = local_date(now)
    return and_(
        person_roles.c.ended_at.is_(None),
        person_roles.c.valid_from <= today,
        or_(person_roles.c.valid_to.is_(None), person_roles.c.valid_to >= today),
    )


def _session(token: str, now: datetime) -> Any:
    role = person_roles.c
    return (
        select(
            sessions.c.session_id, sessions.c.person_id, sessions.c.staff_id, sessions.c.seen_at,
            sessions.c.idle_minutes, sessions.c.strong_at, people.c.person_key,
            role.role, role.provider_id, role.unit_ids, role.district,
        )
        .join(people, people.c.person_id == sessions.c.person_id)
        .join(person_roles, and_(role.role_id == sessions.c.role_id, in_force(now)), isouter=True)
        .where(
            sessions.c.token_hash == hash_of(token),
            sessions.c.ended_at.is_(None),
            sessions.c.expires_at > now,
            people.c.ended_at.is_(None),
        )
    )  # fmt: skip


def _principal(row: Row[Any], *, glass: bool) -> Principal:
    return Principal(
        "person",
        row.person_id,
        role=row.role or "",
        provider_id=row.provider_id or "",
        unit_ids=frozenset(row.unit_ids or ()),
        district=row.district or "",
        staff_id=row.staff_id,
        person_key=row.person_key,
        session_id=row.session_id,
        strong_at=row.strong_at,
        break_glass=glass,
    )


def _glass_broken(connection: Connection, session_id: str, now: datetime) -> bool:
    broken = select(break_glasses.c.session_id).where(
        break_glasses.c.session_id == session_id, break_glasses.c.ends_at > now
    )
    return connection.execute(broken.limit(1)).first() is not None
