"""A unit's day as it really goes: late, long, short, declined, forgotten at the door."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from app.simulation.chance import stream, tag_serial
from app.simulation.clockwork import second_of, text_of
from app.simulation.fates import decide_fates
from app.simulation.needs import ALARM_CALL, Need
from app.simulation.phones import phone_id, reader_id
from app.simulation.residents import Resident
from app.simulation.rounds import Shift, Stop, plan_of, works_by_rota
from app.simulation.town import StaffMember
from app.simulation.unit_month import Touch, UnitMonth

FORGOTTEN_GICK, FORGOTTEN_KOM, FORGOTTEN_BOTH = 0.015, 0.007, 0.002
"""Shares of visits; the first two are what the project's sources report, the third an assumption."""
DOUBLE_TAP, WRONG_CLIENT, UNKNOWN_TAG, UNKNOWN_STAFF, BROKEN_TAG = 0.010, 0.0003, 0.0003, 0.0002, 0.0008
CORRECTED_LATER, CANCELLED_LATER, RESTAFFED_LATER = 0.0010, 0.0003, 0.0003
OFFLINE_SHIFT = 0.03
"""Shifts in which a phone is without contact for hours."""
SHORTEST, LONGEST = 300, 7_200
"""Seconds of a visit."""
ALARMS_PER_DAY = 0.015
"""Alarm visits per client with an alarm."""


@dataclass(slots=True)
class Round:
    """One worker's shift while it runs."""

    on: date
    worker: StaffMember
    device_id: str
    offline: tuple[int, int]
    chance: Random
    tapped_as: str
    """The staff_id the phone believes in."""
    mistaken: int = 0
    """Visits still to come under the name of who had the phone before."""
    free: int = 0
    place: int = -1
    site: str = ""
    with_clients: int = 0
    travel: int = 0


def run_day(state: UnitMonth, on: date) -> None:
    """Everything a unit does in the shifts that begin on a local day."""
    shifts, chance = lay_out(state, on)
    shelf_before: dict[int, tuple[str, int]] = {}
    for shift in shifts:
        stops_of: dict[int, list[Stop]] = {}
        for stop in shift.stops:
            for member in stop.staff:
                stops_of.setdefault(member.position, []).append(stop)
        for shelf, worker in enumerate(shift.workers):
            stops = stops_of.get(worker.position, [])
            if stops:
                round_ = _begin(state, on, (shelf, worker), stops, chance)
                _take_over_phone(state, round_, shelf_before.get(shelf), stops)
                for stop in stops:
                    _visit(state, round_, stop, stop.staff[0].position == worker.position)
                shelf_before[shelf] = (worker.staff_id, round_.free)
                _count_hours(state, round_, stops)
    _others(state, on, shifts, chance)


def lay_out(state: UnitMonth, on: date) -> tuple[list[Shift], Random]:
    """The day before it begins: shifts with their stops and fates, and the chance that goes on from there."""
    chance = stream(state.town.seed, "day", state.unit.unit_id, on.toordinal())
    shifts = plan_of(state.town, state.unit, on)
    _add_alarms(state, on, shifts, chance)
    decide_fates(state, on, shifts, chance)
    return shifts, chance


def _begin(state: UnitMonth, on: date, who: tuple[int, StaffMember], stops: list[Stop], chance: Random) -> Round:
    shelf, worker = who
    device = phone_id(state.unit, shelf if state.unit.shares_phones else worker.position, on)
    first = stops[0].span[0]
    offline = (0, 0)
    if chance.random() < OFFLINE_SHIFT:
        start = first + int(chance.random() * 10_000)
        offline = (start, start + 7_200 + int(chance.random() * 21_600))
    return Round(on, worker, device, offline, chance, worker.staff_id)


def _take_over_phone(state: UnitMonth, round_: Round, before: tuple[str, int] | None, stops: list[Stop]) -> None:
    """Now and then a shared phone still has the earlier worker's name: one correction puts it right."""
    if before is None or not state.unit.shares_phones or round_.chance.random() > 0.01:
        return
    staff_id, until = before
    start = stops[0].span[0] - 1_200
    if until < start and len(stops) > 2:
        round_.tapped_as, round_.mistaken = staff_id, 2
        end = stops[1].span[1] + 600
        columns = {
            "device_id": round_.device_id,
            "from_at": text_of(start),
            "to_at": text_of(end),
            "new_staff_id": round_.worker.staff_id,
            "reason": "wrong_grant",
        }
        state.fix(end + 7_200, "set_staff_of_device", None, columns, round_.chance)


