"""The live path's world: devices with keys, each with a carer and some clients, and the uploads they make."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import Table, insert

from app.db.callers import Caller
from app.db.engine import Database
from app.evidence.rules.signatures import jwk_text
from app.facts import Client, Employment, Order, Provider, Tag, Unit
from app.registry import tables
from tests.evidence.devices import Device

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
SINCE = date(2020, 1, 1)
CLIENTS_EACH = 4


@dataclass(frozen=True, slots=True)
class Round:
    """Whom a device belongs to, who carries it, and the tags on the doors it comes to."""

    provider_id: str
    staff_id: str
    tags: tuple[str, ...]


@dataclass
class Street:
    """`count` devices named `prefix`NNNNN. What they say was tapped before `until`, `every` apart: KOM, GICK, ..."""

    count: int
    until: datetime
    every: timedelta = timedelta(minutes=15)
    prefix: str = "s"
    devices: list[Device] = field(default_factory=list)
    rounds: Sequence[Round] = ()

    def furnish(self, database: Database) -> None:
        """Everybody into the registry: one provider, a carer a device, four clients a carer, all with orders."""
        people = [(n, self._name("c", n * CLIENTS_EACH + k)) for n in range(self.count) for k in range(CLIENTS_EACH)]
        clients = [client_id for _, client_id in people]
        staff = [self._name("a", n) for n in range(self.count)]
        provider, unit = f"P{self.prefix}", f"U{self.prefix}"
        rounds = [
            Round(provider, one, tuple(tag_of(self._name("c", n * CLIENTS_EACH + k)) for k in range(CLIENTS_EACH)))
            for n, one in enumerate(staff)
        ]
        with database.transaction(Caller.batch()) as connection:
            for table, facts in (
                (tables.providers, [Provider(provider, provider, "private")]),
                (tables.units, [Unit(unit, provider, unit)]),
                (tables.clients, [Client(one, one) for one in clients]),
                (tables.employments, [Employment(one, SINCE, None, "", unit, provider) for one in staff]),
                (tables.tags, [Tag(tag_of(one), one, LONG_AGO, None) for one in clients]),
                (
                    tables.orders,
                    [Order(f"o{one}", one, provider, unit, "north", SINCE, None, 2400, None) for one in clients],
                ),
            ):
                connection.execute(insert(table), [_row(table, fact) for fact in facts])
        self.employ(database, rounds)

    def employ(self, database: Database, rounds: Sequence[Round]) -> None:
        """Devices for people who are in the registry already, one a round."""
        self.count, self.rounds = len(rounds), rounds
        self.devices = [Device(self._name("d", n), at=self.until, booted_at=self.until) for n in range(self.count)]
        enrolled = self.until - timedelta(days=30)
        rows = [
            {"device_id": one.device_id, "provider_id": its.provider_id, "kind": "phone", "enrolled_at": enrolled,
             "public_jwk": jwk_text(one.jwk)}
            for one, its in zip(self.devices, rounds, strict=True)
        ]  # fmt: skip
        with database.transaction(Caller.batch()) as connection:
            connection.execute(insert(tables.devices), rows)

    def uploads(self, taps_each: int, at_once: int) -> Iterator[list[bytes]]:
        """Rounds of request bodies, one a device, until every device has said `taps_each` taps, `at_once` a request."""
        first = self.until - self.every * taps_each
        for device in self.devices:
            device.booted_at = first - timedelta(hours=1)
        said = 0
        while said < taps_each:
            number = min(at_once, taps_each - said)
            yield [device.body(self._taps(place, first, said, number)) for place, device in enumerate(self.devices)]
            said += number

    def _taps(self, place: int, first: datetime, said: int, number: int) -> Sequence[str]:
        """The next taps of a device; its clock stands at the end of the working day when it uploads."""
        device, its, documents = self.devices[place], self.rounds[place], []
        for index in range(said, said + number):
            device.at = first + self.every * index + timedelta(seconds=place % 60)
            act = "KOM" if index % 2 == 0 else "GICK"
            documents.append(device.tap(act, its.tags[index // 2 % len(its.tags)], staff=its.staff_id))
        device.at = self.until
        return documents

    def _name(self, kind: str, number: int) -> str:
        return f"{self.prefix}{kind}{number:06d}"


def tag_of(client_id: str) -> str:
    """The tag on a client's door: a uid made of its name."""
    return "04" + sha256(client_id.encode()).hexdigest()[:12].upper()


def _row(table: Table, fact: Any) -> dict[str, Any]:
    return {one.name: getattr(fact, one.name) for one in fields(fact) if one.name in table.c}
