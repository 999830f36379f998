"""Derived tables of visits and findings, and the queue of what must be derived again.

Revision a3visits, after a2statements, made 2026-11-22 12:00 UTC.
"""

from __future__ import annotations

from datetime import date

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from app.db import walls
from app.db.callers import Login
from app.db.partitions import ensure_months

revision = "a3visits"
down_revision = "a2statements"
branch_labels = None
depends_on = None

TABLES = ("decline_outcomes", "derive_queue", "findings", "visits")


def upgrade() -> None:
    """Apply."""
    _create()
    op.execute("CREATE TABLE visits_default PARTITION OF visits DEFAULT")
    op.execute("ALTER TABLE visits_default ENABLE ROW LEVEL SECURITY")
    ensure_months(op.get_bind(), ["visits"], date(2026, 9, 1), date(2027, 3, 1))
    reads = {Login.PROVIDER: "SELECT", Login.CITY: "SELECT"}
    for table in ("decline_outcomes", "findings", "visits"):
        walls.derived(table, sees=walls.own(), grants=reads)
    # Whoever states something queues its consequences; only the deriving login reads and empties the queue.
    appends = {Login.PROVIDER: "INSERT", Login.CITY: "INSERT"}
    walls.derived("derive_queue", sees="true", grants=appends)


def downgrade() -> None:
    """Take back."""
    for table in TABLES:
        op.drop_table(table)


def _create() -> None:
    op.create_table(
        "decline_outcomes",
        sa.Column("provider_id", sa.Text(), nullable=False),
        sa.Column("decline_id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), server_default="", nullable=False),
        sa.Column("planned_start_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("notice", sa.Text(), nullable=False),
        sa.Column("visit_ids", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("planned_minutes", sa.Integer(), nullable=False),
        sa.Column("executed_minutes", sa.Integer(), nullable=False),
        sa.Column("share_percent", sa.Integer(), nullable=False),
        sa.Column("compensation_minutes", sa.Integer(), nullable=False),
        sa.Column("made_up_minutes", sa.Integer(), nullable=False),
        sa.Column("made_up_on", sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint("provider_id", "decline_id", name=op.f("pk_decline_outcomes")),
    )
    op.create_index(
        op.f("ix_decline_outcomes_client_id_planned_start_at"),
        "decline_outcomes",
        ["client_id", "planned_start_at"],
        unique=False,
    )
    op.create_table(
        "derive_queue",
        sa.Column("queue_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), server_default="", nullable=False),
        sa.Column("provider_id", sa.Text(), server_default="", nullable=False),
        sa.Column("from_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("to_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failed", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("queue_id", name=op.f("pk_derive_queue")),
    )
    op.create_table(
        "findings",
        sa.Column("finding_id", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("client_id", sa.Text(), server_default="", nullable=False),
        sa.Column("staff_id", sa.Text(), server_default="", nullable=False),
        sa.Column("provider_id", sa.Text(), server_default="", nullable=False),
        sa.Column("visit_id", sa.Text(), server_default="", nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column(
            "taps", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'::jsonb"), nullable=False
        ),
        sa.Column(
            "facts", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'::jsonb"), nullable=False
        ),
        sa.Column(
            "proposal", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'::jsonb"), nullable=False
        ),
        sa.Column("holds", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("born_resolved", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("finding_id", name=op.f("pk_findings")),
    )
    op.create_index(op.f("ix_findings_at"), "findings", ["at"], unique=False)
    op.create_index(op.f("ix_findings_client_id_at"), "findings", ["client_id", "at"], unique=False)
    op.create_index(op.f("ix_findings_provider_id_at"), "findings", ["provider_id", "at"], unique=False)
    op.create_index(op.f("ix_findings_staff_id_at"), "findings", ["staff_id", "at"], unique=False)
    op.create_index(op.f("ix_findings_visit_id"), "findings", ["visit_id"], unique=False)
    op.create_table(
        "visits",
        sa.Column("month_on", sa.Date(), nullable=False),
        sa.Column("visit_id", sa.Text(), nullable=False),
        sa.Column("manual_id", sa.Text(), server_default="", nullable=False),
        sa.Column("client_id", sa.Text(), server_default="", nullable=False),
        sa.Column("provider_id", sa.Text(), server_default="", nullable=False),
        sa.Column("unit_id", sa.Text(), server_default="", nullable=False),
        sa.Column("staff_id", sa.Text(), server_default="", nullable=False),
        sa.Column("person", sa.Text(), server_default="", nullable=False),
        sa.Column("role", sa.Text(), server_default="", nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("start_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("end_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("minutes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("stated_status", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("grade", sa.Text(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("stated_service", sa.Text(), nullable=True),
        sa.Column("kom_device_id", sa.Text(), nullable=True),
        sa.Column("kom_seq", sa.BigInteger(), nullable=True),
        sa.Column("kom_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("gick_device_id", sa.Text(), nullable=True),
        sa.Column("gick_seq", sa.BigInteger(), nullable=True),
        sa.Column("gick_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("planned_id", sa.Text(), server_default="", nullable=False),
        sa.Column("decline_id", sa.Text(), server_default="", nullable=False),
        sa.Column("replaced_by", sa.Text(), server_default="", nullable=False),
        sa.Column("care_service", sa.Text(), server_default="", nullable=False),
        sa.Column("paired_staff_id", sa.Text(), server_default="", nullable=False),
        sa.Column("tapped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("marks", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column(
            "proposal", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'::jsonb"), nullable=False
        ),
        sa.Column("share_position", sa.Integer(), nullable=True),
        sa.Column("share_weights", postgresql.ARRAY(sa.Integer()), nullable=True),
        sa.Column("holds", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("findings", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("accepted", sa.Boolean(), nullable=False),
        sa.Column("open_until_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ceased", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("visit_id", "month_on", name=op.f("pk_visits")),
        postgresql_partition_by="RANGE (month_on)",
    )
    op.create_index(op.f("ix_visits_client_id_at"), "visits", ["client_id", "at"], unique=False)
    op.create_index(
        "ix_visits_long_client",
        "visits",
        ["client_id"],
        unique=False,
        postgresql_where=sa.text("end_at - start_at > interval '1 day'"),
    )
    op.create_index(
        "ix_visits_long_person",
        "visits",
        ["person"],
        unique=False,
        postgresql_where=sa.text("end_at - start_at > interval '1 day'"),
    )
    op.create_index(
        "ix_visits_manual_id", "visits", ["manual_id"], unique=False, postgresql_where=sa.text("manual_id <> ''")
    )
    op.create_index(
        "ix_visits_marked",
        "visits",
        ["provider_id", "month_on"],
        unique=False,
        postgresql_where=sa.text("marks <> '{}'"),
    )
    op.create_index(
        op.f("ix_visits_paired_staff_id_tapped_at"), "visits", ["paired_staff_id", "tapped_at"], unique=False
    )
    op.create_index(op.f("ix_visits_person_at"), "visits", ["person", "at"], unique=False)
    op.create_index(op.f("ix_visits_provider_id_at"), "visits", ["provider_id", "at"], unique=False)
    op.create_index(op.f("ix_visits_provider_id_changed_at"), "visits", ["provider_id", "changed_at"], unique=False)
    op.create_index(op.f("ix_visits_staff_id_at"), "visits", ["staff_id", "at"], unique=False)
