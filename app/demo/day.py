"""The live day as a script for device agents: who lays which tag on the reader, when. Pure; a function of the town.

The town's own taps as they come. At the start some carers with nothing planned make short visits, so that whoever
watches sees a visit begin at once and end within minutes, at any hour.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from app.core.localtime import local_date
from app.core.month import Month
from app.simulation import PlannedStop, Town, plan_of_day, taps_of_day
from app.simulation.town import StaffMember, staff_of

BADGE_S, PAUSE_S, TAG_S, REST_S = 0.6, 0.5, 1.2, 0.7
"""How long a badge lies on the reader, until the tag comes, how long the tag lies there, until the next badge."""
HORIZON = timedelta(hours=24)
OPENING = (timedelta(seconds=1), timedelta(seconds=20), timedelta(seconds=50), timedelta(minutes=2))
OPENING_LASTS = timedelta(minutes=3)
_FREE = timedelta(minutes=30)


@dataclass(frozen=True, slots=True, order=True)
class Touch:
    """A carer's badge and a client's tag on a reader, with the key she pressed (AUTO: none)."""

    at: datetime
    staff_id: str
    tag_uid: str
    act: str


def members_of(town: Town, provider_id: str, on: date) -> list[StaffMember]:
    """Who works for a provider on a day and has a badge."""
    units = [unit for unit in town.units if unit.provider_id == provider_id]
    found = [member for unit in units for member in staff_of(town, unit, Month.of(on))]
    return [member for member in found if member.badge_uid and member.employed(on)]


def touches_of(town: Town, provider_id: str, now: datetime) -> list[Touch]:
    """What a provider's carers would tap from now on, for a day."""
    on = local_date(now)
    known = {member.staff_id for member in members_of(town, provider_id, on)}
    days = (on - timedelta(days=1), on, on + timedelta(days=1))
    taps = [tap for day in days for tap in taps_of_day(town, day)]
    return sorted(
        Touch(tap.at, tap.staff_id, tap.tag_uid, tap.act)
        for tap in taps
        if tap.staff_id in known and now < tap.at < now + HORIZON
    )


def opening_of(town: Town, provider_id: str, now: datetime) -> list[Touch]:
    """Short visits that begin right now, by carers who have nothing planned about this time."""
    on = local_date(now)
    plan = [stop for stop in plan_of_day(town, on) if stop.provider_id == provider_id]
    busy = {stop.staff_id for stop in plan if stop.start_at - _FREE < now < stop.end_at + _FREE}
    free = [member for member in members_of(town, provider_id, on) if member.role == "carer"]
    idle = sorted(member.staff_id for member in free if member.staff_id not in busy)
    doors = sorted(_quiet_tags(plan, now))
    touches: list[Touch] = []
    for after, staff_id, tag_uid in zip(OPENING, idle, doors, strict=False):
        touches.append(Touch(now + after, staff_id, tag_uid, "KOM"))
        touches.append(Touch(now + after + OPENING_LASTS, staff_id, tag_uid, "GICK"))
    return touches


def _quiet_tags(plan: Iterable[PlannedStop], now: datetime) -> set[str]:
    """Tags of single households where nobody is expected now."""
    single = [stop for stop in plan if len(stop.client_ids) == 1]
    expected = {stop.tag_uid for stop in single if stop.start_at - _FREE < now < stop.end_at + _FREE}
    return {stop.tag_uid for stop in single} - expected


def script_of(
    touches: Iterable[Touch], badges: Mapping[str, str], sun_tags: Mapping[str, Mapping[str, Any]], now: datetime
) -> Iterator[dict[str, Any]]:
    """The presentations of `komgick-agent simulate --tags`: holds and gaps in seconds from now on.

    `badges`: badge uid by staff_id. `sun_tags`: what a simulated NTAG 424 needs, by uid; others are NTAG 213.
    A reader serves one person at a time: who comes meanwhile waits.
    """
    cursor = 0.0
    ahead: dict[str, Any] | None = None
    for touch in sorted(touches):
        if ahead is None:  # a badge that nobody follows up starts the clock
            ahead, cursor = {"tag": "ntag213", "uid": badges[touch.staff_id], "hold": BADGE_S}, BADGE_S
        start = round(max((touch.at - now).total_seconds(), cursor + REST_S), 1)
        yield ahead | {"gap": round(start - cursor, 1)}
        yield {"tag": "ntag213", "uid": badges[touch.staff_id], "hold": BADGE_S, "gap": PAUSE_S}
        ahead = {"tag": "ntag213", **sun_tags.get(touch.tag_uid, {}), "uid": touch.tag_uid, "hold": TAG_S}
        if touch.act in ("KOM", "GICK"):
            ahead["act"] = touch.act.lower()
        cursor = start + BADGE_S + PAUSE_S + TAG_S
    if ahead is not None:
        yield ahead | {"gap": REST_S}
