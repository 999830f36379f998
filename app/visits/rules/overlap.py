"""Two visits of one person at once (DOMAIN.md 2.1 row 20).

Reading chosen where DOMAIN.md leaves a doubt: a visit is as weak as its weakest end, and an end stated by hand is
weaker than any tapped one, grade D included.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.core.localtime import format_instant
from app.facts import Finding, Visit
from app.visits.rules.about import about_visit

_WEAKNESS = {"A": 0, "B": 1, "C": 2, "D": 3}
_BY_HAND = 4


def overlap_findings(visits: Sequence[Visit]) -> tuple[Finding, ...]:
    """One `overlap` on every visit that shares more than 0 seconds with another of the same person; it holds the weaker
    one of a pair, both when they are equal.

    `visits`: those of one person (any class, role, employment, client), or all that may overlap the ones of interest.
    """
    both_ends = sorted(
        ((v.start_at, v.end_at, v.visit_id, v) for v in visits if v.start_at and v.end_at and v.status != "cancelled"),
        key=lambda row: row[:3],
    )
    held: dict[str, bool] = {}
    found: dict[str, Visit] = {}
    active: list[Visit] = []
    for start_at, end_at, _, visit in both_ends:
        if active:
            active = [other for other in active if other.end_at is not None and other.end_at > start_at]
        if end_at == start_at:
            continue  # shares 0 seconds with anything
        for other in active:
            if not _same_taps(visit, other):
                mine, its = weakness(visit), weakness(other)
                found[visit.visit_id], found[other.visit_id] = visit, other
                held[visit.visit_id] = held.get(visit.visit_id, False) or mine >= its
                held[other.visit_id] = held.get(other.visit_id, False) or its >= mine
        active.append(visit)
    return tuple(
        about_visit(
            visit, "overlap", (("until", format_instant(visit.end_at)),) if visit.end_at else (), holds=held[key]
        )
        for key, visit in found.items()
    )


def weakness(visit: Visit) -> int:
    """How badly the visit's times are proved."""
    return _BY_HAND if "by_hand" in visit.marks else _WEAKNESS[visit.grade]


def _same_taps(visit: Visit, other: Visit) -> bool:
    """Row 14: no overlap among the visits of a household that come from the same pair of taps."""
    if visit.kom is None and visit.gick is None:
        return False
    return visit.kom == other.kom and visit.gick == other.gick
