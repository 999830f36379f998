"""Shift grants: who taps on a phone, offline, for one shift (EVIDENCE.md section 3).

A grant is signed by the server at login and names a person and a device for at most 14 hours. KOM and GICK depend on
the grant alone, never on a session. A tap names its grant by id; one that does not fit makes a doubt, never a refusal.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, insert, select

from app.core.localtime import format_instant
from app.evidence.device_tables import shift_grants
from app.evidence.keys import Keyring
from app.evidence.rules.signatures import Unreadable, read_object, take_apart
from app.refusals import Invalid

LONGEST = timedelta(hours=14)
GRANT_EXPIRED = "grant_expired"
GRANT_INVALID = "grant_invalid"


@dataclass(frozen=True, slots=True)
class Grant:
    """Who may tap on which device, from and until when. `genuine`: the stored document is the server's own."""

    grant_id: str
    staff_id: str
    device_id: str
    issued_at: datetime
    expires_at: datetime
    genuine: bool = True
    jws: str = ""


def issue_grant(
    connection: Connection, keyring: Keyring, who: tuple[str, str, str], now: datetime, lasts: timedelta = LONGEST
) -> Grant:
    """Issue and store a grant for `who` = (staff_id, device_id, provider_id). Invalid when longer than 14 hours."""
    if not timedelta(0) < lasts <= LONGEST:
        raise Invalid("a grant lasts at most 14 hours")
    staff_id, device_id, provider_id = who
    grant_id, expires = f"g_{secrets.token_hex(10)}", now + lasts
    payload = {
        "grant": grant_id, "staff": staff_id, "dev": device_id,
        "iat": format_instant(now), "exp": format_instant(expires),
    }  # fmt: skip
    jws = keyring.sign("grant", payload)
    row = {
        "grant_id": grant_id, "staff_id": staff_id, "device_id": device_id, "provider_id": provider_id,
        "issued_at": now, "expires_at": expires, "jws": jws,
    }  # fmt: skip
    connection.execute(insert(shift_grants), row)
    return Grant(grant_id, staff_id, device_id, now, expires, jws=jws)


def load_grants(connection: Connection, grant_ids: Iterable[str], keyring: Keyring) -> Mapping[str, Grant]:
    """The grants of these ids that exist, each with its signature checked."""
    wanted = sorted(set(grant_ids))
    if not wanted:
        return {}
    rows = connection.execute(select(shift_grants).where(shift_grants.c.grant_id.in_(wanted)))
    grants = {}
    for row in rows:
        grant = Grant(row.grant_id, row.staff_id, row.device_id, row.issued_at, row.expires_at, jws=row.jws)
        genuine = is_genuine(grant, keyring)
        grants[row.grant_id] = grant if genuine else _forged(grant)
    return grants


def is_genuine(grant: Grant, keyring: Keyring) -> bool:
    """Whether the stored document is signed by the server and says what the row says."""
    try:
        signed = take_apart(grant.jws)
        said = read_object(signed.payload)
    except Unreadable:
        return False
    expected = {
        "grant": grant.grant_id, "staff": grant.staff_id, "dev": grant.device_id,
        "iat": format_instant(grant.issued_at), "exp": format_instant(grant.expires_at),
    }  # fmt: skip
    return said == expected and any(signed.signed_by(key, "grant") for key in keyring.public_keys())


def _forged(grant: Grant) -> Grant:
    return Grant(
        grant.grant_id, grant.staff_id, grant.device_id, grant.issued_at, grant.expires_at, genuine=False, jws=grant.jws
    )


def grant_doubts(grant: Grant | None, device_id: str, staff_id: str, at: datetime) -> tuple[str, ...]:
    """`grant_invalid`: unknown, forged, for another device or person; `grant_expired`: the tap lies after its end."""
    if grant is None or not grant.genuine or grant.device_id != device_id or staff_id not in ("", grant.staff_id):
        return (GRANT_INVALID,)
    return (GRANT_EXPIRED,) if at >= grant.expires_at else ()
