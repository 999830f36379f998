"""Month accounts: appended with `known_at` whenever they change, and frozen by a close.

`month_accounts` is partitioned by month. The row without `superseded_at` is the account as known now; older ones answer
"as known on". `closed_accounts` is what a run froze: figures, days, adjustments and every block of minutes; like a
statement it is never changed.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Date, DateTime, Index, Integer, PrimaryKeyConstraint, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from app.db.base import metadata


def _text(name: str) -> Column[Any]:
    return Column(name, Text, nullable=False, server_default="")


def _minutes(name: str) -> Column[Any]:
    return Column(name, Integer, nullable=False, server_default="0")


FIGURES = (
    "ordered_minutes",
    "ceiling_minutes",
    "executed_minutes",
    "held_minutes",
    "declined_compensated_minutes",
    "made_up_offset_minutes",
    "reported_minutes",
    "free_minutes",
    "excess_minutes",
    "excess_reasoned_minutes",
    "excess_approved_minutes",
    "excess_pending_minutes",
    "unpaid_minutes",
    "carried_in_minutes",
    "adjustment_minutes",
    "settled_minutes",
    "visits",
    "findings_open",
)

month_accounts = Table(
    "month_accounts",
    metadata,
    Column("month_on", Date, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("provider_id", Text, nullable=False),
    Column("known_at", DateTime(timezone=True), nullable=False),
    Column("superseded_at", DateTime(timezone=True)),
    # An account that no longer is: its order or its visits turned out to be another's.
    Column("gone", Integer, nullable=False, server_default="0"),
    _text("unit_id"),
    _text("district"),
    *(_minutes(name) for name in FIGURES),
    _text("policy_version"),
    Column("state", Text, nullable=False, server_default="open"),
    # What a forecast needs: days that count as ordered, reported minutes of each day of the month.
    Column("order_days", ARRAY(Date), nullable=False, server_default="{}"),
    Column("reported_by_day", ARRAY(Integer), nullable=False, server_default="{}"),
    PrimaryKeyConstraint("month_on", "client_id", "provider_id", "known_at"),
    Index(
        "ix_month_accounts_current",
        "month_on",
        "provider_id",
        "client_id",
        unique=True,
        postgresql_where=text("superseded_at IS NULL"),
    ),
    Index(None, "client_id", "provider_id"),
    postgresql_partition_by="RANGE (month_on)",
)

closed_accounts = Table(
    "closed_accounts",
    metadata,
    Column("month_on", Date, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("provider_id", Text, nullable=False),
    Column("account", JSONB, nullable=False),
    Column("account_hash", Text, nullable=False),
    Column("order_days", ARRAY(Date), nullable=False),
    Column("adjustments", JSONB, nullable=False),
    Column("ledger", JSONB, nullable=False),
    Column("run_on", Date, nullable=False),
    # Reasoned, approved and pending minutes of the closed month before: they freeze with this run.
    Column("excess_before", ARRAY(Integer)),
    PrimaryKeyConstraint("month_on", "client_id", "provider_id"),
    Index(None, "client_id", "provider_id"),
)

# Closed months that something has touched since: what the open month may have to settle for.
reopened_accounts = Table(
    "reopened_accounts",
    metadata,
    Column("month_on", Date, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("provider_id", Text, nullable=False),
    PrimaryKeyConstraint("client_id", "provider_id", "month_on"),
)
