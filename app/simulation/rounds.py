"""The plan of a unit's day: which of its staff goes to whom and when, as a planner would lay it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from math import ceil
from random import Random

from app.core.month import Month
from app.simulation.chance import stream
from app.simulation.clockwork import DAY_MINUTES, second_of
from app.simulation.needs import Need
from app.simulation.residents import Resident, resident_of
from app.simulation.town import (
    DOUBLE_POSITION,
    SECOND_JOB_POSITION,
    StaffMember,
    Town,
    UnitPlace,
    second_job_of,
    staff_of,
)

SHIFTS = ((0, 900, 410, 480), (900, 1320, 900, 420), (1320, 2880, 1320, 510))
"""Day, evening, night: first and last start of a visit's need (local minute), start of work, length in minutes."""
ROUND_FILL = 0.82
"""Share of a shift that visits and travel may fill."""


@dataclass(slots=True)
class Stop:
    """A planned visit: one client (or a couple), one or two staff, local minutes of the day (from 1440: next day)."""

    need: Need
    residents: tuple[Resident, ...]
    staff: tuple[StaffMember, ...]
    start: int
    minutes: int
    planned: bool = True
    """False: comes up in the day (an alarm) and is in no plan."""
    fate: str = "done"
    """done, withdrawn, missed, away, or a decline's notice."""
    planned_id: str = ""
    """Of its first client; empty: in no plan."""
    span: tuple[int, int] = (0, 0)
    """Planned start and end in seconds since 1970; the length is elapsed time on a clock-change night too."""

    def lay_on(self, on: date) -> None:
        """Works out `span` for the day whose shift the stop belongs to."""
        start = second_of(on, self.start)
        self.span = (start, start + self.minutes * 60)


@dataclass(slots=True)
class Shift:
    """Who works a shift, in the order of the phones on the shelf, and the stops."""

    name: str
    workers: list[StaffMember]
    stops: list[Stop]


@lru_cache(maxsize=4)
def residents_of(town: Town, unit: UnitPlace, month: Month) -> tuple[Resident, ...]:
    """The clients a unit goes to: those of its places; a night unit those of its area who have night visits."""
    found = tuple(resident_of(town, place, month) for place in unit.places)
    if unit.night:
        return tuple(r for r in found if any(need.kind.service == "night_patrol" for need in r.needs))
    return found


@lru_cache(maxsize=4)
def team_of(town: Town, unit: UnitPlace, month: Month) -> tuple[StaffMember, ...]:
    """`staff_of`, remembered for the unit at hand."""
    return tuple(staff_of(town, unit, month))


def plan_of(town: Town, unit: UnitPlace, on: date) -> list[Shift]:
    """The shifts of a unit that begin on a local day, each with its stops in order of start."""
    month = Month.of(on)
    clients = {resident.place: resident for resident in residents_of(town, unit, month)}
    demand = _demand(unit, clients, on)
    carers = [m for m in team_of(town, unit, month) if m.role == "carer" and m.employed(on)]
    free_at: dict[int, int] = {}
    taken: set[int] = set()
    shifts = []
    for index, (first, after, begins, length) in enumerate(SHIFTS):
        stops = [stop for stop in demand if first <= stop.need.start < after]
        if not stops:
            continue
        load = sum((stop.minutes + 8) * stop.need.staff for stop in stops)
        wanted = max(ceil(load / (length * ROUND_FILL)), *(stop.need.staff for stop in stops))
        workers = _on_duty(town, unit, (on, index), [m for m in carers if m.position not in taken], wanted)
        if not workers:
            continue
        taken.update(worker.position for worker in workers)
        chance = stream(town.seed, "plan", unit.unit_id, on.toordinal(), index)
        _assign(stops, workers, unit.carers, _Clock(begins, chance, free_at))
        for stop in stops:
            stop.lay_on(on)
        stops.sort(key=lambda stop: (stop.start, stop.residents[0].place))
        shifts.append(Shift(("day", "evening", "night")[index], workers, stops))
    return shifts


