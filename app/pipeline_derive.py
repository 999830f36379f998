"""What follows from what was said: derived after every change, and everything again on demand.

One derivation at a time in an installation (an advisory lock). A statement queues what it touches in its own
transaction; deriving is a transaction of its own, so that a fault in a rule never refuses a tap.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, text

from app.db.callers import Caller
from app.db.engine import Database
from app.evidence.flow import Answer
from app.evidence.imports import Touched
from app.visits import queue
from app.visits.flow import Derived, derive
from app.visits.imported import changes_of
from app.visits.queue import Change

DERIVATION_LOCK = 0x4B4F4D4B4F4D
_AT_ONCE = 500


def catch_up(database: Database, now: datetime) -> int:
    """Derive whatever waits in the queue; how many changes were taken. Returns at once when nothing waits.

    Safe to call from any number of processes: they take turns.
    """
    taken = 0
    while True:
        with database.transaction(Caller.ingest()) as connection:
            if not queue.waiting(connection):
                return taken
            lock(connection)
            changes = queue.take(connection, _AT_ONCE)
            derived = derive(connection, changes, now)
            follow(connection, derived, now)
        taken += len(changes)


def lock(connection: Connection) -> None:
    """Be the only one that derives until the transaction ends; waits its turn."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": DERIVATION_LOCK})


def follow(connection: Connection, derived: Derived, now: datetime) -> None:
    """What stands above the visits: the month accounts that may differ now."""


def queue_answers(connection: Connection, answers: Iterable[Answer]) -> None:
    """Queue what received uploads touch: pairing of whoever tapped, and what devices said besides."""
    changes: list[Change] = []
    for answer in answers:
        changes += [Change("staff", tap.staff_id, tap.at, tap.at) for tap in answer.stamped if not tap.quarantined]
        if answer.chain_changed:
            changes.append(Change("chain", answer.device_id))
    queue.enqueue(connection, changes)


def queue_import(connection: Connection, touched: Touched) -> bool:
    """Queue what an import touches; False when so much changed that a rebuild must follow."""
    changes = changes_of(connection, touched)
    if changes is None:
        return False
    queue.enqueue(connection, changes)
    return True
