"""What the tap door needs beside the statements: enrolment, grants, readings of tags.

Revision a4devices, after a3visits, made 2026-11-22 12:10 UTC.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from app.db import walls
from app.db.callers import Login

revision = "a4devices"
down_revision = "a3visits"
branch_labels = None
depends_on = None

TABLES = (
    "enrolments", "device_events", "rejected_seqs", "shift_grants", "sun_reads", "tap_doubts", "chain_notes",
)  # fmt: skip


def upgrade() -> None:
    """Apply."""
    _create_people_side()
    _create_evidence_side()
    _wall()


def downgrade() -> None:
    """Take back."""
    ingest = walls.login_name(Login.INGEST)
    op.execute(f'REVOKE UPDATE (public_jwk, enrolled_at) ON devices FROM "{ingest}"')
    op.execute(f"DROP TABLE {', '.join(TABLES)}")


def _text(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), server_default="", nullable=False)


def _id(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), nullable=False)


def _number(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _instant(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _create_people_side() -> None:
    op.create_table(
        "enrolments",
        _id("device_id"),
        _text("provider_id"),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        _instant("created_at"),
        _instant("expires_at"),
        sa.Column("confirm_at_once", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        _instant("used_at", nullable=True),
        _text("agent_version"),
        sa.PrimaryKeyConstraint("device_id", name=op.f("pk_enrolments")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_enrolments_token_hash")),
    )
    op.create_table(
        "device_events",
        _id("device_id"),
        _text("provider_id"),
        _instant("at"),
        _id("kind"),
        _text("by"),
        _text("reason"),
        sa.PrimaryKeyConstraint("device_id", "at", "kind", name=op.f("pk_device_events")),
    )
    op.create_table(
        "shift_grants",
        _id("grant_id"),
        _id("staff_id"),
        _id("device_id"),
        _text("provider_id"),
        _instant("issued_at"),
        _instant("expires_at"),
        _text("jws"),
        sa.PrimaryKeyConstraint("grant_id", name=op.f("pk_shift_grants")),
    )
    op.create_index(op.f("ix_shift_grants_staff_id_issued_at"), "shift_grants", ["staff_id", "issued_at"])


def _create_evidence_side() -> None:
    op.create_table(
        "rejected_seqs",
        _id("device_id"),
        _number("seq"),
        _text("provider_id"),
        _instant("received_at"),
        sa.PrimaryKeyConstraint("device_id", "seq", name=op.f("pk_rejected_seqs")),
    )
    op.create_table(
        "sun_reads",
        _id("device_id"),
        _number("seq"),
        _text("provider_id"),
        _id("tag_uid"),
        _number("counter"),
        _instant("at"),
        sa.Column("timed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("device_id", "seq", name=op.f("pk_sun_reads")),
    )
    op.create_index(op.f("ix_sun_reads_tag_uid_counter"), "sun_reads", ["tag_uid", "counter"])
    op.create_index(op.f("ix_sun_reads_tag_uid_at"), "sun_reads", ["tag_uid", "at"])
    op.create_table(
        "tap_doubts",
        _id("device_id"),
        _number("seq"),
        _id("code"),
        _text("provider_id"),
        sa.PrimaryKeyConstraint("device_id", "seq", "code", name=op.f("pk_tap_doubts")),
    )
    op.create_table(
        "chain_notes",
        _id("device_id"),
        _number("seq"),
        sa.Column("prev", sa.LargeBinary(), nullable=False),
        _text("provider_id"),
        _instant("at"),
        sa.PrimaryKeyConstraint("device_id", "seq", "prev", name=op.f("pk_chain_notes")),
    )


def _wall() -> None:
    """Providers see their own devices' rows; the tap door appends, and uses up an enrolment's token."""
    seen = {Login.PROVIDER: "SELECT", Login.CITY: "SELECT"}
    walls.registry("enrolments", sees=walls.own(), grants={Login.INGEST: "SELECT, UPDATE"})
    walls.statement("device_events", sees=walls.own())
    walls.statement("rejected_seqs", sees=walls.own(), grants=seen)
    walls.statement(
        "shift_grants", sees=walls.own(), grants={**seen, Login.INGEST: "SELECT", Login.AUTH: "SELECT, INSERT"}
    )
    for table in ("sun_reads", "tap_doubts", "chain_notes"):
        walls.derived(table, sees=walls.own(), grants={**seen, Login.INGEST: "SELECT, INSERT"})
    # A device that proves its key is not a person: the tap door writes the key into the registry's row, nothing else.
    ingest = walls.login_name(Login.INGEST)
    op.execute(f'GRANT UPDATE (public_jwk, enrolled_at) ON devices TO "{ingest}"')
