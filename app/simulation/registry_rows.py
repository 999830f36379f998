"""The registry files of a town in a month: who and what exists, as the city's systems would deliver it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from math import floor

from app.core.month import Month
from app.simulation.chance import SILVER, spread, stream
from app.simulation.circumstances import absences_begun
from app.simulation.clockwork import text_of
from app.simulation.needs import ALARM_CALL, Need
from app.simulation.phones import devices_of
from app.simulation.residents import OrderPeriod, Resident, stickers_of
from app.simulation.rounds import residents_of, scaled, team_of
from app.simulation.town import StaffMember, Town, UnitPlace

Rows = dict[str, list[tuple[object, ...]]]
DAYS_PER_WEEK, DAYS_PER_MONTH = 7, 30.4


def town_rows(town: Town) -> Rows:
    """Files that do not depend on the month: providers, prices."""
    rows: Rows = defaultdict(list)
    for p in town.providers:
        level_from = p.minimum_tag_level_from or ""
        rows["providers"].append((p.provider_id, p.name, p.operation, p.minimum_tag_level, level_from))
    rows["prices"].extend(_prices())
    return rows


def _prices() -> Iterable[tuple[object, ...]]:
    """Stockholm 2024 (DOMAIN.md 5) for care, nights and alarms; meal, screen and phone are assumptions."""
    for operation, hour, night, alarm in (("municipal", 48_500, 24_500, 18_500), ("private", 51_600, 26_000, 19_700)):
        since = date(2015, 1, 1)
        yield operation, "day", "care", "hour", since, hour
        yield operation, "night", "care", "visit", since, night
        yield operation, "day", "night_patrol", "hour", since, hour
        yield operation, "night", "night_patrol", "visit", since, night
        yield operation, "day", "alarm", "month", since, alarm
        for service, amount in (("meal", 6_500), ("digital", 9_000), ("phone", 4_500)):
            for band in ("day", "night"):
                yield operation, band, service, "visit", since, amount


def unit_rows(town: Town, unit: UnitPlace, month: Month) -> Rows:
    """The registry rows of one unit and the clients it answers for."""
    rows: Rows = defaultdict(list)
    provider = unit.provider
    rows["units"].append((
        unit.unit_id, provider.provider_id, unit.name, f"08-465 {unit.number:03d}",
        f"{unit.unit_id.lower()}@example.org",
    ))  # fmt: skip
    team = team_of(town, unit, month)
    for member in team:
        rows["staff"].extend(_staff(member))
    shelves = max(member.position for member in team) + 1
    for device in devices_of(unit, shelves, month):
        revoked = "" if device.revoked is None else text_of(device.revoked)
        rows["devices"].append((
            device.device_id, provider.provider_id, device.kind, "", text_of(device.enrolled), revoked, device.replaces,
        ))  # fmt: skip
    residents = residents_of(town, unit, month)
    by_place = {resident.place: resident for resident in residents}
    for resident in residents:
        if unit.night:
            _orders(rows, unit, month, resident, resident)
            continue
        _client(rows, town, resident, month)
        head = resident if resident.needs or resident.partner is None else by_place[resident.partner]
        _orders(rows, unit, month, resident, head)
        _contacts(rows, unit, month, resident, team)
    _catalogue(rows, town, unit, month)
    return rows


def _staff(member: StaffMember) -> Iterable[tuple[object, ...]]:
    rest = (
        member.education, _yes(member.has_document), _yes(member.in_training), member.role, member.badge_uid,
    )  # fmt: skip
    who = (member.person_key, member.unit_id, member.name)
    begin = member.from_on
    if member.probation_to is not None:
        yield member.staff_id, begin, member.probation_to, *who, "hourly", *rest
        begin = member.probation_to + timedelta(days=1)
    yield member.staff_id, begin, member.to_on or "", *who, member.employment, *rest


def _client(rows: Rows, town: Town, resident: Resident, month: Month) -> None:
    r = resident
    rows["clients"].append((
        r.client_id, r.name, r.birth_date, r.site_id, r.address, r.entry_note, _yes(r.protected), r.target_group,
    ))  # fmt: skip
    for tag in stickers_of(town, r, month):
        end = "" if tag.to_second is None else text_of(tag.to_second)
        rows["tags"].append((tag.uid, r.client_id, text_of(tag.from_second), end, tag.kind))
    if r.refuses_tag:
        rows["tag_refusals"].append((r.client_id, r.from_on, ""))
    for away in absences_begun(town, r, month):
        rows["absences"].append((r.client_id, away.from_on, away.kind, away.to_on or ""))


def _contacts(rows: Rows, unit: UnitPlace, month: Month, resident: Resident, team: tuple[StaffMember, ...]) -> None:
    """The contact is the first of the client's team, the care contact its first undersköterska, if it has one."""
    if spread(resident.place, SILVER, 0.21) < 0.03:
        return
    wanted = [(resident.place * 7 + step) % unit.carers for step in range(6)]
    education = {member.position: member.education for member in team if member.role == "carer"}
    trained = next((position for position in wanted if education.get(position) == "usk"), wanted[0])
    for kind, position in (("contact", wanted[0]), ("care_contact", trained)):
        for member in team:
            if member.position != position:
                continue
            begin = max(member.from_on, resident.from_on)
            ends = [end for end in (member.to_on, resident.to_on) if end is not None and end <= month.last_on]
            if begin <= min(ends, default=month.last_on):
                rows["contacts"].append((
                    resident.client_id, unit.provider_id, kind, begin, min(ends, default=""), member.staff_id,
                ))  # fmt: skip


