"""What a signed-in person does with her own sessions and factors."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, or_, select

from app.access import delays, passkeys, passwords, people, sessions
from app.access.delays import CredentialsRefused, Try
from app.access.logs import note_change
from app.access.passkeys import Site
from app.access.principals import Principal
from app.access.tables import people as people_table
from app.access.vault import open_vault
from app.core.localtime import local_date
from app.db.callers import Caller
from app.db.engine import Database
from app.refusals import Invalid, NotAllowed, NotFound
from app.registry.tables import employments


def me(database: Database, person: Principal, now: datetime) -> dict[str, Any]:
    """Name, role in use, roles and employments to choose from, sessions."""
    with database.transaction(Caller.auth(), read_only=True) as connection:
        method = sessions.method_of(connection, person.session_id)
        return {
            "name": people.name_of(connection, person.id),
            "roles": sessions.usable_roles(connection, person.id, method, now),
            "employments": _employments(connection, person, now),
            "method": method,
        }


def sign_out(database: Database, person: Principal, now: datetime) -> None:
    """End this session."""
    end_session(database, person, person.session_id, now)


def own_sessions(database: Database, person: Principal, now: datetime) -> list[dict[str, Any]]:
    """Where she is signed in."""
    with database.transaction(Caller.auth(), read_only=True) as connection:
        return sessions.list_sessions(connection, person.id, now)


def end_session(database: Database, person: Principal, session_id: str, now: datetime) -> None:
    """End one of her sessions. NotFound."""
    with database.transaction(Caller.auth()) as connection:
        sessions.end_session(connection, person.id, session_id, now)
        note_change(connection, person, "sign_out", session_id, now)


def switch_role(database: Database, person: Principal, role_id: str, now: datetime) -> None:
    """Act in another of her roles. NotFound."""
    with database.transaction(Caller.auth()) as connection:
        sessions.switch_role(connection, person.session_id, role_id, now)
        note_change(connection, person, "role.switch", role_id, now)


def choose_employment(database: Database, person: Principal, staff_id: str, now: datetime) -> None:
    """The employment of this shift: one of her own at the provider she acts for. NotFound."""
    with database.transaction(Caller.auth()) as connection:
        own = {row["staff_id"]: row["provider_id"] for row in _employments(connection, person, now)}
        if own.get(staff_id, "") != person.provider_id or not person.provider_id:
            raise NotFound(f"there is no employment {staff_id}")
        sessions.choose_employment(connection, person.session_id, staff_id)


def step_up_options(database: Database, person: Principal, site: Site, now: datetime) -> dict[str, Any]:
    """The challenge for showing her own passkey again."""
    with database.transaction(Caller.auth()) as connection:
        return passkeys.sign_in_options(connection, site, now, person_id=person.id)


def step_up_with_passkey(
    database: Database, person: Principal, site: Site, credential: dict[str, Any], now: datetime
) -> None:
    """She showed her passkey again: ten minutes for what needs it. CredentialsRefused."""
    with database.transaction(Caller.auth()) as connection:
        passkeys.check(connection, site, credential, now, person_id=person.id)
        sessions.stepped_up(connection, person.session_id, now)
        note_change(connection, person, "step_up", person.session_id, now)


def step_up_with_password(
    database: Database, person: Principal, password: str, code: str, attempt: Try, *, now: datetime
) -> None:
    """She showed password and code again. CredentialsRefused, TooManyTries."""
    vault = open_vault(database.settings.data)
    with database.transaction(Caller.auth()) as connection:
        delays.begin(connection, attempt, now)
        fits = passwords.password_fits(connection, person.id, password)
        fits = fits and passwords.totp_fits(connection, vault, person.id, code, now)
        if fits:
            delays.succeeded(connection, attempt)
            sessions.stepped_up(connection, person.session_id, now)
            note_change(connection, person, "step_up", person.session_id, now)
        else:
            delays.failed(connection, attempt, now)
    if not fits:
        raise CredentialsRefused


def own_passkeys(database: Database, person: Principal) -> list[dict[str, Any]]:
    """Her passkeys, so that a lost one can be removed."""
    with database.transaction(Caller.auth(), read_only=True) as connection:
        return passkeys.list_passkeys(connection, person.id)


def new_passkey_options(database: Database, person: Principal, site: Site, now: datetime) -> dict[str, Any]:
    """The challenge for one more passkey."""
    with database.transaction(Caller.auth()) as connection:
        name = people.name_of(connection, person.id)
        return passkeys.registration_options(connection, site, person.id, name, now)


def add_passkey(
    database: Database, person: Principal, site: Site, credential: dict[str, Any], label: str, *, now: datetime
) -> str:
    """One more passkey; after a recovery code this ends the session: she signs in with it. CredentialsRefused."""
    with database.transaction(Caller.auth()) as connection:
        credential_id = passkeys.register(connection, site, person.id, credential, now, label=label)
        note_change(connection, person, "passkey.add", person.id, now)
        if sessions.method_of(connection, person.session_id) == "recovery":
            sessions.end_session(connection, person.id, person.session_id, now)
    return credential_id


def remove_passkey(database: Database, person: Principal, credential_id: str, now: datetime) -> None:
    """A passkey is lost or old. NotFound; Conflict for the last."""
    with database.transaction(Caller.auth()) as connection:
        passkeys.remove(connection, person.id, credential_id)
        note_change(connection, person, "passkey.remove", person.id, now)


def new_recovery_codes(database: Database, person: Principal, now: datetime) -> list[str]:
    """Ten new codes, shown once; the earlier ones are void."""
    with database.transaction(Caller.auth()) as connection:
        codes = passwords.new_recovery_codes(connection, person.id, now)
        note_change(connection, person, "recovery_codes.new", person.id, now)
    return codes


def set_pin(database: Database, person: Principal, pin: str, now: datetime) -> None:
    """A carer's PIN beside her badge. NotAllowed for other roles, Invalid."""
    with database.transaction(Caller.auth()) as connection:
        if person.role != "carer":
            raise NotAllowed("badge and PIN are for care staff")
        passwords.set_pin(connection, person.id, pin, now)
        note_change(connection, person, "pin.set", person.id, now)


def break_glass(database: Database, person: Principal, reason: str, now: datetime) -> datetime:
    """An admin must see client data: 60 minutes, with a reason, logged; until when. Invalid without a reason."""
    if len(reason.strip()) < 10:
        raise Invalid("say why, in ten characters or more")
    with database.transaction(Caller.auth()) as connection:
        until = sessions.break_glass(connection, person.session_id, person.id, reason.strip(), now)
        note_change(connection, person, "break_glass", person.session_id, now)
    return until


def _employments(connection: Connection, person: Principal, now: datetime) -> list[dict[str, Any]]:
    """Her employments today, wherever: person -> person_key -> staff_id."""
    today, key = local_date(now), select(people_table.c.person_key).where(people_table.c.person_id == person.id)
    rows = connection.execute(
        select(employments.c.staff_id, employments.c.provider_id, employments.c.unit_id)
        .where(
            employments.c.person_key == key.scalar_subquery(),
            employments.c.person_key != "",
            employments.c.valid_from <= today,
            or_(employments.c.valid_to.is_(None), employments.c.valid_to >= today),
        )
        .order_by(employments.c.staff_id)
    )
    return [dict(row) for row in rows.mappings()]
