"""Open visits have an index of their own: a large provider's last three days are thousands of ended ones.

Revision b6open, after b5claims, made 2026-11-28 05:05 UTC.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "b6open"
down_revision = "b5claims"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_index(
        "ix_visits_open", "visits", ["provider_id", "at"], postgresql_where=sa.text("status = 'incomplete'")
    )


def downgrade() -> None:
    """Take back."""
    op.drop_index("ix_visits_open", table_name="visits", postgresql_where=sa.text("status = 'incomplete'"))
