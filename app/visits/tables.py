"""Derived tables of the visits: droppable, rebuilt identically from statements and registry.

`visits` is partitioned by the local month of the visit (`month_on`, its first day), with a DEFAULT partition: a tap of
2031 or 1970 lands somewhere. What stage C of the rules decides about a visit (class, plan, decline, status) can be
decided again from the row alone: `stated_service` and `stated_status` keep what was there before.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from app.db.base import metadata

# `visits` that do not lie within a day of their first tap.
ELSEWHERE = "at - tapped_at > interval '1 day' OR tapped_at - at > interval '1 day'"


def _text(name: str) -> Column[Any]:
    return Column(name, Text, nullable=False, server_default="")


def _instant(name: str, *, nullable: bool = True) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def _of_a_visit() -> tuple[Column[Any], ...]:
    """The columns of a visit, fresh ones for each table."""
    return (
        Column("month_on", Date, nullable=False),
        Column("visit_id", Text, nullable=False),
        _text("manual_id"),
        _text("client_id"),
        _text("provider_id"),
        _text("unit_id"),
        _text("staff_id"),
        _text("person"),
        _text("role"),
        # Start, else end: every visit has one.
        _instant("at", nullable=False),
        _instant("start_at"),
        _instant("end_at"),
        Column("minutes", Integer, nullable=False, server_default="0"),
        Column("status", Text, nullable=False),
        Column("stated_status", Text, nullable=False),
        Column("source", Text, nullable=False),
        Column("grade", Text, nullable=False),
        Column("service", Text, nullable=False),
        # The class stated at KOM or by hand; NULL: not stated.
        Column("stated_service", Text),
        Column("kom_device_id", Text),
        Column("kom_seq", BigInteger),
        _instant("kom_at"),
        Column("gick_device_id", Text),
        Column("gick_seq", BigInteger),
        _instant("gick_at"),
        _text("planned_id"),
        _text("decline_id"),
        _text("replaced_by"),
        _text("care_service"),
        # Whose taps these were before anybody corrected the visit; empty for a manual one.
        _text("paired_staff_id"),
        # Stamp of the first tap, whatever a correction says; NULL for a manual visit.
        _instant("tapped_at"),
        Column("marks", ARRAY(Text), nullable=False, server_default="{}"),
        Column("proposal", JSONB, nullable=False, server_default=text("'[]'::jsonb")),
        Column("share_position", Integer),
        Column("share_weights", ARRAY(Integer)),
        Column("holds", ARRAY(Text), nullable=False, server_default="{}"),
        Column("findings", ARRAY(Text), nullable=False, server_default="{}"),
        Column("accepted", Boolean, nullable=False),
        _instant("open_until_at"),
        # A visit that ceased to exist (its KOM came late, a tag got another holder) stays, cancelled, for pollers.
        Column("ceased", Boolean, nullable=False, server_default=text("false")),
        _instant("changed_at", nullable=False),
    )


visits = Table(
    "visits",
    metadata,
    *_of_a_visit(),
    PrimaryKeyConstraint("visit_id", "month_on"),
    Index(None, "client_id", "at"),
    Index(None, "staff_id", "at"),
    Index(None, "paired_staff_id", "tapped_at"),
    Index(None, "person", "at"),
    # The visits that hands have touched: few, counted per provider and month (DOMAIN.md 2.2 row 33).
    Index("ix_visits_marked", "provider_id", "month_on", postgresql_where=text("marks <> '{}'")),
    # Visits of more than a day reach far; the few there are are looked for beside those that began nearby.
    Index("ix_visits_long_client", "client_id", postgresql_where=text("end_at - start_at > interval '1 day'")),
    Index("ix_visits_long_person", "person", postgresql_where=text("end_at - start_at > interval '1 day'")),
    # The few whose times were corrected to another day than their taps', and those that ceased: neither needs lie in
    # the months a question about taps or ids names.
    Index("ix_visits_elsewhere", "paired_staff_id", postgresql_where=text(ELSEWHERE)),
    Index("ix_visits_ceased", "visit_id", postgresql_where=text("ceased")),
    Index("ix_visits_manual_id", "manual_id", postgresql_where=text("manual_id <> ''")),
    # Few: what is not complete. Open visits are asked for all day, and the last three days hold thousands of others.
    Index("ix_visits_open", "provider_id", "at", postgresql_where=text("status = 'incomplete'")),
    Index(None, "provider_id", "at"),
    Index(None, "provider_id", "changed_at"),
    postgresql_partition_by="RANGE (month_on)",
)

# Visits that live on under their id, but with another provider, unit, staff member or client: as `cancelled` as one
# that ceased, for whoever polls those they were with before. A memory like the ceased ones, which a rebuild keeps.
moved_visits = Table(
    "moved_visits",
    metadata,
    *_of_a_visit(),
    PrimaryKeyConstraint("visit_id", "provider_id", "unit_id", "staff_id", "client_id"),
    Index(None, "provider_id", "changed_at"),
)

decline_outcomes = Table(
    "decline_outcomes",
    metadata,
    Column("provider_id", Text, nullable=False),
    Column("decline_id", Text, nullable=False),
    _text("client_id"),
    _instant("planned_start_at", nullable=False),
    Column("notice", Text, nullable=False),
    Column("visit_ids", ARRAY(Text), nullable=False, server_default="{}"),
    Column("planned_minutes", Integer, nullable=False),
    Column("executed_minutes", Integer, nullable=False),
    Column("share_percent", Integer, nullable=False),
    Column("compensation_minutes", Integer, nullable=False),
    Column("made_up_minutes", Integer, nullable=False),
    Column("made_up_on", Date),
    PrimaryKeyConstraint("provider_id", "decline_id"),
    Index(None, "client_id", "planned_start_at"),
)

# Whose visits must be derived again. Written in the transaction of the statement or registry row that causes it,
# drained by `visits.flow` in one of its own: a fault in a rule can never refuse a tap.
derive_queue = Table(
    "derive_queue",
    metadata,
    Column("queue_id", BigInteger, Identity(always=True), primary_key=True),
    # `visits.queue.KINDS`
    Column("kind", Text, nullable=False),
    _text("key"),
    # The second half of a key: provider of an account.
    _text("provider_id"),
    # The stretch of time concerned; NULL: since ever / for ever.
    _instant("from_at"),
    _instant("to_at"),
    # The kind of error that deriving it alone met; empty: waiting. A rebuild clears it.
    _text("failed"),
)
