"""The devices of a unit: a phone per position or shared ones on a shelf, replaced after years, and a fixed reader."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from app.core.month import Month
from app.simulation.chance import GOLDEN, spread
from app.simulation.clockwork import second_of
from app.simulation.town import UnitPlace

PHONE_MONTHS, CHANGE_DAY = 60, 12
"""A phone serves so many months; its successor takes over at midnight before the 12th."""


@dataclass(frozen=True, slots=True)
class DevicePlace:
    """A device row; seconds since 1970."""

    device_id: str
    kind: str
    enrolled: int
    revoked: int | None
    replaces: str


def phone_id(unit: UnitPlace, shelf: int, on: date) -> str:
    """The phone of a position (or place on the shelf) on a day."""
    generation, age = _generation(unit, shelf, Month.of(on))
    if age == 0 and on.day < CHANGE_DAY:
        generation -= 1
    return _phone(unit, shelf, generation)


def reader_id(unit: UnitPlace) -> str:
    """The fixed reader in the unit's apartment house."""
    return f"L{unit.number:03d}"


def devices_of(unit: UnitPlace, positions: int, month: Month) -> list[DevicePlace]:
    """Every device of a unit that can have been used in a month, and those they replace: a row never dangles."""
    rows = []
    for shelf in range(positions):
        current, age = _generation(unit, shelf, month)
        oldest = current - 1 if age == 0 or current % 2 == 0 else current
        if oldest % 2 == 0:
            oldest -= 1
        for generation in range(oldest, current + 1):
            last = generation == current
            # Every second phone names the one it replaces: chains end, so that a month's file is complete.
            replaces = _phone(unit, shelf, generation - 1) if generation % 2 == 0 else ""
            rows.append(
                DevicePlace(
                    _phone(unit, shelf, generation),
                    "phone",
                    _begin(unit, shelf, generation),
                    None if last else _begin(unit, shelf, generation + 1),
                    replaces,
                )
            )
    if unit.has_reader:
        rows.append(DevicePlace(reader_id(unit), "reader", second_of(date(2016, 3, 1), 600), None, ""))
    return rows


def _phone(unit: UnitPlace, shelf: int, generation: int) -> str:
    return f"T{unit.number:03d}.{shelf:02d}.{generation % 100}"


def _phase(unit: UnitPlace, shelf: int) -> int:
    return int(spread(unit.number * 37 + shelf, GOLDEN, 0.4) * PHONE_MONTHS)


def _generation(unit: UnitPlace, shelf: int, month: Month) -> tuple[int, int]:
    return divmod(month.year * 12 + month.number - 1 + _phase(unit, shelf), PHONE_MONTHS)


def _begin(unit: UnitPlace, shelf: int, generation: int) -> int:
    first = generation * PHONE_MONTHS - _phase(unit, shelf)
    return second_of(date(first // 12, first % 12 + 1, CHANGE_DAY), 0)