def _visit(state: UnitMonth, round_: Round, stop: Stop, first: bool) -> None:
    """One stop of a round; `first` is the one of two workers who registers what concerns the visit as a whole."""
    chance, resident = round_.chance, stop.residents[0]
    planned_start = stop.span[0]
    if stop.fate in ("in_advance", "withdrawn", "missed", "away"):
        return
    same_site = round_.site == resident.site_id != ""
    walk = 0 if round_.place == resident.place else (70 if same_site else 190 + int(chance.random() * 360))
    arrival = planned_start + int((chance.random() + chance.random() - 1) * 480)
    start = max(arrival, round_.free + walk)
    if round_.free:
        round_.travel += min(walk, 1_200)
    round_.place, round_.site = resident.place, resident.site_id
    if stop.fate in ("at_door", "absent", "at_door_untapped"):
        round_.free = _turned_away(state, round_, stop, start, first)
        return
    end = start + _length(state, round_, stop)
    round_.free = end
    _register(state, round_, stop, start, end)
    if round_.mistaken:
        round_.mistaken -= 1
        if not round_.mistaken:
            round_.tapped_as = round_.worker.staff_id


def _length(state: UnitMonth, round_: Round, stop: Stop) -> int:
    """Seconds of a visit: the client's habit, some noise, and what is made up for."""
    resident, chance = stop.residents[0], round_.chance
    seconds = stop.minutes * 60.0 * (0.9 + 0.2 * chance.random())
    if stop.need.counts:
        seconds *= state.share[resident.place]
        seconds += 60 * state.made_up.pop((resident.place, round_.on), 0)
    return min(LONGEST, max(SHORTEST, int(seconds)))


def _touch(state: UnitMonth, round_: Round, stop: Stop, act: str, second: int) -> Touch:
    """One touch of the tag at the door with the worker's phone, or of the house's fixed reader."""
    resident, service = stop.residents[0], stop.need.kind.service
    device = round_.device_id
    if state.unit.has_reader and resident.site_id == f"H{state.unit.number:03d}.0":
        device, act = reader_id(state.unit), "AUTO"
    lost_from, lost_to = round_.offline
    sent = lost_to if lost_from <= second < lost_to and act != "AUTO" else second
    touch = Touch(
        second,
        device,
        act,
        state.tag_at(resident.place, second),
        round_.tapped_as,
        sent + 1 + int(round_.chance.random() * 6),
        "" if service == "care" else service,
    )
    state.touches.append(touch)
    return touch


def _register(state: UnitMonth, round_: Round, stop: Stop, start: int, end: int) -> None:
    """The touches of a visit, with what people do wrong."""
    chance = round_.chance
    span = (start, end)
    if reason := _untapped(state, stop, start, chance):
        return _by_hand(state, round_, stop, span, reason)
    luck = chance.random()
    limit = FORGOTTEN_GICK
    if luck < limit:
        return _forgot_gick(state, round_, stop, span)
    if luck < (limit := limit + FORGOTTEN_KOM):
        return _forgot_kom(state, round_, stop, span)
    if luck < (limit := limit + FORGOTTEN_BOTH):
        return _by_hand(state, round_, stop, span, "forgot_both")
    if luck < (limit := limit + BROKEN_TAG):
        return _by_hand(state, round_, stop, span, "tag_broken" if chance.random() < 0.6 else "phone_failure")
    kom = _touch(state, round_, stop, "KOM", start)
    gick = _touch(state, round_, stop, "GICK", end)
    _done(state, round_, stop, span)
    if luck < (limit := limit + DOUBLE_TAP):
        act, second = ("KOM", start) if chance.random() < 0.7 else ("GICK", end)
        _touch(state, round_, stop, act, second + 3 + int(chance.random() * 40))
    elif luck < (limit := limit + UNKNOWN_TAG):
        kom.tag_uid = gick.tag_uid = tag_serial(state.town.seed, "nobody", start, chance.random())
    elif luck < (limit := limit + UNKNOWN_STAFF):
        kom.staff_id = gick.staff_id = f"okänd-{int(chance.random() * 90) + 10}"
    else:
        _put_right(state, round_, stop, kom, luck - limit)
    return None


def _untapped(state: UnitMonth, stop: Stop, start: int, chance: Random) -> str:
    """Why a visit is registered by hand from the start; empty: it is not."""
    if stop.need.by_hand:
        return "outside_home" if stop.need.kind.service == "care" else "other"
    if stop.residents[0].refuses_tag:
        return "tag_refused"
    if state.breakdowns and state.broken_down(start) and chance.random() < 0.6:
        return "outage"
    return ""


