"""What holds a visit now (DOMAIN.md 2.3): its findings that hold by policy, less what resolutions release."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from app.facts import Finding, Visit
from app.policies import MAY_HOLD, Policy, PolicyBook
from app.visits.rules.changed import changed
from app.visits.rules.spans import local_day


def judged(visit: Visit, findings: Sequence[Finding], resolved: Collection[str], book: PolicyBook) -> Visit:
    """The visit with the codes of its findings and what holds it; accepted when nothing does and both ends are known.

    `findings`: all about this visit, of every step. `resolved`: finding_ids that a person has resolved. A hold counts
    when the policy of the visit's day has it; one of `holds_until_resolved`, and one that only this municipality's
    table holds by, ends with the resolution, the others end when what is wrong is put right.
    """
    codes: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()
    if findings:
        codes = tuple(sorted({finding.code for finding in findings}))
        holding = [finding for finding in findings if may_hold(finding)]
        if holding and visit.status != "cancelled":
            policy = book.on(local_day(visit.at))
            holds = tuple(sorted({
                finding.code
                for finding in holding
                if finding.code in policy.holds
                and not (_ends_with_resolution(finding, policy) and finding.finding_id in resolved)
            }))  # fmt: skip
    if visit.findings == codes and visit.holds == holds:
        return visit
    return changed(visit, findings=codes, holds=holds)


def may_hold(finding: Finding) -> bool:
    """Whether the finding holds its visit where the policy's table has its code."""
    return finding.holds or finding.code in MAY_HOLD


def _ends_with_resolution(finding: Finding, policy: Policy) -> bool:
    return finding.code in policy.holds_until_resolved or finding.code in MAY_HOLD


def by_visit(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """Findings about visits, by visit_id."""
    result: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.visit_id:
            result.setdefault(finding.visit_id, []).append(finding)
    return result
