"""What must be derived again: said by whoever changes a statement or the registry, in the same transaction.

A kind names what changed; the drain expands it to staff (pairing), clients (plans, declines, orders), manual visits,
single visits and accounts.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, delete, insert, select

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
]
"""staff: taps of a staff_id. tag, device: all staff who used it. client: plan, declines, disputes. household: what is
known of a client and of those who share a tag (orders, absences, refusals). manual: a manual_id. visit: a visit_id's
holds. person: employment and overlaps of a staff_id. correction: whatever a correction_id names. provider: all staff of
a provider, of everybody when empty. account: client and provider. accounts: all of a
provider (attested, prices, its operation). chain: what a device_id's chain says about itself."""


class Change(NamedTuple):
    """One thing that changed, and the stretch of time concerned (None: since ever, for ever)."""

    kind: Kind
    key: str = ""
    from_at: datetime | None = None
    to_at: datetime | None = None
    provider_id: str = ""


def enqueue(connection: Connection, changes: Iterable[Change]) -> None:
    """Note changes; they are derived by the next `pipeline.catch_up`."""
    rows = [
        {
            "kind": change.kind,
            "key": change.key,
            "provider_id": change.provider_id,
            "from_at": change.from_at,
            "to_at": change.to_at,
        }
        for change in dict.fromkeys(changes)
    ]
    if rows:
        connection.execute(insert(derive_queue).inline(), rows)


def take(connection: Connection, limit: int) -> list[Change]:
    """Take the oldest waiting changes away, in this transaction: if it fails they wait on."""
    oldest = select(derive_queue.c.queue_id).order_by(derive_queue.c.queue_id).limit(limit)
    rows = connection.execute(
        delete(derive_queue)
        .where(derive_queue.c.queue_id.in_(oldest))
        .returning(
            derive_queue.c.queue_id,
            derive_queue.c.kind,
            derive_queue.c.key,
            derive_queue.c.from_at,
            derive_queue.c.to_at,
            derive_queue.c.provider_id,
        )
    ).all()
    return [_change(row) for row in sorted(rows, key=lambda row: int(row.queue_id))]


def waiting(connection: Connection) -> bool:
    """Whether anything waits."""
    return connection.execute(select(derive_queue.c.queue_id).limit(1)).first() is not None


def _change(row: Any) -> Change:
    return Change(row.kind, row.key, row.from_at, row.to_at, row.provider_id)
