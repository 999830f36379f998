"""The rows of an explanation: every minute of a ledger with its visit, its taps and its cuts, and the visits that gave
no row (DOMAIN.md 2.3, 2.4, 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from types import MappingProxyType

from app.core.localtime import local_rfc3339, local_time
from app.facts.accounts import AccountResult, Adjustment, Block, epoch_minute
from app.facts.derived import JsonObject, MonthAccount, TapRef, Visit
from app.months.rules import explain_texts as texts
from app.policies import Policy

Grades = Mapping[tuple[str, int], str]
"""(device_id, seq) -> how well the tap's time is proved."""
NO_GRADES: Grades = MappingProxyType({})
COUNTED = ("free", "approved", "pending", "unpaid")


@dataclass(frozen=True, slots=True)
class Subject:
    """What is explained: an account with its ledger, as frozen or as known now."""

    account: MonthAccount
    ledger: tuple[Block, ...]
    result: AccountResult
    visits: Mapping[str, Visit]
    differences: tuple[Adjustment, ...]
    policy: Policy
    is_frozen: bool
    grades: Grades


def rows_of(subject: Subject) -> list[JsonObject]:
    """A row for every block of the ledger."""
    return [_row(block, subject) for block in subject.ledger]


def _row(block: Block, subject: Subject) -> JsonObject:
    visit = subject.visits.get(block.cause_id)
    holds = _holds(visit) if block.fate == "held" else []
    row: JsonObject = {
        "of": block.of,
        "visit_id": block.cause_id if block.of == "visit" else None,
        "decline_id": block.cause_id if block.of == "decline" else None,
        "on": block.on.isoformat(),
        "from": local_rfc3339(_instant(block.first)),
        "to": local_rfc3339(_instant(block.after)),
        "minutes": block.minutes,
        "service": block.service,
        "band": block.band,
        "order_id": block.order_id,
        "outside_order": block.outside,
        "kind": block.kind,
        "fate": block.fate,
        "counts": block.fate in COUNTED,
        "holds": holds,
        "cuts": _cuts(block, visit, subject.policy),
        "is_shared": block.share is not None,
        "taps": _taps(visit, subject.grades),
        "manual_id": visit.manual_id if visit is not None else "",
        "source": visit.source if visit is not None else None,
        "grade": visit.grade if visit is not None else None,
        "paragraph": texts.paragraph(block, holds),
    }
    return row | {language: texts.row(row, language) for language in texts.LANGUAGES}


def _holds(visit: Visit | None) -> list[str]:
    """What holds a visit now; of one that a run found held, else what has become of it since."""
    if visit is None or visit.status == "cancelled":
        return ["removed_since"]
    return list(visit.holds) or (["grade_d"] if visit.grade == "D" else ["released_since"])


def _cuts(block: Block, visit: Visit | None, policy: Policy) -> list[JsonObject]:
    """Where a block begins or ends inside its visit, and why."""
    if visit is None or visit.start_at is None or visit.end_at is None:
        return []
    edges = ((block.first, epoch_minute(visit.start_at)), (block.after, epoch_minute(visit.end_at)))
    return [
        {"at": local_rfc3339(_instant(edge)), "why": _cut_why(local_time(_instant(edge)), policy)}
        for edge, whole in edges
        if edge != whole
    ]


def _cut_why(at: time, policy: Policy) -> str:
    if at == time(0):
        return "midnight"
    return "band" if at in (policy.night_from, policy.night_to) else "limit"


def _taps(visit: Visit | None, grades: Grades) -> list[JsonObject]:
    if visit is None:
        return []
    ends: Sequence[tuple[str, TapRef | None]] = (("KOM", visit.kom), ("GICK", visit.gick))
    return [
        {
            "act": act,
            "device_id": tap.device_id,
            "seq": tap.seq,
            "at": local_rfc3339(tap.at),
            "grade": grades.get((tap.device_id, tap.seq), visit.grade),
        }
        for act, tap in ends
        if tap is not None
    ]


def not_counted(subject: Subject) -> list[JsonObject]:
    """Visits of the month that gave no row, each with the reason."""
    counted = {block.cause_id for block in subject.ledger if block.of == "visit"}
    rows = []
    for visit in sorted(subject.visits.values(), key=lambda visit: (visit.at, visit.visit_id)):
        if visit.visit_id in counted:
            continue
        row: JsonObject = {
            "visit_id": visit.visit_id,
            "at": local_rfc3339(visit.at),
            "why": _why_not(visit),
            "taps": _taps(visit, subject.grades),
            "findings": list(visit.findings),
        }
        rows.append(row | {language: texts.not_counted(row, language) for language in texts.LANGUAGES})
    return rows


def _why_not(visit: Visit) -> str:
    if visit.status in ("cancelled", "incomplete"):
        return visit.status
    if visit.role != "carer":
        return "role"
    if visit.start_at is None or visit.end_at is None:
        return "declined" if visit.status == "declined" else "incomplete"
    if "unordered_second_staff" in visit.findings:
        return "unordered_second_staff"
    return "class_held" if visit.holds or visit.grade == "D" else "later_known"


def _instant(minute: int) -> datetime:
    return datetime.fromtimestamp(minute * 60, UTC)
