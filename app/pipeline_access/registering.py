"""The registry kept by people: who works here, who gets care, what was ordered, what it costs, whose a tag is.

Each is written as the caller (row-level security holds), noted in audit_event, and queues what must be derived again,
in one transaction; what follows is derived before the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from app.access.filters import of_clients, of_provider, of_units
from app.access.logs import note_change
from app.access.people import Invited, NewRole
from app.access.principals import Principal, caller_of
from app.core.localtime import local_date
from app.db.callers import Caller
from app.db.engine import Database
from app.evidence.grants import Grant, issue_grant
from app.evidence.keys import open_keyring
from app.facts import Client, Employment, Order, OrderService, Price, Tag
from app.pipeline_access.people import NewPerson, invite_person
from app.pipeline_derive import catch_up
from app.refusals import Conflict, NotAllowed, NotFound
from app.registry import entries
from app.registry.tables import clients, devices, orders, units
from app.visits.queue import Change, enqueue


@dataclass(frozen=True, slots=True)
class Hired:
    """A new employment; with it, where asked for, her invitation and a grant for a phone."""

    employment: Employment
    invited: Invited | None = None
    grant: Grant | None = None


@dataclass(frozen=True, slots=True)
class Extras:
    """What a new worker gets at once: an invitation as carer, and a shift grant for a phone of the provider."""

    invite: bool = False
    device_id: str = ""
    hours: int = 14


def hire(database: Database, wanted: Employment, extras: Extras, by: Principal, now: datetime) -> Hired:
    """An hourly worker starts: employment, badge, and what she needs today. NotFound, Conflict, NotAllowed."""
    if by.provider_id and wanted.provider_id != by.provider_id:
        raise NotFound(f"there is no provider {wanted.provider_id}")
    with database.transaction(caller_of(by)) as connection:
        _require_unit(connection, wanted, by)
        _require_phone(connection, wanted, extras)
        made = entries.add_employment(connection, wanted)
        enqueue(connection, [Change("person", made.staff_id), Change("staff", made.staff_id)])
        facts = {"unit_id": made.unit_id, "badge": bool(made.badge_uid)}
        note_change(connection, by, "staff.add", made.staff_id, now, facts=facts)
    catch_up(database, now)
    return Hired(
        made,
        _invited(database, made, by, now) if extras.invite else None,
        _granted(database, made, extras, by, now=now),
    )


def add_client(database: Database, wanted: Client, by: Principal, now: datetime) -> str:
    """A new client of the city; the client_id. A commissioner's client gets a made id: a taken one would tell."""
    if by.district and wanted.client_id:
        raise NotAllowed("the city's register gives ids")
    with database.transaction(caller_of(by)) as connection:
        client_id = entries.add_client(connection, wanted)
        enqueue(connection, [Change("household", client_id)])
        note_change(connection, by, "client.add", client_id, now)
    catch_up(database, now)
    return client_id


def write_order(
    database: Database, wanted: Order, services: Sequence[OrderService], by: Principal, now: datetime
) -> str:
    """An order begins; the order_id. A commissioner orders for the own district. NotFound, NotAllowed, Conflict."""
    if by.district and wanted.district != by.district:
        raise NotAllowed("a commissioner orders for the own district")
    with database.transaction(caller_of(by)) as connection:
        _require_orderable(connection, wanted.client_id, by)
        order_id = entries.add_order(connection, wanted, services)
        enqueue(connection, [Change("household", wanted.client_id)])
        facts = {"client_id": wanted.client_id, "provider_id": wanted.provider_id}
        note_change(connection, by, "order.add", order_id, now, facts=facts)
    catch_up(database, now)
    return order_id


def set_price(database: Database, wanted: Price, by: Principal, now: datetime) -> None:
    """A price holds from a day on. Conflict."""
    with database.transaction(caller_of(by)) as connection:
        entries.set_price(connection, wanted)
        facts = {"amount_ore": wanted.amount_ore, "valid_from": wanted.valid_from.isoformat()}
        about = f"{wanted.operation}/{wanted.band}/{wanted.service}/{wanted.unit}"
        note_change(connection, by, "price.set", about, now, facts=facts)


