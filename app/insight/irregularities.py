"""The rules about irregularities (DOMAIN.md 7): deterministic, each with its explanation and known false alarms."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Any

from app.insight.irregularity import (
    About,
    Irregularity,
    Scene,
    Share,
    plain_object,
    shares_of,
    shares_of_hits,
    unusual,
)
from app.insight.irregularity_texts import TEXTS
from app.policies import Policy

_FEW = 5
_CLOSE_PERCENT = 2
"""Within so many percent of ordered under the ceiling counts as hugging it."""


def _overlaps(scene: Scene, policy: Policy) -> list[Irregularity]:  # noqa: ARG001 - every rule has this shape
    """Providers with far more visits that overlap another of the same person than the others."""
    shares = shares_of(scene, lambda row: row.overlapping)
    return unusual("overlap", "provider", shares, least=_FEW, floor=Fraction(1, 1000))


def _implausible_moves(scene: Scene, policy: Policy) -> list[Irregularity]:  # noqa: ARG001 - every rule has this shape
    """Devices with far more taps at two sites within a minute than others."""
    moved = Counter(finding.taps[-1][0] for finding in scene.findings if finding.code == "implausible_move")
    shares = [
        Share(row.device_id, row.provider_id, moved[row.device_id], max(row.taps, moved[row.device_id]))
        for row in scene.devices
    ]
    return unusual("implausible_move", "device", shares, least=3, floor=Fraction(1, 2000))


def _tag_counters(scene: Scene, policy: Policy) -> list[Irregularity]:  # noqa: ARG001 - every rule has this shape
    """Tags whose counter was replayed or ran backwards: no chance about it."""
    counted: dict[str, list[str]] = defaultdict(list)
    for finding in scene.findings:
        if finding.code in ("tag_counter_replay", "tag_counter_order"):
            counted[finding.fact("tag_uid") or finding.client_id].append(finding.provider_id)
    return [_certain("tag_counter", "tag", tag, providers[0], len(providers)) for tag, providers in counted.items()]


def _device_of_many(scene: Scene, policy: Policy) -> list[Irregularity]:  # noqa: ARG001 - every rule has this shape
    """A phone on which three or more persons tap within a day, on two or more days."""
    return [
        _certain("device_of_many", "device", row.device_id, row.provider_id, row.crowded_days, of=row.days)
        for row in scene.devices
        if row.crowded_days > 1
    ]


def _manual_share(scene: Scene, policy: Policy) -> list[Irregularity]:
    """Providers above the share of manual and corrected visits that one person may state alone."""
    found = []
    for share in shares_of(scene, lambda row: row.stated):
        allowed = max(Fraction(policy.manual_share_percent * share.of, 100), Fraction(policy.manual_share_floor))
        if share.hits > allowed:
            found.append(
                Irregularity(
                    "manual_share", "provider", share.name, share.name, share.hits, share.of, allowed, None,
                    share.visit_ids,
                )
            )  # fmt: skip
    return found


def _ends_as_planned(scene: Scene, policy: Policy) -> list[Irregularity]:  # noqa: ARG001 - every rule has this shape
    """Somebody whose visits begin and end at the planned minute far more often than everybody else's."""
    of: Counter[str] = Counter()
    hits: dict[str, list[str]] = defaultdict(list)
    provider: dict[str, str] = {}
    for row in scene.staff_months:
        of[row.staff_id] += row.planned_complete
        hits[row.staff_id] += row.as_planned
        provider[row.staff_id] = row.provider_id
    shares = [
        Share(name, provider[name], len(hits[name]), of[name], tuple(sorted(hits[name])))
        for name in sorted(of)
        if of[name]
    ]
    return unusual("ends_as_planned", "staff", shares, least=_FEW, floor=Fraction(1, 50))


def _hugs_ceiling(scene: Scene, policy: Policy) -> list[Irregularity]:  # noqa: ARG001 - every rule has this shape
    """Providers whose accounts end just under the ceiling far more often than the others'."""
    of: Counter[str] = Counter()
    hits: Counter[str] = Counter()
    for account in scene.accounts:
        if account.ordered_minutes:
            of[account.provider_id] += 1
            gap = account.ceiling_minutes - account.reported_minutes
            hits[account.provider_id] += 0 <= gap * 100 <= _CLOSE_PERCENT * account.ordered_minutes
    shares = [Share(name, name, hits[name], of[name]) for name in sorted(of)]
    return unusual("hugs_ceiling", "provider", shares, least=_FEW, floor=Fraction(1, 20))


def _declined_then_redone(scene: Scene, policy: Policy) -> list[Irregularity]:  # noqa: ARG001 - every rule has this shape
    """Providers where a compensated decline is followed by an unplanned visit on the same day, not linked to it."""
    hits = [(row.provider_id, row.redone if not row.linked else "") for row in scene.declines]
    return unusual("declined_then_redone", "provider", _shares_of_pairs(hits), least=3, floor=Fraction(1, 50))


