"""The clients of a town: who lives on a place, what help is needed when, and what has been ordered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from app.core.month import Month
from app.simulation import names
from app.simulation.chance import GOLDEN, PLASTIC, ROOT7, SILVER, spread, stream
from app.simulation.clockwork import second_of
from app.simulation.needs import Need, needs_of
from app.simulation.town import Town, UnitPlace, tag_of

STAY_MONTHS = 36
"""How long one client has a place. The last order ends one month, the successor's begins in the next."""
TAG_MONTHS = 50
"""A tag is replaced after so many months: about 2 % of the tags in a month."""
HOUSE_PLACES = 5


@dataclass(frozen=True, slots=True)
class OrderPeriod:
    """A stretch of time with one decided amount of help; `scale` is in percent of the client's usual need."""

    number: int
    from_on: date
    to_on: date
    scale: int


@dataclass(frozen=True, slots=True)
class Resident:
    """The client on a place during a month. `needs` of the second of a couple are empty: visits are shared."""

    place: int
    client_id: str
    unit: UnitPlace
    from_on: date
    to_on: date
    dies: bool
    name: str
    birth_date: date
    site_id: str
    address: str
    entry_note: str
    protected: bool
    target_group: str
    needs: tuple[Need, ...]
    periods: tuple[OrderPeriod, ...]
    has_alarm: bool
    refuses_tag: bool
    tag_holder: str
    """The client whose tag serves this one: itself, or the first of a couple."""
    partner: int | None
    """The other place of a couple."""

    def period_on(self, on: date) -> OrderPeriod | None:
        for period in self.periods:
            if period.from_on <= on <= period.to_on:
                return period
        return None


