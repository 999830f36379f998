"""A tap asks only the months around it; the visits that may lie elsewhere have small indexes of their own.

Revision b7elsewhere, after b6open, made 2026-11-28 08:10 UTC.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "b7elsewhere"
down_revision = "b6open"
branch_labels = None
depends_on = None

_VISITS = (
    (
        "ix_visits_elsewhere",
        "paired_staff_id",
        "at - tapped_at > interval '1 day' OR tapped_at - at > interval '1 day'",
    ),
    ("ix_visits_ceased", "visit_id", "ceased"),
)


def upgrade() -> None:
    """Apply."""
    for name, column, where in _VISITS:
        op.create_index(name, "visits", [column], postgresql_where=sa.text(where))


def downgrade() -> None:
    """Take back."""
    for name, _, where in _VISITS:
        op.drop_index(name, table_name="visits", postgresql_where=sa.text(where))
