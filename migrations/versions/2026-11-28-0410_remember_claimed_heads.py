"""Heads that claimed a number before it came: a tail taken back and written anew is found.

Revision b5claims, after b4moved, made 2026-11-28 04:10 UTC.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.db import walls
from app.db.callers import Login

revision = "b5claims"
down_revision = "b4moved"
branch_labels = None
depends_on = None

# The heads stored until now that claim what is not there, or other than they say.
FILL = """
    INSERT INTO claimed_heads (device_id, seq, hash, provider_id, claimed_at, received_at)
    SELECT DISTINCT ON (h.device_id, h.head_seq, said.hash)
        h.device_id, h.head_seq, said.hash, h.provider_id, h.claimed_at, h.received_at
    FROM heads h CROSS JOIN LATERAL (SELECT CASE WHEN h.head_hash ~ '^[A-Za-z0-9_-]{43}$'
        THEN decode(translate(h.head_hash, '-_', '+/') || '=', 'base64') ELSE '' END AS hash) said
    WHERE h.head_seq > 0 AND NOT EXISTS (
        SELECT FROM taps t WHERE t.device_id = h.device_id AND t.seq = h.head_seq AND t.hash = said.hash
    ) AND NOT EXISTS (
        SELECT FROM voids v WHERE v.device_id = h.device_id AND v.seq = h.head_seq AND v.hash = said.hash
    ) AND NOT EXISTS (
        SELECT FROM device_statements s WHERE s.device_id = h.device_id AND s.seq = h.head_seq AND s.hash = said.hash
    )
    ORDER BY h.device_id, h.head_seq, said.hash, h.received_at
"""


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "claimed_heads",
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("provider_id", sa.Text(), server_default="", nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("device_id", "seq", "hash", name=op.f("pk_claimed_heads")),
    )
    seen = {Login.PROVIDER: "SELECT", Login.CITY: "SELECT", Login.INGEST: "SELECT, INSERT"}
    walls.derived("claimed_heads", sees=walls.own(), grants=seen)
    op.execute(FILL)
    # The devices concerned get their findings again, by the next to derive.
    op.execute("INSERT INTO derive_queue (kind, key) SELECT DISTINCT 'device', device_id FROM claimed_heads")


def downgrade() -> None:
    """Take back."""
    op.drop_table("claimed_heads")
