"""How a finding about a visit is made: one per visit and code (DOMAIN.md 9)."""

from __future__ import annotations

from app.core import ids
from app.facts import Finding, Visit

Pairs = tuple[tuple[str, str], ...]


def about_visit(visit: Visit, code: str, facts: Pairs = (), proposal: Pairs = (), *, holds: bool = False) -> Finding:
    """A finding about the visit, at its start, else end."""
    return Finding(
        finding_id=ids.finding_id(code, visit.visit_id),
        code=code,
        at=visit.at,
        client_id=visit.client_id,
        staff_id=visit.staff_id,
        provider_id=visit.provider_id,
        visit_id=visit.visit_id,
        taps=tuple((end.device_id, end.seq) for end in (visit.kom, visit.gick) if end is not None),
        facts=facts,
        proposal=proposal,
        holds=holds,
    )
