"""Signing in: passkey, password and TOTP, badge and PIN, recovery code. Failures are counted and committed.

Whatever does not fit is CredentialsRefused, the same for an unknown name and a wrong secret.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, or_, select
from sqlalchemy.dialects.postgresql import insert

from app.access import delays, passkeys, passwords, sessions
from app.access.delays import CredentialsRefused, Try
from app.access.logs import note_change
from app.access.passkeys import Site
from app.access.principals import Principal
from app.access.sessions import Method, Opened
from app.access.tables import badge_counters, people
from app.access.vault import open_vault
from app.core.localtime import local_date
from app.db.callers import Caller
from app.db.engine import Database
from app.evidence import sun
from app.evidence.keys import open_keyring
from app.registry.tables import employments


@dataclass(frozen=True, slots=True)
class Browser:
    """Where a sign-in comes from: its address counts failures, its agent is shown among the person's sessions."""

    address: str = ""
    agent: str = ""


@dataclass(frozen=True, slots=True)
class Badge:
    """What the reader saw: the badge's UID, and for a SUN badge its `<picc>.<mac>`."""

    uid: str
    sun: str = ""


def passkey_options(database: Database, site: Site, now: datetime) -> dict[str, Any]:
    """The challenge for signing in with any passkey of this site."""
    with database.transaction(Caller.auth()) as connection:
        return passkeys.sign_in_options(connection, site, now)


def with_passkey(database: Database, site: Site, credential: dict[str, Any], browser: Browser, now: datetime) -> Opened:
    """A passkey answered the challenge: a session in any role."""

    def prove(connection: Connection) -> str:
        return passkeys.check(connection, site, credential, now)

    return _sign_in(database, Try("passkey", browser.address), "passkey", prove, browser=browser, now=now)


def with_password(
    database: Database, name_and_password: tuple[str, str], code: str, browser: Browser, now: datetime
) -> Opened:
    """Name, password and the code of the authenticator app: a session in care roles."""
    vault = open_vault(database.settings.data)
    name, password = name_and_password

    def prove(connection: Connection) -> str:
        person_id = passwords.person_with_password(connection, name, password)
        if person_id is None or not passwords.totp_fits(connection, vault, person_id, code, now):
            raise CredentialsRefused("name, password or code")
        return person_id

    return _sign_in(
        database, Try(f"name:{name.strip().lower()}", browser.address), "password", prove, browser=browser, now=now
    )


def with_badge(database: Database, badge: Badge, pin: str, browser: Browser, now: datetime) -> Opened:
    """A staff badge and its owner's PIN, on a shared phone: a session in care roles, in that employment.

    Where the installation has SUN keys the badge must prove itself, with a counter never seen before.
    """
    keys = open_keyring(database.settings.data).sun
    staff: list[str] = []

    def prove(connection: Connection) -> str:
        if keys:
            _prove_badge(connection, badge, keys)
        person_id, staff_id = _owner(connection, badge.uid, now)
        if not passwords.pin_fits(connection, person_id, pin) or not person_id:
            raise CredentialsRefused("badge or PIN")
        staff.append(staff_id)
        return person_id

    opened = _sign_in(
        database, Try(f"badge:{badge.uid.upper()}", browser.address), "badge", prove, browser=browser, now=now
    )
    with database.transaction(Caller.auth()) as connection:
        sessions.choose_employment(connection, opened.session_id, staff[0])
    return opened


