"""Import jobs, alerts, questions and answers.

Revision b2office, after b1people, made 2026-11-22 13:40 UTC.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from app.db import walls
from app.db.callers import Login

revision = "b2office"
down_revision = "b1people"
branch_labels = None
depends_on = None

TABLES = ("answers", "questions", "alerts", "import_jobs")


def upgrade() -> None:
    """Apply."""
    _create_jobs()
    _create_alerts()
    _create_questions()
    own = walls.own()
    # The worker runs as the owner; a door makes a job and looks at it.
    appends = {Login.PROVIDER: "SELECT, INSERT", Login.CITY: "SELECT, INSERT", Login.INGEST: ""}
    walls.derived("import_jobs", sees=own, grants=appends)
    walls.derived("alerts", sees=own, grants={Login.PROVIDER: "SELECT", Login.CITY: "SELECT"})
    for table in ("questions", "answers"):
        walls.statement(table, sees=own, grants={Login.INGEST: ""})


def downgrade() -> None:
    """Take back."""
    for table in TABLES:
        op.drop_table(table)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), server_default="", nullable=False)


def _create_jobs() -> None:
    empty = sa.text("'[]'::jsonb")
    op.create_table(
        "import_jobs",
        sa.Column("import_id", sa.Text(), nullable=False),
        _text("provider_id"),
        _text("made_by"),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("counts", postgresql.JSONB(astext_type=sa.Text()), server_default=empty, nullable=False),
        sa.Column("errors", postgresql.JSONB(astext_type=sa.Text()), server_default=empty, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("import_id", name=op.f("pk_import_jobs")),
    )
    op.create_index(op.f("ix_import_jobs_state"), "import_jobs", ["state"], unique=False)


def _create_alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("alert_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=False),
        _text("unit_id"),
        _text("about"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("try_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("alert_id", name=op.f("pk_alerts")),
    )
    op.create_index(op.f("ix_alerts_provider_id_at"), "alerts", ["provider_id", "at"], unique=False)
    op.create_index(op.f("ix_alerts_try_at"), "alerts", ["try_at"], unique=False)


def _create_questions() -> None:
    op.create_table(
        "questions",
        sa.Column("question_id", sa.Text(), nullable=False),
        sa.Column("about_kind", sa.Text(), nullable=False),
        _text("visit_id"),
        _text("reason_id"),
        _text("client_id"),
        sa.Column("provider_id", sa.Text(), nullable=False),
        _text("month"),
        sa.Column("asked_by_side", sa.Text(), nullable=False),
        _text("asked_by"),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        _text("text"),
        sa.PrimaryKeyConstraint("question_id", name=op.f("pk_questions")),
    )
    op.create_index(op.f("ix_questions_provider_id_asked_at"), "questions", ["provider_id", "asked_at"], unique=False)
    op.create_table(
        "answers",
        sa.Column("question_id", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=False),
        _text("answered_by"),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=False),
        _text("text"),
        sa.ForeignKeyConstraint(
            ["question_id"], ["questions.question_id"], name=op.f("fk_answers_question_id_questions")
        ),
        sa.PrimaryKeyConstraint("question_id", name=op.f("pk_answers")),
    )
