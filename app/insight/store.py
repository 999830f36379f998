"""What insight asks the database. Reads only; every query is bound to months so that partitions prune."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection, and_, func, or_, select, text

from app.core.localtime import instant_of
from app.evidence.store import is_current
from app.evidence.tables import planned_visits
from app.facts import Absence
from app.findings.tables import findings
from app.insight.columns import code, read_numbers
from app.insight.contacts import ContactPerson
from app.insight.scope import EVERYTHING, Scope, as_text
from app.insight.stays import COUNTED_CLASSES, Ints, Stays, microseconds
from app.insight.windows import Window
from app.registry.tables import absences, clients, orders, providers
from app.visits.tables import visits

_CHOSEN = """
    FROM visits
    WHERE month_on BETWEEN %(first)s AND %(last)s AND at >= %(from)s AND at < %(to)s
      AND role = 'carer' AND service = ANY(%(classes)s) AND status IN ('complete', 'incomplete', 'declined')"""
_NAMED = ("client_id", "person", "unit_id", "provider_id")
_ASKED = (
    *(f"hashtextextended({column}, 0)" for column in _NAMED),
    "at",
    "coalesce(end_at, at)",
    """minutes * 64::bigint + (source = 'manual')::int + 2 * (source = 'corrected')::int
       + 4 * (status = 'incomplete')::int + 8 * accepted::int + 16 * (service = ANY(%(care)s))::int
       + 32 * (start_at IS NOT NULL)::int""",
)
CARE, STARTED = 16, 32
"""Bits of what `read_visits` packs."""
EVERY_CLASS = (*COUNTED_CLASSES, "meal", "alarm")
"""Classes for which somebody is at the client's home."""


@dataclass(slots=True)
class DatabaseSource:
    """`measure.Source` over the database, in the caller's transaction: a provider sees its own visits only.

    What is asked again for every group of a measure is read once.
    """

    connection: Connection
    scope: Scope = EVERYTHING
    read: tuple[Window, Stays] | None = None
    """The counted visits of a window that were read already."""
    _contacts: dict[str, list[ContactPerson]] | None = field(default=None, init=False)
    _born: dict[str, date | None] | None = field(default=None, init=False)
    _unknown: dict[Window, int] = field(default_factory=dict, init=False)
    _away: dict[Window, list[Absence]] = field(default_factory=dict, init=False)

    def stays(self, window: Window) -> Stays:
        if self.read is None or self.read[0] != window:
            self.read = None  # one month in memory, not two
            self.read = (window, load_stays(self.connection, window, scope=self.scope))
        return self.read[1]

    def ordered_clients(self, window: Window) -> Iterable[str]:
        query = select(orders.c.client_id).where(_valid_in(orders.c, window), *self.scope.orders()).distinct()
        return self.connection.execute(query).scalars().all()

    def birth_dates(self) -> Mapping[str, date | None]:
        if self._born is None:
            query = select(clients.c.client_id, clients.c.birth_date)
            self._born = {row.client_id: row.birth_date for row in self.connection.execute(query)}
        return self._born

    def absences(self, window: Window) -> Iterable[Absence]:
        if window in self._away:
            return self._away[window]
        open_ended = or_(absences.c.to_on.is_(None), absences.c.to_on >= window.from_on, absences.c.kind == "dead")
        query = select(absences).where(absences.c.from_on <= window.to_on, open_ended)
        rows = self.connection.execute(query)
        self._away[window] = [Absence(row.client_id, row.from_on, row.kind, row.to_on) for row in rows]
        return self._away[window]

    def planned_starts(self, window: Window) -> Iterable[tuple[str, int]]:
        query = select(planned_visits.c.client_id, planned_visits.c.start_at).where(
            planned_visits.c.start_at >= instant_of(window.from_on),
            planned_visits.c.start_at < instant_of(window.to_on + timedelta(days=1)),
            planned_visits.c.withdrawn_at.is_(None),
            planned_visits.c.service.in_(COUNTED_CLASSES),
            is_current(planned_visits),
            *self.scope.care(planned_visits.c),
        )
        return [(row.client_id, microseconds(row.start_at)) for row in self.connection.execute(query)]

    def contact_persons(self) -> Mapping[str, Sequence[ContactPerson]]:
        if self._contacts is None:
            self._contacts = defaultdict(list)
            for contact in _contact_persons(self.connection):
                self._contacts[contact.client_id].append(contact)
        return self._contacts

    def unknown_taps(self, window: Window) -> int:
        query = select(func.count()).where(
            findings.c.code.in_(("unknown_tag", "unknown_staff")),
            findings.c.at >= instant_of(window.from_on),
            findings.c.at < instant_of(window.to_on + timedelta(days=1)),
            *self.scope.care(findings.c),
        )
        if window not in self._unknown:
            self._unknown[window] = int(self.connection.execute(query).scalar_one())
        return self._unknown[window]


def load_stays(
    connection: Connection, window: Window, classes: Iterable[str] = COUNTED_CLASSES, *, scope: Scope = EVERYTHING
) -> Stays:
    """The counted visits that start (else end) on a local day of the window."""
    return read_visits(connection, window, classes, scope).stays


