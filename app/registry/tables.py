"""The registry's tables: dated truth about who and what exists (CONTRACT.md section 2).

Columns have the bundle's names. Text is never NULL but empty; a reference that may be missing is NULL, so that foreign
keys hold. `provider_id` stands on every table that holds staff or orders, so that row-level security can be put on it
(EVIDENCE.md section 4); where the bundle has none it is copied from what the row belongs to.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
    text,
)  # fmt: skip
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, ExcludeConstraint

from app.db.base import metadata


def _text(name: str) -> Column[Any]:
    return Column(name, Text, nullable=False, server_default="")


def _flag(name: str) -> Column[Any]:
    return Column(name, Boolean, nullable=False, server_default=text("false"))


def _instant(name: str, *, nullable: bool = False, primary_key: bool = False) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=nullable and not primary_key, primary_key=primary_key)


def _defaulted() -> Column[Any]:
    """Columns that were empty in the bundle and took their default: the export leaves them empty again."""
    return Column("defaulted", ARRAY(Text), nullable=False, server_default="{}")


def _period(name: str, start: str, end: str, kind: str, *same: str) -> ExcludeConstraint:
    """No two rows with the same `same` columns overlap. Deferrable: a period may be cut and followed in one import."""
    bounds = "'[]'" if kind == "daterange" else "'[)'"
    # `|| ''`: PostgreSQL would else take this slow index for plain look-ups by these columns (40 us against 2).
    elements: list[tuple[Any, str]] = [(text(f"({column} || '')"), "=") for column in same]
    return ExcludeConstraint(
        *elements,
        (text(f"{kind}({start}, {end}, {bounds})"), "&&"),
        name=f"ex_{name}",
        using="gist",
        deferrable=True,
        initially="IMMEDIATE",
    )


providers = Table(
    "providers",
    metadata,
    Column("provider_id", Text, primary_key=True),
    _text("name"),
    _text("operation"),
    Column("minimum_tag_level", Text, nullable=False, server_default="uid"),
    Column("minimum_tag_level_from", Date),
    _defaulted(),
)

units = Table(
    "units",
    metadata,
    Column("unit_id", Text, primary_key=True),
    Column("provider_id", Text, ForeignKey("providers.provider_id"), nullable=False, index=True),
    _text("name"),
    _text("phone"),
    _text("alert_to"),
    UniqueConstraint("unit_id", "provider_id"),
)

employments = Table(
    "employments",
    metadata,
    Column("staff_id", Text, primary_key=True),
    Column("valid_from", Date, primary_key=True),
    Column("valid_to", Date),
    _text("person_key"),
    Column("unit_id", Text, nullable=False),
    Column("provider_id", Text, nullable=False, index=True),
    _text("name"),
    Column("employment", Text, nullable=False, server_default="monthly"),
    Column("education", Text, nullable=False, server_default="none"),
    _flag("education_document"),
    _flag("in_training"),
    Column("role", Text, nullable=False, server_default="carer"),
    _text("badge_uid"),
    _defaulted(),
    # Composite, so that an employment can never point into another provider's unit (foreign keys bypass RLS).
    ForeignKeyConstraint(["unit_id", "provider_id"], ["units.unit_id", "units.provider_id"], onupdate="CASCADE"),
    _period("employments_period", "valid_from", "valid_to", "daterange", "staff_id"),
    CheckConstraint("valid_to >= valid_from", name="period"),
    Index(None, "person_key"),
    Index(None, "badge_uid"),
    Index(None, "unit_id"),
)

clients = Table(
    "clients",
    metadata,
    Column("client_id", Text, primary_key=True),
    _text("name"),
    Column("birth_date", Date),
    _text("site_id"),
    _text("address"),
    _text("entry_note"),
    _flag("protected_identity"),
    _text("target_group"),
    _defaulted(),
)

contacts = Table(
    "contacts",
    metadata,
    Column("client_id", Text, ForeignKey("clients.client_id"), primary_key=True),
    Column("provider_id", Text, ForeignKey("providers.provider_id"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("valid_from", Date, primary_key=True),
    Column("valid_to", Date),
    _text("staff_id"),
    CheckConstraint("valid_to >= valid_from", name="period"),
    Index(None, "provider_id"),
)

tag_refusals = Table(
    "tag_refusals",
    metadata,
    Column("client_id", Text, ForeignKey("clients.client_id"), primary_key=True),
    Column("valid_from", Date, primary_key=True),
    Column("valid_to", Date),
    CheckConstraint("valid_to >= valid_from", name="period"),
)

tags = Table(
    "tags",
    metadata,
    Column("tag_uid", Text, primary_key=True),
    Column("client_id", Text, ForeignKey("clients.client_id"), primary_key=True),
    _instant("valid_from_at", primary_key=True),
    _instant("valid_to_at", nullable=True),
    Column("kind", Text, nullable=False, server_default="uid"),
    _defaulted(),
    _period("tags_period", "valid_from_at", "valid_to_at", "tstzrange", "tag_uid", "client_id"),
    CheckConstraint("valid_to_at >= valid_from_at", name="period"),
    Index(None, "client_id"),
)

orders = Table(
    "orders",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("client_id", Text, ForeignKey("clients.client_id"), nullable=False),
    Column("provider_id", Text, ForeignKey("providers.provider_id"), nullable=False),
    Column("unit_id", Text, ForeignKey("units.unit_id")),
    _text("district"),
    Column("valid_from", Date, nullable=False),
    Column("valid_to", Date),
    Column("minutes_per_month", Integer),
    Column("minutes_per_day", Integer),
    Column("max_staff", Integer, nullable=False, server_default=text("1")),
    _text("service"),
    _text("cost_code"),
    _defaulted(),
    _period("orders_period", "valid_from", "valid_to", "daterange", "client_id", "provider_id", "service"),
    CheckConstraint("valid_to >= valid_from", name="period"),
    CheckConstraint("num_nonnulls(minutes_per_month, minutes_per_day) = 1", name="minutes"),
    UniqueConstraint("order_id", "provider_id"),
    Index(None, "client_id", "provider_id"),
    Index(None, "provider_id"),
)

order_services = Table(
    "order_services",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("care_service", Text, primary_key=True),
    Column("provider_id", Text, nullable=False, index=True),
    _text("care_area"),
    Column("times", Integer),
    Column("per", Text),
    Column("standard_minutes", Integer),
    Column("proof", Text, nullable=False, server_default="both"),
    _defaulted(),
    ForeignKeyConstraint(["order_id", "provider_id"], ["orders.order_id", "orders.provider_id"], onupdate="CASCADE"),
)

devices = Table(
    "devices",
    metadata,
    Column("device_id", Text, primary_key=True),
    Column("provider_id", Text, ForeignKey("providers.provider_id"), index=True),
    _text("kind"),
    _text("public_jwk"),
    _instant("enrolled_at", nullable=True),
    _instant("revoked_at", nullable=True),
    _text("replaces"),
)

absences = Table(
    "absences",
    metadata,
    Column("client_id", Text, ForeignKey("clients.client_id"), primary_key=True),
    Column("from_on", Date, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("to_on", Date),
    CheckConstraint("to_on >= from_on", name="period"),
)

outages = Table(
    "outages",
    metadata,
    Column("outage_id", Text, primary_key=True),
    Column("provider_id", Text, ForeignKey("providers.provider_id")),  # NULL: all providers
    _instant("from_at"),
    _instant("to_at", nullable=True),
    _text("reason"),
    CheckConstraint("to_at >= from_at", name="period"),
)

staff_hours = Table(
    "staff_hours",
    metadata,
    Column("staff_id", Text, primary_key=True),
    Column("worked_on", Date, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("provider_id", Text, nullable=False, server_default=""),
    Column("minutes", Integer, nullable=False),
    Index(None, "worked_on"),
)

services_done = Table(
    "services_done",
    metadata,
    Column("client_id", Text, primary_key=True),
    Column("staff_id", Text, primary_key=True),
    _instant("done_at", primary_key=True),
    Column("care_service", Text, primary_key=True),
    Column("provider_id", Text, nullable=False, server_default=""),
    Column("count", Integer, nullable=False, server_default=text("1")),
    _defaulted(),
    Index(None, "done_at"),
)

prices = Table(
    "prices",
    metadata,
    Column("operation", Text, primary_key=True),
    Column("band", Text, primary_key=True),
    Column("service", Text, primary_key=True),
    Column("unit", Text, primary_key=True),
    Column("valid_from", Date, primary_key=True),
    Column("amount_ore", BigInteger, nullable=False),
)

catalogue = Table(
    "catalogue",
    metadata,
    Column("unit_id", Text, primary_key=True),
    _text("name"),
    _text("provider_name"),
    # Whatever else the city's catalogue says, as text: the contract leaves its columns open.
    Column("details", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
)

external_indicators = Table(
    "external_indicators",
    metadata,
    Column("unit_id", Text, primary_key=True),
    Column("indicator", Text, primary_key=True),
    Column("period", Text, primary_key=True),
    Column("value", Numeric),
    Column("n", Integer),
    Column("response_rate", Numeric),
    _text("source"),
)

policies = Table(
    "policies",
    metadata,
    Column("key", Text, primary_key=True),
    Column("valid_from", Date, primary_key=True),
    Column("value", JSONB, nullable=False),
    _text("source"),
)
