"""Reads the registry as facts for the rules. Plain functions taking a connection; no rule is decided here."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields
from datetime import date
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    Text,
    cast,
    delete,
    func,
    literal,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert

from app.facts import (
    Absence,
    Client,
    Contact,
    Device,
    Directory,
    Employment,
    Order,
    OrderService,
    Outage,
    Price,
    Provider,
    RegistryRows,
    Tag,
    TagRefusal,
    Unit,
)
from app.policies import DatedValue, PolicyBook
from app.registry.tables import (
    absences,
    clients,
    contacts,
    devices,
    employments,
    order_services,
    orders,
    outages,
    policies,
    prices,
    providers,
    tag_refusals,
    tags,
    units,
)

Fact = TypeVar("Fact")
Ids = Collection[str] | None


def load_directory(
    connection: Connection,
    clients: Ids = None,
    staff: Ids = None,
    *,
    tag_uids: Ids = None,
    devices: Ids = None,
) -> Directory:
    """The whole registry, or the part that matters.

    Nothing given: everything. Else what belongs to the named clients, to the holders (at any time) of the named tags,
    and to everybody who shares a tag with one of these (households, step by step); the employments of the named
    staff_ids and of the contacts of these clients; the named devices; and always all providers, units and outages.
    """
    if clients is None and staff is None and tag_uids is None and devices is None:
        return Directory(_rows(connection, None, None, None))
    members = _members(connection, clients or (), tag_uids or ())
    return Directory(_rows(connection, members, tuple(staff or ()), tuple(devices or ())))


def load_prices(connection: Connection) -> tuple[Price, ...]:
    """All prices of all dates."""
    return tuple(_facts(connection, Price, prices))


def load_policy_book(connection: Connection) -> PolicyBook:
    """The built-in policies with the municipality's own over them."""
    return PolicyBook.built_in().with_overrides(load_policies(connection))


def load_policies(connection: Connection) -> list[DatedValue]:
    """The municipality's own dated values, by key and date."""
    rows = connection.execute(select(policies).order_by(policies.c.key, policies.c.valid_from))
    return [DatedValue(row.key, row.value, row.valid_from, row.source) for row in rows]


def store_policies(connection: Connection, values: Sequence[DatedValue]) -> tuple[int, int, int]:
    """Bring dated values up to date; how many were added, changed, unchanged. `read_policies` has validated them."""
    known = {(value.key, value.valid_from): value for value in load_policies(connection)}
    latest = {(value.key, value.valid_from): value for value in values}
    fresh = [value for index, value in latest.items() if known.get(index) != value]
    if fresh:
        rows = [
            {"key": value.key, "valid_from": value.valid_from, "value": value.value, "source": value.source}
            for value in fresh
        ]
        statement = insert(policies)
        updates = {"value": statement.excluded.value, "source": statement.excluded.source}
        connection.execute(statement.on_conflict_do_update(index_elements=["key", "valid_from"], set_=updates), rows)
    added = sum(1 for index in latest if index not in known)
    return added, len(fresh) - added, len(latest) - len(fresh)


def delete_policy(connection: Connection, key: str, valid_from: date) -> bool:
    """Take back one own dated value, so that what stood before it holds; whether there was one."""
    found = connection.execute(delete(policies).where(policies.c.key == key, policies.c.valid_from == valid_from))
    return found.rowcount > 0


def _members(connection: Connection, named: Iterable[str], tag_uids: Iterable[str]) -> tuple[str, ...]:
    """The named clients, the holders of the tags, and whoever shares a tag with one of them."""
    own = set(named)
    shared = select(tags.c.tag_uid).where(_among(tags.c.client_id, own))
    rows = connection.execute(
        select(tags.c.client_id)
        .where(or_(_among(tags.c.tag_uid, set(tag_uids)), tags.c.tag_uid.in_(shared)))
        .distinct()
    )
    found = {row.client_id for row in rows} | own
    return tuple(sorted(found)) if found == own else _members(connection, found, ())


def _rows(
    connection: Connection, members: Ids, staff: Sequence[str] | None, device_ids: Sequence[str] | None
) -> RegistryRows:
    def of_members(column: ColumnElement[str]) -> ColumnElement[bool]:
        return true() if members is None else _among(column, members)

    contacts_ = _facts(connection, Contact, contacts, of_members(contacts.c.client_id))
    needed = None if staff is None else {*staff, *(contact.staff_id for contact in contacts_)}
    uids = select(tags.c.tag_uid).where(of_members(tags.c.client_id))
    whose = true() if members is None else tags.c.tag_uid.in_(uids)
    order_ids = select(orders.c.order_id).where(of_members(orders.c.client_id))
    return RegistryRows(
        providers=_facts(connection, Provider, providers),
        units=_facts(connection, Unit, units),
        employments=_facts(
            connection, Employment, employments, true() if needed is None else _among(employments.c.staff_id, needed)
        ),
        clients=_facts(connection, Client, clients, of_members(clients.c.client_id)),
        contacts=contacts_,
        tag_refusals=_facts(connection, TagRefusal, tag_refusals, of_members(tag_refusals.c.client_id)),
        tags=_facts(connection, Tag, tags, whose),
        orders=_facts(connection, Order, orders, of_members(orders.c.client_id)),
        order_services=_facts(
            connection,
            OrderService,
            order_services,
            true() if members is None else order_services.c.order_id.in_(order_ids),
        ),
        devices=_facts(
            connection, Device, devices, true() if device_ids is None else _among(devices.c.device_id, device_ids)
        ),
        absences=_facts(connection, Absence, absences, of_members(absences.c.client_id)),
        outages=_facts(connection, Outage, outages),
    )


def _among(column: ColumnElement[str], values: Collection[str]) -> ColumnElement[bool]:
    """`= ANY(array)`: one parameter and one prepared statement however many values."""
    return column == func.any(_array(values))


def _array(values: Collection[str]) -> Any:
    return cast(literal(list(values), ARRAY(Text)), ARRAY(Text))


def _facts(
    connection: Connection, fact: type[Fact], table: Table, where: ColumnElement[bool] | None = None
) -> list[Fact]:
    """The rows as frozen dataclasses: columns have the fields' names; a NULL reference is an empty text there."""
    return [fact(*row) for row in connection.execute(_query(fact, table, where))]


def _query(fact: type[Any], table: Table, where: ColumnElement[bool] | None) -> Select[Any]:
    columns = [table.c[field.name] for field in fields(fact)]
    keys = {column.name for column in table.primary_key.columns}
    listed = [
        func.coalesce(column, "")
        if column.nullable and column.name in _REFERENCES and column.name not in keys
        else column
        for column in columns
    ]
    query = select(*listed)
    return query if where is None else query.where(where)


# References that are NULL where the bundle has an empty cell, so that foreign keys hold.
_REFERENCES = frozenset({"unit_id", "provider_id"})
