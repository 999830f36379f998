"""Look-ups in the registry as it is known now, for pure rules: built once from tuples, no database."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import NamedTuple

from app.core.localtime import local_date
from app.facts.registry import (
    Absence,
    Client,
    Contact,
    Device,
    Employment,
    Order,
    OrderService,
    Outage,
    Provider,
    Tag,
    TagRefusal,
    Unit,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RegistryRows:
    """Everything (or the part that matters) of the registry, as loaded by `registry.store`."""

    providers: Iterable[Provider] = ()
    units: Iterable[Unit] = ()
    employments: Iterable[Employment] = ()
    clients: Iterable[Client] = ()
    contacts: Iterable[Contact] = ()
    tag_refusals: Iterable[TagRefusal] = ()
    tags: Iterable[Tag] = ()
    orders: Iterable[Order] = ()
    order_services: Iterable[OrderService] = ()
    devices: Iterable[Device] = ()
    absences: Iterable[Absence] = ()
    outages: Iterable[Outage] = ()


class Holding(NamedTuple):
    """Whose a tag is until an instant (None = for ever)."""

    to_at: datetime | None
    client_ids: tuple[str, ...]


NOBODY = (Holding(None, ()),)


@dataclass(slots=True)
class Directory:
    """Answers "who, where, ordered by whom, then?" All methods are total: an empty answer, never an error."""

    rows: RegistryRows
    providers: dict[str, Provider] = field(init=False)
    units: dict[str, Unit] = field(init=False)
    clients: dict[str, Client] = field(init=False)
    devices: dict[str, Device] = field(init=False)
    contacts: tuple[Contact, ...] = field(init=False)
    outages: tuple[Outage, ...] = field(init=False)
    _employments: dict[str, list[Employment]] = field(init=False)
    _employment_starts: dict[str, list[date]] = field(init=False)
    _tags: dict[str, list[Tag]] = field(init=False)
    _orders: dict[tuple[str, str], list[Order]] = field(init=False)
    _orders_of_client: dict[str, list[Order]] = field(init=False)
    _order_services: dict[str, list[OrderService]] = field(init=False)
    _absences: dict[str, list[Absence]] = field(init=False)
    _refusals: dict[str, list[TagRefusal]] = field(init=False)
    _holdings: dict[str, tuple[Holding, ...]] = field(init=False)

    def __post_init__(self) -> None:
        rows = self.rows
        self.providers = {row.provider_id: row for row in rows.providers}
        self.units = {row.unit_id: row for row in rows.units}
        self.clients = {row.client_id: row for row in rows.clients}
        self.devices = {row.device_id: row for row in rows.devices}
        self.contacts = tuple(rows.contacts)
        self.outages = tuple(rows.outages)
        self._employments = defaultdict(list)
        for employment in sorted(rows.employments, key=lambda row: (row.staff_id, row.valid_from)):
            self._employments[employment.staff_id].append(employment)
        self._employment_starts = {key: [e.valid_from for e in rows_] for key, rows_ in self._employments.items()}
        self._tags = defaultdict(list)
        for tag in sorted(rows.tags, key=lambda row: (row.tag_uid, row.client_id, row.valid_from_at)):
            self._tags[tag.tag_uid].append(tag)
        self._orders = defaultdict(list)
        self._orders_of_client = defaultdict(list)
        for order in sorted(rows.orders, key=lambda row: (row.valid_from, row.order_id)):
            self._orders[order.client_id, order.provider_id].append(order)
            self._orders_of_client[order.client_id].append(order)
        self._order_services = defaultdict(list)
        for service in rows.order_services:
            self._order_services[service.order_id].append(service)
        self._absences = defaultdict(list)
        for absence in sorted(rows.absences, key=lambda row: (row.client_id, row.from_on, row.kind)):
            self._absences[absence.client_id].append(absence)
        self._holdings = {}
        self._refusals = defaultdict(list)
        for refusal in rows.tag_refusals:
            self._refusals[refusal.client_id].append(refusal)

    def holders(self, tag_uid: str, at: datetime) -> tuple[str, ...]:
        """The clients whose tag it was at that instant, in order of client_id; empty = unknown tag or no holder."""
        return tuple(
            dict.fromkeys(
                tag.client_id
                for tag in self._tags.get(tag_uid, ())
                if tag.valid_from_at <= at and (tag.valid_to_at is None or at < tag.valid_to_at)
            )
        )

    def holdings(self, tag_uid: str) -> tuple[Holding, ...]:
        """All answers of `holders` for a tag in order of time, for loops over millions of taps."""
        found = self._holdings.get(tag_uid)
        if found is None:
            rows = self._tags.get(tag_uid)
            if not rows:
                return NOBODY  # not remembered: anybody can send unknown uids
            borders = sorted({at for tag in rows for at in (tag.valid_from_at, tag.valid_to_at) if at is not None})
            until = (*borders[1:], None)
            spans = [Holding(after, self.holders(tag_uid, at)) for at, after in zip(borders, until, strict=True)]
            found = (Holding(borders[0], ()), *spans)
            self._holdings[tag_uid] = found
        return found

    def tag_kind(self, tag_uid: str, at: datetime) -> str:
        """`sun` or `uid`: what the tag was registered as at that instant; `uid` when unknown."""
        for tag in self._tags.get(tag_uid, ()):
            if tag.valid_from_at <= at and (tag.valid_to_at is None or at < tag.valid_to_at):
                return tag.kind
        return "uid"

    def employment(self, staff_id: str, at: datetime) -> Employment | None:
        """The employment on the local day of an instant; None = unknown staff or employment ended."""
        return self.employment_on(staff_id, local_date(at))

    def employment_on(self, staff_id: str, on: date) -> Employment | None:
        starts = self._employment_starts.get(staff_id)
        if not starts:
            return None
        index = bisect_right(starts, on) - 1
        if index < 0:
            return None
        employment = self._employments[staff_id][index]
        return employment if employment.valid_to is None or on <= employment.valid_to else None

    def employments(self, staff_id: str) -> tuple[Employment, ...]:
        """All rows of a staff_id in order of valid_from."""
        return tuple(self._employments.get(staff_id, ()))

    def staff_ids(self) -> tuple[str, ...]:
        """Everybody who has or had an employment."""
        return tuple(self._employments)

    def orders_on(self, client_id: str, provider_id: str, on: date) -> tuple[Order, ...]:
        """The orders of a client with a provider that are valid on a local day."""
        return tuple(order for order in self._orders.get((client_id, provider_id), ()) if _valid(order, on))

    def orders(self, client_id: str, provider_id: str) -> tuple[Order, ...]:
        return tuple(self._orders.get((client_id, provider_id), ()))

    def orders_of_client(self, client_id: str) -> tuple[Order, ...]:
        return tuple(self._orders_of_client.get(client_id, ()))

    def order_services(self, order_id: str) -> tuple[OrderService, ...]:
        return tuple(self._order_services.get(order_id, ()))

    def absences(self, client_id: str) -> tuple[Absence, ...]:
        return tuple(self._absences.get(client_id, ()))

    def refuses_tag(self, client_id: str, on: date) -> bool:
        return any(_valid(refusal, on) for refusal in self._refusals.get(client_id, ()))

    def in_outage(self, provider_id: str, at: datetime) -> bool:
        return any(outage.covers(provider_id, at) for outage in self.outages)


def _valid(row: Order | TagRefusal, on: date) -> bool:
    return row.valid_from <= on and (row.valid_to is None or on <= row.valid_to)
