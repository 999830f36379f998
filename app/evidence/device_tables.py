"""Tables of the tap door beside those of `tables.py`: enrolment, grants, readings of tags, oddities of the chain.

`sun_reads`, `tap_doubts`, `chain_notes` and `claimed_heads` follow from the statements and can be computed again. They
only ever grow: another statement can add a doubt, never take one away, so the order of arrival is irrelevant.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

from app.db.base import metadata


def _text(name: str) -> Column[Any]:
    return Column(name, Text, nullable=False, server_default="")


def _instant(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


# One row per device made by a manager: the one-use token (only its hash) and what became of it.
enrolments = Table(
    "enrolments",
    metadata,
    Column("device_id", Text, primary_key=True),
    _text("provider_id"),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    _instant("created_at"),
    _instant("expires_at"),
    Column("confirm_at_once", Boolean, nullable=False, server_default=text("false")),
    _instant("used_at", nullable=True),
    _text("agent_version"),
)

# What people did with a device: created, enrolled, confirmed, revoked; append-only.
device_events = Table(
    "device_events",
    metadata,
    Column("device_id", Text, nullable=False),
    _text("provider_id"),
    _instant("at"),
    # created, enrolled, confirmed, revoked
    Column("kind", Text, nullable=False),
    _text("by"),
    _text("reason"),
    PrimaryKeyConstraint("device_id", "at", "kind"),
)

# Numbers that came as rejected input: received, though there is nothing to show for them.
rejected_seqs = Table(
    "rejected_seqs",
    metadata,
    Column("device_id", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    _text("provider_id"),
    _instant("received_at"),
    PrimaryKeyConstraint("device_id", "seq"),
)

# Shift grants as issued; a tap names its grant by id.
shift_grants = Table(
    "shift_grants",
    metadata,
    Column("grant_id", Text, primary_key=True),
    Column("staff_id", Text, nullable=False),
    Column("device_id", Text, nullable=False),
    _text("provider_id"),
    _instant("issued_at"),
    _instant("expires_at"),
    # The grant as signed by the server: what the phone carries.
    _text("jws"),
    Index(None, "staff_id", "issued_at"),
)

# Verified readings of tags, the first content of each (device, seq) only.
sun_reads = Table(
    "sun_reads",
    metadata,
    Column("device_id", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    _text("provider_id"),
    Column("tag_uid", Text, nullable=False),
    Column("counter", BigInteger, nullable=False),
    _instant("at"),
    # False for grade D: a time nobody knows accuses no other reading.
    Column("timed", Boolean, nullable=False),
    PrimaryKeyConstraint("device_id", "seq"),
    Index(None, "tag_uid", "counter"),
    Index(None, "tag_uid", "at"),
)

# Doubts that depend on other devices' statements (tag counters): joined to `taps.doubts` at read; each makes grade D.
tap_doubts = Table(
    "tap_doubts",
    metadata,
    Column("device_id", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("code", Text, nullable=False),
    _text("provider_id"),
    PrimaryKeyConstraint("device_id", "seq", "code"),
)

# Where a `prev` (or a head's hash, as the number after it) did not fit what was stored then. Judged again at read.
chain_notes = Table(
    "chain_notes",
    metadata,
    Column("device_id", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    # What `seq` says the hash of the statement before it is.
    Column("prev", LargeBinary, nullable=False),
    _text("provider_id"),
    _instant("at"),
    PrimaryKeyConstraint("device_id", "seq", "prev"),
)

# Heads that claimed a number of which nothing was stored then: the end of a tail that may never come, or come
# otherwise. A head that claims what is there already is not here. Judged again at read.
claimed_heads = Table(
    "claimed_heads",
    metadata,
    Column("device_id", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    # What the head says the hash of the statement `seq` is.
    Column("hash", LargeBinary, nullable=False),
    _text("provider_id"),
    _instant("claimed_at"),
    _instant("received_at"),
    PrimaryKeyConstraint("device_id", "seq", "hash"),
)
