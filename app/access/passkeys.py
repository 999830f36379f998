"""Passkeys (WebAuthn) with user verification: two factors in one (EVIDENCE.md section 3).

Our own passkey is two-factor but not formally LoA3: that needs an identity provider with the required `acr`.
Challenges lie on the server, are used once and live five minutes.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, delete, func, insert, select, update
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from app.access.delays import CredentialsRefused
from app.access.tables import challenges, passkeys
from app.access.tokens import hash_of
from app.refusals import Conflict, NotFound

CHALLENGE_LASTS = timedelta(minutes=5)
MOST_PASSKEYS = 20
Purpose = Literal["register", "sign_in", "step_up"]


@dataclass(frozen=True, slots=True)
class Site:
    """Where the browser is: `host` the relying party's id (no port), `origin` as the browser writes it."""

    host: str
    origin: str


def registration_options(
    connection: Connection, site: Site, person_id: str, name: str, now: datetime
) -> dict[str, Any]:
    """What the browser's `navigator.credentials.create` gets (JSON form); asks for user verification."""
    known = (
        connection.execute(select(passkeys.c.credential_id).where(passkeys.c.person_id == person_id)).scalars().all()
    )
    options = generate_registration_options(
        rp_id=site.host,
        rp_name="KomGick",
        user_name=name,
        user_id=person_id.encode(),
        challenge=_new_challenge(connection, "register", person_id, now),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=one) for one in known],
    )
    found: dict[str, Any] = json.loads(options_to_json(options))
    return found


def sign_in_options(connection: Connection, site: Site, now: datetime, *, person_id: str = "") -> dict[str, Any]:
    """What `navigator.credentials.get` gets. Without `person_id` any passkey of this site: nobody names herself."""
    purpose: Purpose = "step_up" if person_id else "sign_in"
    known = (
        connection.execute(select(passkeys.c.credential_id).where(passkeys.c.person_id == person_id)).scalars().all()
    )
    options = generate_authentication_options(
        rp_id=site.host,
        challenge=_new_challenge(connection, purpose, person_id, now),
        allow_credentials=[PublicKeyCredentialDescriptor(id=one) for one in known] or None,
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    found: dict[str, Any] = json.loads(options_to_json(options))
    return found


def register(
    connection: Connection, site: Site, person_id: str, credential: dict[str, Any], now: datetime, *, label: str = ""
) -> str:
    """Keep the key that the browser made for this person; its id in base64url. CredentialsRefused, Conflict."""
    challenge = _take_challenge(connection, credential, "register", person_id, now)
    try:
        verified = verify_registration_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=site.host,
            expected_origin=site.origin,
            require_user_verification=True,
        )
    except WebAuthnException as error:
        raise CredentialsRefused(f"passkey: {type(error).__name__}") from error
    if _count(connection, person_id) >= MOST_PASSKEYS:
        raise Conflict("too many passkeys")
    taken = select(passkeys.c.person_id).where(passkeys.c.credential_id == verified.credential_id)
    if connection.execute(taken).first() is not None:
        raise CredentialsRefused("the passkey is registered already")
    row = {
        "credential_id": verified.credential_id, "person_id": person_id, "public_key": verified.credential_public_key,
        "sign_count": verified.sign_count, "label": label, "created_at": now,
    }  # fmt: skip
    connection.execute(insert(passkeys), row)
    return str(credential.get("id", ""))


def check(connection: Connection, site: Site, credential: dict[str, Any], now: datetime, *, person_id: str = "") -> str:
    """Whose passkey answered the challenge; of `person_id`, when given. CredentialsRefused for whatever is wrong."""
    challenge = _take_challenge(connection, credential, "step_up" if person_id else "sign_in", person_id, now)
    known = select(passkeys).where(passkeys.c.credential_id == _bytes_of(credential.get("rawId")))
    row = connection.execute(known.with_for_update()).one_or_none()
    if row is None or (person_id and row.person_id != person_id):
        raise CredentialsRefused("unknown passkey")
    try:
        verified = verify_authentication_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=site.host,
            expected_origin=site.origin,
            credential_public_key=row.public_key,
            credential_current_sign_count=row.sign_count,
            require_user_verification=True,
        )
    except WebAuthnException as error:
        raise CredentialsRefused(f"passkey: {type(error).__name__}") from error
    used = update(passkeys).where(passkeys.c.credential_id == row.credential_id)
    connection.execute(used.values(sign_count=verified.new_sign_count, used_at=now))
    return str(row.person_id)


def list_passkeys(connection: Connection, person_id: str) -> list[dict[str, Any]]:
    """A person's passkeys, oldest first: id, label, when made and last used."""
    c = passkeys.c
    rows = connection.execute(
        select(c.credential_id, c.label, c.created_at, c.used_at).where(c.person_id == person_id).order_by(c.created_at)
    )
    return [{**row, "credential_id": bytes_to_base64url(row["credential_id"])} for row in rows.mappings()]


def remove(connection: Connection, person_id: str, credential_id: str) -> None:
    """One passkey fewer. NotFound; Conflict for the last one: add the new one first."""
    if _count(connection, person_id) <= 1:
        raise Conflict("the last passkey stays: add another first")
    gone = delete(passkeys).where(
        passkeys.c.person_id == person_id, passkeys.c.credential_id == _bytes_of(credential_id)
    )
    if connection.execute(gone).rowcount != 1:
        raise NotFound("there is no such passkey")


def has_passkey(connection: Connection, person_id: str) -> bool:
    """Whether the person has any passkey."""
    return _count(connection, person_id) > 0


def _count(connection: Connection, person_id: str) -> int:
    count = select(func.count()).select_from(passkeys).where(passkeys.c.person_id == person_id)
    return int(connection.execute(count).scalar_one())


def _new_challenge(connection: Connection, purpose: Purpose, person_id: str, now: datetime) -> bytes:
    connection.execute(delete(challenges).where(challenges.c.expires_at <= now))
    challenge = secrets.token_bytes(32)
    row = {
        "challenge_hash": hash_of(challenge.hex()), "purpose": purpose, "person_id": person_id,
        "expires_at": now + CHALLENGE_LASTS,
    }  # fmt: skip
    connection.execute(insert(challenges), row)
    return challenge


def _take_challenge(
    connection: Connection, credential: dict[str, Any], purpose: Purpose, person_id: str, now: datetime
) -> bytes:
    """The challenge the browser says it answered, if we gave it for this purpose and person; used up by this."""
    try:
        said = json.loads(_bytes_of(credential["response"]["clientDataJSON"]))
        challenge = _bytes_of(said["challenge"])
    except (KeyError, TypeError, ValueError) as error:
        raise CredentialsRefused("unreadable client data") from error
    taken = delete(challenges).where(
        challenges.c.challenge_hash == hash_of(challenge.hex()),
        challenges.c.purpose == purpose,
        challenges.c.person_id == person_id,
        challenges.c.expires_at > now,
    )
    if connection.execute(taken).rowcount != 1:
        raise CredentialsRefused("the challenge is not ours, used, or too old")
    return challenge


def _bytes_of(text: Any) -> bytes:
    """Bytes of base64url. CredentialsRefused for anything else."""
    if not isinstance(text, str) or len(text) > 8192:
        raise CredentialsRefused("not base64url")
    try:
        return base64url_to_bytes(text)
    except ValueError as error:
        raise CredentialsRefused("not base64url") from error