def _merged_plans(scene: Scene, policy: Policy) -> list[Irregularity]:  # noqa: ARG001 - every rule has this shape
    """Providers where one visit spans two planned ones, the other missed, far more often than elsewhere."""
    shares = shares_of_hits(scene, scene.merged, lambda row: row.planned)
    return unusual("merged_plans", "provider", shares, least=3, floor=Fraction(1, 500))


def _visits_of_the_absent(scene: Scene, policy: Policy) -> list[Irregularity]:  # noqa: ARG001 - every rule has this shape
    """Visits on days when the client was away: about the provider, each one shown."""
    return [
        Irregularity(
            "visit_in_absence", "provider", share.name, share.name, share.hits, share.of, Fraction(0), None,
            share.visit_ids,
        )
        for share in shares_of_hits(scene, scene.in_absence)
        if share.hits
    ]  # fmt: skip


def _ended_employment(scene: Scene, policy: Policy) -> list[Irregularity]:  # noqa: ARG001 - every rule has this shape
    """Taps under a staff_id whose employment had ended: somebody uses what should have been taken back."""
    return [_certain("ended_employment", "staff", row.staff_id, row.provider_id, row.taps) for row in scene.late]


def _tag_of_one(scene: Scene, policy: Policy) -> list[Irregularity]:  # noqa: ARG001 - every rule has this shape
    """A tag only one person ever reads, while the client's other tag is read by others: it may hang elsewhere."""
    return [_certain("tag_of_one", "tag", row.tag_uid, row.provider_id, row.reads) for row in scene.lone_tags]


def _corrections_to_plan(scene: Scene, policy: Policy) -> list[Irregularity]:  # noqa: ARG001 - every rule has this shape
    """Providers whose corrections set the planned time, to the minute, far more often than the others'."""
    hits = [(row.provider_id, row.visit_id if row.to_plan else "") for row in scene.corrections]
    return unusual("corrections_to_plan", "provider", _shares_of_pairs(hits), least=_FEW, floor=Fraction(1, 10))


def _staff_inactive(scene: Scene, policy: Policy) -> list[Irregularity]:  # noqa: ARG001 - every rule has this shape
    """Providers with carers registered all month who neither visit nor work: staff on paper."""
    active = {row.staff_id for row in scene.staff_months} | scene.worked_staff
    of: Counter[str] = Counter()
    idle: Counter[str] = Counter()
    for row in scene.employments:
        whole = row.valid_from <= scene.month.first_on and (row.valid_to is None or row.valid_to >= scene.month.last_on)
        if row.role == "carer" and whole:
            of[row.provider_id] += 1
            idle[row.provider_id] += row.staff_id not in active
    shares = [Share(name, name, idle[name], of[name]) for name in sorted(of)]
    return unusual("staff_inactive", "provider", shares, least=2, floor=Fraction(1, 25))


def _certain(
    rule: str, about: About, about_id: str, provider_id: str, observed: int, *, of: int | None = None
) -> Irregularity:
    """No question of chance: none is expected."""
    return Irregularity(rule, about, about_id, provider_id, observed, observed if of is None else of, Fraction(0), None)


def _shares_of_pairs(rows: Iterable[tuple[str, str]]) -> list[Share]:
    """Per provider of (provider_id, visit_id where it is a hit)."""
    hits: dict[str, list[str]] = defaultdict(list)
    of: Counter[str] = Counter()
    for provider_id, visit_id in rows:
        of[provider_id] += 1
        hits[provider_id] += [visit_id] if visit_id else []
    return [Share(name, name, len(hits[name]), of[name], tuple(hits[name])) for name in sorted(of)]


RULES: Mapping[str, Callable[[Scene, Policy], list[Irregularity]]] = {
    "overlap": _overlaps,
    "implausible_move": _implausible_moves,
    "tag_counter": _tag_counters,
    "device_of_many": _device_of_many,
    "manual_share": _manual_share,
    "ends_as_planned": _ends_as_planned,
    "hugs_ceiling": _hugs_ceiling,
    "declined_then_redone": _declined_then_redone,
    "merged_plans": _merged_plans,
    "visit_in_absence": _visits_of_the_absent,
    "ended_employment": _ended_employment,
    "tag_of_one": _tag_of_one,
    "corrections_to_plan": _corrections_to_plan,
    "staff_inactive": _staff_inactive,
}


def irregularities(scene: Scene, policy: Policy) -> list[Irregularity]:
    """What every rule says about the month, in order of rule and what it is about."""
    found: list[Irregularity] = []
    for rule in RULES.values():
        found.extend(rule(scene, policy))
    return sorted(found, key=lambda row: (row.rule, row.about, row.about_id))


def irregularities_object(
    scene: Scene, found: Iterable[Irregularity], opened: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """For a controller: each with its explanation, expected number and known false alarms; names hidden.

    `opened`: the case_ids that have been opened; only those show a staff_id.
    """
    rows = []
    for row in found:
        said = TEXTS[row.rule]
        texts = {"explanation": {"sv": said.sv, "en": said.en}, "false_alarms_sv": said.false_alarms_sv}
        rows.append(plain_object(row, scene, texts, opened=row.case_id(scene.month) in opened))
    return {"month": str(scene.month), "rules": list(RULES), "irregularities": rows}
