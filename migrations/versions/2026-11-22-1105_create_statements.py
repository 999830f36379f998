"""Statements of devices and people: append-only.

Revision a2statements, after a1registry, made 2026-11-22 11:05 UTC.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from app.db import walls
from app.db.callers import Login

revision = "a2statements"
down_revision = "a1registry"
branch_labels = None
depends_on = None

# In the order in which they refer to each other.
TABLES = (
    "taps",
    "tap_forks",
    "heads",
    "voids",
    "device_statements",
    "receipts",
    "rejected_input",
    "planned_visits",
    "declines",
    "manual_visits",
    "corrections",
    "disputes",
    "resolutions",
    "excess_reasons",
    "attests",
    "closes",
)


def upgrade() -> None:
    """Apply."""
    _create_taps()
    _create_device_statements()
    _create_visit_statements()
    _create_corrections()
    _create_months()
    _wall()


def downgrade() -> None:
    """Take back."""
    op.execute(f"DROP TABLE {', '.join(TABLES)}")  # at once: their policies look into each other


def _create_taps() -> None:
    op.create_table(
        "taps",
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("provider_id", sa.Text(), server_default="", nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("tag_uid", sa.Text(), server_default="", nullable=False),
        sa.Column("staff_id", sa.Text(), server_default="", nullable=False),
        sa.Column("staff_by", sa.Text(), server_default="", nullable=False),
        sa.Column("grant_id", sa.Text(), server_default="", nullable=False),
        sa.Column("service", sa.Text(), nullable=True),
        sa.Column("tapped_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_given", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("estimated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("not_after", sa.DateTime(timezone=True), nullable=True),
        sa.Column("boot", sa.Text(), server_default="", nullable=False),
        sa.Column("mono", sa.BigInteger(), nullable=True),
        sa.Column("grade", sa.Text(), server_default="C", nullable=False),
        sa.Column("doubts", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("tag_level", sa.Text(), server_default="uid", nullable=False),
        sa.Column("sun", sa.Text(), server_default="", nullable=False),
        sa.Column("jws", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("device_id", "seq", "hash", name=op.f("pk_taps")),
    )
    op.create_index(op.f("ix_taps_at"), "taps", ["at"], unique=False, postgresql_using="brin")
    op.create_index(
        op.f("ix_taps_staff_id_at_device_id_seq"), "taps", ["staff_id", "at", "device_id", "seq"], unique=False
    )
    op.create_index(op.f("ix_taps_tag_uid_at"), "taps", ["tag_uid", "at"], unique=False)
    op.create_table(
        "tap_forks",
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("provider_id", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("device_id", "seq", name=op.f("pk_tap_forks")),
    )


def _create_device_statements() -> None:
    op.create_table(
        "heads",
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("provider_id", sa.Text(), server_default="", nullable=False),
        sa.Column("head_seq", sa.BigInteger(), nullable=False),
        sa.Column("head_hash", sa.Text(), server_default="", nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("boot", sa.Text(), server_default="", nullable=False),
        sa.Column("mono", sa.BigInteger(), nullable=True),
        sa.Column("nonce", sa.Text(), server_default="", nullable=False),
        sa.Column("agent_version", sa.Text(), server_default="", nullable=False),
        sa.Column("jws", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("device_id", "hash", name=op.f("pk_heads")),
    )
    op.create_index(op.f("ix_heads_device_id_boot_mono"), "heads", ["device_id", "boot", "mono"], unique=False)
    op.create_index(op.f("ix_heads_device_id_received_at"), "heads", ["device_id", "received_at"], unique=False)
    op.create_table(
        "voids",
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("provider_id", sa.Text(), server_default="", nullable=False),
        sa.Column("from_seq", sa.BigInteger(), nullable=False),
        sa.Column("to_seq", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.Text(), server_default="", nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("jws", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("device_id", "seq", "hash", name=op.f("pk_voids")),
    )
    op.create_table(
        "device_statements",
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("provider_id", sa.Text(), server_default="", nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column(
            "body", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("quarantined", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("jws", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("device_id", "seq", "hash", name=op.f("pk_device_statements")),
    )
    op.create_table(
        "receipts",
        sa.Column("receipt_id", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), server_default="", nullable=False),
        sa.Column("upto", sa.BigInteger(), nullable=False),
        sa.Column("upto_hash", sa.Text(), server_default="", nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("nonce", sa.Text(), server_default="", nullable=False),
        sa.Column("jws", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("receipt_id", name=op.f("pk_receipts")),
    )
    op.create_index(op.f("ix_receipts_device_id_received_at"), "receipts", ["device_id", "received_at"], unique=False)
    op.create_table(
        "rejected_input",
        sa.Column("rejected_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), server_default="", nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("why", sa.Text(), server_default="", nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("item", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("rejected_id", name=op.f("pk_rejected_input")),
    )
    op.create_index(op.f("ix_rejected_input_device_id_hash"), "rejected_input", ["device_id", "hash"], unique=True)


def _create_visit_statements() -> None:
    op.create_table(
        "planned_visits",
        sa.Column("planned_id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=False),
        sa.Column("staff_id", sa.Text(), server_default="", nullable=False),
        sa.Column("start_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("service", sa.Text(), server_default="care", nullable=False),
        sa.Column("staff_count", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("moved", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("defaulted", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("planned_id", "provider_id", "version", name=op.f("pk_planned_visits")),
    )
    op.create_index(
        op.f("ix_planned_visits_client_id_start_at"), "planned_visits", ["client_id", "start_at"], unique=False
    )
    op.create_index(
        op.f("ix_planned_visits_provider_id_start_at"), "planned_visits", ["provider_id", "start_at"], unique=False
    )
    op.create_index(op.f("ix_planned_visits_start_at"), "planned_visits", ["start_at"], unique=False)
    op.create_table(
        "declines",
        sa.Column("decline_id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=False),
        sa.Column("planned_start_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("planned_end_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("staff_count", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("notice", sa.Text(), nullable=False),
        sa.Column("noticed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("made_up_minutes", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("made_up_on", sa.Date(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("moved", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("defaulted", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("decline_id", "provider_id", "version", name=op.f("pk_declines")),
    )
    op.create_index(
        op.f("ix_declines_client_id_planned_start_at"), "declines", ["client_id", "planned_start_at"], unique=False
    )
    op.create_table(
        "manual_visits",
        sa.Column("manual_id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=False),
        sa.Column("staff_id", sa.Text(), server_default="", nullable=False),
        sa.Column("start_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("end_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("service", sa.Text(), nullable=True),
        sa.Column("care_service", sa.Text(), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("made_by", sa.Text(), server_default="", nullable=False),
        sa.Column("approved_by", sa.Text(), server_default="", nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("moved", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("defaulted", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("manual_id", "provider_id", "version", name=op.f("pk_manual_visits")),
    )
    op.create_index(
        op.f("ix_manual_visits_client_id_start_at"), "manual_visits", ["client_id", "start_at"], unique=False
    )
    op.create_index(op.f("ix_manual_visits_staff_id_start_at"), "manual_visits", ["staff_id", "start_at"], unique=False)


def _create_corrections() -> None:
    op.create_table(
        "corrections",
        sa.Column("correction_id", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), server_default="", nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("kom_device_id", sa.Text(), server_default="", nullable=False),
        sa.Column("kom_seq", sa.BigInteger(), nullable=True),
        sa.Column("manual_id", sa.Text(), server_default="", nullable=False),
        sa.Column("device_id", sa.Text(), server_default="", nullable=False),
        sa.Column("from_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("to_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("new_start_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("new_end_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("new_staff_id", sa.Text(), server_default="", nullable=False),
        sa.Column("new_client_id", sa.Text(), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("made_by", sa.Text(), server_default="", nullable=False),
        sa.Column("approved_by", sa.Text(), server_default="", nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("moved", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("defaulted", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("correction_id", "version", name=op.f("pk_corrections")),
    )
    op.create_index(op.f("ix_corrections_device_id"), "corrections", ["device_id"], unique=False)
    op.create_index(
        op.f("ix_corrections_kom_device_id_kom_seq"), "corrections", ["kom_device_id", "kom_seq"], unique=False
    )
    op.create_index(op.f("ix_corrections_manual_id"), "corrections", ["manual_id"], unique=False)
    op.create_table(
        "disputes",
        sa.Column("dispute_id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("on_date", sa.Date(), nullable=False),
        sa.Column("stated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stated_by", sa.Text(), server_default="", nullable=False),
        sa.Column("text", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("moved", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("defaulted", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("dispute_id", "version", name=op.f("pk_disputes")),
    )
    op.create_index(op.f("ix_disputes_client_id_on_date"), "disputes", ["client_id", "on_date"], unique=False)
    op.create_table(
        "resolutions",
        sa.Column("finding_id", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), server_default="", nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("moved", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("defaulted", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("finding_id", "version", name=op.f("pk_resolutions")),
    )


def _create_months() -> None:
    op.create_table(
        "excess_reasons",
        sa.Column("reason_id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=False),
        sa.Column("month", sa.Text(), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("submitted_on", sa.Date(), nullable=False),
        sa.Column("decision", sa.Text(), server_default="pending", nullable=False),
        sa.Column("approved_minutes", sa.Integer(), nullable=True),
        sa.Column("decided_on", sa.Date(), nullable=True),
        sa.Column("decided_by", sa.Text(), server_default="", nullable=False),
        sa.Column("decision_note", sa.Text(), server_default="", nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("moved", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("defaulted", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("reason_id", "provider_id", "version", name=op.f("pk_excess_reasons")),
    )
    op.create_index(
        op.f("ix_excess_reasons_client_id_provider_id_month"),
        "excess_reasons",
        ["client_id", "provider_id", "month"],
        unique=False,
    )
    op.create_index(op.f("ix_excess_reasons_month"), "excess_reasons", ["month"], unique=False)
    op.create_table(
        "attests",
        sa.Column("provider_id", sa.Text(), nullable=False),
        sa.Column("month", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), server_default="", nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("moved", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("defaulted", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("provider_id", "month", "version", name=op.f("pk_attests")),
    )
    op.create_table(
        "closes",
        sa.Column("month", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), server_default="", nullable=False),
        sa.Column("hash", sa.Text(), server_default="", nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("moved", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("defaulted", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("month", "version", name=op.f("pk_closes")),
    )


def _wall() -> None:
    """Append-only for everybody, the owner included; a provider sees what is its own."""
    of_devices = {Login.PROVIDER: "SELECT", Login.CITY: "SELECT"}
    for table in ("taps", "tap_forks", "heads", "voids", "device_statements", "receipts", "rejected_input"):
        walls.statement(table, sees=walls.own(), grants=of_devices)
    for table in ("planned_visits", "declines", "manual_visits", "corrections", "excess_reasons"):
        walls.statement(table, sees=walls.own())
    of_own_client = f"client_id IN (SELECT client_id FROM orders WHERE {walls.own()})"  # noqa: S608 -- no value from outside
    walls.statement("disputes", sees=of_own_client)
    walls.statement("resolutions", sees=walls.own())
    walls.statement("attests", sees=walls.own())
    walls.statement("closes", sees="true", grants={Login.PROVIDER: "SELECT"})
