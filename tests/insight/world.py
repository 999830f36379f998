"""A small fictional world for the tests of insight: visits in one line each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from hashlib import sha256
from typing import Any

from app.core.localtime import instant_of, local_date
from app.facts import Absence, Visit
from app.insight.contacts import ContactPerson
from app.insight.stays import Stays, microseconds
from app.insight.windows import Window

ON = "2026-10-05"


def at(text: str | datetime | None, on: str | date = ON) -> datetime | None:
    """The instant of a local HH:MM[:SS] on a day; instants and None as they are."""
    if text is None or isinstance(text, datetime):
        return text
    return instant_of(date.fromisoformat(str(on)), time.fromisoformat(text))


def visit(
    client: str,
    staff: str,
    start: str | datetime | None,
    end: str | datetime | None,
    *,
    on: str | date = ON,
    **fields: Any,
) -> Visit:
    """A counted visit; one missing end makes it incomplete. Any field of `Visit` can be given."""
    start_at, end_at = at(start, on), at(end, on)
    complete = start_at is not None and end_at is not None
    values: dict[str, Any] = {
        "visit_id": sha256(repr((client, staff, start_at, end_at, sorted(fields))).encode()).hexdigest()[:16],
        "manual_id": "", "client_id": client, "provider_id": "p1", "unit_id": "u1", "staff_id": staff,
        "person": f"staff:{staff}", "role": "carer", "start_at": start_at, "end_at": end_at,
        "status": "complete" if complete else "incomplete", "source": "taps", "grade": "A", "service": "care",
    }  # fmt: skip
    return Visit(**{**values, **fields})


@dataclass(frozen=True)
class Town:
    """A `Source` of lists."""

    visits: Sequence[Visit] = ()
    born: Mapping[str, date | None] = field(default_factory=dict)
    away: Sequence[Absence] = ()
    ordered: Sequence[str] = ()
    planned: Sequence[tuple[str, datetime]] = ()
    contacts: Sequence[ContactPerson] = ()
    unknown: int = 0

    def stays(self, window: Window) -> Stays:
        return Stays.of_visits(v for v in self.visits if window.from_on <= local_date(v.at) <= window.to_on)

    def ordered_clients(self, window: Window) -> Iterable[str]:  # noqa: ARG002 - Source's shape
        return self.ordered

    def birth_dates(self) -> Mapping[str, date | None]:
        return self.born

    def absences(self, window: Window) -> Iterable[Absence]:
        return [row for row in self.away if window.touches(row.from_on, None if row.kind == "dead" else row.to_on)]

    def planned_starts(self, window: Window) -> Iterable[tuple[str, int]]:
        return [(c, microseconds(at)) for c, at in self.planned if window.from_on <= local_date(at) <= window.to_on]

    def contact_persons(self) -> Mapping[str, Sequence[ContactPerson]]:
        return {
            name: [c for c in self.contacts if c.client_id == name] for name in {c.client_id for c in self.contacts}
        }

    def unknown_taps(self, window: Window) -> int:  # noqa: ARG002 - Source's shape
        return self.unknown