def _put_right(state: UnitMonth, round_: Round, stop: Stop, kom: Touch, luck: float) -> None:
    """Rare corrections of whole visits, made the day after."""
    chance, resident = round_.chance, stop.residents[0]
    made = kom.second + 86_400
    if luck < WRONG_CLIENT:
        other = state.residents[int(chance.random() * len(state.residents))]
        if other.tag_holder != resident.tag_holder and resident.partner is None and other.from_on <= round_.on:
            state.fix(made, "set_client", kom, {"new_client_id": other.client_id, "reason": "wrong_client"}, chance)
    elif luck < WRONG_CLIENT + CORRECTED_LATER:
        if stop.minutes >= 20:
            moved = text_of((kom.second + 300) // 60 * 60)
            state.fix(made, "set_times", kom, {"new_start_at": moved, "reason": "wrong_time"}, chance)
    elif luck < WRONG_CLIENT + CORRECTED_LATER + CANCELLED_LATER:
        columns = {"reason": "other", "note": "Provtryckning, inget besök"}
        state.fix(made, "cancel_visit", kom, columns, chance)
    elif luck < WRONG_CLIENT + CORRECTED_LATER + CANCELLED_LATER + RESTAFFED_LATER:
        other_staff = state.team[int(chance.random() * min(len(state.team), state.unit.carers))]
        columns = {"new_staff_id": other_staff.staff_id, "reason": "wrong_staff"}
        idle = other_staff.employed(round_.on) and not works_by_rota(other_staff.position, round_.on)
        if idle and other_staff.staff_id != round_.worker.staff_id:
            state.fix(made, "set_staff", kom, columns, chance)


def _whole(span: tuple[int, int]) -> tuple[int, int]:
    """The whole minutes inside a span: what a person remembers never runs into the visit before or after."""
    return -(-span[0] // 60) * 60, span[1] // 60 * 60


def _by_hand(state: UnitMonth, round_: Round, stop: Stop, span: tuple[int, int], reason: str) -> None:
    kind, told = stop.need.kind, _whole(span)
    note = "Utan besök i hemmet" if reason == "other" else ""
    state.manual((stop.residents[0], round_.worker), told, (kind.service, kind.care_service, reason, note))
    _done(state, round_, stop, told)


def _forgot_gick(state: UnitMonth, round_: Round, stop: Stop, span: tuple[int, int]) -> None:
    """Half are corrected; some are noticed at the next door, where GICK is pressed for the client before."""
    chance = round_.chance
    kom = _touch(state, round_, stop, "KOM", span[0])
    luck = chance.random()
    if luck < 0.55 and kom.act == "KOM":
        end = _whole(span)[1]
        columns = {"new_end_at": text_of(end), "reason": "wrong_time"}
        state.fix(span[1] + 3_600 + int(chance.random() * 90_000), "set_times", kom, columns, chance)
        _done(state, round_, stop, (span[0], end))
    elif luck > 0.9 and kom.act == "KOM":
        others = [r for r in state.residents if r.tag_holder != stop.residents[0].tag_holder]
        if others:
            touch = _touch(state, round_, stop, "GICK", span[1] + 180)
            touch.tag_uid = state.tag_at(others[int(chance.random() * len(others))].place, touch.second)


def _forgot_kom(state: UnitMonth, round_: Round, stop: Stop, span: tuple[int, int]) -> None:
    chance = round_.chance
    gick = _touch(state, round_, stop, "GICK", span[1])
    if chance.random() < 0.55 and gick.act == "GICK":
        start = _whole(span)[0]
        columns = {"new_start_at": text_of(start), "reason": "wrong_time"}
        state.fix(span[1] + 3_600 + int(chance.random() * 90_000), "set_times", gick, columns, chance)
        _done(state, round_, stop, (start, span[1]))


def _done(state: UnitMonth, round_: Round, stop: Stop, span: tuple[int, int]) -> None:
    """A visit with both ends known: minutes of the client and of the worker, and the care service carried out."""
    if stop.need.counts:
        state.count_minutes(stop.residents, *span)
    round_.with_clients += span[1] - span[0]
    if state.unit.number % 3 == 0 or state.unit.night:
        state.rows["services_done"].append((
            stop.residents[0].client_id, round_.worker.staff_id, text_of(span[1]), stop.need.kind.care_service, 1,
        ))  # fmt: skip


def _turned_away(state: UnitMonth, round_: Round, stop: Stop, start: int, first: bool) -> int:
    """Nobody opens, or a no at the door; returns when the worker is free again."""
    chance = round_.chance
    noticed = start + 60 + int(chance.random() * 180)
    if stop.fate == "at_door":
        _touch(state, round_, stop, "KOM", start)
        if chance.random() < 0.3:
            _touch(state, round_, stop, "GICK", noticed + 60)
    if first:
        planned_start, planned_end = stop.span
        state.rows["declines"].append((
            state.number("N"), stop.residents[0].client_id, state.unit.provider_id, text_of(planned_start),
            text_of(planned_end), stop.need.staff, stop.fate.removesuffix("_untapped"), text_of(noticed),
            *_made_up(state, round_.on, stop, chance),
        ))  # fmt: skip
    return noticed + 120


def _made_up(state: UnitMonth, on: date, stop: Stop, chance: Random) -> tuple[object, object]:
    """One decline in seven is made up for on a later day of the month."""
    later = on + timedelta(days=1 + int(chance.random() * 5))
    period = stop.residents[0].period_on(later)
    if chance.random() < 0.15 and later.month == on.month and period is not None:
        minutes = stop.minutes // 10 * 5
        state.made_up[stop.residents[0].place, later] = minutes
        return minutes, later
    return "", ""


def _add_alarms(state: UnitMonth, on: date, shifts: list[Shift], chance: Random) -> None:
    holders = [r for r in state.residents if r.has_alarm and r.needs and r.partner is None and r.period_on(on)]
    count = int(len(holders) * ALARMS_PER_DAY + chance.random()) if shifts else 0
    for _ in range(count):
        resident = holders[int(chance.random() * len(holders))]
        shift = shifts[int(chance.random() * len(shifts))]
        worker = shift.workers[int(chance.random() * len(shift.workers))]
        beside = shift.stops[int(chance.random() * len(shift.stops))]
        minutes = 10 + 5 * int(chance.random() * 4)
        need = Need(ALARM_CALL, beside.start, minutes, frozenset((on.weekday(),)))
        stop = Stop(need, (resident,), (worker,), beside.start, minutes, planned=False)
        stop.lay_on(on)
        shift.stops.append(stop)
        shift.stops.sort(key=lambda stop: stop.start)


def _others(state: UnitMonth, on: date, shifts: list[Shift], chance: Random) -> None:
    """Nurses' visits, which never count, and a trainee who goes along on weekdays."""
    for member in state.team:
        if not member.employed(on) or on.weekday() > 4 or not shifts or shifts[0].name != "day":
            continue
        device = phone_id(state.unit, member.position, on)
        round_ = Round(on, member, device, (0, 0), chance, member.staff_id)
        if member.role == "health_care":
            clock = second_of(on, 600)
            for _ in range(3):
                resident: Resident = state.residents[int(chance.random() * len(state.residents))]
                if resident.period_on(on) is None or resident.place in state.away:
                    continue
                need = Need(shifts[0].stops[0].need.kind, 600, 15, frozenset())
                stop = Stop(need, (resident,), (member,), 600, 15)
                length = 600 + int(chance.random() * 900)
                _touch(state, round_, stop, "KOM", clock)
                _touch(state, round_, stop, "GICK", clock + length)
                clock += length + 900
        elif member.role == "trainee" and (on.toordinal() // 14 + member.position) % 3 == 0:
            _follow(state, round_, shifts[0])


def _follow(state: UnitMonth, round_: Round, shift: Shift) -> None:
    """The trainee taps beside the first worker of the shift, at the planned times."""
    leader = shift.workers[0]
    clock = 0
    for stop in shift.stops:
        start, end = stop.span
        if leader in stop.staff and stop.fate == "done" and not stop.need.by_hand and start > clock:
            _touch(state, round_, stop, "KOM", start + 40)
            _touch(state, round_, stop, "GICK", end - 20)
            clock = end + 180


def _count_hours(state: UnitMonth, round_: Round, stops: list[Stop]) -> None:
    staff_id, rows = round_.worker.staff_id, state.rows["staff_hours"]
    rows.append((staff_id, round_.on, "client", round_.with_clients // 60))
    rows.append((staff_id, round_.on, "travel", round_.travel // 60 + 10))
    if round_.on.weekday() == 2 and len(stops) > 3:
        rows.append((staff_id, round_.on, "meeting", 30))
    elif round_.chance.random() < 0.02:
        rows.append((staff_id, round_.on, "training", 60))