def first_of_couple(place: int, unit: UnitPlace) -> bool:
    """Three places in a hundred are the first of a couple; never beside another couple, never the unit's last."""
    return place % 2 == 0 and place + 1 in unit.places and spread(place // 2, ROOT7) < 0.05


def resident_of(town: Town, place: int, month: Month) -> Resident:
    """Who has a place in a month: exactly one person, perhaps not from its first or to its last day."""
    unit = town.unit_of_place[place]
    head = place
    if place % 2 == 1 and place - 1 in unit.places and first_of_couple(place - 1, unit):
        head = place - 1
    index = month.year * 12 + month.number - 1
    phase = int(spread(head, SILVER, 0.05) * STAY_MONTHS)
    generation = (index + phase) // STAY_MONTHS
    first = generation * STAY_MONTHS - phase
    head_id = _client_id(head, generation)
    shared = stream(town.seed, "stay", head_id)
    from_on = date(first // 12, first % 12 + 1, 1 + int(shared.random() * 27))
    last = first + STAY_MONTHS - 1
    to_on = date(last // 12, last % 12 + 1, 2 + int(shared.random() * 26))
    surname = f"{shared.choice(names.SURNAME_HEADS)}{shared.choice(names.SURNAME_TAILS)}"
    periods = _periods(shared, from_on, to_on)
    couple = first_of_couple(head, unit)
    home = _Home(head, head_id, couple, surname, periods)
    return _person(town, place, _client_id(place, generation), home, shared)


@dataclass(frozen=True, slots=True)
class _Home:
    """What a couple has in common; of a single client its own."""

    head: int
    head_id: str
    couple: bool
    surname: str
    periods: tuple[OrderPeriod, ...]


def _client_id(place: int, generation: int) -> str:
    return f"K{place + 1:05d}.{generation % 100}"


def _periods(chance: Random, from_on: date, to_on: date) -> tuple[OrderPeriod, ...]:
    """Orders one after the other without a gap; each lasts 3 to 11 months and ends on any day."""
    periods: list[OrderPeriod] = []
    start, scale = from_on, 100
    while True:
        end = start + timedelta(days=90 + int(chance.random() * 240))
        if (to_on - end).days < 45:
            periods.append(OrderPeriod(len(periods) + 1, start, to_on, scale))
            return tuple(periods)
        periods.append(OrderPeriod(len(periods) + 1, start, end, scale))
        start, scale = end + timedelta(days=1), chance.choice((80, 90, 110, 115, 125))


def _person(town: Town, place: int, client_id: str, home: _Home, shared: Random) -> Resident:
    head, head_id, couple, periods = home.head, home.head_id, home.couple, home.periods
    unit = town.unit_of_place[place]
    own = stream(town.seed, "client", client_id)
    age = 66 + int(own.betavariate(3, 2) * 34) if spread(place, ROOT7, 0.3) > 0.06 else 30 + int(own.random() * 34)
    house = (head - unit.places.start) // HOUSE_PLACES
    in_house = house == 0 or spread(unit.number * 31 + house, GOLDEN) < 0.7
    street = names.STREETS[(unit.number * 3 + house) % len(names.STREETS)]
    door = 2 + house * 3 if in_house else 101 + 2 * head % 600
    floor = f", lgh {1001 + 100 * ((head - unit.places.start) % HOUSE_PLACES)}" if in_house else ""
    return Resident(
        place=place,
        client_id=client_id,
        unit=unit,
        from_on=periods[0].from_on,
        to_on=periods[-1].to_on,
        dies=place == head and not couple and own.random() < 0.5,
        name=f"{own.choice(names.GIVEN_OLD)} {home.surname}",
        birth_date=date(periods[0].from_on.year - age, 1 + int(own.random() * 12), 1 + int(own.random() * 28)),
        site_id=f"H{unit.number:03d}.{house}" if in_house else (f"H.{head_id}" if couple else ""),
        address=f"{street} {door}{floor}",
        entry_note=own.choice(("", "Ring på, går sakta", "Portkod finns på kontoret", "Nyckel i nyckelskåp", "Hund")),
        protected=spread(place, SILVER, 0.6) < 0.01,
        target_group=own.choice(("65+", "65+", "65+", "65+ demens")) if age >= 65 else "LSS/SoL under 65",
        needs=needs_of(head, shared, couple) if place == head else (),
        periods=periods,
        has_alarm=spread(place, ROOT7, 0.1) < 0.3,
        refuses_tag=not couple and spread(place, GOLDEN, 0.71) < 0.006,
        tag_holder=head_id,
        partner=(head + 1 if place == head else head) if couple else None,
    )


@dataclass(frozen=True, slots=True)
class Sticker:
    """A tag in a door frame during its time, in seconds since 1970, half-open."""

    uid: str
    kind: str
    from_second: int
    to_second: int | None
    """None: later than the month looked at."""


def stickers_of(town: Town, resident: Resident, month: Month) -> list[Sticker]:
    """The tags at a client's door that served on some day of the month: one, or two when it was replaced (at noon)."""
    place = int(resident.tag_holder[1:6]) - 1
    index = month.year * 12 + month.number - 1
    phase = int(spread(place, PLASTIC, 0.4) * TAG_MONTHS)
    generation, age = divmod(index + phase, TAG_MONTHS)
    day = 1 + int(spread(place, SILVER) * 26)
    kind = "sun" if resident.unit.number % 3 == 0 or spread(place, SILVER, 0.5) < 0.1 else "uid"

    def begun(number: int) -> int:
        first = number * TAG_MONTHS - phase
        change = date(first // 12, first % 12 + 1, day)
        if change <= resident.from_on:
            return second_of(resident.from_on - timedelta(days=3), 0)
        return second_of(change, 720)

    gone = second_of(resident.to_on, 2 * 1440 - 1) if resident.to_on <= month.last_on else None
    start = begun(generation)
    tags = [Sticker(tag_of(town, "tag", resident.tag_holder, generation), kind, start, gone)]
    if age == 0 and start > second_of(resident.from_on, 0):
        if gone is not None and start >= gone:
            tags.clear()
        end = min(start, gone) if gone is not None else start
        older = tag_of(town, "tag", resident.tag_holder, generation - 1)
        tags.insert(0, Sticker(older, kind, begun(generation - 1), end))
    return tags
