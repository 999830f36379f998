"""A month's visits with who made them and the plan each was matched to: read once for quality and premium.

Plans are matched by 64-bit hashes of their keys: joining a city's million visits with its million plans by their texts
takes PostgreSQL several times as long as reading both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from sqlalchemy import Connection

from app.core.localtime import month_bounds
from app.core.month import Month
from app.insight.columns import read_numbers
from app.insight.quality import Carried, CarriedBy
from app.insight.scope import EVERYTHING, Scope
from app.insight.stays import Flags, Ints, Stays, summed
from app.insight.store import CARE, EVERY_CLASS, STARTED, named_codes, read_visits
from app.insight.visit_times import PlannedStarts
from app.insight.windows import Window

PLAN_KEY = "hashtextextended({0}.planned_id, hashtextextended({0}.provider_id, 0))"
"""A plan's number, the same from the plan and from the visit that was matched to it."""
# Only versions after the first can be newer than another, wherever they moved their plan: those few are read whole.
_PLANS = f"""
    SELECT {PLAN_KEY.format("p")}, p.version::bigint, p.start_at FROM planned_visits p
    WHERE p.start_at >= %(from)s AND p.start_at < %(to)s OR p.version > 1"""  # noqa: S608 -- constants of this module


@dataclass(frozen=True, slots=True)
class MonthVisits:
    """The visits of a month in which somebody is at the client's home, as parallel columns."""

    stays: Stays
    staffs: Sequence[str]
    staff: Ints
    """Index into `staffs`."""
    plan: Ints
    """The number of the plan; 0: none."""
    care: Flags
    """Of a class that counts (DOMAIN.md 2.4), unlike meals and alarms."""
    started: Flags
    """Has a start, not only an end."""

    @property
    def counted(self) -> Stays:
        """What continuity and executed time count."""
        return self.stays.only(self.care)


def load_month_visits(connection: Connection, month: Month, scope: Scope = EVERYTHING) -> MonthVisits:
    """A provider sees its own."""
    asked = (
        "hashtextextended(staff_id, 0)",
        f"CASE WHEN planned_id <> '' THEN {PLAN_KEY.format('visits')} ELSE 0 END",
    )
    read = read_visits(connection, Window.of_month(month), EVERY_CLASS, scope, asked)
    staff, staffs = named_codes(connection, read, "staff_id", read.more[0])
    return MonthVisits(read.stays, staffs, staff, read.more[1], (read.packed & CARE) > 0, (read.packed & STARTED) > 0)


def carried(month_visits: MonthVisits, districts: Mapping[str, str]) -> tuple[list[Carried], list[CarriedBy]]:
    """Executed minutes of accepted visits of classes that count: by client, and by district and staff_id."""
    done = month_visits.care & month_visits.stays.accepted
    stays, staff = month_visits.stays.only(done), month_visits.staff[done]
    organisation = stays.unit * len(stays.providers) + stays.provider

    def names(place: int) -> tuple[str, str]:
        unit, provider = divmod(place, len(stays.providers))
        return stays.units[unit], stays.providers[provider]

    by_client, minutes = summed(organisation * len(stays.clients) + stays.client, stays.minutes)
    found = []
    for key, total in zip(by_client.tolist(), minutes.tolist(), strict=True):
        place, client = divmod(key, len(stays.clients))
        found.append(Carried(*names(place), stays.clients[client], total))
    areas = sorted({"", *districts.values()})
    area_of = np.array([areas.index(districts.get(client_id, "")) for client_id in stays.clients], dtype=np.int64)
    area = area_of[stays.client] if len(stays) else stays.client
    by_staff, minutes = summed((organisation * len(areas) + area) * len(month_visits.staffs) + staff, stays.minutes)
    found_by = []
    for key, total in zip(by_staff.tolist(), minutes.tolist(), strict=True):
        rest, who = divmod(key, len(month_visits.staffs))
        place, where = divmod(rest, len(areas))
        found_by.append(CarriedBy(*names(place), areas[where], month_visits.staffs[who], total))
    return found, found_by


def planned_starts(connection: Connection, month: Month, month_visits: MonthVisits) -> PlannedStarts:
    """The visits with a start that were matched to a plan, withdrawn or not, of a class that counts."""
    rows = np.flatnonzero(month_visits.care & month_visits.started & (month_visits.plan != 0))
    plans, planned_us = _current_plans(connection, month)
    rows = rows[np.argsort(month_visits.plan[rows])]  # neighbours are looked up near each other
    wanted = month_visits.plan[rows]
    place = np.searchsorted(plans, wanted).clip(max=max(len(plans) - 1, 0))
    known = plans[place] == wanted if len(plans) else np.zeros(len(rows), dtype=np.bool_)
    rows, stays = rows[known], month_visits.stays
    return PlannedStarts(
        stays.units, stays.providers, stays.unit[rows], stays.provider[rows], stays.client[rows],
        planned_us[place[known]], stays.start_us[rows],
    )  # fmt: skip


def _current_plans(connection: Connection, month: Month) -> tuple[Ints, Ints]:
    """The numbers of the plans in order, and when each starts by its newest version."""
    from_at, to_at = month_bounds(month)
    # a visit is matched to a plan some hours away at most: the plans of other months are not read
    from_at, to_at = from_at - timedelta(days=1), to_at + timedelta(days=1)
    plan, version, start_us = read_numbers(connection, _PLANS, {"from": from_at, "to": to_at}, 3)
    order = np.lexsort((version, plan))
    plan, version, start_us = plan[order], version[order], start_us[order]
    same = plan[1:] == plan[:-1]
    if bool((same & (version[1:] == version[:-1])).any()):
        raise ValueError("two plans have one hash")
    newest = np.ones(len(plan), dtype=np.bool_)
    newest[:-1] = ~same
    return plan[newest], start_us[newest]
