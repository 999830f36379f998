"""A month of a town as rows, unit by unit, so that a city never stands in memory as a whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from app.core.localtime import local_date
from app.core.month import Month
from app.simulation.circumstances import Breakdown, breakdowns_of
from app.simulation.clockwork import instant, text_of
from app.simulation.happenings import lay_out, run_day
from app.simulation.phones import phone_id
from app.simulation.reasons import dispute_rows, reason_rows
from app.simulation.registry_rows import Rows, ceiling_of, ordered_minutes, town_rows, unit_rows
from app.simulation.rounds import Stop
from app.simulation.town import Town, UnitPlace
from app.simulation.unit_month import UnitMonth

_SAID_AT: Final = {
    "taps": 6, "declines": 7, "manual_visits": 5, "corrections": 1, "disputes": 3, "services_done": 2,
}  # fmt: skip
"""Which column says when a statement was known: what is later than `until` has not been said yet."""


@dataclass(frozen=True, slots=True)
class PlannedStop:
    """A visit of a day's plan, for a demo that taps it live: who goes with which phone to which tag, and when."""

    planned_id: str
    unit_id: str
    provider_id: str
    staff_id: str
    device_id: str
    client_ids: tuple[str, ...]
    tag_uid: str
    service: str
    start_at: datetime
    end_at: datetime


@dataclass(frozen=True, slots=True)
class LiveTap:
    """A touch as the simulated day has it, without a number: the device that sends it gives its own."""

    at: datetime
    act: str
    device_id: str
    tag_uid: str
    staff_id: str
    service: str


def month_of(town: Town, month: Month, until: datetime | None = None) -> Iterator[Rows]:
    """Rows by file: first what the town has, then one part per unit, last what is said about the whole month.

    A month is the shifts that begin in it: a night visit of its last day may end in the next month. The same town and
    month give the same rows; months of one town can be imported one after the other (ids and tap numbers never
    collide). With `until` everything said later is left out (registry and plan stay), with the ids and numbers it
    would have had.
    """
    breakdowns = breakdowns_of(town, month)
    yield _cut(_town_part(town, breakdowns), until)
    excess = _Excess()
    for unit in town.units:
        state = _lived(town, unit, month, breakdowns)
        rows = unit_rows(town, unit, month)
        for file, more in state.rows.items():
            rows[file].extend(more)
        rows["taps"] = state.tap_rows()
        rows["corrections"] = state.fix_rows()
        excess.add(state)
        yield _cut(rows, until)
    last: Rows = {"disputes": dispute_rows(town, month), "excess_reasons": reason_rows(town, month, excess.found())}
    yield _cut(last, until)


def plan_of_day(town: Town, on: date) -> list[PlannedStop]:
    """What a demo can tap live on a local day: the stops of all units' shifts that begin on it, in order of start.

    Two staff are two stops. Left out: who is away, withdrawn, missed or declined visits, and those without a tag
    (screen, phone, shopping).
    """
    stops: list[PlannedStop] = []
    for unit in town.units:
        state = UnitMonth.begin(town, unit, Month.of(on), [])
        for shift in lay_out(state, on)[0]:
            shelf = {worker.position: index for index, worker in enumerate(shift.workers)}
            for stop in shift.stops:
                if stop.planned and stop.fate == "done" and not stop.need.by_hand:
                    stops.extend(_live(state, on, stop, shelf))
    return sorted(stops, key=lambda stop: (stop.start_at, stop.staff_id))


def _live(state: UnitMonth, on: date, stop: Stop, shelf: dict[int, int]) -> Iterator[PlannedStop]:
    start, end = stop.span
    for member in stop.staff:
        place = shelf[member.position] if state.unit.shares_phones else member.position
        yield PlannedStop(
            stop.planned_id,
            state.unit.unit_id,
            state.unit.provider_id,
            member.staff_id,
            phone_id(state.unit, place, on),
            tuple(resident.client_id for resident in stop.residents),
            state.tag_at(stop.residents[0].place, start),
            stop.need.kind.service,
            instant(start),
            instant(end),
        )


def taps_of_day(town: Town, on: date) -> list[LiveTap]:
    """What would be tapped in the shifts that begin on a local day, in order of time, mistakes included."""
    taps: list[LiveTap] = []
    month = Month.of(on)
    for unit in town.units:
        state = UnitMonth.begin(town, unit, month, breakdowns_of(town, month))
        run_day(state, on)
        taps.extend(
            LiveTap(instant(t.second), t.act, t.device_id, t.tag_uid, t.staff_id, t.service or "care")
            for t in state.touches
        )
    return sorted(taps, key=lambda tap: (tap.at, tap.device_id))


def _lived(town: Town, unit: UnitPlace, month: Month, breakdowns: list[Breakdown]) -> UnitMonth:
    state = UnitMonth.begin(town, unit, month, breakdowns)
    for on in month.days():
        run_day(state, on)
    state.give_numbers()
    return state


def _town_part(town: Town, breakdowns: list[Breakdown]) -> Rows:
    rows = town_rows(town)
    for b in breakdowns:
        rows["outages"].append((b.outage_id, b.provider_id, text_of(b.start), text_of(b.end), b.reason))
    return rows


class _Excess:
    """Minutes executed and ordered of every client and provider, over the units of the provider."""

    def __init__(self) -> None:
        self.executed: dict[tuple[str, str], int] = defaultdict(int)
        self.ordered: dict[tuple[str, str], float] = defaultdict(float)

    def add(self, state: UnitMonth) -> None:
        provider_id = state.unit.provider_id
        by_place = {resident.place: resident for resident in state.residents}
        for resident in state.residents:
            key = (resident.client_id, provider_id)
            self.executed[key] += state.executed[resident.client_id]
            head = resident
            if not resident.needs and resident.partner is not None:
                head = by_place[resident.partner]
            self.ordered[key] += ordered_minutes(state.unit, head, state.month)

    def found(self) -> dict[tuple[str, str], int]:
        """Minutes above the ceiling, where there are any."""
        above = {key: minutes - ceiling_of(self.ordered[key]) for key, minutes in self.executed.items()}
        return {key: minutes for key, minutes in above.items() if minutes > 0}


def _cut(rows: Rows, until: datetime | None) -> Rows:
    if until is None:
        return rows
    now, today = text_of(int(until.timestamp())), local_date(until)
    kept: Rows = {}
    for file, found in rows.items():
        if file in _SAID_AT:
            column = _SAID_AT[file]
            kept[file] = [row for row in found if str(row[column]) <= now]
        elif file == "staff_hours":
            kept[file] = [row for row in found if str(row[1]) < str(today)]
        elif file == "excess_reasons":
            kept[file] = [row for row in found if str(row[7]) <= str(today)]
        else:
            kept[file] = found
    return kept
