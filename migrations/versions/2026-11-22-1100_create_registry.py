"""The registry: who and what exists, with validity.

Revision a1registry, after nothing, made 2026-11-22 11:00 UTC.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from app.db import walls
from app.db.callers import Login

revision = "a1registry"
down_revision = None
branch_labels = None
depends_on = None

# In the order in which they refer to each other.
TABLES = (
    "providers",
    "units",
    "employments",
    "clients",
    "contacts",
    "tag_refusals",
    "tags",
    "absences",
    "orders",
    "order_services",
    "devices",
    "outages",
    "staff_hours",
    "services_done",
    "prices",
    "catalogue",
    "external_indicators",
    "policies",
)


def upgrade() -> None:
    """Apply."""
    _create_providers_and_staff()
    _create_clients()
    _create_orders()
    _create_devices_and_hours()
    _create_prices_and_policies()
    _wall()


def downgrade() -> None:
    """Take back."""
    op.execute(f"DROP TABLE {', '.join(TABLES)}")  # at once: their policies look into each other


def _create_providers_and_staff() -> None:
    op.create_table(
        "providers",
        sa.Column("provider_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("operation", sa.Text(), server_default="", nullable=False),
        sa.Column("minimum_tag_level", sa.Text(), server_default="uid", nullable=False),
        sa.Column("minimum_tag_level_from", sa.Date(), nullable=True),
        sa.Column("defaulted", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("provider_id", name=op.f("pk_providers")),
    )
    op.create_table(
        "units",
        sa.Column("unit_id", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("phone", sa.Text(), server_default="", nullable=False),
        sa.Column("alert_to", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["providers.provider_id"], name=op.f("fk_units_provider_id_providers")
        ),
        sa.PrimaryKeyConstraint("unit_id", name=op.f("pk_units")),
        sa.UniqueConstraint("unit_id", "provider_id", name=op.f("uq_units_unit_id_provider_id")),
    )
    op.create_index(op.f("ix_units_provider_id"), "units", ["provider_id"], unique=False)
    op.create_table(
        "employments",
        sa.Column("staff_id", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column("person_key", sa.Text(), server_default="", nullable=False),
        sa.Column("unit_id", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("employment", sa.Text(), server_default="monthly", nullable=False),
        sa.Column("education", sa.Text(), server_default="none", nullable=False),
        sa.Column("education_document", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("in_training", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("role", sa.Text(), server_default="carer", nullable=False),
        sa.Column("badge_uid", sa.Text(), server_default="", nullable=False),
        sa.Column("defaulted", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        postgresql.ExcludeConstraint(
            (sa.text("(staff_id || '')"), "="),
            (sa.text("daterange(valid_from, valid_to, '[]')"), "&&"),
            deferrable="True",
            initially="IMMEDIATE",
            using="gist",
            name="ex_employments_period",
        ),
        sa.CheckConstraint("valid_to >= valid_from", name=op.f("ck_employments_period")),
        sa.ForeignKeyConstraint(
            ["unit_id", "provider_id"],
            ["units.unit_id", "units.provider_id"],
            name=op.f("fk_employments_unit_id_provider_id_units"),
            onupdate="CASCADE",
        ),
        sa.PrimaryKeyConstraint("staff_id", "valid_from", name=op.f("pk_employments")),
    )
    op.create_index(op.f("ix_employments_badge_uid"), "employments", ["badge_uid"], unique=False)
    op.create_index(op.f("ix_employments_person_key"), "employments", ["person_key"], unique=False)
    op.create_index(op.f("ix_employments_provider_id"), "employments", ["provider_id"], unique=False)
    op.create_index(op.f("ix_employments_unit_id"), "employments", ["unit_id"], unique=False)


def _create_clients() -> None:
    op.create_table(
        "clients",
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("birth_date", sa.Date(), nullable=True),
        sa.Column("site_id", sa.Text(), server_default="", nullable=False),
        sa.Column("address", sa.Text(), server_default="", nullable=False),
        sa.Column("entry_note", sa.Text(), server_default="", nullable=False),
        sa.Column("protected_identity", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("target_group", sa.Text(), server_default="", nullable=False),
        sa.Column("defaulted", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("client_id", name=op.f("pk_clients")),
    )
    op.create_table(
        "contacts",
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column("staff_id", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint("valid_to >= valid_from", name=op.f("ck_contacts_period")),
        sa.ForeignKeyConstraint(["client_id"], ["clients.client_id"], name=op.f("fk_contacts_client_id_clients")),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["providers.provider_id"], name=op.f("fk_contacts_provider_id_providers")
        ),
        sa.PrimaryKeyConstraint("client_id", "provider_id", "kind", "valid_from", name=op.f("pk_contacts")),
    )
    op.create_index(op.f("ix_contacts_provider_id"), "contacts", ["provider_id"], unique=False)
    op.create_table(
        "tag_refusals",
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.CheckConstraint("valid_to >= valid_from", name=op.f("ck_tag_refusals_period")),
        sa.ForeignKeyConstraint(["client_id"], ["clients.client_id"], name=op.f("fk_tag_refusals_client_id_clients")),
        sa.PrimaryKeyConstraint("client_id", "valid_from", name=op.f("pk_tag_refusals")),
    )
    op.create_table(
        "tags",
        sa.Column("tag_uid", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("valid_from_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_to_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("kind", sa.Text(), server_default="uid", nullable=False),
        sa.Column("defaulted", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        postgresql.ExcludeConstraint(
            (sa.text("(tag_uid || '')"), "="),
            (sa.text("(client_id || '')"), "="),
            (sa.text("tstzrange(valid_from_at, valid_to_at, '[)')"), "&&"),
            deferrable="True",
            initially="IMMEDIATE",
            using="gist",
            name="ex_tags_period",
        ),
        sa.CheckConstraint("valid_to_at >= valid_from_at", name=op.f("ck_tags_period")),
        sa.ForeignKeyConstraint(["client_id"], ["clients.client_id"], name=op.f("fk_tags_client_id_clients")),
        sa.PrimaryKeyConstraint("tag_uid", "client_id", "valid_from_at", name=op.f("pk_tags")),
    )
    op.create_index(op.f("ix_tags_client_id"), "tags", ["client_id"], unique=False)
    op.create_table(
        "absences",
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("from_on", sa.Date(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("to_on", sa.Date(), nullable=True),
        sa.CheckConstraint("to_on >= from_on", name=op.f("ck_absences_period")),
        sa.ForeignKeyConstraint(["client_id"], ["clients.client_id"], name=op.f("fk_absences_client_id_clients")),
        sa.PrimaryKeyConstraint("client_id", "from_on", "kind", name=op.f("pk_absences")),
    )


def _create_orders() -> None:
    op.create_table(
        "orders",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=False),
        sa.Column("unit_id", sa.Text(), nullable=True),
        sa.Column("district", sa.Text(), server_default="", nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column("minutes_per_month", sa.Integer(), nullable=True),
        sa.Column("minutes_per_day", sa.Integer(), nullable=True),
        sa.Column("max_staff", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("service", sa.Text(), server_default="", nullable=False),
        sa.Column("cost_code", sa.Text(), server_default="", nullable=False),
        sa.Column("defaulted", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        postgresql.ExcludeConstraint(
            (sa.text("(client_id || '')"), "="),
            (sa.text("(provider_id || '')"), "="),
            (sa.text("(service || '')"), "="),
            (sa.text("daterange(valid_from, valid_to, '[]')"), "&&"),
            deferrable="True",
            initially="IMMEDIATE",
            using="gist",
            name="ex_orders_period",
        ),
        sa.CheckConstraint("num_nonnulls(minutes_per_month, minutes_per_day) = 1", name=op.f("ck_orders_minutes")),
        sa.CheckConstraint("valid_to >= valid_from", name=op.f("ck_orders_period")),
        sa.ForeignKeyConstraint(["client_id"], ["clients.client_id"], name=op.f("fk_orders_client_id_clients")),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["providers.provider_id"], name=op.f("fk_orders_provider_id_providers")
        ),
        sa.ForeignKeyConstraint(["unit_id"], ["units.unit_id"], name=op.f("fk_orders_unit_id_units")),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_orders")),
        sa.UniqueConstraint("order_id", "provider_id", name=op.f("uq_orders_order_id_provider_id")),
    )
    op.create_index(op.f("ix_orders_client_id_provider_id"), "orders", ["client_id", "provider_id"], unique=False)
    op.create_index(op.f("ix_orders_provider_id"), "orders", ["provider_id"], unique=False)
    op.create_table(
        "order_services",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("care_service", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=False),
        sa.Column("care_area", sa.Text(), server_default="", nullable=False),
        sa.Column("times", sa.Integer(), nullable=True),
        sa.Column("per", sa.Text(), nullable=True),
        sa.Column("standard_minutes", sa.Integer(), nullable=True),
        sa.Column("proof", sa.Text(), server_default="both", nullable=False),
        sa.Column("defaulted", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id", "provider_id"],
            ["orders.order_id", "orders.provider_id"],
            name=op.f("fk_order_services_order_id_provider_id_orders"),
            onupdate="CASCADE",
        ),
        sa.PrimaryKeyConstraint("order_id", "care_service", name=op.f("pk_order_services")),
    )
    op.create_index(op.f("ix_order_services_provider_id"), "order_services", ["provider_id"], unique=False)


def _create_devices_and_hours() -> None:
    op.create_table(
        "devices",
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), server_default="", nullable=False),
        sa.Column("public_jwk", sa.Text(), server_default="", nullable=False),
        sa.Column("enrolled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("replaces", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["providers.provider_id"], name=op.f("fk_devices_provider_id_providers")
        ),
        sa.PrimaryKeyConstraint("device_id", name=op.f("pk_devices")),
    )
    op.create_index(op.f("ix_devices_provider_id"), "devices", ["provider_id"], unique=False)
    op.create_table(
        "outages",
        sa.Column("outage_id", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=True),
        sa.Column("from_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("to_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint("to_at >= from_at", name=op.f("ck_outages_period")),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["providers.provider_id"], name=op.f("fk_outages_provider_id_providers")
        ),
        sa.PrimaryKeyConstraint("outage_id", name=op.f("pk_outages")),
    )
    op.create_table(
        "staff_hours",
        sa.Column("staff_id", sa.Text(), nullable=False),
        sa.Column("worked_on", sa.Date(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), server_default="", nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("staff_id", "worked_on", "kind", name=op.f("pk_staff_hours")),
    )
    op.create_index(op.f("ix_staff_hours_worked_on"), "staff_hours", ["worked_on"], unique=False)
    op.create_table(
        "services_done",
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("staff_id", sa.Text(), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("care_service", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), server_default="", nullable=False),
        sa.Column("count", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("defaulted", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("client_id", "staff_id", "done_at", "care_service", name=op.f("pk_services_done")),
    )
    op.create_index(op.f("ix_services_done_done_at"), "services_done", ["done_at"], unique=False)


def _create_prices_and_policies() -> None:
    op.create_table(
        "prices",
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("band", sa.Text(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("amount_ore", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("operation", "band", "service", "unit", "valid_from", name=op.f("pk_prices")),
    )
    op.create_table(
        "catalogue",
        sa.Column("unit_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("provider_name", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "details", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.PrimaryKeyConstraint("unit_id", name=op.f("pk_catalogue")),
    )
    op.create_table(
        "external_indicators",
        sa.Column("unit_id", sa.Text(), nullable=False),
        sa.Column("indicator", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("value", sa.Numeric(), nullable=True),
        sa.Column("n", sa.Integer(), nullable=True),
        sa.Column("response_rate", sa.Numeric(), nullable=True),
        sa.Column("source", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("unit_id", "indicator", "period", name=op.f("pk_external_indicators")),
    )
    op.create_table(
        "policies",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("value", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("source", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("key", "valid_from", name=op.f("pk_policies")),
    )


def _wall() -> None:
    """A provider reads its own, and of clients those it has an order for; it keeps its staff, tags and devices."""
    read = {Login.PROVIDER: "SELECT"}
    of_own_client = f"client_id IN (SELECT client_id FROM orders WHERE {walls.own()})"  # noqa: S608 -- no value from outside
    walls.registry("providers", sees="true", grants=read)
    walls.registry("units", sees=walls.own())
    walls.registry("employments", sees=walls.own())
    walls.registry("clients", sees=of_own_client, grants=read)
    walls.registry("contacts", sees=walls.own())
    walls.registry("tag_refusals", sees=of_own_client)
    walls.registry("tags", sees=of_own_client)
    walls.registry("orders", sees=walls.own(), grants=read)
    walls.registry("order_services", sees=walls.own(), grants=read)
    walls.registry("devices", sees=walls.own(), grants={Login.INGEST: "SELECT, INSERT, UPDATE"})
    walls.registry("absences", sees=of_own_client)
    walls.registry("outages", sees=f"(provider_id IS NULL OR {walls.own()})", grants=read)
    walls.registry("staff_hours", sees=walls.own())
    walls.registry("services_done", sees=walls.own())
    for open_to_all in ("prices", "catalogue", "external_indicators", "policies"):
        walls.registry(open_to_all, sees="true", grants=read)
