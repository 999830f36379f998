"""What becomes of each planned visit before anybody stands at the door, and the plan's own rows."""

from __future__ import annotations

from datetime import date
from random import Random

from app.simulation.clockwork import text_of
from app.simulation.residents import Resident
from app.simulation.rounds import Shift, Stop
from app.simulation.unit_month import UnitMonth

WITHDRAWN, MISSED, DECLINED = 0.005, 0.003, 0.010
IN_ADVANCE_OF_DECLINES, AT_DOOR_OF_DECLINES = 0.60, 0.94
"""Of the declines: said in advance, at the door up to the second share, the rest does not open."""
TOLD_TWO_WAYS = 0.06
"""Of those at the door: stated so although nobody tapped."""
VISITED_WHILE_AWAY = 0.01
MIDDAY = 720


def decide_fates(state: UnitMonth, on: date, shifts: list[Shift], chance: Random) -> None:
    """Sets the fate of every stop of the day, drops those of clients who are away, writes the plan's rows."""
    state.numbers["V"] = 0
    for shift in shifts:
        shift.stops[:] = [stop for stop in shift.stops if _settle(state, on, stop, chance)]


def _settle(state: UnitMonth, on: date, stop: Stop, chance: Random) -> bool:
    """False when there is no such visit at all: everybody it is for is away."""
    present, edge = _present(state, on, stop, chance)
    if not present and not edge:
        return False
    if not present:
        stop.fate = "away"
    elif present != stop.residents:
        stop.residents, stop.minutes = present, max(5, stop.minutes * 3 // 5)
        stop.lay_on(on)
    if not stop.planned:
        return stop.fate == "done"
    if stop.fate == "done" and not stop.need.by_hand:
        stop.fate = _fate(stop, chance)
    _write_plan(state, on, stop, chance)
    return True


def _fate(stop: Stop, chance: Random) -> str:
    luck = chance.random()
    if luck < WITHDRAWN:
        return "withdrawn"
    if luck < WITHDRAWN + MISSED:
        return "missed"
    # A couple's no is left out: which of the two says it would need a decline of its own.
    single = len(stop.residents) == 1 and stop.residents[0].partner is None
    if luck < WITHDRAWN + MISSED + DECLINED and single and stop.need.counts:
        return _declined(chance)
    return "done"


def _write_plan(state: UnitMonth, on: date, stop: Stop, chance: Random) -> None:
    """The plan's rows (one per client) and a decline that was said in advance."""
    start, end = stop.span
    withdrawn = text_of(start - 3_600 * (2 + int(chance.random() * 30))) if stop.fate == "withdrawn" else ""
    for resident in stop.residents:
        state.numbers["V"] += 1
        planned_id = f"{state.unit.unit_id}.V{on}.{state.numbers['V']}"
        stop.planned_id = stop.planned_id or planned_id
        state.rows["planned_visits"].append((
            planned_id, resident.client_id, state.unit.provider_id, stop.staff[0].staff_id, text_of(start),
            text_of(end), stop.need.kind.service, stop.need.staff, withdrawn,
        ))  # fmt: skip
    if stop.fate == "in_advance":
        noticed = start - 3_600 - int(chance.random() * 250_000)
        state.rows["declines"].append((
            state.number("N"), stop.residents[0].client_id, state.unit.provider_id, text_of(start), text_of(end),
            stop.need.staff, "in_advance", text_of(noticed), "", "",
        ))  # fmt: skip


def _declined(chance: Random) -> str:
    luck = chance.random()
    if luck < IN_ADVANCE_OF_DECLINES:
        return "in_advance"
    if luck < AT_DOOR_OF_DECLINES:
        return "at_door_untapped" if chance.random() < TOLD_TWO_WAYS else "at_door"
    return "absent"


def _present(state: UnitMonth, on: date, stop: Stop, chance: Random) -> tuple[tuple[Resident, ...], bool]:
    """Who of the stop's clients is at home, and whether somebody left or comes home this very day."""
    present, edge = [], False
    for resident in stop.residents:
        at_home = True
        for away in state.away.get(resident.place, ()):
            if on < away.from_on or (away.to_on is not None and on > away.to_on):
                continue
            if on == away.from_on:
                edge, at_home = True, stop.start < MIDDAY
            elif on == away.to_on:
                edge, at_home = True, stop.start >= MIDDAY
            else:
                at_home = away.kind != "dead" and chance.random() < VISITED_WHILE_AWAY
        if at_home:
            present.append(resident)
    return tuple(present), edge
