"""A told story (tests/scenarios/story.py) brought into a database step by step, as doors and imports do it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, select
from sqlalchemy.dialects.postgresql import insert as upsert

from app.core.localtime import instant_of
from app.core.month import Month
from app.db.callers import Caller
from app.db.engine import Database
from app.evidence.store import append
from app.facts import Attest, BillingLine, MonthAccount
from app.facts.accounts import ClosedMonth
from app.months import store
from app.months.store import StoredAccount
from app.months.tables import month_accounts
from app.pipeline_derive import catch_up
from app.pipeline_months import Closed, close_month, complete_month
from app.registry import tables
from app.registry.store import store_policies
from app.visits import queue
from app.visits.queue import Change
from app.visits.stated import changes_of_statement
from tests.flows.stored_world import store_taps
from tests.scenarios.story import Told

_TABLES: dict[str, tuple[Table, tuple[str, ...]]] = {
    "providers": (tables.providers, ("provider_id",)),
    "units": (tables.units, ("unit_id",)),
    "clients": (tables.clients, ("client_id",)),
    "employments": (tables.employments, ("staff_id", "valid_from")),
    "tags": (tables.tags, ("tag_uid", "client_id", "valid_from_at")),
    "tag_refusals": (tables.tag_refusals, ("client_id", "valid_from")),
    "orders": (tables.orders, ("order_id",)),
    "devices": (tables.devices, ("device_id",)),
    "absences": (tables.absences, ("client_id", "from_on", "kind")),
    "outages": (tables.outages, ("outage_id",)),
    "prices": (tables.prices, ("operation", "band", "service", "unit", "valid_from")),
}
_STATEMENTS = ("plans", "declines", "manual_visits", "corrections", "disputes", "resolutions")


def tell(database: Database, before: Told, after: Told, now: datetime) -> None:
    """Store what `after` says beyond `before`, and derive what follows."""
    with database.transaction(Caller.batch()) as connection:
        changes = _register(connection, before, after)
        taps = [tap for tap in after.statements.taps if tap not in before.statements.taps]
        changes += store_taps(connection, taps)
        for name in _STATEMENTS:
            known, said = getattr(before.statements, name), getattr(after.statements, name)
            changes += _state(connection, [one for one in said if one not in known], now)
            # What an earlier version touched is touched again.
            changes += [one for old in known if old not in said for one in changes_of_statement(connection, old)]
        changes += _state(connection, [one for one in after.reasons if one not in before.reasons], now)
        ready = [Attest(*one, now, "chef") for one in sorted(after.attested - before.attested)]
        changes += _state(connection, ready, now)
        queue.enqueue(connection, changes)
    catch_up(database, now)


def _state(connection: Connection, said: Iterable[Any], now: datetime) -> list[Change]:
    changes: list[Change] = []
    for one in said:
        append(connection, [one], now, provider_id=getattr(one, "provider_id", "P1"))
        changes += changes_of_statement(connection, one)
    return changes


def _register(connection: Connection, before: Told, after: Told) -> list[Change]:
    changes: list[Change] = []
    store_policies(connection, after.book.overrides)
    for name, (table, keys) in _TABLES.items():
        known = before.prices if name == "prices" else getattr(before.registry, name)
        for fact in after.prices if name == "prices" else getattr(after.registry, name):
            if fact in known:
                continue
            row = {field.name: getattr(fact, field.name) for field in fields(fact) if field.name in table.c}
            changed = upsert(table).values(row).on_conflict_do_update(
                index_elements=list(keys), set_=row
            )  # fmt: skip
            connection.execute(changed)
            changes += _touched(connection, name, fact)
    return changes


def _touched(connection: Connection, name: str, fact: Any) -> list[Change]:
    """As app/visits/imported.py has it for a bundle."""
    if name in ("orders", "absences", "tag_refusals"):
        return [Change("household", fact.client_id)]
    if name == "tags":
        return [Change("tag", fact.tag_uid)]
    if name == "employments":
        return [Change("person", fact.staff_id)]
    if name == "providers":
        return [Change("provider", fact.provider_id), Change("accounts", fact.provider_id)]
    if name == "prices":
        c = tables.providers.c
        ids = connection.execute(select(c.provider_id).where(c.operation == fact.operation)).scalars()
        return [Change("accounts", one, instant_of(fact.valid_from)) for one in ids]
    if name == "outages":
        return [Change("provider", fact.provider_id, fact.from_at, fact.to_at)]
    return []


def close(database: Database, month: Month, now: datetime, on: Any = None) -> Closed:
    """The payment run."""
    return close_month(database, month, on=on or month.next.first_on.replace(day=6), by="city", now=now,
                       progress=lambda *_: None)  # fmt: skip


def accounts(database: Database, month: Month, now: datetime) -> dict[tuple[str, str], MonthAccount]:
    """What the month's accounts are stored as, without when they became known."""
    complete_month(database, month, now)
    with database.transaction(Caller.batch(), read_only=True) as connection:
        stored: list[StoredAccount] = store.load_current(connection, month_accounts.c.month_on == month.first_on)
    return {(one.account.client_id, one.account.provider_id): replace(one.account, known_at=None) for one in stored}


def frozen(database: Database, month: Month) -> list[ClosedMonth]:
    """What the run of a month froze."""
    with database.transaction(Caller.batch(), read_only=True) as connection:
        return store.load_frozen(connection, month)


def plain(lines: Iterable[BillingLine]) -> list[BillingLine]:
    """Lines without when they changed, in order of id."""
    return sorted((replace(line, changed_at=None) for line in lines), key=lambda line: line.line_id)


__all__ = ["accounts", "close", "frozen", "plain", "tell"]
