"""People, roles, factors, sessions, machines, and the two logs; a client is seen for 90 days after an own visit.

Revision a8access, after a4devices, made 2026-11-22 12:50 UTC.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from app.db import walls
from app.db.callers import Login

revision = "a8access"
down_revision = "a4devices"
branch_labels = None
depends_on = None

TABLES = (
    "people", "person_roles", "invitations", "passkeys", "passwords", "totps", "pins", "recovery_codes", "challenges",
    "login_delays", "sessions", "break_glasses", "machines", "machine_secrets", "machine_tokens", "audit_event",
    "reading",
)  # fmt: skip
LOGS = ("audit_event", "reading")

# Tables whose rows are about a client and belong to no provider.
OF_CLIENTS = ("clients", "tag_refusals", "tags", "absences", "disputes")
ORDERED = f"client_id IN (SELECT client_id FROM orders WHERE {walls.own()})"  # noqa: S608 -- no value from outside
_VISITED = (
    f"SELECT client_id FROM visits WHERE {walls.own()}"  # noqa: S608 -- no value from outside
    " AND NOT ceased AND at > now() - interval '90 days'"
)
VISIBLE = f"{ORDERED} OR client_id IN ({_VISITED})"

# What a provider may write about: only clients it sees. A foreign key is checked past row-level security, so without
# this an INSERT would tell whether a foreign client exists; a manual visit would make her visible.
_SEEN = "client_id IN (SELECT client_id FROM clients)"
CHECKED = {
    "contacts": _SEEN,
    "manual_visits": _SEEN,
    "corrections": "(new_client_id = '' OR new_client_id IN (SELECT client_id FROM clients))",
}


def upgrade() -> None:
    """Apply."""
    _create_people()
    _create_factors()
    _create_sessions()
    _create_machines()
    _create_logs()
    for table in TABLES:
        if table not in LOGS:
            walls.account(table)
    for table in LOGS:
        walls.audit(table, sees=walls.own())
    _show_employments()
    _close_holes()


def downgrade() -> None:
    """Take back."""
    auth = walls.login_name(Login.AUTH)
    op.execute("DROP POLICY employments_auth ON employments")
    op.execute(f'REVOKE SELECT ON employments FROM "{auth}"')  # noqa: S608 -- no value from outside
    for table in OF_CLIENTS:
        op.execute(f"ALTER POLICY {table}_provider ON {table} USING ({ORDERED}) WITH CHECK ({ORDERED})")
    for table in CHECKED:
        op.execute(f"ALTER POLICY {table}_provider ON {table} WITH CHECK ({walls.own()})")
    op.execute(f"DROP TABLE {', '.join(TABLES)}")


def _show_employments() -> None:
    """A login person picks among her employments: the office of access reads the link person_key -> staff_id."""
    auth = walls.login_name(Login.AUTH)
    op.execute(f'GRANT SELECT ON employments TO "{auth}"')
    op.execute(f'CREATE POLICY employments_auth ON employments TO "{auth}" USING (true)')


def _close_holes() -> None:
    """Who sees a client, and that nobody makes a client visible, or learns that one exists, by writing about it."""
    for table in OF_CLIENTS:
        op.execute(f"ALTER POLICY {table}_provider ON {table} USING ({VISIBLE}) WITH CHECK ({VISIBLE})")
    for table, condition in CHECKED.items():
        op.execute(f"ALTER POLICY {table}_provider ON {table} WITH CHECK ({walls.own()} AND {condition})")


def _create_people() -> None:
    op.create_table(
        "people",
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("person_key", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_people")),
    )
    op.create_index(op.f("ix_people_person_key"), "people", ["person_key"], unique=False)
    op.create_table(
        "person_roles",
        sa.Column("role_id", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), server_default="", nullable=False),
        sa.Column("unit_ids", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("district", sa.Text(), server_default="", nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column("granted_by", sa.Text(), server_default="", nullable=False),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(role = 'commissioner') = (district <> '')", name=op.f("ck_person_roles_district")),
        sa.CheckConstraint(
            "(role IN ('carer', 'scheduler', 'manager', 'provider_finance')) = (provider_id <> '')",
            name=op.f("ck_person_roles_provider"),
        ),
        sa.CheckConstraint("role <> 'auditor' OR valid_to IS NOT NULL", name=op.f("ck_person_roles_auditor_ends")),
        sa.CheckConstraint("valid_to >= valid_from", name=op.f("ck_person_roles_period")),
        sa.ForeignKeyConstraint(["person_id"], ["people.person_id"], name=op.f("fk_person_roles_person_id_people")),
        sa.PrimaryKeyConstraint("role_id", name=op.f("pk_person_roles")),
    )
    op.create_index(op.f("ix_person_roles_person_id"), "person_roles", ["person_id"], unique=False)
    op.create_index(op.f("ix_person_roles_provider_id"), "person_roles", ["provider_id"], unique=False)
    op.create_table(
        "invitations",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("made_by", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["people.person_id"], name=op.f("fk_invitations_person_id_people")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_invitations")),
    )


def _create_factors() -> None:
    op.create_table(
        "passkeys",
        sa.Column("credential_id", sa.LargeBinary(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("label", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["people.person_id"], name=op.f("fk_passkeys_person_id_people")),
        sa.PrimaryKeyConstraint("credential_id", name=op.f("pk_passkeys")),
    )
    op.create_index(op.f("ix_passkeys_person_id"), "passkeys", ["person_id"], unique=False)
    op.create_table(
        "passwords",
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("login_name", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["people.person_id"], name=op.f("fk_passwords_person_id_people")),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_passwords")),
        sa.UniqueConstraint("login_name", name=op.f("uq_passwords_login_name")),
    )
    op.create_table(
        "totps",
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("last_step", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["people.person_id"], name=op.f("fk_totps_person_id_people")),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_totps")),
    )
    op.create_table(
        "pins",
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["people.person_id"], name=op.f("fk_pins_person_id_people")),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_pins")),
    )
    op.create_table(
        "recovery_codes",
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["people.person_id"], name=op.f("fk_recovery_codes_person_id_people")),
        sa.PrimaryKeyConstraint("code_hash", name=op.f("pk_recovery_codes")),
    )
    op.create_index(op.f("ix_recovery_codes_person_id"), "recovery_codes", ["person_id"], unique=False)


def _create_sessions() -> None:
    op.create_table(
        "challenges",
        sa.Column("challenge_hash", sa.LargeBinary(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text(), server_default="", nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("challenge_hash", name=op.f("pk_challenges")),
    )
    op.create_table(
        "login_delays",
        sa.Column("subject_hash", sa.LargeBinary(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("subject_hash", name=op.f("pk_login_delays")),
    )
    op.create_table(
        "sessions",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("role_id", sa.Text(), nullable=True),
        sa.Column("staff_id", sa.Text(), server_default="", nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("idle_minutes", sa.Integer(), nullable=False),
        sa.Column("strong_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["people.person_id"], name=op.f("fk_sessions_person_id_people")),
        sa.ForeignKeyConstraint(["role_id"], ["person_roles.role_id"], name=op.f("fk_sessions_role_id_person_roles")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_sessions")),
        sa.UniqueConstraint("session_id", name=op.f("uq_sessions_session_id")),
    )
    op.create_index(op.f("ix_sessions_person_id"), "sessions", ["person_id"], unique=False)
    op.create_table(
        "break_glasses",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["people.person_id"], name=op.f("fk_break_glasses_person_id_people")),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.session_id"], name=op.f("fk_break_glasses_session_id_sessions")
        ),
        sa.PrimaryKeyConstraint("session_id", "started_at", name=op.f("pk_break_glasses")),
    )


def _create_machines() -> None:
    op.create_table(
        "machines",
        sa.Column("machine_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("provider_id", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("machine_id", name=op.f("pk_machines")),
        sa.UniqueConstraint("name", name=op.f("uq_machines_name")),
    )
    op.create_table(
        "machine_secrets",
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("machine_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["machine_id"], ["machines.machine_id"], name=op.f("fk_machine_secrets_machine_id_machines")
        ),
        sa.PrimaryKeyConstraint("secret_hash", name=op.f("pk_machine_secrets")),
    )
    op.create_index(op.f("ix_machine_secrets_machine_id"), "machine_secrets", ["machine_id"], unique=False)
    op.create_table(
        "machine_tokens",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("machine_id", sa.Text(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["machine_id"], ["machines.machine_id"], name=op.f("fk_machine_tokens_machine_id_machines")
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_machine_tokens")),
    )
    op.create_index(op.f("ix_machine_tokens_expires_at"), "machine_tokens", ["expires_at"], unique=False)


def _create_logs() -> None:
    op.create_table(
        "audit_event",
        sa.Column("event_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), server_default="", nullable=False),
        sa.Column("provider_id", sa.Text(), server_default="", nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "facts", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("request_id", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_audit_event")),
    )
    op.create_index(op.f("ix_audit_event_at"), "audit_event", ["at"], unique=False)
    op.create_table(
        "reading",
        sa.Column("reading_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), server_default="", nullable=False),
        sa.Column("provider_id", sa.Text(), server_default="", nullable=False),
        sa.Column("district", sa.Text(), server_default="", nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), server_default="", nullable=False),
        sa.Column("subjects", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("request_id", sa.Text(), server_default="", nullable=False),
        sa.Column("break_glass", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("reading_id", name=op.f("pk_reading")),
    )
    op.create_index(op.f("ix_reading_actor_at"), "reading", ["actor", "at"], unique=False)
    op.create_index(op.f("ix_reading_at"), "reading", ["at"], unique=False)
