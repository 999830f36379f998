"""The nouns of irregularities (DOMAIN.md 7): what a rule sees, and what it says.

Deterministic, explained, about tags, devices and providers first; a name opens only in a case. This is evidence for
payment, not control of working time: what concerns a person shows as a case number of its provider.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from fractions import Fraction
from typing import Any, Literal

from app.core.ids import finding_id
from app.core.localtime import local_date
from app.core.month import Month
from app.facts import Absence, Correction, DeclineOutcome, Employment, Finding, PlannedVisit, Visit

About = Literal["tag", "device", "provider", "staff"]

SIGNIFICANT = Fraction(1, 1000)
"""A chance result in one of a thousand months, divided by how many were tested at once (Bonferroni)."""


@dataclass(frozen=True, slots=True)
class TapSeen:
    """A tap as these rules see it: whose phone, which tag, who."""

    device_id: str
    tag_uid: str
    staff_id: str
    client_id: str
    provider_id: str
    at: datetime


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
    visits: Sequence[Visit] = ()
    plans: Mapping[str, PlannedVisit] = field(default_factory=dict)
    taps: Sequence[TapSeen] = ()
    findings: Sequence[Finding] = ()
    accounts: Sequence[AccountSeen] = ()
    declines: Sequence[DeclineOutcome] = ()
    corrections: Sequence[tuple[Correction, str]] = ()
    """set_times corrections with the visit_id they concern."""
    absences: Sequence[Absence] = ()
    employments: Sequence[Employment] = ()
    worked_staff: frozenset[str] = frozenset()
    """staff_ids with worked hours in the month."""
    shared_devices: frozenset[str] = frozenset()
    """Readers and phones known to be shared."""

    def absent_on(self) -> dict[str, list[Absence]]:
        by_client: dict[str, list[Absence]] = defaultdict(list)
        for absence in self.absences:
            by_client[absence.client_id].append(absence)
        return by_client


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
    """The exact binomial probability of at least so many hits by chance."""
    from scipy.stats import binomtest  # noqa: PLC0415 -- an extra; only this question needs it

    return float(binomtest(hits, of, float(usual), alternative="greater").pvalue)


def shares_of(
    visits: Iterable[Visit], hit: Iterable[str], by: Literal["provider_id", "staff_id"] = "provider_id"
) -> list[Share]:
    """Per provider or staff_id: how many of the visits are among the hits."""
    hits = set(hit)
    of: Counter[str] = Counter()
    named: dict[str, list[str]] = defaultdict(list)
    provider: dict[str, str] = {}
    for visit in visits:
        name = getattr(visit, by)
        of[name] += 1
        provider[name] = visit.provider_id
        if visit.visit_id in hits:
            named[name].append(visit.visit_id)
    return [Share(name, provider[name], len(named[name]), of[name], tuple(sorted(named[name]))) for name in sorted(of)]


def local_days(visits: Iterable[Visit]) -> dict[tuple[str, str, date], list[Visit]]:
    """Visits by client, provider and local day, in order of time."""
    by_day: dict[tuple[str, str, date], list[Visit]] = defaultdict(list)
    for visit in sorted(visits, key=lambda visit: visit.at):
        by_day[visit.client_id, visit.provider_id, local_date(visit.at)].append(visit)
    return by_day


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
