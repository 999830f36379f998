"""Machines: client credentials with scopes (EVIDENCE.md section 3). Of secrets and tokens only the SHA-256 is stored.

A machine has at most two live secrets, so that its key is rotated without a gap: make a new one, move the machine
over, end the old one.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from app.access.principals import SCOPES
from app.access.tables import machine_secrets, machine_tokens, machines
from app.access.tokens import hash_of, new_token
from app.refusals import Conflict, Invalid, NotFound

TOKEN_LASTS = timedelta(minutes=15)
LIVE_SECRETS = 2
CITY_ONLY = frozenset({"billing", "study"})


@dataclass(frozen=True, slots=True)
class NewMachine:
    """What is wanted: `provider_id` empty for the city's own systems."""

    name: str
    scopes: frozenset[str]
    provider_id: str = ""


@dataclass(frozen=True, slots=True)
class Issued:
    """A machine's id and a secret, shown once."""

    machine_id: str
    secret: str


@dataclass(frozen=True, slots=True)
class Token:
    """An access token, shown once."""

    token: str
    scopes: frozenset[str]
    lasts: timedelta


def add_machine(connection: Connection, wanted: NewMachine, now: datetime) -> Issued:
    """A new machine with its first secret. Invalid scopes or name; Conflict when the name is taken."""
    if not wanted.scopes or wanted.scopes - SCOPES:
        raise Invalid(f"scopes are some of {', '.join(sorted(SCOPES))}")
    if wanted.provider_id and wanted.scopes & CITY_ONLY:
        raise Invalid(f"{', '.join(sorted(wanted.scopes & CITY_ONLY))} is for the city's own systems")
    if not wanted.name.strip():
        raise Invalid("a machine needs a name")
    machine_id = f"m_{secrets.token_hex(8)}"
    row = {
        "machine_id": machine_id, "name": wanted.name.strip(), "scopes": sorted(wanted.scopes),
        "provider_id": wanted.provider_id, "created_at": now,
    }  # fmt: skip
    try:
        with connection.begin_nested():
            connection.execute(insert(machines), row)
    except IntegrityError as error:
        raise Conflict("there is a machine of that name") from error
    return Issued(machine_id, _new_secret(connection, machine_id, now))


def rotate_secret(connection: Connection, machine_id: str, now: datetime) -> Issued:
    """A second secret; the first goes on working. Conflict while two are live: end the old one first."""
    _require_live(connection, machine_id)
    if len(_live_secrets(connection, machine_id)) >= LIVE_SECRETS:
        raise Conflict("two secrets are live: end the old one first")
    return Issued(machine_id, _new_secret(connection, machine_id, now))


def end_old_secret(connection: Connection, machine_id: str, now: datetime) -> None:
    """The older of two secrets works no more. Conflict when there is only one: that would end the machine."""
    _require_live(connection, machine_id)
    live = _live_secrets(connection, machine_id)
    if len(live) < LIVE_SECRETS:
        raise Conflict("only one secret is live: rotate first, or end the machine")
    ended = update(machine_secrets).where(machine_secrets.c.secret_hash == live[0])
    connection.execute(ended.values(ended_at=now))


def end_machine(connection: Connection, machine_id: str, now: datetime) -> None:
    """Secrets and tokens work no more, from this moment."""
    _require_live(connection, machine_id)
    connection.execute(update(machines).where(machines.c.machine_id == machine_id).values(ended_at=now))
    connection.execute(delete(machine_tokens).where(machine_tokens.c.machine_id == machine_id))


def issue_token(
    connection: Connection, machine_id: str, secret: str, wanted: Collection[str], now: datetime
) -> Token | None:
    """A token for the machine whose secret this is; None when it does not fit. Invalid for scopes it has not.

    `wanted` empty: all of its scopes. Tokens past their time are swept away.
    """
    row = connection.execute(
        select(machines.c.scopes)
        .join(machine_secrets, machine_secrets.c.machine_id == machines.c.machine_id)
        .where(
            machines.c.machine_id == machine_id,
            machines.c.ended_at.is_(None),
            machine_secrets.c.secret_hash == hash_of(secret),
            machine_secrets.c.ended_at.is_(None),
        )
    ).one_or_none()
    if row is None:
        return None
    scopes = frozenset(wanted) or frozenset(row.scopes)
    if scopes - frozenset(row.scopes):
        raise Invalid("the machine has not all of these scopes")
    connection.execute(delete(machine_tokens).where(machine_tokens.c.expires_at <= now))
    token = new_token("kg_")
    connection.execute(
        insert(machine_tokens),
        {
            "token_hash": hash_of(token),
            "machine_id": machine_id,
            "scopes": sorted(scopes),
            "expires_at": now + TOKEN_LASTS,
        },
    )
    return Token(token, scopes, TOKEN_LASTS)


def list_machines(connection: Connection) -> list[dict[str, Any]]:
    """Every machine: id, name, scopes, provider, number of live secrets, when made and ended."""
    live = (
        select(func.count())
        .where(machine_secrets.c.machine_id == machines.c.machine_id, machine_secrets.c.ended_at.is_(None))
        .scalar_subquery()
    )
    rows = connection.execute(select(machines, live.label("live_secrets")).order_by(machines.c.name))
    return [dict(row) for row in rows.mappings()]


def _new_secret(connection: Connection, machine_id: str, now: datetime) -> str:
    secret = new_token("kgs_")
    row = {"secret_hash": hash_of(secret), "machine_id": machine_id, "created_at": now}
    connection.execute(insert(machine_secrets), row)
    return secret


def _live_secrets(connection: Connection, machine_id: str) -> list[bytes]:
    """Hashes of the live secrets, oldest first."""
    live = select(machine_secrets.c.secret_hash).where(
        machine_secrets.c.machine_id == machine_id, machine_secrets.c.ended_at.is_(None)
    )
    return list(connection.execute(live.order_by(machine_secrets.c.created_at)).scalars())


def _require_live(connection: Connection, machine_id: str) -> None:
    """NotFound unless the machine exists; its row is locked, so that two rotations come one after the other."""
    row = connection.execute(
        select(machines.c.machine_id)
        .where(machines.c.machine_id == machine_id, machines.c.ended_at.is_(None))
        .with_for_update()
    ).first()
    if row is None:
        raise NotFound(f"there is no machine {machine_id}")
