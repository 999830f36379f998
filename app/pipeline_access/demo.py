"""The demo's people: one invented person per role, signed in with one click (CONTRACT.md section 1).

Nothing of it works where the database is not marked as a demo's, and such a database is served to this machine only.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from app.access import people, sessions
from app.access.entrance import in_force
from app.access.logs import note_change
from app.access.people import NewRole
from app.access.principals import PROVIDER_ROLES, Principal
from app.access.sessions import Opened
from app.access.tables import person_roles
from app.core.localtime import local_date
from app.db.callers import Caller
from app.db.engine import Database
from app.db.mark import is_demo
from app.pipeline_access.signing_in import Browser
from app.refusals import NotFound
from app.registry.tables import employments, orders

_BY = "demo"
"""Who gave the demo's people their roles: they are known by it."""
_AUDIT_LASTS = timedelta(days=365)
_ORDER = ("carer", "scheduler", "manager", "provider_finance", "commissioner", "city_controller", "auditor", "admin")


@dataclass(frozen=True, slots=True)
class DemoPerson:
    """Whom one can be: a role, and the provider or district it holds in (empty: the whole city)."""

    person_id: str
    role: str
    place: str


@dataclass(frozen=True, slots=True)
class _Place:
    provider_id: str
    district: str
    carer: tuple[str, str]
    """Name and person_key of a carer of the provider."""


def make_people(database: Database, now: datetime) -> None:
    """One person per role at a provider and in a district of the town; those there are already stay as they are."""
    have = {person.role for person in demo_people(database, now)}
    place = _place(database, now)
    for role in _ORDER:
        if role not in have:
            _make(database, role, place, now)


def demo_people(database: Database, now: datetime) -> list[DemoPerson]:
    """Whom one can be here. NotFound where this is no demo."""
    _require_demo(database)
    with database.transaction(Caller.auth(), read_only=True) as connection:
        return _known(connection, now)


def sign_in_as(database: Database, role: str, browser: Browser, now: datetime) -> Opened:
    """A session as the demo's person of that role. NotFound where this is no demo, or there is nobody of that role."""
    _require_demo(database)
    with database.transaction(Caller.auth()) as connection:
        found = [person for person in _known(connection, now) if person.role == role]
        if not found:
            raise NotFound(f"the demo has no {role}")
        opened = sessions.open_session(connection, found[0].person_id, "demo", now, agent=browser.agent)
        who = Principal("person", opened.person_id, role=opened.role, session_id=opened.session_id)
        note_change(connection, who, "sign_in", opened.session_id, now, facts={"method": "demo"})
        return opened


def _require_demo(database: Database) -> None:
    if not is_demo(database):
        raise NotFound("this is no demo")


def _known(connection: Connection, now: datetime) -> list[DemoPerson]:
    c = person_roles.c
    rows = connection.execute(
        select(c.person_id, c.role, c.provider_id, c.district).where(c.granted_by == _BY, in_force(now))
    )
    known = [DemoPerson(row.person_id, row.role, row.provider_id or row.district or "") for row in rows]
    return sorted(known, key=lambda person: _ORDER.index(person.role))


def _place(database: Database, now: datetime) -> _Place:
    """The provider with the first carer of today, and the district of one of its orders."""
    today = local_date(now)
    e, o = employments.c, orders.c
    with database.transaction(Caller.city(), read_only=True) as connection:
        carer = connection.execute(
            select(e.provider_id, e.name, e.person_key)
            .where(e.role == "carer", e.valid_from <= today, (e.valid_to.is_(None)) | (e.valid_to >= today))
            .order_by(e.provider_id, e.staff_id)
            .limit(1)
        ).first()
        if carer is None:
            raise NotFound("the town has no carer")
        district = connection.execute(
            select(o.district).where(o.provider_id == carer.provider_id, o.district != "").order_by(o.district).limit(1)
        ).scalar()
    return _Place(carer.provider_id, district or "", (carer.name, carer.person_key))


def _make(database: Database, role: str, place: _Place, now: datetime) -> None:
    if role == "commissioner" and not place.district:
        return
    name, person_key = place.carer if role == "carer" else (f"Demo {role}", "")
    wanted = NewRole(
        role,
        local_date(now),
        valid_to=local_date(now + _AUDIT_LASTS) if role == "auditor" else None,
        provider_id=place.provider_id if role in PROVIDER_ROLES else "",
        district=place.district if role == "commissioner" else "",
    )
    with database.transaction(Caller.auth()) as connection:
        person_id = people.add_person(connection, name, person_key, now)
        role_id = people.grant_role(connection, person_id, wanted, _BY, now)
        note_change(
            connection,
            Principal("operator", _BY),
            "role.grant",
            person_id,
            now,
            facts={"role": role, "role_id": role_id},
        )
