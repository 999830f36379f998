"""The nouns of irregularities (DOMAIN.md 7): what a rule sees, and what it says.

Deterministic, explained, about tags, devices and providers first; a name opens only in a case. This is evidence for
payment, not control of working time: what concerns a person shows as a case number of its provider.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from app.core.ids import finding_id
from app.core.month import Month
from app.facts import Employment, Finding

About = Literal["tag", "device", "provider", "staff"]

SIGNIFICANT = Fraction(1, 1000)
"""A chance result in one of a thousand months, divided by how many were tested at once (Bonferroni)."""


MANY_PERSONS = 3
"""So many who tap on one phone within a day are too many."""
READS = 10
"""A tag is judged by who reads it from so many readings on."""


@dataclass(frozen=True, slots=True)
class StaffMonth:
    """What one staff_id did for one provider in the month: how many visits, and which have a property."""

    provider_id: str
    staff_id: str
    visits: int
    planned: int = 0
    """Of them matched to a plan that starts in the month."""
    planned_complete: int = 0
    """Of those with both ends."""
    as_planned: tuple[str, ...] = ()
    """Of those the visit_ids that begin and end at the planned minute."""
    stated: tuple[str, ...] = ()
    """visit_ids stated or corrected by hand."""
    overlapping: tuple[str, ...] = ()
    """visit_ids with the finding `overlap`."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A visit with the property a rule looks for."""

    provider_id: str
    visit_id: str


@dataclass(frozen=True, slots=True)
class DeclinedVisit:
    """A compensated decline, and the first unplanned visit after it on its day (empty: none)."""

    provider_id: str
    linked: bool
    """Whether made-up time is linked to it."""
    redone: str = ""


@dataclass(frozen=True, slots=True)
class CorrectedVisit:
    """A correction of times of a planned visit, and whether it states the planned minutes."""

    provider_id: str
    visit_id: str
    to_plan: bool


@dataclass(frozen=True, slots=True)
class DeviceMonth:
    """A device's taps; for one that is not meant to be shared also its days, and those with many persons."""

    device_id: str
    provider_id: str
    taps: int
    days: int = 0
    crowded_days: int = 0


@dataclass(frozen=True, slots=True)
class LoneTag:
    """A tag only one person reads, though others read the client's other tags."""

    tag_uid: str
    provider_id: str
    reads: int


@dataclass(frozen=True, slots=True)
class LatePerson:
    """Taps after the last day of a staff_id's last employment."""

    staff_id: str
    provider_id: str
    taps: int


@dataclass(frozen=True, slots=True)
class AccountSeen:
    """An account's month: ordered, ceiling, reported minutes."""

    client_id: str
    provider_id: str
    ordered_minutes: int
    ceiling_minutes: int
    reported_minutes: int


@dataclass(frozen=True, slots=True)
class Scene:
    """One month of the municipality, for the rules."""

    month: Month
    staff_months: Sequence[StaffMonth] = ()
    merged: Sequence[Hit] = ()
    """Planned visits that span another plan of that day which no visit took."""
    in_absence: Sequence[Hit] = ()
    """Visits on days when the client was away."""
    declines: Sequence[DeclinedVisit] = ()
    corrections: Sequence[CorrectedVisit] = ()
    devices: Sequence[DeviceMonth] = ()
    lone_tags: Sequence[LoneTag] = ()
    late: Sequence[LatePerson] = ()
    findings: Sequence[Finding] = ()
    """About moves and tag counters."""
    accounts: Sequence[AccountSeen] = ()
    employments: Sequence[Employment] = ()
    worked_staff: frozenset[str] = frozenset()
    """staff_ids with worked hours in the month."""


@dataclass(frozen=True, slots=True)
class Irregularity:
    """Something a controller should look at; `observed` beside what is expected, both shown."""

    rule: str
    about: About
    about_id: str
    """The tag, device or provider; for staff the staff_id, shown only in an opened case."""
    provider_id: str
    observed: int
    of: int
    expected: Fraction
    """How many would be expected if nothing were wrong."""
    p_value: float | None
    """Exact binomial probability of so many or more, where chance matters."""
    visit_ids: tuple[str, ...] = ()

    def case_id(self, month: Month) -> str:
        return finding_id("irregularity", self.rule, self.about, self.about_id, str(month))


