"""An invited person chooses her factors: a passkey, or for care staff password and TOTP, or badge and PIN."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from app.access import passkeys, passwords, people, sessions
from app.access.delays import CredentialsRefused
from app.access.logs import note_change
from app.access.passkeys import Site
from app.access.principals import Principal
from app.access.sessions import Method, Opened
from app.access.vault import open_vault
from app.db.callers import Caller
from app.db.engine import Database
from app.pipeline_access.signing_in import Browser
from app.refusals import NotAllowed


@dataclass(frozen=True, slots=True)
class Choice:
    """What an invited person is shown. `totp_secret`, `totp_uri`: only where care roles allow password and TOTP."""

    name: str
    roles: tuple[str, ...]
    passkey: dict[str, Any]
    totp_secret: str = ""
    totp_uri: str = ""


@dataclass(frozen=True, slots=True)
class Joined:
    """The first session and the recovery codes, both shown once; no session after choosing badge and PIN."""

    opened: Opened | None
    recovery_codes: tuple[str, ...]


def look_at_invitation(database: Database, site: Site, token: str, now: datetime) -> Choice:
    """What the token offers; it is not used up. InvitationRefused."""
    vault = open_vault(database.settings.data)
    with database.transaction(Caller.auth()) as connection:
        person_id = people.invited(connection, token, now)
        name = people.name_of(connection, person_id)
        roles = tuple(role["role"] for role in people.roles_in_force(connection, person_id, now))
        options = passkeys.registration_options(connection, site, person_id, name, now)
        if not people.only_roles(connection, person_id, {"carer"}, now):
            return Choice(name, roles, options)
        secret, uri = passwords.new_totp(connection, vault, person_id, name, now)
        return Choice(name, roles, options, secret, uri)


def join_with_passkey(
    database: Database, site: Site, token: str, credential: dict[str, Any], browser: Browser, *, now: datetime
) -> Joined:
    """Use the invitation up for a passkey, and sign in. InvitationRefused, CredentialsRefused: nothing is used then."""
    with database.transaction(Caller.auth()) as connection:
        person_id = people.invited(connection, token, now, use=True)
        passkeys.register(connection, site, person_id, credential, now)
        return _joined(connection, person_id, "passkey", browser, now)


def join_with_password(
    database: Database, token: str, name_and_password: tuple[str, str], code: str, browser: Browser, *, now: datetime
) -> Joined:
    """Use the invitation up for password and TOTP: care staff only.

    NotAllowed, Invalid, Conflict, CredentialsRefused: nothing is used then.
    """
    vault = open_vault(database.settings.data)
    with database.transaction(Caller.auth()) as connection:
        person_id = people.invited(connection, token, now, use=True)
        _require_care(connection, person_id, now)
        passwords.set_password(connection, person_id, *name_and_password, now)
        if not passwords.totp_fits(connection, vault, person_id, code, now, confirm=True):
            raise CredentialsRefused("the code does not fit")
        return _joined(connection, person_id, "password", browser, now)


def join_with_pin(database: Database, token: str, pin: str, now: datetime) -> Joined:
    """Use the invitation up for a PIN beside the badge: care staff only; signing in is by the badge. NotAllowed."""
    with database.transaction(Caller.auth()) as connection:
        person_id = people.invited(connection, token, now, use=True)
        _require_care(connection, person_id, now)
        passwords.set_pin(connection, person_id, pin, now)
        return _joined(connection, person_id, "badge", None, now)


def _joined(connection: Connection, person_id: str, method: Method, browser: Browser | None, now: datetime) -> Joined:
    codes = passwords.new_recovery_codes(connection, person_id, now)
    note_change(connection, Principal("person", person_id), "person.join", person_id, now, facts={"method": method})
    opened = None
    if browser is not None:
        opened = sessions.open_session(connection, person_id, method, now, agent=browser.agent)
    return Joined(opened, tuple(codes))


def _require_care(connection: Connection, person_id: str, now: datetime) -> None:
    if not people.only_roles(connection, person_id, {"carer"}, now):
        raise NotAllowed("passwords and PINs are for care staff; choose a passkey")
