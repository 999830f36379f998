"""Derived table of the findings. A resolution is a statement joined at read, never an edit here."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, Column, DateTime, Index, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from app.db.base import metadata


def _text(name: str) -> Column[Any]:
    return Column(name, Text, nullable=False, server_default="")


findings = Table(
    "findings",
    metadata,
    Column("finding_id", Text, primary_key=True),
    Column("code", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    _text("client_id"),
    _text("staff_id"),
    _text("provider_id"),
    _text("visit_id"),
    # Which step of the derivation made it, so that the step can replace its own: device, tap, visit, client, person,
    # share, account.
    Column("step", Text, nullable=False),
    Column("taps", JSONB, nullable=False, server_default=text("'[]'::jsonb")),
    Column("facts", JSONB, nullable=False, server_default=text("'[]'::jsonb")),
    Column("proposal", JSONB, nullable=False, server_default=text("'[]'::jsonb")),
    Column("holds", Boolean, nullable=False, server_default=text("false")),
    Column("born_resolved", Boolean, nullable=False, server_default=text("false")),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Index(None, "at"),
    Index(None, "client_id", "at"),
    Index(None, "staff_id", "at"),
    Index(None, "provider_id", "at"),
    Index(None, "visit_id"),
)
