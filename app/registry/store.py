"""Reads the registry as facts for the rules. Plain functions taking a connection; no rule is decided here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import fields
from datetime import date, datetime
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    Text,
    bindparam,
    delete,
    func,
    or_,
    select,
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


def load_ordered(connection: Connection, clients: Collection[str]) -> Directory:
    """Of the registry what month accounts and fees follow from: these clients' orders and absences, all providers."""
    rows = RegistryRows(
        providers=_facts(connection, Provider, providers),
        orders=_facts(connection, Order, orders, "client_id", clients),
        order_services=_facts(connection, OrderService, order_services, "order_id", clients),
        absences=_facts(connection, Absence, absences, "client_id", clients),
    )
    return Directory(rows)


class DirectoryReader:
    """The part of the registry that one transaction asks for: read once, and again only when it asks for more.

    What it answers may know more than was asked for, as the whole registry would. Good for as long as nobody writes
    the registry: one derivation.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._asked: tuple[set[str], set[str], set[str], set[str]] = (set(), set(), set(), set())
        self._directory: Directory | None = None

    def load(
        self, clients: Iterable[str] = (), staff: Iterable[str] = (), tag_uids: Iterable[str] = (),
        devices: Iterable[str] = (),
    ) -> Directory:  # fmt: skip
        """As `load_directory` with what is named, or more."""
        wanted = (set(clients), set(staff), set(tag_uids), set(devices))
        known = self._directory
        if known is not None:
            wanted[0].difference_update(known.clients)
            if all(now <= before for now, before in zip(wanted, self._asked, strict=True)):
                return known
        for before, now in zip(self._asked, wanted, strict=True):
            before.update(now)
        named, carers, uids, used = self._asked
        self._directory = load_directory(self._connection, named, carers, tag_uids=uids, devices=used)
        return self._directory


def load_employments(connection: Connection) -> list[Employment]:
    """All employments of everybody."""
    return _facts(connection, Employment, employments)


def load_prices(connection: Connection) -> tuple[Price, ...]:
    """All prices of all dates."""
    return tuple(_facts(connection, Price, prices))


def load_policy_book(connection: Connection) -> PolicyBook:
    """The built-in policies with the municipality's own over them; made anew only when its own values have changed."""
    return _book(tuple(load_policies(connection)))


@cache
def _built_in() -> PolicyBook:
    return PolicyBook.built_in()


def _book(own: tuple[DatedValue, ...]) -> PolicyBook:
    version = repr(own)
    book = _BOOKS.get(version)
    if book is None:
        _BOOKS.clear()
        book = _BOOKS[version] = _built_in().with_overrides(own)
    return book


_BOOKS: dict[str, PolicyBook] = {}


def load_policies(connection: Connection) -> list[DatedValue]:
    """The municipality's own dated values, by key and date."""
    rows = connection.execute(_POLICIES)
    return [DatedValue(row.key, row.value, row.valid_from, row.source) for row in rows]


_POLICIES = select(policies).order_by(policies.c.key, policies.c.valid_from)


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
    rows = connection.execute(_HOLDERS, {"clients": list(own), "uids": list(tag_uids)})
    found = {row.client_id for row in rows} | own
    return tuple(sorted(found)) if found == own else _members(connection, found, ())


_HOLDERS = (
    select(tags.c.client_id)
    .where(
        or_(
            tags.c.tag_uid == func.any(bindparam("uids", type_=ARRAY(Text))),
            tags.c.tag_uid.in_(
                select(tags.c.tag_uid).where(tags.c.client_id == func.any(bindparam("clients", type_=ARRAY(Text))))
            ),
        )
    )
    .distinct()
)


def _rows(connection: Connection, members: Ids, staff: Ids, device_ids: Ids) -> RegistryRows:
    """What belongs to the members, and the named staff and devices; None is everything."""
    contacts_ = _facts(connection, Contact, contacts, "client_id", members)
    needed = None if staff is None else {*staff, *(contact.staff_id for contact in contacts_)}
    return RegistryRows(
        providers=_facts(connection, Provider, providers),
        units=_facts(connection, Unit, units),
        employments=_facts(connection, Employment, employments, "staff_id", needed),
        clients=_facts(connection, Client, clients, "client_id", members),
        contacts=contacts_,
        tag_refusals=_facts(connection, TagRefusal, tag_refusals, "client_id", members),
        tags=_facts(connection, Tag, tags, "tag_uid", members),
        orders=_facts(connection, Order, orders, "client_id", members),
        order_services=_facts(connection, OrderService, order_services, "order_id", members),
        devices=_facts(connection, Device, devices, "device_id", device_ids),
        absences=_facts(connection, Absence, absences, "client_id", members),
        outages=_facts(connection, Outage, outages),
    )


def _facts(
    connection: Connection, fact: Callable[..., Fact], table: Table, column: str = "", ids: Ids = None
) -> list[Fact]:
    """The rows as frozen dataclasses: columns have the fields' names; a NULL reference is an empty text there."""
    if ids is None:
        # A whole city's rows say few different things: each of them is kept once.
        once: dict[Any, Any] = {}
        known = once.setdefault
        return [
            fact(*[known(value, value) if type(value) in _KEPT_ONCE else value for value in row])
            for row in connection.execute(_query(fact, table, ""))
        ]
    return [fact(*row) for row in connection.execute(_query(fact, table, column), {"ids": list(ids)}).all()]


@cache
def _query(fact: Any, table: Table, column: str) -> Select[Any]:
    """Made once: what a statement costs is mostly its making. `:ids` restricts `column` when one is named."""
    columns = [table.c[field.name] for field in fields(fact)]
    keys = {one.name for one in table.primary_key.columns}
    listed = [
        func.coalesce(one, "") if one.nullable and one.name in _REFERENCES and one.name not in keys else one
        for one in columns
    ]
    return select(*listed).where(_among(table, column)) if column else select(*listed)


def _among(table: Table, column: str) -> ColumnElement[bool]:
    """`= ANY(:ids)`, one parameter however many; where the ids are clients', what belongs to their tags and orders."""
    ids = func.any(bindparam("ids", type_=ARRAY(Text)))
    if table is tags:
        return tags.c.tag_uid.in_(select(tags.c.tag_uid).where(tags.c.client_id == ids))
    if table is order_services:
        return order_services.c.order_id.in_(select(orders.c.order_id).where(orders.c.client_id == ids))
    return table.c[column] == ids


_KEPT_ONCE = frozenset({str, date, datetime})

# References that are NULL where the bundle has an empty cell, so that foreign keys hold.
_REFERENCES = frozenset({"unit_id", "provider_id"})
