"""A small town for the doors: two providers, a couple of clients each, taps of one morning, and people who ask."""

from __future__ import annotations

import secrets
from datetime import UTC, date, datetime, timedelta

import httpx
from sqlalchemy import insert

from app.access.tables import machine_tokens, machines, people, person_roles, sessions
from app.access.tokens import csrf_of, hash_of
from app.core.clock import utc_now
from app.core.localtime import day_bounds, local_date
from app.db.callers import Caller
from app.db.engine import Database
from app.facts import Client, Employment, Order, Provider, RegistryRows, Tag, Tap, Unit
from app.pipeline_derive import catch_up
from app.policies import PolicyBook
from app.visits import queue
from tests.flows.stored_world import store_registry, store_taps

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
DAY = date(2026, 10, 5)
"""A Monday; the stored morning."""


def at(clock: str, day: date = DAY) -> datetime:
    """A local time of the stored day."""
    hours, minutes = clock.split(":")
    return day_bounds(day)[0] + timedelta(hours=int(hours), minutes=int(minutes))


def tap(seq: int, act: str, staff: str, client: str, when: datetime, *, device: str = "d1") -> Tap:
    """A tap of grade A on the client's tag."""
    return Tap(device, seq, act, f"tag-{client}", staff, when, when + timedelta(seconds=5), grade="A")  # type: ignore[arg-type]


def furnish(database: Database) -> None:
    """Registry: P1 with unit U1 (anna, bo), P2 with U2 (carl); clients c1, c2 of P1 in north, c3 of P2 in south."""
    since = date(2026, 1, 1)
    rows = RegistryRows(
        providers=[Provider("P1", "Ett", "private"), Provider("P2", "Två", "municipal")],
        units=[Unit("U1", "P1", "Ekbacken", alert_to="ekbacken@example.org"), Unit("U2", "P2", "Björken")],
        employments=[
            Employment("anna", since, None, "", "U1", "P1", name="Anna A"),
            Employment("bo", since, None, "", "U1", "P1", name="Bo B"),
            Employment("carl", since, None, "", "U2", "P2", name="Carl C"),
        ],
        clients=[Client("c1", "Ada"), Client("c2", "Bea"), Client("c3", "Cia")],
        tags=[Tag(f"tag-{one}", one, LONG_AGO, None) for one in ("c1", "c2", "c3")],
        orders=[
            Order("o1", "c1", "P1", "U1", "north", since, None, 1200, None),
            Order("o2", "c2", "P1", "U1", "north", since, None, 1200, None),
            Order("o3", "c3", "P2", "U2", "south", since, None, 1200, None),
        ],
    )
    with database.transaction(Caller.batch()) as connection:
        store_registry(connection, rows, PolicyBook.built_in())


def tapped(database: Database, *taps: Tap) -> None:
    """Store taps and derive what follows."""
    with database.transaction(Caller.batch()) as connection:
        queue.enqueue(connection, store_taps(connection, taps))
    catch_up(database, utc_now())


def a_morning(database: Database) -> None:
    """P1: c1 08:00-08:30 anna; c2 KOM 09:00 anna without GICK, then c1 KOM 10:00-10:20. P2: c3 08:00-09:00 carl."""
    furnish(database)
    tapped(
        database,
        tap(1, "KOM", "anna", "c1", at("8:00")),
        tap(2, "GICK", "anna", "c1", at("8:30")),
        tap(3, "KOM", "anna", "c2", at("9:00")),
        tap(4, "KOM", "anna", "c1", at("10:00")),
        tap(5, "GICK", "anna", "c1", at("10:20")),
        tap(1, "KOM", "carl", "c3", at("8:00"), device="d2"),
        tap(2, "GICK", "carl", "c3", at("9:00"), device="d2"),
    )


def machine(database: Database, *scopes: str, provider: str = "") -> dict[str, str]:
    """Headers of a machine with these scopes."""
    token, machine_id = secrets.token_urlsafe(32), f"m_{secrets.token_hex(4)}"
    with database.transaction(Caller.auth()) as connection:
        row = {"machine_id": machine_id, "name": machine_id, "scopes": list(scopes), "provider_id": provider}
        connection.execute(insert(machines), {**row, "created_at": utc_now()})
        granted = {"token_hash": hash_of(token), "machine_id": machine_id, "scopes": list(scopes)}
        connection.execute(insert(machine_tokens), {**granted, "expires_at": utc_now() + timedelta(minutes=15)})
    return {"Authorization": f"Bearer {token}"}


def person(
    database: Database, role: str, *, provider: str = "", district: str = "", staff: str = "", stale: bool = False
) -> dict[str, str]:
    """Headers of a person signed in with both factors in a role; `stale`: half an hour ago."""
    now = utc_now()
    ident, token = secrets.token_hex(4), secrets.token_urlsafe(32)
    with database.transaction(Caller.auth()) as connection:
        connection.execute(insert(people), {"person_id": f"u_{ident}", "name": role, "created_at": now})
        held = {
            "role_id": f"r_{ident}", "person_id": f"u_{ident}", "role": role, "provider_id": provider,
            "district": district, "valid_from": local_date(now), "granted_at": now,
            "valid_to": local_date(now) if role == "auditor" else None,
        }  # fmt: skip
        connection.execute(insert(person_roles), held)
        session = {
            "token_hash": hash_of(token), "session_id": f"s_{ident}", "person_id": f"u_{ident}",
            "role_id": f"r_{ident}", "staff_id": staff, "method": "passkey", "created_at": now, "seen_at": now,
            "expires_at": now + timedelta(hours=10), "idle_minutes": 60,
            "strong_at": now - timedelta(minutes=30 if stale else 0),
        }  # fmt: skip
        connection.execute(insert(sessions), session)
    return {"Cookie": f"__Host-sid={token}", "X-CSRF-Token": csrf_of(token), "Sec-Fetch-Site": "same-origin"}


def items(response: httpx.Response) -> list[dict[str, object]]:
    """The items of a page that was answered."""
    assert response.status_code == 200, response.text
    return list(response.json()["items"])
