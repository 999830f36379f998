"""Managers see the people who have a role at their provider; a badge's counter only rises.

Revision b1people, after a9months, made 2026-11-22 13:20 UTC.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.db import walls
from app.db.callers import Login

revision = "b1people"
down_revision = "a9months"
branch_labels = None
depends_on = None

# The inner SELECT is itself walled: a provider finds there its own roles only.
SEEN = {
    "person_roles": walls.own(),
    "people": "person_id IN (SELECT person_id FROM person_roles)",
}


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "badge_counters",
        sa.Column("badge_uid", sa.Text(), nullable=False),
        sa.Column("counter", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("badge_uid", name=op.f("pk_badge_counters")),
    )
    walls.account("badge_counters")
    provider = walls.login_name(Login.PROVIDER)
    for table, condition in SEEN.items():
        op.execute(f'GRANT SELECT ON {table} TO "{provider}"')
        op.execute(f'CREATE POLICY {table}_provider ON {table} FOR SELECT TO "{provider}" USING ({condition})')


def downgrade() -> None:
    """Take back."""
    provider = walls.login_name(Login.PROVIDER)
    for table in reversed(SEEN):
        op.execute(f"DROP POLICY {table}_provider ON {table}")
        op.execute(f'REVOKE SELECT ON {table} FROM "{provider}"')  # noqa: S608 -- no value from outside
    op.drop_table("badge_counters")
