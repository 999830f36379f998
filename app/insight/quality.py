"""Figures of quality for a month, per unit, provider, operation, district and the whole municipality (DOMAIN.md 6).

The same page for provider and commissioner, municipal beside private [S3]. About organisations, never about persons:
a group of fewer than five staff or clients is marked, and times between visits are not shown for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

from app.core.month import Month
from app.facts import Employment
from app.insight.numbers import decimal, median_of, ratio
from app.insight.quality_definitions import DEFINITIONS
from app.insight.staffing import Education, Turnover, education_of, latest_by_staff, turnover_of

MINIMUM_STAFF = 5
MINIMUM_CLIENTS = 5

LEVELS = ("municipality", "operation", "district", "provider", "unit")
Group = tuple[str, str]
"""(level, id); the municipality's id is empty."""


class Carried(NamedTuple):
    """Executed minutes (accepted visits of classes that count) of a unit at one client."""

    unit_id: str
    provider_id: str
    client_id: str
    minutes: int


class CarriedBy(NamedTuple):
    """The same minutes of one staff_id at clients of one district (empty: of none)."""

    unit_id: str
    provider_id: str
    district: str
    staff_id: str
    minutes: int


class Worked(NamedTuple):
    """Worked minutes in a unit of those with one role and form of employment on the day worked."""

    unit_id: str
    provider_id: str
    role: str
    employment: str
    minutes: int


class Ordered(NamedTuple):
    """Ordered minutes of a client with a provider in the month."""

    client_id: str
    provider_id: str
    unit_id: str
    minutes: int


class Resolved(NamedTuple):
    """How long a finding waited; the unit is empty where it is nobody's in particular."""

    provider_id: str
    unit_id: str
    seconds: int


class Spread(NamedTuple):
    """Distances of starts from their slot's usual start, summed over a unit's visits."""

    unit_id: str
    provider_id: str
    distance_us: int
    visits: int


class Between(NamedTuple):
    """Times between visits that begin in one local hour, of one unit."""

    unit_id: str
    provider_id: str
    hour: int
    staff: int
    median_us: Fraction


@dataclass(frozen=True, slots=True)
class QualityFacts:
    """Everything the figures of one month follow from."""

    month: Month
    employments: Sequence[Employment] = ()
    carried: Iterable[Carried] = ()
    carried_by: Iterable[CarriedBy] = ()
    worked: Iterable[Worked] = ()
    ordered: Iterable[Ordered] = ()
    resolved: Iterable[Resolved] = ()
    spreads: Iterable[Spread] = ()
    between: Iterable[Between] = ()
    districts: Mapping[str, str] = field(default_factory=dict)
    """client_id -> district."""
    operations: Mapping[str, str] = field(default_factory=dict)
    """provider_id -> municipal or private."""
    names: Mapping[Group, str] = field(default_factory=dict)


