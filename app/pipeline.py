"""THE TABLE OF CONTENTS: one function per thing that can happen, one transaction each. Doors write only through here.

Every function commits before it returns: a door that answers afterwards never promises what is not stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from app.core.localtime import local_date
from app.db.callers import Caller
from app.db.engine import Database
from app.evidence import enrolment, flow
from app.evidence.enrolment import Enrolled, Invitation, NewDevice
from app.evidence.flow import Answer, Upload
from app.evidence.keys import open_keyring
from app.policies import Policy, PolicyBook
from app.registry.store import load_policies


def receive_taps(database: Database, uploads: Sequence[Upload], now: datetime) -> list[Answer]:
    """Devices uploaded statements: stored, timed, receipted. One transaction for all; answers in their order."""
    keyring = open_keyring(database.settings.data)
    with database.transaction(Caller.ingest()) as connection:
        return flow.receive_taps(connection, uploads, now, keyring, _policy(connection, now))


def create_device(database: Database, wanted: NewDevice, now: datetime) -> Invitation:
    """A manager makes a device; the token in the answer is shown once and stored nowhere."""
    with database.transaction(Caller.batch()) as connection:
        return enrolment.create_device(connection, wanted, now)


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What a device sends to enrol: the one-use token, its public key as JWK, and the signed proof."""

    token: str
    public_jwk: Mapping[str, str]
    proof: str
    agent_version: str = ""


def enrol_device(database: Database, wish: Enrolment, now: datetime) -> tuple[Enrolled, Mapping[str, str]]:
    """A device proves its key; with the answer goes the server's public key. TokenRefused, ProofRefused."""
    keyring = open_keyring(database.settings.data)
    with database.transaction(Caller.ingest()) as connection:
        enrolled = enrolment.enrol(
            connection, wish.token, dict(wish.public_jwk), wish.proof, now, agent_version=wish.agent_version
        )
    return enrolled, keyring.public_jwk


def confirm_device(database: Database, device_id: str, thumbprint: str, now: datetime, by: str = "") -> None:
    """A manager has compared the six characters: what the device said comes out of quarantine."""
    with database.transaction(Caller.batch()) as connection:
        enrolment.confirm(connection, device_id, thumbprint, now, by)


def revoke_device(database: Database, device_id: str, reason: str, now: datetime, by: str = "") -> None:
    """What the device uploads from now on is quarantined."""
    with database.transaction(Caller.batch()) as connection:
        enrolment.revoke(connection, device_id, reason, now, by)


def _policy(connection: Connection, now: datetime) -> Policy:
    """The municipality's policy of the day; the book is made anew only when its own values have changed."""
    own = load_policies(connection)
    version = repr(own)
    book = _BOOKS.get(version)
    if book is None:
        _BOOKS.clear()
        book = _BOOKS[version] = PolicyBook.built_in().with_overrides(own)
    return book.on(local_date(now))


_BOOKS: dict[str, PolicyBook] = {}
