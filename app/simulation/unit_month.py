"""What is collected while a unit's month happens: touches, statements, minutes; and how touches become taps."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from random import Random
from typing import Any

from app.core.month import Month
from app.simulation.circumstances import Away, Breakdown, absences_in, used_share
from app.simulation.clockwork import text_of
from app.simulation.residents import Resident, stickers_of
from app.simulation.rounds import residents_of, team_of
from app.simulation.town import StaffMember, Town, UnitPlace

SEQ_PER_MONTH = 100_000
SEQ_ORIGIN_YEAR = 1990
"""A device's taps of a month are numbered from (months since January 1990) x 100,000, so months never collide."""


@dataclass(slots=True, eq=False)
class Touch:
    """One touch of a device on a tag. `seq` is given when the month is over and the device's touches are in order."""

    second: int
    device_id: str
    act: str
    tag_uid: str
    staff_id: str
    received: int
    service: str
    seq: int = 0

    def row(self) -> tuple[object, ...]:
        """The row of taps.csv: no SUN value, no signature."""
        said, received = text_of(self.second), text_of(self.received)
        return (self.device_id, self.seq, self.act, self.tag_uid, self.staff_id, said, received, "", self.service, "")


@dataclass(slots=True)
class Fix:
    """A correction in the making: which touch it is about, and its other columns."""

    made: int
    kind: str
    touch: Touch | None
    columns: dict[str, Any]
    made_by: str
    approved_by: str


@dataclass(slots=True)
class UnitMonth:
    """One unit during one month. `rows` holds finished rows by file; touches and fixes wait for their numbers."""

    town: Town
    unit: UnitPlace
    month: Month
    breakdowns: tuple[Breakdown, ...]
    residents: tuple[Resident, ...] = ()
    team: tuple[StaffMember, ...] = ()
    rows: dict[str, list[tuple[object, ...]]] = field(default_factory=lambda: defaultdict(list))
    touches: list[Touch] = field(default_factory=list)
    fixes: list[Fix] = field(default_factory=list)
    executed: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Minutes by client_id of visits that count and have both ends."""
    made_up: dict[tuple[int, date], int] = field(default_factory=dict)
    """Minutes to make up at a place on a day."""
    client_minutes: dict[tuple[str, date], int] = field(default_factory=lambda: defaultdict(int))
    away: dict[int, list[Away]] = field(default_factory=dict)
    share: dict[int, float] = field(default_factory=dict)
    tags: dict[int, list[tuple[int, str]]] = field(default_factory=dict)
    """By place: from which second which tag."""
    numbers: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @classmethod
    def begin(cls, town: Town, unit: UnitPlace, month: Month, breakdowns: list[Breakdown]) -> UnitMonth:
        """A unit's month before anything has happened."""
        mine = tuple(b for b in breakdowns if b.provider_id in ("", unit.provider_id))
        self = cls(town, unit, month, mine, residents_of(town, unit, month), team_of(town, unit, month))
        for resident in self.residents:
            if found := absences_in(town, resident, month):
                self.away[resident.place] = found
            self.share[resident.place] = used_share(resident, month)
            self.tags[resident.place] = [(s.from_second, s.uid) for s in stickers_of(town, resident, month)]
        return self

    def number(self, letter: str) -> str:
        """The next id of a kind of statement: unit, letter, month, running number."""
        self.numbers[letter] += 1
        return f"{self.unit.unit_id}.{letter}{self.month}.{self.numbers[letter]}"

    def tag_at(self, place: int, second: int) -> str:
        """The tag at a door at a time."""
        tags = self.tags[place]
        return tags[-1][1] if second >= tags[-1][0] else tags[0][1]

    def office(self) -> str:
        """Who registers by hand: the unit's administrator."""
        return next((m.staff_id for m in self.team if m.role == "admin"), f"kontor-{self.unit.unit_id}")

    def manager(self) -> str:
        """Who confirms."""
        return f"chef-{self.unit.unit_id}"

    def broken_down(self, second: int) -> bool:
        """Whether an outage covers the second."""
        return any(b.start <= second < b.end for b in self.breakdowns)

    def count_minutes(self, residents: tuple[Resident, ...], start: int, end: int) -> None:
        """Adds a visit that counts; a couple's minutes are shared."""
        minutes = end // 60 - start // 60
        for resident in residents:
            self.executed[resident.client_id] += minutes // len(residents)

    def manual(self, who: tuple[Resident, StaffMember], span: tuple[int, int], why: tuple[str, str, str, str]) -> None:
        """A visit registered by hand; `why` is visit class, care service, reason, note."""
        resident, staff = who
        service, care_service, reason, note = why
        self.rows["manual_visits"].append((
            self.number("M"), resident.client_id, self.unit.provider_id, staff.staff_id, text_of(span[0]),
            text_of(span[1]), service, care_service, reason, note, staff.staff_id, self.office(),
        ))  # fmt: skip

    def fix(self, made: int, kind: str, touch: Touch | None, columns: dict[str, Any], chance: Random) -> None:
        """A correction; one of twelve has nobody who confirms it."""
        confirmed = self.manager() if chance.random() > 0.08 else ""
        self.fixes.append(Fix(made, kind, touch, columns, self.office(), confirmed))

    def give_numbers(self) -> None:
        """Numbers every device's touches in order of time."""
        self.touches.sort(key=lambda touch: (touch.device_id, touch.second, touch.act))
        months = (self.month.year - SEQ_ORIGIN_YEAR) * 12 + self.month.number - 1
        device, seq = "", 0
        for touch in self.touches:
            if touch.device_id != device:
                device, seq = touch.device_id, max(0, months) * SEQ_PER_MONTH
            seq += 1
            touch.seq = seq

    def tap_rows(self) -> list[tuple[object, ...]]:
        """The rows of taps.csv in order of device and seq."""
        return [touch.row() for touch in self.touches]

    def fix_rows(self) -> list[tuple[object, ...]]:
        """The rows of corrections.csv, in order of when they were made."""
        rows: list[tuple[object, ...]] = []
        for number, fix in enumerate(sorted(self.fixes, key=lambda f: f.made), 1):
            columns = fix.columns
            rows.append((
                f"{self.unit.unit_id}.R{self.month}.{number}", text_of(fix.made), fix.kind,
                fix.touch.device_id if fix.touch else "", fix.touch.seq if fix.touch else "", "",
                columns.get("device_id", ""), columns.get("from_at", ""), columns.get("to_at", ""),
                columns.get("new_start_at", ""), columns.get("new_end_at", ""), columns.get("new_staff_id", ""),
                columns.get("new_client_id", ""), columns["reason"], columns.get("note", ""), fix.made_by,
                fix.approved_by,
            ))  # fmt: skip
        return rows
