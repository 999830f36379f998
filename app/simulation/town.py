"""A fictional town: providers, units, who works there. The same seed and size are the same town in every month."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date
from math import ceil, exp

from app.core.month import Month
from app.simulation import names
from app.simulation.chance import GOLDEN, PLASTIC, SILVER, spread, stream, tag_serial

CITY_CLIENTS, CITY_PRIVATE_PROVIDERS = 16_000, 130
"""DOMAIN.md 1: the city of the sources. Smaller towns are scaled."""
MUNICIPAL_PERCENT = 35
UNIT_CLIENTS = 115
CARERS_PER_CLIENT = 0.33


@dataclass(frozen=True, slots=True)
class ProviderPlace:
    """A provider with the number of client places it has."""

    provider_id: str
    name: str
    operation: str
    places: int
    minimum_tag_level: str
    minimum_tag_level_from: date | None


@dataclass(frozen=True, slots=True, eq=False)
class UnitPlace:
    """A provider's office and the places (numbers of clients) it serves; a night unit serves other units' places."""

    number: int
    unit_id: str
    provider: ProviderPlace
    name: str
    district: str
    places: range
    carers: int
    night: bool = False
    shares_phones: bool = False
    has_reader: bool = False
    """One apartment house of the unit has a fixed reader without a choice of act (AUTO)."""

    @property
    def provider_id(self) -> str:
        return self.provider.provider_id


@dataclass(frozen=True, slots=True)
class StaffMember:
    """One employment (one staff_id) at a unit, from a day to a day (None: longer than the month looked at)."""

    staff_id: str
    person_key: str
    position: int
    """The place in the unit's rota; the successor of one who leaves takes it over."""
    unit_id: str
    name: str
    employment: str
    education: str
    has_document: bool
    in_training: bool
    role: str
    badge_uid: str
    from_on: date
    to_on: date | None
    probation_to: date | None = None
    """Employed by the hour up to this day, `employment` afterwards."""

    def employed(self, on: date) -> bool:
        return self.from_on <= on and (self.to_on is None or on <= self.to_on)


@dataclass(frozen=True, slots=True, eq=False)
class Town:
    """The town itself; everything about people and months is worked out from `seed` when asked for."""

    seed: int
    clients: int
    providers: tuple[ProviderPlace, ...]
    units: tuple[UnitPlace, ...]
    unit_of_place: tuple[UnitPlace, ...] = field(repr=False)

    def night_unit_of(self, place: int) -> UnitPlace:
        """The municipal night patrol whose area a place lies in."""
        nights = [unit for unit in self.units if unit.night]
        return next((unit for unit in nights if place in unit.places), nights[-1])


def town_of(clients: int, seed: int) -> Town:
    """The town of that many client places; raises ValueError for fewer than 3 (one per kind of provider)."""
    if clients < 3:
        raise ValueError("a town needs at least 3 clients")
    providers = _providers(clients, seed)
    units: list[UnitPlace] = []
    first = 0
    for provider in providers:
        _add_units(units, provider, first)
        first += provider.places
    day_units = tuple(units)
    _add_night_units(units, providers[0], clients)
    by_place = tuple(unit for unit in day_units for _ in unit.places)
    return Town(seed, clients, providers, tuple(units), by_place)