@dataclass(frozen=True, slots=True)
class Share:
    """How many of one group's items have a property."""

    name: str
    provider_id: str
    hits: int
    of: int
    visit_ids: tuple[str, ...] = ()


def unusual(rule: str, about: About, shares: Sequence[Share], *, least: int, floor: Fraction) -> list[Irregularity]:
    """The groups whose share is far above that of all the others together.

    Each is tested against the others' share (at least `floor`, so that a property nobody else has is not proof by one
    case), by the exact binomial test, at one in a thousand for the whole list. At least `least` hits. Whoever is found
    is no measure for the rest: they are tested again without it, until nobody more is found.
    """
    limit = float(SIGNIFICANT) / max(len(shares), 1)
    found: dict[str, tuple[Fraction, float]] = {}
    while True:
        rest = [share for share in shares if share.name not in found]
        hits, total = sum(share.hits for share in rest), sum(share.of for share in rest)
        more = {}
        for share in rest:
            if share.hits >= least:
                others = total - share.of
                usual = max(Fraction(hits - share.hits, others) if others else Fraction(0), floor)
                p_value = _so_many_or_more(share.hits, share.of, usual)
                if p_value < limit:
                    more[share.name] = (usual, p_value)
        if not more:
            break
        found |= more
    return [
        Irregularity(
            rule, about, share.name, share.provider_id, share.hits, share.of, found[share.name][0] * share.of,
            found[share.name][1], share.visit_ids,
        )
        for share in shares
        if share.name in found
    ]  # fmt: skip


def _so_many_or_more(hits: int, of: int, usual: Fraction) -> float:
    """The exact binomial probability of at least so many hits by chance; `hits` is at least one."""
    # scipy.stats says it in the same digits, but takes longer to load than the rules take
    from scipy.special import betainc  # noqa: PLC0415 -- an extra; only this question needs it

    return float(betainc(hits, of - hits + 1, float(usual)))


def shares_of(scene: Scene, hits: Callable[[StaffMonth], Iterable[str]]) -> list[Share]:
    """Per provider: which of its visits are hits."""
    return shares_of_hits(scene, [Hit(row.provider_id, visit) for row in scene.staff_months for visit in hits(row)])


def shares_of_hits(
    scene: Scene, hits: Iterable[Hit], of: Callable[[StaffMonth], int] = lambda row: row.visits
) -> list[Share]:
    """Per provider: these hits of its visits (of those `of` counts)."""
    total: Counter[str] = Counter()
    named: dict[str, list[str]] = defaultdict(list)
    for row in scene.staff_months:
        total[row.provider_id] += of(row)
    for hit in hits:
        named[hit.provider_id].append(hit.visit_id)
    return [
        Share(name, name, len(named[name]), total[name], tuple(sorted(named[name])))
        for name in sorted(total)
        if total[name]
    ]


def plain_object(found: Irregularity, scene: Scene, texts: Mapping[str, Any], *, opened: bool) -> dict[str, Any]:
    """An irregularity for a controller; who it is about is a person only in an opened case."""
    month, hidden = scene.month, found.about == "staff" and not opened
    names = [row.name for row in scene.employments if row.staff_id == found.about_id and row.name]
    return {
        "case_id": found.case_id(month),
        "rule": found.rule,
        "about": found.about,
        "about_id": None if hidden else found.about_id,
        "staff_name": names[-1] if found.about == "staff" and opened and names else None,
        "provider_id": found.provider_id,
        "observed": found.observed,
        "of": found.of,
        "expected": round(float(found.expected), 2),
        "p_value": found.p_value,
        "visits": list(found.visit_ids) if opened else len(found.visit_ids),
        **texts,
    }
