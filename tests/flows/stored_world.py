"""A diary's registry and statements as rows of a real database, and the visits read back."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
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
    "devices": tables.devices,
    "absences": tables.absences,
    "outages": tables.outages,
}


def store_registry(connection: Connection, rows: RegistryRows, book: PolicyBook, later: Sequence[Any] = ()) -> None:
    """The diary's registry and its own policies, without what is known `later` only."""
    for name in _TABLES:
        for fact in getattr(rows, name):
            if fact not in later:
                _store_fact(connection, name, fact)
    store_policies(connection, book.overrides)


def learn(connection: Connection, rows: RegistryRows, fact: Any) -> list[Change]:
    """One more row of the registry; what it touches."""
    name = next(name for name in _TABLES if fact in getattr(rows, name))
    _store_fact(connection, name, fact)
    return _TOUCHED[name](fact)


_TOUCHED: Mapping[str, Callable[[Any], list[Change]]] = {
    "employments": lambda fact: [Change("person", fact.staff_id)],
    "tags": lambda fact: [Change("tag", fact.tag_uid)],
    "tag_refusals": lambda fact: [Change("household", fact.client_id)],
    "orders": lambda fact: [Change("household", fact.client_id)],
    "devices": lambda fact: [Change("device", fact.device_id)],
    "absences": lambda fact: [Change("household", fact.client_id)],
    "outages": lambda fact: [Change("provider", fact.provider_id, fact.from_at, fact.to_at)],
}


def _store_fact(connection: Connection, name: str, fact: Any) -> None:
    row: dict[str, Any] = {field.name: getattr(fact, field.name) for field in fields(fact)}
    table = _TABLES[name]
    connection.execute(insert(table), {key: value for key, value in row.items() if key in table.c})


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