def _providers(clients: int, seed: int) -> tuple[ProviderPlace, ...]:
    """The municipality first; private ones of very different size, each with at least one client."""
    municipal = max(1, round(clients * MUNICIPAL_PERCENT / 100))
    count = max(2, round(clients / CITY_CLIENTS * CITY_PRIVATE_PROVIDERS))
    left = clients - municipal
    count = min(count, left)
    chance = stream(seed, "providers")
    weights = [exp(chance.gauss(0, 0.9)) for _ in range(count)]
    sizes = [1 + int((left - count) * weight / sum(weights)) for weight in weights]
    sizes[0] += left - sum(sizes)
    rows = [ProviderPlace("P001", "Kommunens hemtjänst", "municipal", municipal, "uid", None)]
    for index, places in enumerate(sizes):
        head = names.PROVIDER_HEADS[index % len(names.PROVIDER_HEADS)]
        tail = names.PROVIDER_TAILS[index // len(names.PROVIDER_HEADS) % len(names.PROVIDER_TAILS)]
        number = index // (len(names.PROVIDER_HEADS) * len(names.PROVIDER_TAILS))
        strict = index % 9 == 4
        rows.append(
            ProviderPlace(
                f"P{index + 2:03d}",
                f"{head} {tail}{f' {number + 1}' if number else ''} AB",
                "private",
                places,
                "sun" if strict else "uid",
                date(2031, 1, 1) if strict else None,
            )
        )
    return tuple(rows)


def _add_units(units: list[UnitPlace], provider: ProviderPlace, first: int) -> None:
    count = max(1, round(provider.places / UNIT_CLIENTS))
    for index in range(count):
        start = first + provider.places * index // count
        end = first + provider.places * (index + 1) // count
        number = len(units) + 1
        district = names.DISTRICTS[number % len(names.DISTRICTS)]
        units.append(
            UnitPlace(
                number,
                f"E{number:03d}",
                provider,
                f"{provider.name.removesuffix(' AB')} {district}",
                district,
                range(start, end),
                max(3, ceil((end - start) * CARERS_PER_CLIENT)),
                shares_phones=number % 4 == 3,
                has_reader=number % 4 == 2 and end - start >= 12,
            )
        )


def _add_night_units(units: list[UnitPlace], municipality: ProviderPlace, clients: int) -> None:
    count = max(1, round(clients / 2000))
    for index in range(count):
        places = range(clients * index // count, clients * (index + 1) // count)
        number = len(units) + 1
        units.append(
            UnitPlace(
                number,
                f"E{number:03d}",
                municipality,
                f"Nattpatrullen {index + 1}",
                names.DISTRICTS[index % len(names.DISTRICTS)],
                places,
                max(3, ceil(len(places) * 0.014)),
                night=True,
            )
        )


# --- staff -----------------------------------------------------------------------------------------------------------

STAY_MONTHS = 40
"""How long one person keeps a position; who leaves does so on a 15th."""
DOUBLE_POSITION, SECOND_JOB_POSITION = 3, 5
"""In units of eight carers or more: position 5 is the second employment of position 3 of the unit before."""


def staff_of(town: Town, unit: UnitPlace, month: Month) -> list[StaffMember]:
    """Everybody employed at a unit on some day of a month, carers first, in order of position.

    `to_on` is known only when it lies in the month: a register does not know who will leave next year.
    """
    others = ["admin"]
    if len(unit.places) >= 25 and not unit.night:
        others += ["health_care", "trainee"]
    members: list[StaffMember] = []
    for position in range(unit.carers + len(others)):
        role = "carer" if position < unit.carers else others[position - unit.carers]
        index = month.year * 12 + month.number - 1
        phase = int(spread(unit.number * 61 + position, GOLDEN) * STAY_MONTHS)
        generation, age = divmod(index + phase, STAY_MONTHS)
        if role == "admin" or position in (DOUBLE_POSITION, SECOND_JOB_POSITION):
            members.append(_member(town, unit, position, role, None))
            continue
        if age == 0:
            left = date(month.year, month.number, 15)
            members.append(replace(_member(town, unit, position, role, generation - 1), to_on=left))
        members.append(_member(town, unit, position, role, generation))
    return members


def _member(town: Town, unit: UnitPlace, position: int, role: str, generation: int | None) -> StaffMember:
    """The person on a position, still employed; generation None never changes."""
    staff_id = f"S{unit.number:03d}.{position:02d}" + ("" if generation is None else f".{generation % 100}")
    chance = stream(town.seed, "staff", staff_id)
    if generation is None:
        from_on = date(2015, 1, 1)
    else:
        phase = int(spread(unit.number * 61 + position, GOLDEN) * STAY_MONTHS)
        first = generation * STAY_MONTHS - phase
        from_on = date(first // 12, first % 12 + 1, 16)
    person, education = f"X{staff_id}", _education(spread(unit.number * 17 + position, PLASTIC))
    first_job = second_job_of(town, unit, position)
    if first_job is not None:
        person = f"XS{first_job.number:03d}.{DOUBLE_POSITION:02d}"
        chance = stream(town.seed, "staff", person[1:])
    name = (
        f"{chance.choice(names.GIVEN_STAFF)} {chance.choice(names.SURNAME_HEADS)}{chance.choice(names.SURNAME_TAILS)}"
    )
    hourly = role == "carer" and spread(unit.number * 23 + position, SILVER) < 0.22
    probation = generation is not None and not hourly and chance.random() < 0.06
    return StaffMember(
        staff_id=staff_id,
        person_key=person if chance.random() > 0.02 or generation is None else "",
        position=position,
        unit_id=unit.unit_id,
        name=name,
        employment="hourly" if hourly or first_job is not None else "monthly",
        education=education if role != "admin" else "none",
        has_document=education != "none" and chance.random() < 0.94,
        in_training=education == "none" and chance.random() < 0.3,
        role=role,
        badge_uid=tag_of(town, "badge", staff_id) if role != "admin" else "",
        from_on=from_on,
        to_on=None,
        probation_to=Month.of(from_on).plus(6).first_on if probation else None,
    )


def tag_of(town: Town, *what: object) -> str:
    """The serial of a sticker or badge."""
    return tag_serial(town.seed, *what)


def second_job_of(town: Town, unit: UnitPlace, position: int) -> UnitPlace | None:
    """The unit where the person on this position has the first employment, or None."""
    if position != SECOND_JOB_POSITION or unit.night or unit.number < 2 or unit.carers < 8:
        return None
    first = town.units[unit.number - 2]
    return first if first.carers >= 8 and not first.night else None


def _education(share: float) -> str:
    for limit, education in ((0.42, "usk"), (0.70, "vardbitrade"), (0.80, "600p"), (0.86, "other_higher")):
        if share < limit:
            return education
    return "none"
