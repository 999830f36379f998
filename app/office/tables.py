"""Import jobs, alerts, questions and answers. Alerts hold no personal data: what they are about stands as an id."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, Column, DateTime, ForeignKey, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from app.db.base import metadata


def _text(name: str) -> Column[Any]:
    return Column(name, Text, nullable=False, server_default="")


def _instant(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


import_jobs = Table(
    "import_jobs",
    metadata,
    Column("import_id", Text, primary_key=True),
    # Whose bundle; empty: the city's.
    _text("provider_id"),
    _text("made_by"),
    Column("dry_run", Boolean, nullable=False),
    # waiting, running, done, refused (errors say why), failed (a fault of ours)
    Column("state", Text, nullable=False),
    Column("counts", JSONB, nullable=False, server_default=text("'[]'::jsonb")),
    Column("errors", JSONB, nullable=False, server_default=text("'[]'::jsonb")),
    _instant("created_at"),
    _instant("finished_at", nullable=True),
    Index(None, "state"),
)

alerts = Table(
    "alerts",
    metadata,
    # Hash of kind and what it is about: the same is never alerted twice.
    Column("alert_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    _instant("at"),
    Column("provider_id", Text, nullable=False),
    _text("unit_id"),
    # A finding_id, decline_id or device_id.
    _text("about"),
    _instant("created_at"),
    # NULL: nobody has been told yet; `attempts` counts, `try_at` is the next one, NULL when there is no more.
    _instant("delivered_at", nullable=True),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    _instant("try_at", nullable=True),
    Index(None, "provider_id", "at"),
    Index(None, "try_at"),
)

questions = Table(
    "questions",
    metadata,
    Column("question_id", Text, primary_key=True),
    # visit, account, reason
    Column("about_kind", Text, nullable=False),
    _text("visit_id"),
    _text("reason_id"),
    _text("client_id"),
    Column("provider_id", Text, nullable=False),
    _text("month"),
    # city or provider: the other one answers.
    Column("asked_by_side", Text, nullable=False),
    _text("asked_by"),
    _instant("asked_at"),
    _text("text"),
    Index(None, "provider_id", "asked_at"),
)

answers = Table(
    "answers",
    metadata,
    Column("question_id", Text, ForeignKey("questions.question_id"), primary_key=True),
    Column("provider_id", Text, nullable=False),
    _text("answered_by"),
    _instant("answered_at"),
    _text("text"),
)
