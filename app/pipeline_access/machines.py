"""Client credentials: add, rotate, end, exchange for a token."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select

from app.access import delays, machines
from app.access.delays import CredentialsRefused, Try
from app.access.logs import note_change
from app.access.machines import Issued, NewMachine, Token
from app.access.principals import Principal
from app.db.callers import Caller
from app.db.engine import Database
from app.refusals import NotFound
from app.registry.tables import providers


def add_machine(database: Database, wanted: NewMachine, by: Principal, now: datetime) -> Issued:
    """A billing, scheduling or registry system gets an id and a secret. NotFound for a provider nobody knows."""
    with database.transaction(Caller.city(), read_only=True) as connection:
        known = select(providers.c.provider_id).where(providers.c.provider_id == wanted.provider_id)
        if wanted.provider_id and connection.execute(known).first() is None:
            raise NotFound(f"there is no provider {wanted.provider_id}")
    with database.transaction(Caller.auth()) as connection:
        issued = machines.add_machine(connection, wanted, now)
        facts = {"scopes": sorted(wanted.scopes), "provider_id": wanted.provider_id}
        note_change(connection, by, "machine.add", issued.machine_id, now, facts=facts)
    return issued


def rotate_machine_secret(database: Database, machine_id: str, by: Principal, now: datetime) -> Issued:
    """The machine gets a second secret; the first works until it is ended."""
    with database.transaction(Caller.auth()) as connection:
        issued = machines.rotate_secret(connection, machine_id, now)
        note_change(connection, by, "machine.rotate", machine_id, now)
    return issued


def end_old_machine_secret(database: Database, machine_id: str, by: Principal, now: datetime) -> None:
    """The older of two secrets works no more."""
    with database.transaction(Caller.auth()) as connection:
        machines.end_old_secret(connection, machine_id, now)
        note_change(connection, by, "machine.end_secret", machine_id, now)


def end_machine(database: Database, machine_id: str, by: Principal, now: datetime) -> None:
    """The machine is let in no more."""
    with database.transaction(Caller.auth()) as connection:
        machines.end_machine(connection, machine_id, now)
        note_change(connection, by, "machine.end", machine_id, now)


def issue_machine_token(
    database: Database, credentials: tuple[str, str], wanted: Collection[str], attempt: Try, now: datetime
) -> Token:
    """A machine shows `credentials` (id, secret) and gets a token. CredentialsRefused, TooManyTries, Invalid scopes."""
    with database.transaction(Caller.auth()) as connection:
        delays.begin(connection, attempt, now)
        token = machines.issue_token(connection, *credentials, wanted, now)
        if token is None:
            delays.failed(connection, attempt, now)
        else:
            delays.succeeded(connection, attempt)
    if token is None:
        raise CredentialsRefused
    return token