def counted_needs(unit: UnitPlace, head: Resident) -> list[Need]:
    """The needs whose minutes are ordered from this unit: a night unit's are the night visits."""
    return [n for n in head.needs if n.counts and (n.kind.service == "night_patrol") == unit.night]


def weekly_minutes(needs: list[Need], period: OrderPeriod, couple: bool) -> int:
    """Staff-minutes of a week; of a couple each has half."""
    total = sum(scaled(need, period.scale) * len(need.weekdays) * need.staff for need in needs)
    return total // 2 if couple else total


def granted(unit: UnitPlace, head: Resident, period: OrderPeriod) -> tuple[int | None, int | None]:
    """(minutes a month, minutes a day): exactly one is given."""
    needs = counted_needs(unit, head)
    week = weekly_minutes(needs, period, head.partner is not None and not unit.night)
    daily = all(len(need.weekdays) == DAYS_PER_WEEK for need in needs)
    if daily and spread(head.place, SILVER, 0.41) < 0.3:
        return None, week // DAYS_PER_WEEK
    return max(10, round(week / DAYS_PER_WEEK * DAYS_PER_MONTH / 10) * 10), None


def ordered_minutes(unit: UnitPlace, head: Resident, month: Month) -> float:
    """What is ordered from a unit for a client in a month (for the reasons of excess only, so a float is enough)."""
    total = 0.0
    if not counted_needs(unit, head):
        return total
    for period in head.periods:
        days = (min(period.to_on, month.last_on) - max(period.from_on, month.first_on)).days + 1
        if days > 0:
            per_month, per_day = granted(unit, head, period)
            total += days * (per_day if per_day is not None else (per_month or 0) / month.day_count)
    return total


def ceiling_of(ordered: float) -> int:
    """The 110 % ceiling."""
    return floor(ordered * 110 / 100)


def _orders(rows: Rows, unit: UnitPlace, month: Month, resident: Resident, head: Resident) -> None:
    needs = counted_needs(unit, head)
    letter, label = ("N", "nattpatrull") if unit.night else ("H", "hemtjänst")
    others = [] if unit.night or resident is not head else [n for n in head.needs if not n.counts]
    for period in resident.periods:
        if period.to_on < month.first_on or period.from_on > month.last_on:
            continue
        common = (
            resident.client_id, unit.provider_id, unit.unit_id, resident.unit.district, period.from_on, period.to_on,
        )  # fmt: skip
        cost = f"{4100 + unit.number}"
        if needs:
            order_id = f"O.{resident.client_id}.{letter}{period.number}"
            per_month, per_day = granted(unit, head, period)
            staff = max(need.staff for need in needs)
            rows["orders"].append((order_id, *common, _text(per_month), _text(per_day), staff, label, cost))
            rows["order_services"].extend(_services(order_id, needs + others, period))
        if resident.has_alarm and not unit.night:
            order_id = f"O.{resident.client_id}.L{period.number}"
            rows["orders"].append((order_id, *common, 0, "", 1, "alarm", cost))
            alarm = ALARM_CALL
            rows["order_services"].append((order_id, alarm.care_service, alarm.care_area, "", "", "", alarm.proof))


def _services(order_id: str, needs: list[Need], period: OrderPeriod) -> Iterable[tuple[object, ...]]:
    by_service: dict[str, list[Need]] = {}
    for need in needs:
        by_service.setdefault(need.kind.care_service, []).append(need)
    for care_service, found in by_service.items():
        kind = found[0].kind
        times = sum(len(need.weekdays) for need in found)
        per = "day" if times % DAYS_PER_WEEK == 0 else "week"
        count = times // DAYS_PER_WEEK if per == "day" else times
        yield order_id, care_service, kind.care_area, count, per, scaled(found[0], period.scale), kind.proof


def _catalogue(rows: Rows, town: Town, unit: UnitPlace, month: Month) -> None:
    """The public catalogue lags behind now and then; surveys come once a year."""
    shown = unit.name if unit.number % 17 != 4 else f"{unit.name} (flyttad)"
    rows["catalogue"].append((unit.unit_id, shown, unit.provider.name))
    if len(unit.places) < 20 or unit.night:
        return
    year = month.year - 1
    chance = stream(town.seed, "survey", unit.unit_id, year)
    for indicator in ("helhetssyn", "bemotande", "trygghet"):
        answers = max(7, len(unit.places) * (40 + int(chance.random() * 30)) // 100)
        rate = round(answers / len(unit.places), 2)
        value = 70 + int(chance.random() * 28)
        rows["external_indicators"].append(
            (unit.unit_id, indicator, str(year), value, answers, rate, "Brukarundersökning")
        )


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _text(value: int | None) -> object:
    return "" if value is None else value
