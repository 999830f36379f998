"""A manager enrols phones and readers of the own provider (EVIDENCE.md section 1), noted like every change."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, select

from app.access.filters import of_provider
from app.access.logs import note_change
from app.access.principals import Principal, caller_of
from app.db.engine import Database
from app.evidence import enrolment
from app.evidence.enrolment import Invitation, NewDevice
from app.pipeline_derive import catch_up
from app.refusals import NotFound
from app.registry.tables import devices
from app.visits.queue import Change, enqueue


def create_device(database: Database, wanted: NewDevice, by: Principal, now: datetime) -> Invitation:
    """A device without key and its one-use token of 15 minutes. NotFound for a foreign `replaces`."""
    with database.transaction(caller_of(by)) as connection:
        if wanted.replaces:
            _require_own(connection, wanted.replaces, by)
        invitation = enrolment.create_device(connection, replace(wanted, by=by.id), now)
        facts = {"kind": wanted.kind, "replaces": wanted.replaces}
        note_change(connection, by, "device.create", invitation.device_id, now, facts=facts)
    return invitation


def confirm_device(database: Database, device_id: str, thumbprint: str, by: Principal, now: datetime) -> None:
    """Both screens show the same six characters: what the device says counts. NotFound; Conflict when they differ."""
    with database.transaction(caller_of(by)) as connection:
        _require_own(connection, device_id, by)
        enrolment.confirm(connection, device_id, thumbprint, now, by.id)
        enqueue(connection, [Change("device", device_id)])
        note_change(connection, by, "device.confirm", device_id, now)
    catch_up(database, now)


def revoke_device(database: Database, device_id: str, reason: str, by: Principal, now: datetime) -> None:
    """What the device uploads from now on is quarantined. NotFound."""
    with database.transaction(caller_of(by)) as connection:
        _require_own(connection, device_id, by)
        enrolment.revoke(connection, device_id, reason, now, by.id)
        enqueue(connection, [Change("device", device_id)])
        note_change(connection, by, "device.revoke", device_id, now)
    catch_up(database, now)


def _require_own(connection: Connection, device_id: str, by: Principal) -> None:
    own = select(devices.c.device_id).where(devices.c.device_id == device_id, of_provider(by, devices.c.provider_id))
    if connection.execute(own).first() is None:
        raise NotFound(f"there is no device {device_id}")
