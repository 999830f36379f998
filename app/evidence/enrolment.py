"""How a device gets its row, its key, and loses its right (EVIDENCE.md section 1).

A manager creates the device; a one-use token of 128 bits (15 minutes, only its hash stored) goes over as QR or text;
the device makes its key and proves it; both screens show the same six characters; the manager confirms. Until then its
statements are stored and quarantined: `tap_store.the_tap` leaves them out until then.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, Row, insert, select, update

from app.evidence.device_tables import device_events, enrolments
from app.evidence.rules.signatures import (
    Unreadable,
    b64url,
    jwk_of,
    jwk_text,
    jwk_thumbprint,
    key_of_jwk,
    public_key,
    read_object,
    short_thumbprint,
    take_apart,
)
from app.evidence.tables import heads
from app.refusals import Conflict, Invalid, NotFound, Refused
from app.registry.tables import devices, providers

TOKEN_LASTS = timedelta(minutes=15)


class TokenRefused(Refused):
    """The enrolment token is unknown, used or too old; ask for a new one."""

    code = "token_refused"


class ProofRefused(Refused):
    """The device's proof of its key does not fit."""

    code = "proof_refused"


@dataclass(frozen=True, slots=True)
class NewDevice:
    """What a manager wants: `replaces` names the device whose key this one succeeds."""

    provider_id: str
    kind: str = "reader"
    confirm_at_once: bool = False
    replaces: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class Invitation:
    """The token, shown once and never stored."""

    device_id: str
    token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A device that proved its key. `state`: `confirmed`, or `pending` until a manager confirms the thumbprint."""

    device_id: str
    thumbprint: str
    state: Literal["confirmed", "pending"]


def create_device(connection: Connection, wanted: NewDevice, now: datetime) -> Invitation:
    """A new device row without key, and its token. Invalid for an odd kind; NotFound for a `replaces` nobody knows."""
    if wanted.kind not in ("reader", "phone"):
        raise Invalid("a device is a reader or a phone")
    if connection.execute(select(providers).where(providers.c.provider_id == wanted.provider_id)).first() is None:
        raise NotFound(f"there is no provider {wanted.provider_id}")
    if wanted.replaces:
        old = _device(connection, wanted.replaces)
        if (old.provider_id or "") != wanted.provider_id:
            raise NotFound(f"there is no device {wanted.replaces} of that provider")
    device_id, token = f"d_{secrets.token_hex(6)}", secrets.token_urlsafe(16)
    row = {
        "device_id": device_id, "provider_id": wanted.provider_id, "kind": wanted.kind, "public_jwk": "",
        "replaces": wanted.replaces,
    }  # fmt: skip
    connection.execute(insert(devices), row)
    invitation = Invitation(device_id, token, now + TOKEN_LASTS)
    invited = {
        "device_id": device_id, "provider_id": wanted.provider_id, "token_hash": _token_hash(token), "created_at": now,
        "expires_at": invitation.expires_at, "confirm_at_once": wanted.confirm_at_once,
    }  # fmt: skip
    connection.execute(insert(enrolments), invited)
    _note(connection, (device_id, wanted.provider_id), "created", now, by=wanted.by)
    return invitation


def enrol(
    connection: Connection,
    token: str,
    public_jwk: dict[str, str],
    proof: str,
    now: datetime,
    *,
    agent_version: str = "",
) -> Enrolled:
    """Use the token up and store the key that the device proved. TokenRefused, ProofRefused: nothing stored then."""
    thumbprint = _proved_thumbprint(token, public_jwk, proof)
    used = update(enrolments).where(
        enrolments.c.token_hash == _token_hash(token), enrolments.c.used_at.is_(None), enrolments.c.expires_at > now
    )
    used = used.values(used_at=now, agent_version=agent_version)
    row = connection.execute(
        used.returning(enrolments.c.device_id, enrolments.c.provider_id, enrolments.c.confirm_at_once)
    ).one_or_none()
    if row is None:
        raise TokenRefused
    enrolled_at = now if row.confirm_at_once else None
    stored = connection.execute(
        update(devices)
        .where(devices.c.device_id == row.device_id, devices.c.public_jwk == "", devices.c.revoked_at.is_(None))
        .values(public_jwk=jwk_text(public_jwk), enrolled_at=enrolled_at)
    )
    if stored.rowcount != 1:
        raise TokenRefused
    _note(connection, (row.device_id, row.provider_id), "enrolled", now)
    if row.confirm_at_once:
        _note(connection, (row.device_id, row.provider_id), "confirmed", now, by="at once")
    return Enrolled(row.device_id, thumbprint, "confirmed" if row.confirm_at_once else "pending")


def confirm(connection: Connection, device_id: str, thumbprint: str, now: datetime, by: str = "") -> None:
    """The manager has compared the six characters. Conflict when they differ or the device has no key yet."""
    row = _device(connection, device_id)
    if not row.public_jwk:
        raise Conflict("the device has not shown its key yet")
    shown = _thumbprint_of(row.public_jwk)
    if not shown or shown != thumbprint.strip().upper():
        raise Conflict("the thumbprint is another device's: do not trust this one, revoke it")
    if row.enrolled_at is not None:
        return
    connection.execute(update(devices).where(devices.c.device_id == device_id).values(enrolled_at=now))
    _note(connection, (device_id, row.provider_id or ""), "confirmed", now, by=by)


def revoke(connection: Connection, device_id: str, reason: str, now: datetime, by: str = "") -> None:
    """What the device uploads from now on is quarantined; what it holds is not lost. Twice is once."""
    row = _device(connection, device_id)
    if row.revoked_at is not None:
        return
    connection.execute(update(devices).where(devices.c.device_id == device_id).values(revoked_at=now))
    _note(connection, (device_id, row.provider_id or ""), "revoked", now, by=by, reason=reason)


def list_devices(connection: Connection) -> Sequence[dict[str, Any]]:
    """Every device with its state and when it was last heard of."""
    last = (
        select(heads.c.received_at)
        .where(heads.c.device_id == devices.c.device_id)
        .order_by(heads.c.received_at.desc())
        .limit(1)
        .scalar_subquery()
    )
    rows = connection.execute(select(devices, last.label("last_seen_at")).order_by(devices.c.device_id))
    return [_listed(row) for row in rows]


def _listed(row: Row[Any]) -> dict[str, Any]:
    return {
        "device_id": row.device_id,
        "provider_id": row.provider_id or "",
        "kind": row.kind,
        "state": device_state(row),
        "thumbprint": _thumbprint_of(row.public_jwk),
        "enrolled_at": row.enrolled_at,
        "revoked_at": row.revoked_at,
        "replaces": row.replaces,
        "last_seen_at": row.last_seen_at,
    }


def _thumbprint_of(public_jwk: str) -> str:
    """What both screens show; empty where an imported registry holds something that is no key."""
    try:
        return short_thumbprint(jwk_of(public_key(public_jwk)))
    except Unreadable:
        return ""


def device_state(row: Any) -> str:
    """`imported` (without a key of its own here), `invited`, `pending`, `active` or `revoked`."""
    if row.revoked_at is not None:
        return "revoked"
    if not row.public_jwk:
        return "invited" if row.kind != "imported" and row.enrolled_at is None else "imported"
    return "pending" if row.enrolled_at is None else "active"


def _proved_thumbprint(token: str, public_jwk: dict[str, str], proof: str) -> str:
    """The proof is signed by the key it presents and names this token and this key."""
    try:
        key = key_of_jwk(public_jwk)
        signed = take_apart(proof)
        said = read_object(signed.payload)
    except Unreadable as error:
        raise ProofRefused from error
    expected = {"token_sha256": b64url(_token_hash(token)), "jwk_thumbprint": b64url(jwk_thumbprint(public_jwk))}
    if set(said) != {*expected, "t"} or any(said[name] != value for name, value in expected.items()):
        raise ProofRefused
    if not signed.signed_by(key, "enrol"):
        raise ProofRefused
    return short_thumbprint(public_jwk)


def _token_hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _device(connection: Connection, device_id: str) -> Row[Any]:
    row = connection.execute(select(devices).where(devices.c.device_id == device_id).with_for_update()).one_or_none()
    if row is None:
        raise NotFound(f"there is no device {device_id}")
    return row


def _note(
    connection: Connection, device: tuple[str, str], kind: str, now: datetime, *, by: str = "", reason: str = ""
) -> None:
    row = {"device_id": device[0], "provider_id": device[1], "at": now, "kind": kind, "by": by, "reason": reason}
    connection.execute(insert(device_events), row)
