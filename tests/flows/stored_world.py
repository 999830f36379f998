"""A diary's registry and statements as rows of a real database, and the visits read back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, Table, insert

from app.evidence.store import append, append_taps
from app.facts import RegistryRows, Tap, Visit
from app.findings import store as finding_store
from app.policies import PolicyBook
from app.registry import tables
from app.registry.store import store_policies
from app.visits import store
from app.visits.flow import Derived, derive
from app.visits.queue import Change
from app.visits.stated import Statement, changes_of_statement, changes_of_taps
from tests.diary import moment

NOW = moment("2026-02-01T12:00")
_TABLES: Mapping[str, Table] = {
    "providers": tables.providers,
    "units": tables.units,
    "clients": tables.clients,
    "employments": tables.employments,
    "tags": tables.tags,
    "tag_refusals": tables.tag_refusals,
    "orders": tables.orders,
    "order_services": tables.order_services,
    "devices": tables.devices,
    "absences": tables.absences,
    "outages": tables.outages,
}


def store_registry(connection: Connection, rows: RegistryRows, book: PolicyBook) -> None:
    """The diary's registry and its own policies."""
    orders = {order.order_id: order for order in rows.orders}
    for name, table in _TABLES.items():
        for fact in getattr(rows, name):
            row: dict[str, Any] = {field.name: getattr(fact, field.name) for field in fields(fact)}
            if name == "order_services":
                row["provider_id"] = orders[fact.order_id].provider_id
            connection.execute(insert(table), {key: value for key, value in row.items() if key in table.c})
    store_policies(connection, book.overrides)


def store_taps(connection: Connection, taps: Iterable[Tap]) -> list[Change]:
    """Append taps as imported ones are; what they touch."""
    rows = [
        {
            "device_id": tap.device_id,
            "seq": tap.seq,
            "hash": hashlib.sha256(repr(tap).encode()).digest(),
            "act": tap.act,
            "tag_uid": tap.tag_uid,
            "staff_id": tap.staff_id,
            "service": tap.service,
            "tapped_at": tap.at,
            "at": tap.at,
            "received_at": tap.received_at,
            "grade": tap.grade,
            "doubts": list(tap.doubts),
            "tag_level": tap.tag_level,
        }
        for tap in taps
    ]
    append_taps(connection, rows)
    return changes_of_taps(taps)


def store_statement(connection: Connection, said: Statement) -> list[Change]:
    """Append a person's statement; what it touches."""
    append(connection, [said], NOW, provider_id="P1")
    return changes_of_statement(connection, said)


def drain(connection: Connection, changes: Iterable[Change]) -> Derived:
    """Derive what the changes touch."""
    return derive(connection, list(changes), NOW)


def visits_of(connection: Connection) -> set[Visit]:
    """All living visits."""
    return {visit for visit, _ in store.load(connection)}


def findings_of(connection: Connection) -> set[Any]:
    """All findings."""
    return {finding for _, finding in finding_store.load(connection)}
