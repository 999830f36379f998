"""What a month brings from outside: absences, outages, and how much of the ordered time a client really uses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from app.core.month import Month
from app.simulation.chance import PLASTIC, ROOT7, spread, stream
from app.simulation.clockwork import second_of
from app.simulation.residents import Resident
from app.simulation.town import Town


@dataclass(frozen=True, slots=True)
class Away:
    """An absence; `to_on` None only for the dead."""

    from_on: date
    kind: str
    to_on: date | None


@dataclass(frozen=True, slots=True)
class Breakdown:
    """An outage in seconds since 1970; an empty provider_id is everybody's."""

    outage_id: str
    provider_id: str
    start: int
    end: int
    reason: str


def absences_begun(town: Town, resident: Resident, month: Month) -> list[Away]:
    """The absences of a client that begin in a month, within the time the client has orders."""
    found = []
    if resident.dies and resident.to_on <= month.last_on:
        found.append(Away(resident.to_on, "dead", None))
    index = month.year * 12 + month.number
    share = spread(resident.place, PLASTIC, index * 0.37)
    if share < 0.016:
        chance = stream(town.seed, "away", resident.client_id, index)
        from_on = date(month.year, month.number, 1 + int(chance.random() * 27))
        to_on = from_on + timedelta(days=2 + int(chance.random() * chance.random() * 24))
        if resident.from_on <= from_on and to_on < resident.to_on:
            found.append(Away(from_on, "hospital" if share < 0.011 else "away", to_on))
    return found


def absences_in(town: Town, resident: Resident, month: Month) -> list[Away]:
    """Absences that touch a month: those begun in it and in the month before."""
    before = [] if resident.from_on > month.first_on else absences_begun(town, resident, month.previous)
    return before + absences_begun(town, resident, month)


def used_share(resident: Resident, month: Month) -> float:
    """How long a client's visits really are, as a share of the plan; it drifts slowly, so that habits show.

    Most use 88-105 % of the ordered time, some above the ceiling of 110 %, some under 75 %.
    """
    habit = spread(resident.place, ROOT7, (month.year * 12 + month.number) * 0.017)
    wobble = spread(resident.place * 13 + month.number, PLASTIC)
    if habit < 0.06:
        return 0.55 + 0.15 * wobble
    if habit > 0.92:
        return 1.17 + 0.15 * wobble
    return 0.89 + 0.16 * wobble


def breakdowns_of(town: Town, month: Month) -> list[Breakdown]:
    """One outage of one provider's phones, and in every third month one for everybody."""
    index = month.year * 12 + month.number
    chance = stream(town.seed, "outage", index)
    provider = town.providers[int(chance.random() * len(town.providers))]
    rows = []
    for number, whose in enumerate((provider.provider_id, "")):
        day = date(month.year, month.number, 1 + int(chance.random() * 28))
        start = second_of(day, 7 * 60 + int(chance.random() * 600))
        length = 3600 + int(chance.random() * 7200)
        if whose or index % 3 == 1:
            reason = "Mobilnätet nere" if whose else "Driftstopp hos leverantören"
            rows.append(Breakdown(f"A{month}.{number + 1}", whose, start, start + length, reason))
    return rows
