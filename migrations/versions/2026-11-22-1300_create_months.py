"""Month accounts, what runs freeze, billing lines and the basis of fees.

Revision a9months, after a8access, made 2026-11-22 13:00 UTC.
"""

from __future__ import annotations

from datetime import date

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from app.db import walls
from app.db.callers import Login
from app.db.partitions import ensure_months

revision = "a9months"
down_revision = "a8access"
branch_labels = None
depends_on = None

TABLES = ("billing_lines", "closed_accounts", "closed_fee_lines", "month_accounts", "reopened_accounts")
PARTITIONED = ("billing_lines", "month_accounts")


def upgrade() -> None:
    """Apply."""
    _create()
    for table in PARTITIONED:
        op.execute(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT")
        op.execute(f"ALTER TABLE {table}_default ENABLE ROW LEVEL SECURITY")
    ensure_months(op.get_bind(), PARTITIONED, date(2026, 9, 1), date(2027, 3, 1))
    reads = {Login.PROVIDER: "SELECT", Login.CITY: "SELECT"}
    for table in ("billing_lines", "month_accounts"):
        walls.derived(table, sees=walls.own(), grants=reads)
    walls.derived("reopened_accounts", sees=walls.own(), grants=reads)
    # What a run froze is evidence: nobody changes it, and only the owner's run adds to it.
    reading = {**reads, Login.INGEST: "SELECT"}
    walls.statement("closed_accounts", sees=walls.own(), grants=reading)
    walls.statement("closed_fee_lines", sees="false", grants={**reading, Login.PROVIDER: ""})


def downgrade() -> None:
    """Take back."""
    for table in TABLES:
        op.drop_table(table)


def _create() -> None:
    op.create_table(
        "billing_lines",
        sa.Column("month_on", sa.Date(), nullable=False),
        sa.Column("line_id", sa.Text(), nullable=False),
        sa.Column("run_on", sa.Date(), nullable=True),
        sa.Column("origin_month_on", sa.Date(), nullable=False),
        sa.Column("client_id", sa.Text(), server_default="", nullable=False),
        sa.Column("provider_id", sa.Text(), server_default="", nullable=False),
        sa.Column("unit_id", sa.Text(), server_default="", nullable=False),
        sa.Column("district", sa.Text(), server_default="", nullable=False),
        sa.Column("order_id", sa.Text(), server_default="", nullable=False),
        sa.Column("cost_code", sa.Text(), server_default="", nullable=False),
        sa.Column("operation", sa.Text(), server_default="", nullable=False),
        sa.Column("kind", sa.Text(), server_default="", nullable=False),
        sa.Column("service", sa.Text(), server_default="", nullable=False),
        sa.Column("band", sa.Text(), server_default="", nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("unit", sa.Text(), server_default="", nullable=False),
        sa.Column("unit_price_ore", sa.BigInteger(), nullable=False),
        sa.Column("amount_ore", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.Text(), server_default="", nullable=False),
        sa.Column("corrects", sa.Text(), server_default="", nullable=False),
        sa.Column("policy_version", sa.Text(), server_default="", nullable=False),
        sa.Column("account_hash", sa.Text(), server_default="", nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("gone", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("month_on", "line_id", name=op.f("pk_billing_lines")),
        postgresql_partition_by="RANGE (month_on)",
    )
    op.create_index(
        op.f("ix_billing_lines_client_id_provider_id"), "billing_lines", ["client_id", "provider_id"], unique=False
    )
    op.create_index(
        op.f("ix_billing_lines_provider_id_month_on"), "billing_lines", ["provider_id", "month_on"], unique=False
    )
    op.create_table(
        "closed_accounts",
        sa.Column("month_on", sa.Date(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=False),
        sa.Column("account", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("account_hash", sa.Text(), nullable=False),
        sa.Column("order_days", postgresql.ARRAY(sa.Date()), nullable=False),
        sa.Column("adjustments", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("ledger", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("run_on", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("month_on", "client_id", "provider_id", name=op.f("pk_closed_accounts")),
    )
    op.create_index(
        op.f("ix_closed_accounts_client_id_provider_id"), "closed_accounts", ["client_id", "provider_id"], unique=False
    )
    op.create_table(
        "closed_fee_lines",
        sa.Column("month_on", sa.Date(), nullable=False),
        sa.Column("origin_month_on", sa.Date(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("fee_class", sa.Text(), nullable=False),
        sa.Column("client_minutes", sa.Integer(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("late_cancellations", sa.Integer(), nullable=False),
        sa.Column("absence_days", sa.Integer(), nullable=False),
        sa.Column("cause", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint(
            "month_on", "client_id", "origin_month_on", "fee_class", "cause", name=op.f("pk_closed_fee_lines")
        ),
    )
    op.create_table(
        "month_accounts",
        sa.Column("month_on", sa.Date(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("superseded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("gone", sa.Integer(), server_default="0", nullable=False),
        sa.Column("unit_id", sa.Text(), server_default="", nullable=False),
        sa.Column("district", sa.Text(), server_default="", nullable=False),
        sa.Column("ordered_minutes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("ceiling_minutes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("executed_minutes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("held_minutes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("declined_compensated_minutes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("made_up_offset_minutes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("reported_minutes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("free_minutes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("excess_minutes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("excess_reasoned_minutes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("excess_approved_minutes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("excess_pending_minutes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("unpaid_minutes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("carried_in_minutes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("adjustment_minutes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("settled_minutes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("visits", sa.Integer(), server_default="0", nullable=False),
        sa.Column("findings_open", sa.Integer(), server_default="0", nullable=False),
        sa.Column("policy_version", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("order_days", postgresql.ARRAY(sa.Date()), server_default="{}", nullable=False),
        sa.Column("reported_by_day", postgresql.ARRAY(sa.Integer()), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("month_on", "client_id", "provider_id", "known_at", name=op.f("pk_month_accounts")),
        postgresql_partition_by="RANGE (month_on)",
    )
    op.create_index(
        op.f("ix_month_accounts_client_id_provider_id"), "month_accounts", ["client_id", "provider_id"], unique=False
    )
    op.create_index(
        "ix_month_accounts_current",
        "month_accounts",
        ["month_on", "provider_id", "client_id"],
        unique=True,
        postgresql_where=sa.text("superseded_at IS NULL"),
    )
    op.create_table(
        "reopened_accounts",
        sa.Column("month_on", sa.Date(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "provider_id", "month_on", name=op.f("pk_reopened_accounts")),
    )
