"""Whose taps must be read together in a rebuild: those who may be one person, or who swap visits by corrections."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, func, select, text

from app.evidence import store as evidence
from app.evidence.tables import taps
from app.facts import Employment
from app.visits.rules.corrections import Corrections

TAPS_AT_ONCE = 20_000
"""About so many taps are held in memory by a process at once."""


def groups_of_staff(
    connection: Connection, employments: Iterable[Employment], corrections: Corrections, tapped: Mapping[str, int]
) -> list[list[str]]:
    """All staff_ids that tapped (with how many taps) or stand in the registry, in parts of about `TAPS_AT_ONCE`."""
    people = _Together()
    for staff_id in tapped:
        people.add(staff_id)
    for employment in employments:
        people.join(employment.staff_id, employment.person)
    named = [row for rows in corrections.by_tap.values() for row in rows if row.new_staff_id]
    by_key = _staff_of_taps(connection, [(row.kom_device_id, row.kom_seq) for row in named if row.kom_seq is not None])
    for row in named:
        people.join(row.new_staff_id, by_key.get((row.kom_device_id, row.kom_seq or 0), row.new_staff_id))
    for row in evidence.load_corrections(connection, kind="set_staff_of_device"):
        for staff_id in users_of_device(connection, row.device_id, row.from_at, row.to_at):
            people.join(row.new_staff_id, staff_id)
    manual = {row.manual_id: row.staff_id for row in evidence.load_manual_visits(connection)}
    for manual_id, rows in corrections.by_manual.items():
        for row in rows:
            if row.new_staff_id and manual_id in manual:
                people.join(row.new_staff_id, manual[manual_id])
    for staff_id in manual.values():
        people.add(staff_id)
    return list(_packed(people.groups(), tapped))


def tap_counts(connection: Connection) -> dict[str, int]:
    """Per staff_id how many taps are stored."""
    query = select(taps.c.staff_id, func.count()).group_by(taps.c.staff_id)
    return {row[0]: row[1] for row in connection.execute(query)}


def users_of_device(
    connection: Connection, device_id: str, from_at: datetime | None, to_at: datetime | None
) -> Sequence[str]:
    """Who tapped with a device in [from_at, to_at)."""
    query = select(taps.c.staff_id).where(taps.c.device_id == device_id).distinct()
    if from_at is not None:
        query = query.where(taps.c.at >= from_at)
    if to_at is not None:
        query = query.where(taps.c.at < to_at)
    return connection.execute(query).scalars().all()


def _packed(groups: Iterable[list[str]], tapped: Mapping[str, int]) -> Iterator[list[str]]:
    part: list[str] = []
    count = 0
    for group in groups:
        part += group
        # A person without taps costs a little as well.
        count += sum(tapped.get(staff_id, 0) + 10 for staff_id in group)
        if count >= TAPS_AT_ONCE:
            yield part
            part, count = [], 0
    if part:
        yield part


def _staff_of_taps(connection: Connection, keys: Sequence[tuple[str, int]]) -> dict[tuple[str, int], str]:
    rows = connection.execute(
        text(
            "SELECT t.device_id, t.seq, t.staff_id FROM taps t JOIN unnest(CAST(:devices AS text[]), "
            "CAST(:seqs AS bigint[])) AS k (device_id, seq) USING (device_id, seq)"
        ),
        {"devices": [key[0] for key in keys], "seqs": [key[1] for key in keys]},
    )
    return {(row.device_id, row.seq): row.staff_id for row in rows}


class _Together:
    """Which names belong together (union-find)."""

    def __init__(self) -> None:
        self._above: dict[str, str] = {}
        self._staff: set[str] = set()

    def add(self, staff_id: str) -> None:
        self._staff.add(staff_id)
        self._above.setdefault(staff_id, staff_id)

    def join(self, staff_id: str, other: str) -> None:
        self.add(staff_id)
        self._above.setdefault(other, other)
        self._above[self._top(staff_id)] = self._top(other)

    def groups(self) -> list[list[str]]:
        groups: dict[str, list[str]] = defaultdict(list)
        for staff_id in sorted(self._staff):
            groups[self._top(staff_id)].append(staff_id)
        return [groups[key] for key in sorted(groups)]

    def _top(self, name: str) -> str:
        while self._above[name] != name:
            self._above[name] = self._above[self._above[name]]
            name = self._above[name]
        return name