def _demand(unit: UnitPlace, clients: dict[int, Resident], on: date) -> list[Stop]:
    weekday = on.weekday()
    stops = []
    for resident in clients.values():
        if not resident.needs or resident.to_on < on or on < resident.from_on:
            continue
        people = (resident,) if resident.partner is None else (resident, clients.get(resident.partner, resident))
        for need in resident.needs:
            night = need.kind.service == "night_patrol"
            period = resident.period_on(on + timedelta(days=need.start // DAY_MINUTES))
            if weekday in need.weekdays and night == unit.night and period is not None:
                minutes = scaled(need, period.scale)
                stops.append(Stop(need, people[:1] if night else people, (), need.start, minutes))
    stops.sort(key=lambda stop: (stop.need.start, stop.residents[0].place))
    return stops


def scaled(need: Need, scale: int) -> int:
    """Minutes of a visit under an order of `scale` percent, in steps of five, 5 to 120."""
    if not need.counts:
        return need.minutes
    return min(120, max(10, round(need.minutes * scale / 500) * 5))


def works_by_rota(position: int, on: date) -> bool:
    """Five days of seven, shifted from position to position."""
    return (on.toordinal() + position * 3) % 7 < 5


def _on_duty(
    town: Town, unit: UnitPlace, when: tuple[date, int], carers: list[StaffMember], wanted: int
) -> list[StaffMember]:
    """As many as wanted: first whose rota has the day (and this half of the week), then who is called in."""
    on, shift = when
    week = on.toordinal() // 7
    has_second = unit.number < len(town.units) and second_job_of(town, town.units[unit.number], SECOND_JOB_POSITION)

    def order(member: StaffMember) -> tuple[bool, bool, int]:
        off = not works_by_rota(member.position, on)
        return off, (member.position + week + shift) % 2 == 1, (member.position * 7 + week) % 97

    able = []
    for member in carers:
        if member.position == DOUBLE_POSITION and has_second and not works_by_rota(DOUBLE_POSITION, on):
            continue
        second = member.position == SECOND_JOB_POSITION and second_job_of(town, unit, member.position) is not None
        # Both jobs on one day now and then: the overlap of two employments that a control must find.
        if second and works_by_rota(DOUBLE_POSITION, on) and (on.toordinal() + unit.number) % 23:
            continue
        able.append(member)
    return sorted(able, key=order)[:wanted]


@dataclass(slots=True)
class _Clock:
    """When a shift begins, the chance in travel, and when each client's visit before is over."""

    begins: int
    chance: Random
    client_free: dict[int, int]


def _assign(stops: list[Stop], workers: list[StaffMember], carers: int, clock: _Clock) -> None:
    """Greedy: somebody of the client's own team when free in time, else who is free first."""
    chance, client_free = clock.chance, clock.client_free
    free = [clock.begins] * len(workers)
    places = [-1] * len(workers)
    seat = {worker.position: index for index, worker in enumerate(workers)}
    for stop in stops:
        place = stop.residents[0].place
        target = max(stop.need.start, client_free.get(place, 0))
        chosen: list[int] = []
        for step in (0, 1, 2, 3, 5):
            index = seat.get((place * 7 + step) % carers, -1)
            if index >= 0 and free[index] <= target:
                chosen.append(index)
                if len(chosen) == stop.need.staff:
                    break
        if not chosen:
            chosen.append(free.index(min(free)))
        while len(chosen) < min(stop.need.staff, len(workers)):
            chosen.append(min((i for i in range(len(workers)) if i not in chosen), key=free.__getitem__))
        travel = 3 + int(chance.random() * 7)
        start = max(target, *(free[i] + (travel if places[i] >= 0 else 0) for i in chosen))
        stop.start = -(-start // 5) * 5
        stop.staff = tuple(workers[i] for i in chosen)
        for index in chosen:
            free[index] = stop.start + stop.minutes
            places[index] = place
        client_free[place] = stop.start + stop.minutes