@dataclass(slots=True)
class Figures:
    """What one group's rows add up to; shares are exact fractions, None where undefined."""

    executed: int = 0
    worked: int = 0
    carer_worked: int = 0
    hourly_worked: int = 0
    carried_by: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Minutes with clients by staff_id."""
    ordered: int = 0
    clients: set[str] = field(default_factory=set)
    waits: list[int] = field(default_factory=list)
    distance_us: int = 0
    spread_visits: int = 0
    between: list[Between] = field(default_factory=list)
    education: Education | None = None
    turnover: Turnover | None = None
    hourly_carried: int = 0

    @property
    def client_time_share(self) -> Fraction | None:
        return client_time_share(self.executed, self.worked)

    @property
    def executed_share(self) -> Fraction | None:
        return ratio(self.executed, self.ordered)

    @property
    def hourly_share(self) -> Fraction | None:
        if self.carer_worked:
            return ratio(self.hourly_worked, self.carer_worked)
        return ratio(self.hourly_carried, self.executed)


def client_time_share(client_minutes: int, total_staff_minutes: int) -> Fraction | None:
    """Staff-minutes with clients / all worked minutes; double staffing counts in both (vector S04)."""
    return ratio(client_minutes, total_staff_minutes)


def figures_of(facts: QualityFacts) -> dict[Group, Figures]:
    """The figures of every group that has any row."""
    found: dict[Group, Figures] = defaultdict(Figures)
    _add_carried(facts, found)
    for worked in facts.worked:
        for group in _groups(facts, worked.provider_id, worked.unit_id):
            figures = found[group]
            figures.worked += worked.minutes
            if worked.role == "carer":
                figures.carer_worked += worked.minutes
                figures.hourly_worked += worked.minutes if worked.employment == "hourly" else 0
    for ordered in facts.ordered:
        for group in _groups(facts, ordered.provider_id, ordered.unit_id, facts.districts.get(ordered.client_id, "")):
            found[group].ordered += ordered.minutes
    _add_times(facts, found)
    _add_staffing(facts, found)
    return dict(found)


def _add_carried(facts: QualityFacts, found: dict[Group, Figures]) -> None:
    hourly = {row.staff_id for row in latest_by_staff(facts.employments, facts.month) if row.employment == "hourly"}
    for carried in facts.carried:
        for group in _groups(facts, carried.provider_id, carried.unit_id, facts.districts.get(carried.client_id, "")):
            figures = found[group]
            figures.executed += carried.minutes
            figures.clients.add(carried.client_id)
    for by in facts.carried_by:
        for group in _groups(facts, by.provider_id, by.unit_id, by.district):
            figures = found[group]
            figures.carried_by[by.staff_id] += by.minutes
            if by.staff_id in hourly:
                figures.hourly_carried += by.minutes


def _add_times(facts: QualityFacts, found: dict[Group, Figures]) -> None:
    for resolved in facts.resolved:
        for group in _groups(facts, resolved.provider_id, resolved.unit_id):
            found[group].waits.append(resolved.seconds)
    for spread in facts.spreads:
        for group in _groups(facts, spread.provider_id, spread.unit_id):
            found[group].distance_us += spread.distance_us
            found[group].spread_visits += spread.visits
    for between in facts.between:
        if between.unit_id and between.staff >= MINIMUM_STAFF:
            found["unit", between.unit_id].between.append(between)


def _add_staffing(facts: QualityFacts, found: dict[Group, Figures]) -> None:
    """Education and turnover need the employments of a group; a district has none of its own."""
    members: dict[Group, list[Employment]] = defaultdict(list)
    by_staff = {row.staff_id: row for row in latest_by_staff(facts.employments, facts.month)}
    for row in facts.employments:
        if row.role == "carer":
            for group in _groups(facts, row.provider_id, row.unit_id):
                members[group].append(row)
    for group in {*found, *members}:
        figures = found[group]
        figures.education = education_of(members[group], figures.carried_by, by_staff, facts.month)
        if group[0] != "district":
            figures.turnover = turnover_of(members[group], facts.month)


def _groups(facts: QualityFacts, provider_id: str, unit_id: str, district: str = "") -> Iterator[Group]:
    yield ("municipality", "")
    operation = facts.operations.get(provider_id)
    if operation:
        yield ("operation", operation)
    if district:
        yield ("district", district)
    if provider_id:
        yield ("provider", provider_id)
    if unit_id:
        yield ("unit", unit_id)


def quality_object(facts: QualityFacts) -> dict[str, Any]:
    """What `komgick quality M` prints: definitions, then one row per group, largest groups first."""
    found = figures_of(facts)
    rows = sorted(found, key=lambda group: (LEVELS.index(group[0]), group[1]))
    return {
        "month": str(facts.month),
        "minimum_staff": MINIMUM_STAFF,
        "minimum_clients": MINIMUM_CLIENTS,
        "definitions": {name: {"sv": sv, "en": en} for name, (sv, en) in DEFINITIONS.items()},
        "groups": [
            {
                "level": level,
                "id": key,
                "name": facts.names.get((level, key), key),
                "operation": {"operation": key, "provider": facts.operations.get(key)}.get(level),
                **_shown(level, found[level, key]),
            }
            for level, key in rows
        ],
    }


def _shown(level: str, figures: Figures) -> dict[str, Any]:
    education, turnover = figures.education, figures.turnover
    staff = education.staff if education else 0
    waits = median_of(figures.waits)
    return {
        "clients": len(figures.clients),
        "staff": staff,
        # a district has no staff of its own
        "small_group": len(figures.clients) < MINIMUM_CLIENTS or (level != "district" and staff < MINIMUM_STAFF),
        "executed_minutes": figures.executed,
        "ordered_minutes": figures.ordered,
        "worked_minutes": figures.worked,
        "client_time_share": decimal(figures.client_time_share),
        "executed_share": decimal(figures.executed_share),
        "hourly_share": decimal(figures.hourly_share),
        "hourly_share_basis": "worked" if figures.carer_worked else "client_time",
        "education": education.as_object() if education else None,
        "turnover": turnover.as_object() if turnover else None,
        "minutes_between_visits": [
            {"hour": row.hour, "staff": row.staff, "median_minutes": decimal(row.median_us / 60_000_000)}
            for row in sorted(figures.between, key=lambda row: row.hour)
        ],
        "start_spread_minutes": decimal(ratio(figures.distance_us, figures.spread_visits * 60_000_000)),
        "hours_to_resolve_findings": None if waits is None else decimal(waits / 3600),
    }
