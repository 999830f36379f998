"""People's sessions: opaque, kept on the server, ended at once (EVIDENCE.md section 3). No JWT for people.

Staff 12 h / 4 h idle, office 10 h / 30 min, admin 2 h / 15 min. KOM and GICK depend on the shift grant alone.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, insert, select, update

from app.access.people import roles_in_force
from app.access.tables import break_glasses, sessions
from app.access.tokens import hash_of, new_token
from app.refusals import NotAllowed, NotFound

Method = Literal["passkey", "password", "badge", "recovery", "demo"]

STAFF = (timedelta(hours=12), timedelta(hours=4))
OFFICE = (timedelta(hours=10), timedelta(minutes=30))
ADMIN = (timedelta(hours=2), timedelta(minutes=15))
RECOVERY = (timedelta(minutes=15), timedelta(minutes=15))
BREAK_GLASS = timedelta(minutes=60)


@dataclass(frozen=True, slots=True)
class Opened:
    """A fresh session; `token` goes into the cookie and is stored nowhere."""

    token: str
    session_id: str
    person_id: str
    role: str
    expires_at: datetime


def times_of(role: str) -> tuple[timedelta, timedelta]:
    """How long a session in this role lasts, and how long it may be idle."""
    if role == "admin":
        return ADMIN
    return STAFF if role == "carer" else OFFICE


def usable_roles(connection: Connection, person_id: str, method: str, now: datetime) -> list[dict[str, Any]]:
    """The roles a person may act in after signing in this way: with a passkey all, with password or badge only care."""
    roles = roles_in_force(connection, person_id, now)
    if method in ("passkey", "demo"):
        return roles
    return [role for role in roles if role["role"] == "carer"] if method in ("password", "badge") else []


def open_session(connection: Connection, person_id: str, method: Method, now: datetime, *, agent: str = "") -> Opened:
    """Both factors were shown: a session in the first usable role. NotAllowed when there is none.

    A recovery code opens one without a role, in which only a new passkey can be added.
    """
    roles = usable_roles(connection, person_id, method, now)
    if not roles and method != "recovery":
        raise NotAllowed("no role in force that may be used after signing in this way")
    role = roles[0] if roles else None
    lasts, idle = times_of(role["role"]) if role else RECOVERY
    token, session_id = new_token(), f"s_{secrets.token_hex(8)}"
    row = {
        "token_hash": hash_of(token), "session_id": session_id, "person_id": person_id,
        "role_id": role["role_id"] if role else None, "method": method, "agent": agent[:200], "created_at": now,
        "seen_at": now, "expires_at": now + lasts, "idle_minutes": int(idle.total_seconds()) // 60, "strong_at": now,
    }  # fmt: skip
    connection.execute(insert(sessions), row)
    return Opened(token, session_id, person_id, role["role"] if role else "", now + lasts)


def switch_role(connection: Connection, session_id: str, role_id: str, now: datetime) -> None:
    """Act in another of the usable roles; the times become that role's, counted from the session's beginning."""
    row = _live(connection, session_id)
    found = [one for one in usable_roles(connection, row.person_id, row.method, now) if one["role_id"] == role_id]
    if not found:
        raise NotFound(f"there is no role {role_id}")
    lasts, idle = times_of(found[0]["role"])
    _change(
        connection, session_id, role_id=role_id, staff_id="", expires_at=row.created_at + lasts,
        idle_minutes=int(idle.total_seconds()) // 60,
    )  # fmt: skip


def choose_employment(connection: Connection, session_id: str, staff_id: str) -> None:
    """The employment of this shift; the caller has checked that it is the person's own."""
    _change(connection, session_id, staff_id=staff_id)


def stepped_up(connection: Connection, session_id: str, now: datetime) -> None:
    """Both factors were shown again."""
    _change(connection, session_id, strong_at=now)


def break_glass(connection: Connection, session_id: str, person_id: str, reason: str, now: datetime) -> datetime:
    """An admin looks at client data for 60 minutes; until when."""
    row = {
        "session_id": session_id, "person_id": person_id, "reason": reason, "started_at": now,
        "ends_at": now + BREAK_GLASS,
    }  # fmt: skip
    connection.execute(insert(break_glasses), row)
    return now + BREAK_GLASS


def list_sessions(connection: Connection, person_id: str, now: datetime) -> list[dict[str, Any]]:
    """A person's live sessions, newest first; never their tokens."""
    rows = connection.execute(
        select(
            sessions.c.session_id, sessions.c.method, sessions.c.agent, sessions.c.created_at, sessions.c.seen_at,
            sessions.c.expires_at, sessions.c.idle_minutes,
        )
        .where(sessions.c.person_id == person_id, sessions.c.ended_at.is_(None), sessions.c.expires_at > now)
        .order_by(sessions.c.created_at.desc())
    )  # fmt: skip
    return [dict(row) for row in rows.mappings() if now - row["seen_at"] <= timedelta(minutes=row["idle_minutes"])]


def end_session(connection: Connection, person_id: str, session_id: str, now: datetime) -> None:
    """End one's own session. NotFound for another's, or an ended one."""
    ended = update(sessions).where(
        sessions.c.session_id == session_id, sessions.c.person_id == person_id, sessions.c.ended_at.is_(None)
    )
    if connection.execute(ended.values(ended_at=now)).rowcount != 1:
        raise NotFound(f"there is no session {session_id}")


def end_sessions(connection: Connection, person_id: str, now: datetime, *, but: str = "") -> None:
    """End all sessions of a person but one: after a lost factor."""
    ended = update(sessions).where(
        sessions.c.person_id == person_id, sessions.c.session_id != but, sessions.c.ended_at.is_(None)
    )
    connection.execute(ended.values(ended_at=now))


def _live(connection: Connection, session_id: str) -> Any:
    live = select(sessions).where(sessions.c.session_id == session_id, sessions.c.ended_at.is_(None))
    row = connection.execute(live.with_for_update()).one_or_none()
    if row is None:
        raise NotFound(f"there is no session {session_id}")
    return row


def _change(connection: Connection, session_id: str, **values: Any) -> None:
    live = update(sessions).where(sessions.c.session_id == session_id, sessions.c.ended_at.is_(None))
    connection.execute(live.values(**values))


def method_of(connection: Connection, session_id: str) -> str:
    """How a session was opened."""
    return str(connection.execute(select(sessions.c.method).where(sessions.c.session_id == session_id)).scalar_one())
