"""A run freezes what became of the excess of the month before.

Revision b3excess, after b2office, made 2026-11-28 00:45 UTC.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "b3excess"
down_revision = "b2office"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("closed_accounts", sa.Column("excess_before", postgresql.ARRAY(sa.Integer()), nullable=True))


def downgrade() -> None:
    """Take back."""
    op.drop_column("closed_accounts", "excess_before")
