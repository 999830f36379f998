"""Everything at once: from statements and registry to visits and findings, in memory (ARCHITECTURE.md "Re-deriving").

The same functions in the same order as the incremental flow; used by the full rebuild, by `verify` and by tests. The
result does not depend on the order, split or repetition of the statements.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from app.core.localtime import local_month
from app.facts import (
    Correction,
    Decline,
    DeclineOutcome,
    Directory,
    Dispute,
    Finding,
    ManualVisit,
    PlannedVisit,
    Resolution,
    Tap,
    Visit,
)
from app.policies import PolicyBook
from app.visits.rules.accepted import by_visit, judged
from app.visits.rules.clients import ClientEvents, settle_client
from app.visits.rules.corrections import Corrections, TapKey, restaff, without_effect
from app.visits.rules.manual_share import unconfirmed_findings
from app.visits.rules.overlap import overlap_findings
from app.visits.rules.pairing import pair_taps
from app.visits.rules.plans import visit_order
from app.visits.rules.stay import Stay
from app.visits.rules.visits import visits_of_manual, visits_of_stay

TapRole = Literal["kom", "gick", "folded", "outside"]


@dataclass(frozen=True, slots=True)
class DerivationInput:
    """All statements the visits follow from, in their newest versions; any order."""

    taps: tuple[Tap, ...] = ()
    plans: tuple[PlannedVisit, ...] = ()
    declines: tuple[Decline, ...] = ()
    manual_visits: tuple[ManualVisit, ...] = ()
    corrections: tuple[Correction, ...] = ()
    disputes: tuple[Dispute, ...] = ()
    resolutions: tuple[Resolution, ...] = ()


@dataclass(frozen=True, slots=True)
class Derivation:
    """What follows: each sorted, so that equal derivations are equal values."""

    visits: tuple[Visit, ...]
    findings: tuple[Finding, ...]
    outcomes: tuple[DeclineOutcome, ...]
    roles: Mapping[TapKey, TapRole]
    """Every tap has exactly one role (DOMAIN.md 2)."""


def derive(statements: DerivationInput, directory: Directory, book: PolicyBook) -> Derivation:
    """All visits, findings and decline outcomes."""
    corrections = Corrections.of({row.correction_id: row for row in statements.corrections}.values())
    stays, findings = pair_all(statements.taps, corrections, directory, book)
    visits: list[Visit] = []
    for stay in stays:
        made, about = visits_of_stay(stay, corrections, directory, book)
        visits.extend(made)
        findings.extend(about)
    for manual in {row.manual_id: row for row in statements.manual_visits}.values():
        made, about = visits_of_manual(manual, corrections, directory, book)
        visits.extend(made)
        findings.extend(about)
    findings.extend(_ineffective(stays, statements, corrections, directory))
    roles = _roles(stays, findings)
    settled, outcomes, of_clients = _settle_all(visits, statements, directory, book)
    findings.extend(of_clients)
    findings.extend(_between_visits(settled, book))
    resolved = {row.finding_id for row in statements.resolutions}
    about_visits = by_visit(findings)
    final = [judged(visit, about_visits.get(visit.visit_id, ()), resolved, book) for visit in settled]
    return Derivation(
        tuple(sorted(final, key=lambda visit: (visit_order(visit), visit.client_id, visit.visit_id))),
        tuple(sorted(findings, key=lambda finding: (finding.at, finding.code, finding.finding_id))),
        tuple(sorted(outcomes, key=lambda outcome: (outcome.planned_start_at, outcome.decline_id))),
        roles,
    )


def pair_all(
    taps: Iterable[Tap], corrections: Corrections, directory: Directory, book: PolicyBook
) -> tuple[list[Stay], list[Finding]]:
    """Stays of all staff, and the findings about taps outside any and about devices' corrections without a tap."""
    unique = {tap.key: tap for tap in taps}
    restaffed, used = restaff(unique.values(), corrections)
    by_staff: dict[str, list[Tap]] = defaultdict(list)
    for tap in restaffed:
        by_staff[tap.staff_id].append(tap)
    stays: list[Stay] = []
    findings = [
        without_effect(one, directory)
        for rows in corrections.by_device.values()
        for one in rows
        if one.correction_id not in used
    ]
    for staff_id in sorted(by_staff):
        pairing = pair_taps(sorted(by_staff[staff_id], key=lambda tap: tap.order), directory, book)
        stays.extend(pairing.stays)
        findings.extend(pairing.findings)
    return stays, findings


