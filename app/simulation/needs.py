"""What help a client needs, as visits of a week: from cleaning every week to five visits a day."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from app.simulation.chance import GOLDEN, SILVER, spread


@dataclass(frozen=True, slots=True)
class CareKind:
    """A care service with its area and how it is proved; `service` is the visit class."""

    care_service: str
    care_area: str
    proof: str = "both"
    service: str = "care"


HYGIENE = CareKind("personlig_hygien", "personlig_omvardnad")
MEAL_HELP = CareKind("maltidshjalp", "maltider")
BEDTIME = CareKind("sanggaende", "personlig_omvardnad")
LOOK_IN = CareKind("tillsyn", "personlig_omvardnad")
CLEANING = CareKind("stad", "service")
LAUNDRY = CareKind("tvatt", "service", "one_end")
SHOPPING = CareKind("inkop", "service", "none")
NIGHT_LOOK = CareKind("natttillsyn", "personlig_omvardnad", "both", "night_patrol")
MEAL_BOX = CareKind("matlada", "maltider", "both", "meal")
SCREEN_LOOK = CareKind("digital_tillsyn", "personlig_omvardnad", "none", "digital")
PHONE_CALL = CareKind("telefonsamtal", "personlig_omvardnad", "none", "phone")
ALARM_CALL = CareKind("trygghetslarm", "personlig_omvardnad", "both", "alarm")


@dataclass(frozen=True, slots=True)
class Need:
    """A visit of the week: local minute of the day (from 1320 on: night, may pass midnight), length, days, staff."""

    kind: CareKind
    start: int
    minutes: int
    weekdays: frozenset[int]
    staff: int = 1

    @property
    def by_hand(self) -> bool:
        """Nothing to tap: screen, phone, shopping (proof none)."""
        return self.kind.proof == "none"

    @property
    def counts(self) -> bool:
        """Counts towards ordered time (DOMAIN.md 2.4)."""
        return self.kind.service in ("care", "night_patrol")


DAILY = frozenset(range(7))
LIGHT_SHARE, MEDIUM_SHARE = 0.36, 0.70
"""Shares of clients with a few visits a week, with two or three a day; the rest has four or five."""
LIFTED_FROM, LIFTED_TO = 0.80, 0.822
"""Of those, who needs two staff at a time: about 4 % of the planned visits."""
NIGHT_FROM, NIGHT_TO = 0.91, 0.94
"""Of those, who has night visits."""


def needs_of(place: int, chance: Random, couple: bool) -> tuple[Need, ...]:
    """The visits of a client's week; a couple's are longer and serve both."""
    level = spread(place, GOLDEN, 0.11)
    needs: list[Need] = []
    if level < LIGHT_SHARE:
        _light(needs, chance, couple)
    else:
        heavy = level >= MEDIUM_SHARE
        staff = 2 if LIFTED_FROM <= level < LIFTED_TO and not couple else 1
        _daily(needs, chance, 4 + (chance.random() < 0.45) if heavy else 2 + (chance.random() < 0.42), staff)
        if NIGHT_FROM <= level < NIGHT_TO:
            _night(needs, chance)
    if spread(place, SILVER, 0.33) < 0.07 and not couple:
        needs.append(Need(MEAL_BOX, _about(chance, 11 * 60 + 30, 60), 5, DAILY))
    if spread(place, SILVER, 0.77) < 0.012:
        needs.append(Need(SCREEN_LOOK, _about(chance, 14 * 60, 60), 10, DAILY))
    elif spread(place, SILVER, 0.9) < 0.012:
        needs.append(Need(PHONE_CALL, _about(chance, 10 * 60, 60), 10, frozenset((1, 4))))
    if not couple:
        return tuple(needs)
    return tuple(Need(n.kind, n.start, min(100, n.minutes * 3 // 2), n.weekdays, n.staff) for n in needs)


def _light(needs: list[Need], chance: Random, couple: bool) -> None:
    day = int(chance.random() * 5)
    needs.append(Need(CLEANING, _about(chance, 9 * 60, 240), 60 + 15 * int(chance.random() * 5), frozenset((day,))))
    if chance.random() < 0.6:
        needs.append(Need(HYGIENE, _about(chance, 9 * 60, 120), 40, frozenset(((day + 2) % 7, (day + 5) % 7))))
    if chance.random() < 0.22 and not couple:
        needs.append(Need(SHOPPING, _about(chance, 13 * 60, 120), 45, frozenset(((day + 1) % 5,))))
    elif chance.random() < 0.3:
        needs.append(Need(LAUNDRY, _about(chance, 13 * 60, 120), 50, frozenset(((day + 3) % 5,))))


_HOURS = {2: (480, 1110), 3: (480, 720, 1110), 4: (470, 720, 1050, 1230), 5: (450, 690, 870, 1050, 1245)}


def _daily(needs: list[Need], chance: Random, count: int, staff: int) -> None:
    for index, hour in enumerate(_HOURS[count]):
        last = index == count - 1
        if index == 0:
            kind, minutes = HYGIENE, 25 + 5 * int(chance.random() * 6)
        elif last and count > 2:
            kind, minutes = BEDTIME, 15 + 5 * int(chance.random() * 4)
        elif hour == 870:
            kind, minutes = LOOK_IN, 10 + 5 * int(chance.random() * 3)
        else:
            kind, minutes = MEAL_HELP, 15 + 5 * int(chance.random() * 5)
        needs.append(Need(kind, _about(chance, hour, 100 if index == 0 else 70), minutes, DAILY, staff))
    if chance.random() < 0.3:
        day = int(chance.random() * 5)
        needs.append(Need(CLEANING, _about(chance, 840, 60), 60, frozenset((day,))))


def _night(needs: list[Need], chance: Random) -> None:
    needs.append(Need(NIGHT_LOOK, _about(chance, 23 * 60, 100), 10 + 5 * int(chance.random() * 3), DAILY))
    if chance.random() < 0.4:
        needs.append(Need(NIGHT_LOOK, _about(chance, 27 * 60, 150), 10 + 5 * int(chance.random() * 2), DAILY))


def _about(chance: Random, minute: int, width: int) -> int:
    return (minute + int((chance.random() - 0.5) * width)) // 5 * 5
