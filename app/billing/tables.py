"""Billing lines and the basis of fees. A settled line is never changed or deleted; a provisional one that is no longer
owed stays with nothing in it (`gone`), so that whoever pulls changes sees it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Date, DateTime, Index, Integer, PrimaryKeyConstraint, Table, Text

from app.db.base import metadata


def _text(name: str) -> Column[Any]:
    return Column(name, Text, nullable=False, server_default="")


billing_lines = Table(
    "billing_lines",
    metadata,
    Column("month_on", Date, nullable=False),
    Column("line_id", Text, nullable=False),
    Column("run_on", Date),
    Column("origin_month_on", Date, nullable=False),
    _text("client_id"),
    _text("provider_id"),
    _text("unit_id"),
    _text("district"),
    _text("order_id"),
    _text("cost_code"),
    _text("operation"),
    _text("kind"),
    _text("service"),
    _text("band"),
    Column("minutes", Integer, nullable=False),
    Column("count", Integer, nullable=False),
    _text("unit"),
    Column("unit_price_ore", BigInteger, nullable=False),
    Column("amount_ore", BigInteger, nullable=False),
    _text("cause"),
    _text("corrects"),
    _text("policy_version"),
    _text("account_hash"),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("state", Text, nullable=False),
    Column("gone", Integer, nullable=False, server_default="0"),
    PrimaryKeyConstraint("month_on", "line_id"),
    Index(None, "provider_id", "month_on"),
    Index(None, "client_id", "provider_id"),
    postgresql_partition_by="RANGE (month_on)",
)

# The basis of fees as the run of a month left it.
closed_fee_lines = Table(
    "closed_fee_lines",
    metadata,
    Column("month_on", Date, nullable=False),
    Column("origin_month_on", Date, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("fee_class", Text, nullable=False),
    Column("client_minutes", Integer, nullable=False),
    Column("count", Integer, nullable=False),
    Column("late_cancellations", Integer, nullable=False),
    Column("absence_days", Integer, nullable=False),
    _text("cause"),
    PrimaryKeyConstraint("month_on", "client_id", "origin_month_on", "fee_class", "cause"),
)