@dataclass(frozen=True, slots=True)
class VisitsRead:
    """The counted visits of a window, what was asked about each besides, and how they were chosen."""

    stays: Stays
    packed: Ints
    """CARE: of a class that counts. STARTED: has a start."""
    more: Sequence[Ints]
    chosen: str
    values: Mapping[str, Any]


def read_visits(
    connection: Connection, window: Window, classes: Iterable[str], scope: Scope, more: Sequence[str] = ()
) -> VisitsRead:
    """`load_stays`, with further columns of whole numbers (SQL over `visits`, never NULL) in the same reading."""
    seen, bound = as_text(connection, scope.care(visits.c))
    values = {
        **bound,
        "first": window.from_on.replace(day=1),
        "last": window.to_on.replace(day=1),
        "from": instant_of(window.from_on),
        "to": instant_of(window.to_on + timedelta(days=1)),
        "classes": list(classes),
        "care": list(COUNTED_CLASSES),
    }
    asked, chosen = (*_ASKED, *more), _CHOSEN + seen
    columns = read_numbers(connection, f"SELECT {', '.join(asked)} {chosen}", values, len(asked))
    client, person, unit, provider, start_us, end_us, packed = columns[: len(_ASKED)]
    unnamed = Stays(
        (), (), (), (), client, person, unit, provider, start_us, end_us, packed >> 6,
        (packed & 1) > 0, (packed & 2) > 0, (packed & 4) > 0, (packed & 8) > 0,
    )  # fmt: skip
    read = VisitsRead(unnamed, packed, columns[len(_ASKED) :], chosen, values)
    coded = [named_codes(connection, read, column, numbers) for column, numbers in zip(_NAMED, columns, strict=False)]
    (client, clients_), (person, persons), (unit, units), (provider, providers_) = coded
    stays = replace(
        unnamed, clients=clients_, persons=persons, units=units, providers=providers_,
        client=client, person=person, unit=unit, provider=provider,
    )  # fmt: skip
    return replace(read, stays=stays)


def named_codes(connection: Connection, read: VisitsRead, column: str, numbers: Ints) -> tuple[Ints, Sequence[str]]:
    """A column of hashes as places in a list of names."""
    ask = partial(_named_by_visits, connection, read.chosen, read.values, column)
    return code(numbers, registered_names(connection, column), ask)


_REGISTERED = {
    "client_id": "SELECT client_id AS name FROM clients",
    "person": "SELECT DISTINCT CASE WHEN person_key <> '' THEN 'person:' || person_key ELSE 'staff:' || staff_id END"
    " AS name FROM employments",
    "staff_id": "SELECT DISTINCT staff_id AS name FROM employments",
    "unit_id": "SELECT unit_id AS name FROM units",
    "provider_id": "SELECT provider_id AS name FROM providers",
}


def registered_names(connection: Connection, column: str) -> list[tuple[int, str]]:
    """(hash, name) of everything the registry knows."""
    query = text(f"SELECT hashtextextended(name, 0), name FROM ({_REGISTERED[column]}) AS known")  # noqa: S608 -- above
    return [(number, name) for number, name in connection.execute(query).all()]


def _named_by_visits(
    connection: Connection, chosen: str, values: Mapping[str, Any], column: str
) -> list[tuple[int, str]]:
    """(hash, name) of everything the visits name: also what the registry has never known, or forgot."""
    cursor = connection.connection.cursor()
    cursor.execute(f"SELECT DISTINCT hashtextextended({column}, 0), {column} {chosen}", values)
    return [(number, name) for number, name in cursor.fetchall()]


_CONTACTS = text("""
    WITH latest AS (SELECT DISTINCT ON (staff_id) staff_id, person_key FROM employments
                    ORDER BY staff_id, valid_from DESC)
    SELECT c.client_id, c.provider_id,
           CASE WHEN latest.person_key <> '' THEN 'person:' || latest.person_key ELSE 'staff:' || c.staff_id END,
           c.valid_from, c.valid_to
    FROM contacts c LEFT JOIN latest USING (staff_id) WHERE c.kind = 'contact'""")


def _contact_persons(connection: Connection) -> Iterable[ContactPerson]:
    """Contacts of kind `contact` as persons: whoever the staff_id was last."""
    return [ContactPerson(*row) for row in connection.execute(_CONTACTS).all()]


def load_districts(connection: Connection, window: Window) -> dict[str, str]:
    """client_id -> the district of its order on the last day it has one in the window."""
    query = (
        select(orders.c.client_id, orders.c.district)
        .where(_valid_in(orders.c, window))
        .order_by(func.coalesce(orders.c.valid_to, date.max), orders.c.order_id)
    )
    return {row.client_id: row.district for row in connection.execute(query)}


def load_operations(connection: Connection) -> dict[str, str]:
    """provider_id -> municipal or private."""
    return {row.provider_id: row.operation for row in connection.execute(select(providers))}


def _valid_in(columns: Any, window: Window) -> Any:
    return and_(columns.valid_from <= window.to_on, or_(columns.valid_to.is_(None), columns.valid_to >= window.from_on))
