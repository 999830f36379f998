"""What care staff may use instead of a passkey: password and TOTP, badge and PIN; and everybody's recovery codes.

Argon2 through pwdlib; TOTP (RFC 6238, 30 s, 6 digits) through cryptography, each time step accepted once.
"""

from __future__ import annotations

import hmac
import secrets
from datetime import datetime

from cryptography.fernet import MultiFernet
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from pwdlib import PasswordHash
from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from app.access.tables import passwords, pins, recovery_codes, totps
from app.access.tokens import hash_of
from app.refusals import Conflict, Invalid

SHORTEST_PASSWORD, LONGEST_PASSWORD = 12, 256
SHORTEST_PIN, LONGEST_PIN = 6, 12
RECOVERY_CODES = 10
_STEP_S = 30
_HASHER = PasswordHash.recommended()
_NOBODY = _HASHER.hash(secrets.token_hex())
"""Checked where there is nobody, so that an unknown name takes as long as a wrong password."""


def set_password(connection: Connection, person_id: str, login_name: str, password: str, now: datetime) -> None:
    """Invalid when too short, too long or the name itself; Conflict when the name is another's."""
    login_name = login_name.strip().lower()
    if not login_name or len(login_name) > 128:
        raise Invalid("a login name is needed")
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD or login_name in password.lower():
        raise Invalid(f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters and not the name in it")
    taken = select(passwords.c.person_id).where(
        passwords.c.login_name == login_name, passwords.c.person_id != person_id
    )
    if connection.execute(taken).first() is not None:
        raise Conflict("choose another login name")
    row = {"login_name": login_name, "hash": _HASHER.hash(password), "changed_at": now}
    kept = upsert(passwords).values(person_id=person_id, **row)
    connection.execute(kept.on_conflict_do_update(index_elements=["person_id"], set_=row))


def person_with_password(connection: Connection, login_name: str, password: str) -> str | None:
    """Whose name and password these are; None, after the same work, when they do not fit."""
    known = select(passwords.c.person_id, passwords.c.hash).where(passwords.c.login_name == login_name.strip().lower())
    row = connection.execute(known).one_or_none()
    fits = _HASHER.verify(password[:LONGEST_PASSWORD], row.hash if row is not None else _NOBODY)
    return str(row.person_id) if row is not None and fits else None


def password_fits(connection: Connection, person_id: str, password: str) -> bool:
    """Whether this is the person's own password."""
    known = select(passwords.c.hash).where(passwords.c.person_id == person_id)
    stored = connection.execute(known).scalar_one_or_none()
    return _HASHER.verify(password[:LONGEST_PASSWORD], stored or _NOBODY) and stored is not None


def new_totp(connection: Connection, vault: MultiFernet, person_id: str, name: str, now: datetime) -> tuple[str, str]:
    """A fresh secret in base32 and as otpauth URI; it counts when `confirm_totp` has seen a code of it."""
    raw = secrets.token_bytes(20)
    row = {"secret": vault.encrypt(raw), "created_at": now, "confirmed_at": None, "last_step": 0}
    kept = upsert(totps).values(person_id=person_id, **row)
    connection.execute(kept.on_conflict_do_update(index_elements=["person_id"], set_=row))
    uri = _totp(raw).get_provisioning_uri(name, "KomGick")
    return uri.partition("secret=")[2].partition("&")[0], uri


def totp_fits(
    connection: Connection, vault: MultiFernet, person_id: str, code: str, now: datetime, *, confirm: bool = False
) -> bool:
    """Whether the code is the person's of now or the step before or after, never seen before. `confirm`: the first."""
    row = connection.execute(select(totps).where(totps.c.person_id == person_id).with_for_update()).one_or_none()
    if row is None or (row.confirmed_at is None) != confirm:
        return False
    totp, step = _totp(vault.decrypt(row.secret)), int(now.timestamp()) // _STEP_S
    fitting = [
        one
        for one in (step - 1, step, step + 1)
        if hmac.compare_digest(totp.generate(one * _STEP_S), code.strip().encode("utf-8", "surrogatepass"))
    ]
    if not fitting or fitting[0] <= row.last_step:
        return False
    seen = update(totps).where(totps.c.person_id == person_id)
    connection.execute(seen.values(last_step=fitting[0], confirmed_at=row.confirmed_at or now))
    return True


def set_pin(connection: Connection, person_id: str, pin: str, now: datetime) -> None:
    """Invalid unless 6 to 12 digits that are not all alike and not counted off."""
    counted = "01234567890123", "98765432109876"
    plain = pin.isascii() and pin.isdigit() and SHORTEST_PIN <= len(pin) <= LONGEST_PIN
    if not plain or len(set(pin)) == 1 or any(pin in row for row in counted):
        raise Invalid(f"a PIN has {SHORTEST_PIN} to {LONGEST_PIN} digits, not all alike and not in a row")
    row = {"hash": _HASHER.hash(pin), "changed_at": now}
    kept = upsert(pins).values(person_id=person_id, **row)
    connection.execute(kept.on_conflict_do_update(index_elements=["person_id"], set_=row))


def pin_fits(connection: Connection, person_id: str, pin: str) -> bool:
    """Whether this is the person's PIN; takes as long for a person without one, or for nobody (`""`)."""
    stored = connection.execute(select(pins.c.hash).where(pins.c.person_id == person_id)).scalar_one_or_none()
    return _HASHER.verify(pin[:LONGEST_PIN], stored or _NOBODY) and stored is not None


def new_recovery_codes(connection: Connection, person_id: str, now: datetime) -> list[str]:
    """Ten one-use codes, shown once, of 80 random bits each; earlier ones are void."""
    connection.execute(delete(recovery_codes).where(recovery_codes.c.person_id == person_id))
    codes = [secrets.token_hex(10) for _ in range(RECOVERY_CODES)]
    rows = [{"code_hash": hash_of(code), "person_id": person_id, "created_at": now} for code in codes]
    connection.execute(insert(recovery_codes), rows)
    return ["-".join(code[at : at + 5] for at in range(0, 20, 5)) for code in codes]


def use_recovery_code(connection: Connection, code: str, now: datetime) -> str | None:
    """Whose code it is, used up by this; None for an unknown or used one."""
    plain = code.replace("-", "").replace(" ", "").lower()
    used = update(recovery_codes).where(
        recovery_codes.c.code_hash == hash_of(plain), recovery_codes.c.used_at.is_(None)
    )
    found = connection.execute(used.values(used_at=now).returning(recovery_codes.c.person_id)).scalar_one_or_none()
    return None if found is None else str(found)


def _totp(raw: bytes) -> TOTP:
    return TOTP(raw, 6, SHA1(), _STEP_S)  # noqa: S303 -- RFC 6238's own: what authenticator apps know
