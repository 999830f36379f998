"""The tables of people, machines and logs. Secrets are kept as hashes; TOTP secrets encrypted under a key in a file.

`auth` is the only login that reads them, but for the two logs (audit_event, reading), which every login appends to.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from app.db.base import metadata


def _text(name: str) -> Column[Any]:
    return Column(name, Text, nullable=False, server_default="")


def _texts(name: str) -> Column[Any]:
    return Column(name, ARRAY(Text), nullable=False, server_default="{}")


def _instant(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def _person(*, primary_key: bool = False) -> Column[Any]:
    return Column("person_id", Text, ForeignKey("people.person_id"), nullable=False, primary_key=primary_key)


people = Table(
    "people",
    metadata,
    Column("person_id", Text, primary_key=True),
    _text("name"),
    # The key under which the employers' staff registers know the same person; empty: no employment.
    _text("person_key"),
    _instant("created_at"),
    _instant("ended_at", nullable=True),
    Index(None, "person_key"),
)

person_roles = Table(
    "person_roles",
    metadata,
    Column("role_id", Text, primary_key=True),
    _person(),
    Column("role", Text, nullable=False),
    _text("provider_id"),
    _texts("unit_ids"),
    _text("district"),
    Column("valid_from", Date, nullable=False),
    Column("valid_to", Date),
    _text("granted_by"),
    _instant("granted_at"),
    _instant("ended_at", nullable=True),
    CheckConstraint("valid_to >= valid_from", name="period"),
    CheckConstraint(
        "(role IN ('carer', 'scheduler', 'manager', 'provider_finance')) = (provider_id <> '')", name="provider"
    ),
    CheckConstraint("(role = 'commissioner') = (district <> '')", name="district"),
    CheckConstraint("role <> 'auditor' OR valid_to IS NOT NULL", name="auditor_ends"),
    Index(None, "person_id"),
    Index(None, "provider_id"),
)

invitations = Table(
    "invitations",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    _person(),
    _text("made_by"),
    _instant("created_at"),
    _instant("expires_at"),
    _instant("used_at", nullable=True),
)

passkeys = Table(
    "passkeys",
    metadata,
    Column("credential_id", LargeBinary, primary_key=True),
    _person(),
    Column("public_key", LargeBinary, nullable=False),
    Column("sign_count", BigInteger, nullable=False),
    _text("label"),
    _instant("created_at"),
    _instant("used_at", nullable=True),
    Index(None, "person_id"),
)

passwords = Table(
    "passwords",
    metadata,
    _person(primary_key=True),
    Column("login_name", Text, nullable=False, unique=True),
    Column("hash", Text, nullable=False),
    _instant("changed_at"),
)

totps = Table(
    "totps",
    metadata,
    _person(primary_key=True),
    Column("secret", LargeBinary, nullable=False),
    Column("last_step", BigInteger, nullable=False, server_default=text("0")),
    _instant("created_at"),
    _instant("confirmed_at", nullable=True),
)

pins = Table(
    "pins",
    metadata,
    _person(primary_key=True),
    Column("hash", Text, nullable=False),
    _instant("changed_at"),
)

badge_counters = Table(
    "badge_counters",
    metadata,
    Column("badge_uid", Text, primary_key=True),
    Column("counter", BigInteger, nullable=False),
)

recovery_codes = Table(
    "recovery_codes",
    metadata,
    Column("code_hash", LargeBinary, primary_key=True),
    _person(),
    _instant("created_at"),
    _instant("used_at", nullable=True),
    Index(None, "person_id"),
)

challenges = Table(
    "challenges",
    metadata,
    Column("challenge_hash", LargeBinary, primary_key=True),
    Column("purpose", Text, nullable=False),
    # Empty for a login with a discoverable passkey: nobody is known yet.
    _text("person_id"),
    _instant("expires_at"),
)

login_delays = Table(
    "login_delays",
    metadata,
    Column("subject_hash", LargeBinary, primary_key=True),
    Column("failures", Integer, nullable=False),
    _instant("last_at"),
    _instant("until_at"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("session_id", Text, nullable=False, unique=True),
    _person(),
    Column("role_id", Text, ForeignKey("person_roles.role_id")),
    _text("staff_id"),
    Column("method", Text, nullable=False),
    _text("agent"),
    _instant("created_at"),
    _instant("seen_at"),
    _instant("expires_at"),
    Column("idle_minutes", Integer, nullable=False),
    _instant("strong_at"),
    _instant("ended_at", nullable=True),
    Index(None, "person_id"),
)

break_glasses = Table(
    "break_glasses",
    metadata,
    Column("session_id", Text, ForeignKey("sessions.session_id"), primary_key=True),
    Column("started_at", DateTime(timezone=True), primary_key=True),
    _person(),
    Column("reason", Text, nullable=False),
    _instant("ends_at"),
)

machines = Table(
    "machines",
    metadata,
    Column("machine_id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    _texts("scopes"),
    _text("provider_id"),
    _instant("created_at"),
    _instant("ended_at", nullable=True),
)

machine_secrets = Table(
    "machine_secrets",
    metadata,
    Column("secret_hash", LargeBinary, primary_key=True),
    Column("machine_id", Text, ForeignKey("machines.machine_id"), nullable=False, index=True),
    _instant("created_at"),
    _instant("ended_at", nullable=True),
)

machine_tokens = Table(
    "machine_tokens",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("machine_id", Text, ForeignKey("machines.machine_id"), nullable=False),
    _texts("scopes"),
    _instant("expires_at"),
    Index(None, "expires_at"),
)

audit_event = Table(
    "audit_event",
    metadata,
    Column("event_id", BigInteger, Identity(always=True), primary_key=True),
    _instant("at"),
    Column("actor", Text, nullable=False),
    _text("role"),
    _text("provider_id"),
    Column("action", Text, nullable=False),
    _text("subject"),
    Column("facts", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    _text("request_id"),
    Index(None, "at"),
)

reading = Table(
    "reading",
    metadata,
    Column("reading_id", BigInteger, Identity(always=True), primary_key=True),
    _instant("at"),
    Column("actor", Text, nullable=False),
    _text("role"),
    _text("provider_id"),
    _text("district"),
    Column("what", Text, nullable=False),
    _text("route"),
    _texts("subjects"),
    Column("count", Integer, nullable=False),
    _text("request_id"),
    Column("break_glass", Boolean, nullable=False, server_default=text("false")),
    Index(None, "at"),
    Index(None, "actor", "at"),
)
