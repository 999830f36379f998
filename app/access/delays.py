"""Login limits that delay and never lock (EVIDENCE.md section 3).

Counted twice: per subject and address, doubling up to five minutes, which stops the guesser; per subject alone, at most
ten seconds, which slows many addresses down without keeping the person out. A success forgives.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar, NamedTuple

from sqlalchemy import Connection, bindparam, delete, select, text
from sqlalchemy.dialects.postgresql import insert

from app.access.tables import login_delays
from app.access.tokens import hash_of
from app.refusals import Refused

FREE_TRIES = 3
LONGEST_FROM_ONE_ADDRESS_S = 300
LONGEST_FOR_EVERYBODY_S = 10
FORGOTTEN_AFTER = timedelta(hours=24)

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:subject, 4))").bindparams(bindparam("subject"))


class TooManyTries(Refused):
    """Too many failed tries; wait a little and try again."""

    code = "too_many_tries"


class CredentialsRefused(Refused):
    """The sign-in does not fit."""

    code: ClassVar[str] = "credentials_refused"


class Try(NamedTuple):
    """One attempt: who is claimed (a login name, a badge, a machine_id) and from which address."""

    subject: str
    address: str

    def counters(self) -> tuple[tuple[bytes, int], ...]:
        """The two counters of this try with their longest delays in seconds."""
        return (
            (hash_of(f"{self.subject}\x1f{self.address}"), LONGEST_FROM_ONE_ADDRESS_S),
            (hash_of(f"{self.subject}\x1f"), LONGEST_FOR_EVERYBODY_S),
        )


def begin(connection: Connection, attempt: Try, now: datetime) -> None:
    """Let one attempt at a time through for a subject. TooManyTries with the wait in `facts["wait_s"]`."""
    connection.execute(_LOCK, {"subject": attempt.subject})
    keys = [key for key, _ in attempt.counters()]
    until = connection.execute(
        select(login_delays.c.until_at)
        .where(login_delays.c.subject_hash.in_(keys), login_delays.c.until_at > now)
        .order_by(login_delays.c.until_at.desc())
        .limit(1)
    ).scalar_one_or_none()
    if until is not None:
        raise TooManyTries(wait_s=max(1, -(-(until - now) // timedelta(seconds=1))))


def failed(connection: Connection, attempt: Try, now: datetime) -> None:
    """Count a failure. The caller must commit: a refusal that rolled this back would make guessing free."""
    for key, longest_s in attempt.counters():
        known = connection.execute(select(login_delays).where(login_delays.c.subject_hash == key)).one_or_none()
        stale = known is None or now - known.last_at > FORGOTTEN_AFTER
        failures = 1 if known is None or stale else known.failures + 1
        wait_s = 0 if failures < FREE_TRIES else min(longest_s, 2 ** min(failures - FREE_TRIES, 20))
        row = {"failures": failures, "last_at": now, "until_at": now + timedelta(seconds=wait_s)}
        counted = insert(login_delays).values(subject_hash=key, **row)
        connection.execute(counted.on_conflict_do_update(index_elements=["subject_hash"], set_=row))


def succeeded(connection: Connection, attempt: Try) -> None:
    """Forget the failures of this subject from this address; what others try elsewhere stays counted."""
    key = attempt.counters()[0][0]
    connection.execute(delete(login_delays).where(login_delays.c.subject_hash == key))