def assign_tag(database: Database, wanted: Tag, by: Principal, now: datetime, *, household: bool = False) -> str:
    """A tag is put up at a client's door; its UID. Conflict while another client, of whatever provider, has it.

    The UID is read from the tag in the hand, so that a conflict tells nothing that could be guessed.
    """
    uid = entries.tag_uid(wanted.tag_uid)
    with database.transaction(Caller.city(), read_only=True) as connection:
        holders = entries.current_holders(connection, uid, wanted.valid_from_at) - {wanted.client_id}
    with database.transaction(caller_of(by)) as connection:
        if holders - entries.current_holders(connection, uid, wanted.valid_from_at):
            raise Conflict("another client has this tag")
        entries.assign_tag(connection, replace(wanted, tag_uid=uid), household=household)
        enqueue(connection, [Change("tag", uid), Change("household", wanted.client_id)])
        note_change(connection, by, "tag.assign", uid, now, facts={"client_id": wanted.client_id})
    catch_up(database, now)
    return uid


def retire_tag(database: Database, tag_uid: str, at: datetime, by: Principal, now: datetime) -> list[str]:
    """Nobody has the tag from `at` on; who had it. NotFound."""
    with database.transaction(caller_of(by)) as connection:
        holders = entries.retire_tag(connection, tag_uid, at)
        uid = entries.tag_uid(tag_uid)
        enqueue(connection, [Change("tag", uid), *(Change("household", one) for one in holders)])
        note_change(connection, by, "tag.retire", uid, now)
    catch_up(database, now)
    return holders


def replace_tag(database: Database, old: str, new: Tag, by: Principal, now: datetime) -> list[str]:
    """A broken tag's holders get a new one, from the instant at which the old one ends; who they are. NotFound."""
    old_uid, new_uid, at = entries.tag_uid(old), entries.tag_uid(new.tag_uid), new.valid_from_at
    with database.transaction(Caller.city(), read_only=True) as connection:
        if entries.current_holders(connection, new_uid, at):
            raise Conflict("somebody has the new tag")
    with database.transaction(caller_of(by)) as connection:
        holders = entries.retire_tag(connection, old_uid, at)
        for client_id in holders:
            entries.assign_tag(connection, replace(new, tag_uid=new_uid, client_id=client_id), household=True)
        changes = [Change("tag", old_uid), Change("tag", new_uid), *(Change("household", one) for one in holders)]
        enqueue(connection, changes)
        note_change(connection, by, "tag.replace", old_uid, now, facts={"new": new_uid})
    catch_up(database, now)
    return holders


def _require_unit(connection: Connection, wanted: Employment, by: Principal) -> None:
    place = select(units.c.unit_id).where(
        units.c.unit_id == wanted.unit_id, of_provider(by, units.c.provider_id), of_units(by, units.c.unit_id)
    )
    if connection.execute(place).first() is None:
        raise NotFound(f"there is no unit {wanted.unit_id}")


def _require_phone(connection: Connection, wanted: Employment, extras: Extras) -> None:
    own = select(devices.c.device_id).where(
        devices.c.device_id == extras.device_id,
        devices.c.provider_id == wanted.provider_id,
        devices.c.kind == "phone",
        devices.c.revoked_at.is_(None),
    )
    if extras.device_id and connection.execute(own).first() is None:
        raise NotFound(f"there is no phone {extras.device_id}")


def _require_orderable(connection: Connection, client_id: str, by: Principal) -> None:
    """A commissioner orders for clients of the own district, and for those whom nobody has an order for yet."""
    ordered = select(orders.c.client_id).where(orders.c.district != by.district)
    own = select(orders.c.client_id).where(orders.c.district == by.district)
    known = select(clients.c.client_id).where(
        clients.c.client_id == client_id,
        of_clients(by, clients.c.client_id, own) | clients.c.client_id.not_in(ordered),
    )
    if connection.execute(known).first() is None:
        raise NotFound(f"there is no client {client_id}")


def _invited(database: Database, made: Employment, by: Principal, now: datetime) -> Invited:
    """Her login, in the care role of her unit."""
    role = NewRole("carer", max(made.valid_from, local_date(now)), made.valid_to, made.provider_id, (made.unit_id,))
    return invite_person(database, NewPerson(made.name or made.staff_id, role, made.person_key), by, now)


def _granted(database: Database, made: Employment, extras: Extras, by: Principal, *, now: datetime) -> Grant | None:
    if not extras.device_id:
        return None
    keyring = open_keyring(database.settings.data)
    with database.transaction(Caller.auth()) as connection:
        who = (made.staff_id, extras.device_id, made.provider_id)
        grant = issue_grant(connection, keyring, who, now, timedelta(hours=extras.hours))
        note_change(connection, by, "grant.issue", grant.grant_id, now, facts={"staff_id": made.staff_id})
    return grant