def step_up_with_badge(
    database: Database, person: Principal, badge: Badge, pin: str, attempt: Try, *, now: datetime
) -> None:
    """She showed badge and PIN again: ten minutes for what needs it. CredentialsRefused, TooManyTries."""
    keys = open_keyring(database.settings.data).sun
    with database.transaction(Caller.auth()) as connection:
        delays.begin(connection, attempt, now)
        try:
            if keys:
                _prove_badge(connection, badge, keys)
            person_id, _ = _owner(connection, badge.uid, now)
            if not passwords.pin_fits(connection, person_id, pin) or person_id != person.id:
                raise CredentialsRefused("badge or PIN")
        except CredentialsRefused as error:
            delays.failed(connection, attempt, now)
            refusal = error
        else:
            delays.succeeded(connection, attempt)
            sessions.stepped_up(connection, person.session_id, now)
            note_change(connection, person, "step_up", person.session_id, now)
            return
    raise refusal


def with_recovery_code(database: Database, code: str, browser: Browser, now: datetime) -> Opened:
    """All factors were lost: a session of 15 minutes in which a new passkey can be added, and nothing else.

    Every other session of the person ends.
    """

    def prove(connection: Connection) -> str:
        person_id = passwords.use_recovery_code(connection, code, now)
        if person_id is None:
            raise CredentialsRefused("recovery code")
        sessions.end_sessions(connection, person_id, now)
        return person_id

    return _sign_in(database, Try("recovery", browser.address), "recovery", prove, browser=browser, now=now)


def _sign_in(
    database: Database,
    attempt: Try,
    method: Method,
    prove: Callable[[Connection], str],
    *,
    browser: Browser,
    now: datetime,
) -> Opened:
    """Let `prove` find the person; count what fails, and commit the count before refusing."""
    with database.transaction(Caller.auth()) as connection:
        delays.begin(connection, attempt, now)
        try:
            person_id = prove(connection)
            _require_living(connection, person_id)
        except CredentialsRefused as error:
            delays.failed(connection, attempt, now)
            nobody = Principal("person", "unknown")
            note_change(connection, nobody, "sign_in.refused", "", now, facts={"method": method})
            refusal = error
        else:
            delays.succeeded(connection, attempt)
            opened = sessions.open_session(connection, person_id, method, now, agent=browser.agent)
            who = Principal("person", person_id, role=opened.role, session_id=opened.session_id)
            note_change(connection, who, "sign_in", opened.session_id, now, facts={"method": method})
            return opened
    raise refusal


def _require_living(connection: Connection, person_id: str) -> None:
    living = select(people.c.person_id).where(people.c.person_id == person_id, people.c.ended_at.is_(None))
    if connection.execute(living).first() is None:
        raise CredentialsRefused("the person has ended")


def _prove_badge(connection: Connection, badge: Badge, keys: tuple[sun.SunKeys, ...]) -> None:
    try:
        mirror = sun.check(badge.sun, keys)
    except sun.SunInvalid as error:
        raise CredentialsRefused("the badge does not prove itself") from error
    uid = mirror.uid.hex().upper()
    if uid != badge.uid.upper():
        raise CredentialsRefused("the badge is another")
    seen = insert(badge_counters).values(badge_uid=uid, counter=mirror.counter)
    risen = seen.on_conflict_do_update(
        index_elements=["badge_uid"],
        set_={"counter": mirror.counter},
        where=badge_counters.c.counter < mirror.counter,
    )
    if connection.execute(risen).rowcount != 1:
        raise CredentialsRefused("the badge was read before")


def _owner(connection: Connection, uid: str, now: datetime) -> tuple[str, str]:
    """person_id and staff_id of the badge's owner today; empty when there is none."""
    today = local_date(now)
    row = connection.execute(
        select(people.c.person_id, employments.c.staff_id)
        .join(people, people.c.person_key == employments.c.person_key)
        .where(
            func.upper(employments.c.badge_uid) == uid.upper(),
            employments.c.badge_uid != "",
            employments.c.person_key != "",
            employments.c.valid_from <= today,
            or_(employments.c.valid_to.is_(None), employments.c.valid_to >= today),
            people.c.ended_at.is_(None),
        )
        .order_by(employments.c.staff_id)
        .limit(1)
    ).one_or_none()
    return ("", "") if row is None else (row.person_id, row.staff_id)
