"""Visits that are another provider's, unit's, staff member's or client's now are told to those they were with.

Revision b4moved, after b3excess, made 2026-11-28 04:00 UTC.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from app.db import walls
from app.db.callers import Login

revision = "b4moved"
down_revision = "b3excess"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "moved_visits",
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
        sa.PrimaryKeyConstraint(
            "visit_id", "provider_id", "unit_id", "staff_id", "client_id", name=op.f("pk_moved_visits")
        ),
    )
    op.create_index(
        op.f("ix_moved_visits_provider_id_changed_at"), "moved_visits", ["provider_id", "changed_at"], unique=False
    )
    walls.derived("moved_visits", sees=walls.own(), grants={Login.PROVIDER: "SELECT", Login.CITY: "SELECT"})


def downgrade() -> None:
    """Take back."""
    op.drop_table("moved_visits")
