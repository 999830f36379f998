"""Statements: what a device or a person said. Append-only; a trigger refuses UPDATE, DELETE and TRUNCATE.

Two shapes. What devices say (`taps`, `heads`, ...) is identified by its content: the same again is a duplicate. What
people say is **versioned**: a changed statement is a new row with the next `version`, the old one stays; the current
one is the highest (`evidence.store.current`). Keys of what providers name themselves include `provider_id`, so that
nobody learns from a conflict that an id exists at another provider (EVIDENCE.md section 4).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)  # fmt: skip
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from app.db.base import metadata


def _text(name: str) -> Column[Any]:
    return Column(name, Text, nullable=False, server_default="")


def _instant(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


taps = Table(
    "taps",
    metadata,
    Column("device_id", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    # SHA-256 of the signing input; of an unsigned (imported) tap: of its content.
    Column("hash", LargeBinary, nullable=False),
    # Whose tap it is to see: the device's provider at receipt, else the staff member's then; empty: only the city's.
    _text("provider_id"),
    Column("act", Text, nullable=False),
    _text("tag_uid"),
    _text("staff_id"),
    # How the person was named: empty (grant or import) or `badge`.
    _text("staff_by"),
    _text("grant_id"),
    # Visit class as stated; NULL: not stated.
    Column("service", Text),
    # The claim. Never overwritten.
    _instant("tapped_at"),
    # The stamp the rules use: the claim, or the estimate where the clock was more than 2 minutes wrong.
    _instant("at"),
    # First received, by the server's clock.
    _instant("received_at"),
    # False: an imported tap without a receive time, which then is the claim.
    Column("received_given", Boolean, nullable=False, server_default=text("true")),
    _instant("estimated_at", nullable=True),
    _instant("not_before", nullable=True),
    _instant("not_after", nullable=True),
    _text("boot"),
    Column("mono", BigInteger),
    Column("grade", Text, nullable=False, server_default="C"),
    Column("doubts", ARRAY(Text), nullable=False, server_default="{}"),
    Column("tag_level", Text, nullable=False, server_default="uid"),
    _text("sun"),
    # The signed document byte for byte; empty for an unsigned (imported) tap.
    _text("jws"),
    PrimaryKeyConstraint("device_id", "seq", "hash"),
    Index(None, "staff_id", "at", "device_id", "seq"),
    Index(None, "tag_uid", "at"),
    Index(None, "at", postgresql_using="brin"),  # taps arrive about in the order of time: a month is few pages
)

# Keys under which more than one content was received. Tiny; lets every reader leave out forks at no cost.
tap_forks = Table(
    "tap_forks",
    metadata,
    Column("device_id", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    _text("provider_id"),
)

heads = Table(
    "heads",
    metadata,
    Column("device_id", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    _text("provider_id"),
    Column("head_seq", BigInteger, nullable=False),
    _text("head_hash"),
    _instant("claimed_at"),
    _instant("received_at"),
    _text("boot"),
    Column("mono", BigInteger),
    _text("nonce"),
    _text("agent_version"),
    _text("jws"),
    PrimaryKeyConstraint("device_id", "hash"),
    Index(None, "device_id", "boot", "mono"),
    Index(None, "device_id", "received_at"),
)

voids = Table(
    "voids",
    metadata,
    Column("device_id", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    _text("provider_id"),
    Column("from_seq", BigInteger, nullable=False),
    Column("to_seq", BigInteger, nullable=False),
    _text("cause"),
    _instant("received_at"),
    _text("jws"),
    PrimaryKeyConstraint("device_id", "seq", "hash"),
)

# Signed statements of the other kinds (decline, done, clock) and of versions this server does not know (`unknown`).
device_statements = Table(
    "device_statements",
    metadata,
    Column("device_id", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    _text("provider_id"),
    Column("kind", Text, nullable=False),
    Column("body", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    _instant("received_at"),
    Column("quarantined", Boolean, nullable=False, server_default=text("false")),
    _text("jws"),
    PrimaryKeyConstraint("device_id", "seq", "hash"),
)

receipts = Table(
    "receipts",
    metadata,
    Column("receipt_id", Text, primary_key=True),
    Column("device_id", Text, nullable=False),
    _text("provider_id"),
    Column("upto", BigInteger, nullable=False),
    _text("upto_hash"),
    _instant("received_at"),
    _text("nonce"),
    # The signed answer as sent.
    _text("jws"),
    Index(None, "device_id", "received_at"),
)

rejected_input = Table(
    "rejected_input",
    metadata,
    Column("rejected_id", BigInteger, Identity(always=True), primary_key=True),
    Column("device_id", Text, nullable=False),
    _text("provider_id"),
    _instant("received_at"),
    _text("why"),
    # SHA-256 of the whole item; `item` itself is cut to what is worth keeping.
    Column("hash", LargeBinary, nullable=False),
    Column("item", LargeBinary, nullable=False),
    Index(None, "device_id", "hash", unique=True),
)


def _versioned(name: str, key: tuple[str, ...], *columns: Column[Any] | Index) -> Table:
    return Table(
        name,
        metadata,
        *columns,
        Column("version", Integer, nullable=False),
        # True: this version only says that the statement is now another provider's; none is current here.
        Column("moved", Boolean, nullable=False, server_default=text("false")),
        _instant("stored_at"),
        # Columns that were empty in the bundle and took their default: the export leaves them empty again.
        Column("defaulted", ARRAY(Text), nullable=False, server_default="{}"),
        PrimaryKeyConstraint(*key, "version"),
    )


def _id(name: str) -> Column[Any]:
    return Column(name, Text, nullable=False)


planned_visits = _versioned(
    "planned_visits",
    ("planned_id", "provider_id"),
    _id("planned_id"),
    _id("client_id"),
    _id("provider_id"),
    _text("staff_id"),
    _instant("start_at"),
    _instant("end_at"),
    Column("service", Text, nullable=False, server_default="care"),
    Column("staff_count", Integer, nullable=False, server_default=text("1")),
    _instant("withdrawn_at", nullable=True),
    Index(None, "client_id", "start_at"),
    Index(None, "provider_id", "start_at"),
    Index(None, "start_at"),
)

declines = _versioned(
    "declines",
    ("decline_id", "provider_id"),
    _id("decline_id"),
    _id("client_id"),
    _id("provider_id"),
    _instant("planned_start_at"),
    _instant("planned_end_at"),
    Column("staff_count", Integer, nullable=False, server_default=text("1")),
    _id("notice"),
    _instant("noticed_at"),
    Column("made_up_minutes", Integer, nullable=False, server_default=text("0")),
    Column("made_up_on", Date),
    Index(None, "client_id", "planned_start_at"),
)

manual_visits = _versioned(
    "manual_visits",
    ("manual_id", "provider_id"),
    _id("manual_id"),
    _id("client_id"),
    _id("provider_id"),
    _text("staff_id"),
    _instant("start_at", nullable=True),
    _instant("end_at", nullable=True),
    Column("service", Text),
    _text("care_service"),
    _text("reason"),
    _text("note"),
    _text("made_by"),
    _text("approved_by"),
    Index(None, "client_id", "start_at"),
    Index(None, "staff_id", "start_at"),
)

corrections = _versioned(
    "corrections",
    ("correction_id",),
    _id("correction_id"),
    # The maker's; of an imported one that of the visit or device it names. Empty: only the city's.
    _text("provider_id"),
    _instant("made_at"),
    _id("kind"),
    _text("kom_device_id"),
    Column("kom_seq", BigInteger),
    _text("manual_id"),
    _text("device_id"),
    _instant("from_at", nullable=True),
    _instant("to_at", nullable=True),
    _instant("new_start_at", nullable=True),
    _instant("new_end_at", nullable=True),
    _text("new_staff_id"),
    _text("new_client_id"),
    _text("reason"),
    _text("note"),
    _text("made_by"),
    _text("approved_by"),
    Index(None, "kom_device_id", "kom_seq"),
    Index(None, "manual_id"),
    Index(None, "device_id"),
)

disputes = _versioned(
    "disputes",
    ("dispute_id",),
    _id("dispute_id"),
    _id("client_id"),
    Column("on_date", Date, nullable=False),
    _instant("stated_at"),
    _text("stated_by"),
    _text("text"),
    Column("state", Text, nullable=False, server_default="open"),
    Index(None, "client_id", "on_date"),
)

excess_reasons = _versioned(
    "excess_reasons",
    ("reason_id", "provider_id"),
    _id("reason_id"),
    _id("client_id"),
    _id("provider_id"),
    Column("month", Text, nullable=False),
    Column("minutes", Integer, nullable=False),
    _id("reason"),
    _text("note"),
    Column("submitted_on", Date, nullable=False),
    Column("decision", Text, nullable=False, server_default="pending"),
    Column("approved_minutes", Integer),
    Column("decided_on", Date),
    _text("decided_by"),
    _text("decision_note"),
    Index(None, "client_id", "provider_id", "month"),
    Index(None, "month"),
)

resolutions = _versioned(
    "resolutions",
    ("finding_id",),
    _id("finding_id"),
    # Of the one who resolved it; empty: the city.
    _text("provider_id"),
    _instant("resolved_at"),
    _text("by"),
    _text("reason"),
)

attests = _versioned(
    "attests",
    ("provider_id", "month"),
    _id("provider_id"),
    _id("month"),
    _instant("at"),
    _text("by"),
)

closes = _versioned(
    "closes",
    ("month",),
    _id("month"),
    _instant("at"),
    _text("by"),
    _text("hash"),
)
