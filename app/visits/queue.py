"""What must be derived again: said by whoever changes a statement or the registry, in the same transaction.

A kind names what changed; the drain expands it to staff (pairing), clients (plans, declines, orders), manual visits,
single visits and accounts.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, NamedTuple

from sqlalchemy import Connection, func, select, text, update

from app.visits.tables import derive_queue

Kind = Literal[
    "staff",
    "tag",
    "device",
    "client",
    "household",
    "manual",
    "visit",
    "person",
    "correction",
    "provider",
    "account",
    "accounts",
    "chain",
    "all",
]
"""staff: taps of a staff_id. tag, device: all staff who used it. client: plan, declines, disputes. household: what is
known of a client and of those who share a tag (orders, absences, refusals). manual: a manual_id. visit: a visit_id's
holds. person: employment and overlaps of a staff_id. correction: whatever a correction_id names. provider: all staff of
a provider, of everybody when empty. account: client and provider. accounts: all of a
provider (attested, prices, its operation). chain: what a device_id's chain says about itself. all: everything, by a
rebuild."""


class Change(NamedTuple):
    """One thing that changed, and the stretch of time concerned (None: since ever, for ever)."""

    kind: Kind
    key: str = ""
    from_at: datetime | None = None
    to_at: datetime | None = None
    provider_id: str = ""


def enqueue(connection: Connection, changes: Iterable[Change]) -> None:
    """Note changes; they are derived by the next `pipeline.catch_up`."""
    rows = list(dict.fromkeys(changes))
    if rows:
        connection.execute(_ENQUEUE, dict(zip(Change._fields, map(list, zip(*rows, strict=True)), strict=True)))


_ENQUEUE = text(
    "INSERT INTO derive_queue (kind, key, from_at, to_at, provider_id) SELECT * FROM unnest(CAST(:kind AS text[]),"
    " CAST(:key AS text[]), CAST(:from_at AS timestamptz[]), CAST(:to_at AS timestamptz[]),"
    " CAST(:provider_id AS text[]))"
)


class Waiting(NamedTuple):
    """A change and its place in the queue."""

    queue_id: int
    change: Change


def look(connection: Connection, limit: int) -> list[Waiting]:
    """The oldest waiting changes, without those that failed alone."""
    c = derive_queue.c
    rows = connection.execute(select(derive_queue).where(c.failed == "").order_by(c.queue_id).limit(limit))
    return [Waiting(row.queue_id, Change(row.kind, row.key, row.from_at, row.to_at, row.provider_id)) for row in rows]


def remove(connection: Connection, taken: Iterable[Waiting]) -> None:
    """Take changes away, in the transaction that derives them: if it fails they wait on."""
    connection.execute(
        text("DELETE FROM derive_queue WHERE queue_id = ANY(CAST(:ids AS bigint[]))"),
        {"ids": [one.queue_id for one in taken]},
    )


def set_aside(connection: Connection, one: Waiting, error: str) -> None:
    """Let a change that cannot be derived wait for a rebuild, so that the others go on."""
    connection.execute(
        update(derive_queue).where(derive_queue.c.queue_id == one.queue_id).values(failed=error or "error")
    )


def is_waiting(connection: Connection) -> bool:
    """Whether anything waits."""
    return connection.execute(_ANY_WAITING).first() is not None


_ANY_WAITING = select(derive_queue.c.queue_id).where(derive_queue.c.failed == "").limit(1)


def count(connection: Connection) -> int:
    """How many changes wait."""
    query = select(func.count()).select_from(derive_queue).where(derive_queue.c.failed == "")
    return int(connection.execute(query).scalar_one())


def failed(connection: Connection) -> int:
    """How many changes were set aside: data that is stored and not derived."""
    query = select(func.count()).select_from(derive_queue).where(derive_queue.c.failed != "")
    return int(connection.execute(query).scalar_one())
