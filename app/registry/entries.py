"""Single entries of the registry, by a person: an employment, a client, an order, a price, a tag's holder.

Who may write what is decided by the caller and by row-level security; here is only whether it fits what is there.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from app.facts import Client, Employment, Order, OrderService, Price, Tag
from app.refusals import Conflict, Invalid, NotFound
from app.registry.tables import clients, employments, order_services, orders, prices, providers, tags, units

_UID = re.compile(r"(?:[0-9A-F]{8}|[0-9A-F]{14}|[0-9A-F]{20})")


def tag_uid(text: str) -> str:
    """A tag's or badge's UID as it is stored: 4, 7 or 10 bytes, upper case. Invalid; also for random UIDs (08...)."""
    uid = re.sub(r"[\s:-]", "", text).upper()
    if not _UID.fullmatch(uid):
        raise Invalid("a UID is 4, 7 or 10 bytes in hex digits")
    if len(uid) == 8 and uid.startswith("08"):
        raise Invalid("this UID is random: the tag shows another one next time")
    return uid


def add_employment(connection: Connection, wanted: Employment) -> Employment:
    """Store a new employment; staff_id and person_key are made when empty. NotFound unit, Conflict badge."""
    place = select(units.c.unit_id).where(units.c.unit_id == wanted.unit_id, units.c.provider_id == wanted.provider_id)
    if connection.execute(place).first() is None:
        raise NotFound(f"there is no unit {wanted.unit_id}")
    row = {name: value for name, value in asdict(wanted).items() if name in employments.c}
    row["staff_id"] = wanted.staff_id or f"s_{secrets.token_hex(6)}"
    row["person_key"] = wanted.person_key or f"k_{secrets.token_hex(6)}"
    if wanted.badge_uid:
        row["badge_uid"] = tag_uid(wanted.badge_uid)
        held = select(employments.c.staff_id).where(
            employments.c.badge_uid == row["badge_uid"],
            employments.c.provider_id == wanted.provider_id,
            employments.c.person_key != row["person_key"],
            or_(employments.c.valid_to.is_(None), employments.c.valid_to >= wanted.valid_from),
        )
        if connection.execute(held).first() is not None:
            raise Conflict("somebody else has this badge")
    _insert(connection, employments, row, "there is such an employment already")
    return Employment(**{name: row.get(name, getattr(wanted, name)) for name in asdict(wanted)})


def add_client(connection: Connection, wanted: Client) -> str:
    """Store a new client under a made id, unless one is given; the client_id. Conflict."""
    row = {name: value for name, value in asdict(wanted).items() if name in clients.c}
    row["client_id"] = wanted.client_id or f"c_{secrets.token_hex(6)}"
    _insert(connection, clients, row, "there is such a client already")
    return str(row["client_id"])


def add_order(connection: Connection, wanted: Order, services: Sequence[OrderService]) -> str:
    """Store an order with its care services; the order_id. Conflict when one of the same service overlaps; Invalid."""
    if (wanted.minutes_per_month is None) == (wanted.minutes_per_day is None):
        raise Invalid("minutes a month or minutes a day, one of them")
    known = select(providers.c.provider_id).where(providers.c.provider_id == wanted.provider_id)
    if connection.execute(known).first() is None:
        raise NotFound(f"there is no provider {wanted.provider_id}")
    if wanted.unit_id:
        place = select(units.c.unit_id).where(
            units.c.unit_id == wanted.unit_id, units.c.provider_id == wanted.provider_id
        )
        if connection.execute(place).first() is None:
            raise NotFound(f"the provider has no unit {wanted.unit_id}")
    row = {name: value for name, value in asdict(wanted).items() if name in orders.c}
    row["order_id"] = wanted.order_id or f"o_{secrets.token_hex(6)}"
    row["unit_id"] = wanted.unit_id or None
    _insert(connection, orders, row, "an order of this service overlaps")
    for service in services:
        said = {name: value for name, value in asdict(service).items() if name in order_services.c}
        own = {"order_id": row["order_id"], "provider_id": wanted.provider_id}
        _insert(connection, order_services, said | own, "a care service stands twice in the order")
    return str(row["order_id"])


def set_price(connection: Connection, wanted: Price) -> None:
    """Store a price from a day on. Conflict when another amount stands there: prices are dated, never edited."""
    row = {name: value for name, value in asdict(wanted).items() if name in prices.c}
    key = [prices.c[name] == row[name] for name in ("operation", "band", "service", "unit", "valid_from")]
    stored = connection.execute(select(prices.c.amount_ore).where(*key)).scalar_one_or_none()
    if stored is not None and stored != wanted.amount_ore:
        raise Conflict("another amount stands from that day")
    if stored is None:
        connection.execute(insert(prices), row)


def assign_tag(connection: Connection, wanted: Tag, *, household: bool = False) -> str:
    """A tag is the client's from an instant on; its UID. Conflict while another client has it, unless `household`."""
    uid = tag_uid(wanted.tag_uid)
    holders = current_holders(connection, uid, wanted.valid_from_at)
    if holders - {wanted.client_id} and not household:
        raise Conflict("another client has this tag: say that they share a household, or retire it first")
    known = select(clients.c.client_id).where(clients.c.client_id == wanted.client_id)
    if connection.execute(known).first() is None:
        raise NotFound(f"there is no client {wanted.client_id}")
    row = {name: value for name, value in asdict(wanted).items() if name in tags.c} | {"tag_uid": uid}
    _insert(connection, tags, row, "the client has this tag already")
    return uid


def retire_tag(connection: Connection, uid: str, at: datetime) -> list[str]:
    """Nobody has the tag from `at` on; who had it. NotFound when nobody did."""
    uid = tag_uid(uid)
    holders = current_holders(connection, uid, at)
    if not holders:
        raise NotFound(f"nobody has the tag {uid}")
    held = (
        tags.c.tag_uid == uid,
        tags.c.valid_from_at <= at,
        or_(tags.c.valid_to_at.is_(None), tags.c.valid_to_at > at),
    )
    connection.execute(update(tags).where(*held).values(valid_to_at=at))
    return sorted(holders)


def current_holders(connection: Connection, uid: str, at: datetime) -> set[str]:
    """The clients who have the tag at an instant or later, as the connection's login sees them."""
    held = select(tags.c.client_id).where(
        tags.c.tag_uid == uid, or_(tags.c.valid_to_at.is_(None), tags.c.valid_to_at > at)
    )
    return set(connection.execute(held).scalars())


def tag_history(connection: Connection, *, uid: str = "", client_id: str = "") -> list[dict[str, Any]]:
    """Who had a tag, or which tags a client had, oldest first."""
    wanted = select(tags.c.tag_uid, tags.c.client_id, tags.c.kind, tags.c.valid_from_at, tags.c.valid_to_at)
    if uid:
        wanted = wanted.where(tags.c.tag_uid == tag_uid(uid))
    if client_id:
        wanted = wanted.where(tags.c.client_id == client_id)
    return [dict(row) for row in connection.execute(wanted.order_by(tags.c.valid_from_at)).mappings()]


def _insert(connection: Connection, table: Any, row: dict[str, Any], taken: str) -> None:
    try:
        with connection.begin_nested():
            connection.execute(insert(table).inline(), row)
    except IntegrityError as error:
        raise Conflict(taken) from error