def _ineffective(
    stays: Iterable[Stay], statements: DerivationInput, corrections: Corrections, directory: Directory
) -> list[Finding]:
    """Row 34: corrections that name no visit."""
    named = {(tap.device_id, tap.seq) for stay in stays for tap in (stay.kom, stay.gick) if tap is not None}
    manuals = {manual.manual_id for manual in statements.manual_visits}
    lost = list(corrections.nowhere)
    lost.extend(one for key, rows in corrections.by_tap.items() if key not in named for one in rows)
    lost.extend(one for key, rows in corrections.by_manual.items() if key not in manuals for one in rows)
    return [without_effect(one, directory) for one in lost]


def _roles(stays: Iterable[Stay], findings: Iterable[Finding]) -> dict[TapKey, TapRole]:
    roles: dict[TapKey, TapRole] = {}
    for stay in stays:
        if stay.kom is not None:
            roles[stay.kom.key] = "kom"
        if stay.gick is not None:
            roles[stay.gick.key] = "gick"
    for finding in findings:
        if finding.code in ("repeated_tap", "unknown_tag", "unknown_staff"):
            for key in finding.taps:
                roles[key] = "folded" if finding.code == "repeated_tap" else "outside"
    return roles


def _settle_all(
    visits: Sequence[Visit], statements: DerivationInput, directory: Directory, book: PolicyBook
) -> tuple[list[Visit], list[DeclineOutcome], list[Finding]]:
    """The client step for every client that has anything."""
    visits_of = _by_client(visits)
    plans_of = _by_client({row.planned_id: row for row in statements.plans}.values())
    declines_of = _by_client({row.decline_id: row for row in statements.declines}.values())
    disputes_of = _by_client({row.dispute_id: row for row in statements.disputes}.values())
    settled: list[Visit] = []
    outcomes: list[DeclineOutcome] = []
    findings: list[Finding] = []
    for client_id in sorted({*visits_of, *plans_of, *declines_of}):
        events = ClientEvents(
            tuple(visits_of.get(client_id, ())),
            tuple(plans_of.get(client_id, ())),
            tuple(declines_of.get(client_id, ())),
            tuple(disputes_of.get(client_id, ())),
        )
        result = settle_client(events, directory, book)
        settled.extend(result.visits)
        outcomes.extend(result.outcomes)
        findings.extend(result.findings)
    return settled, outcomes, findings


class _OfClient(Protocol):
    @property
    def client_id(self) -> str: ...


_Row = TypeVar("_Row", bound=_OfClient)


def _by_client(rows: Iterable[_Row]) -> dict[str, list[_Row]]:
    result: dict[str, list[_Row]] = defaultdict(list)
    for row in rows:
        result[row.client_id].append(row)
    return result


def _between_visits(visits: Sequence[Visit], book: PolicyBook) -> list[Finding]:
    """Rows 20 and 33: per person, and per provider and local month of start."""
    of_person: dict[str, list[Visit]] = defaultdict(list)
    of_month: dict[tuple[str, str], list[Visit]] = defaultdict(list)
    for visit in visits:
        of_person[visit.person].append(visit)
        of_month[visit.provider_id, str(local_month(visit.at))].append(visit)
    findings = [finding for rows in of_person.values() for finding in overlap_findings(rows)]
    for rows in of_month.values():
        if any(visit.marks for visit in rows):
            findings.extend(unconfirmed_findings(rows, book.on(local_month(rows[0].at).first_on)))
    return findings
