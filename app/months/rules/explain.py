"""Why a client's month came out as it did: every minute with its visit, its taps, its cuts and its fate (DOMAIN.md 3).

The explanation is data; the same facts stand in it as Swedish and English sentences for a provider's clerk. Its rows
sum to the account: free, approved, pending and unpaid to reported, held to held. A closed month is explained from what
was frozen, with what is known now beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, time
from types import MappingProxyType

from app.core.localtime import local_rfc3339, local_time
from app.facts.accounts import AccountResult, Adjustment, Block, DeclinePart, epoch_minute
from app.facts.derived import JsonObject, MonthAccount, TapRef, Visit
from app.facts.statements import ExcessReason
from app.months.rules import explain_texts as texts
from app.months.rules.chain import Chain, History
from app.months.rules.closing import difference
from app.months.rules.reasons import approved_minutes, as_it_stands, ledger_as_it_stands, reason_deadline
from app.policies import Policy, PolicyBook

Grades = Mapping[tuple[str, int], str]
"""(device_id, seq) -> how well the tap's time is proved."""
NO_GRADES: Grades = MappingProxyType({})
COUNTED = ("free", "approved", "pending", "unpaid")


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is explained: an account with its ledger, as frozen or as known now."""

    account: MonthAccount
    ledger: tuple[Block, ...]
    result: AccountResult
    visits: Mapping[str, Visit]
    differences: tuple[Adjustment, ...]
    policy: Policy
    is_frozen: bool
    grades: Grades


def explain(
    chain: Chain, history: History, visits: Iterable[Visit], book: PolicyBook, grades: Grades = NO_GRADES
) -> JsonObject:
    """The explanation of `chain.result`'s account as JSON data. `visits` are the client's with the provider in the
    month, all statuses and roles: those that do not count are named with the reason. `grades` are those of the taps;
    a tap that is not among them has its visit's, the weaker of both ends'."""
    result = chain.result
    month = result.account.month
    frozen = history.get(month)
    account = as_it_stands(month, history, result.data.reasons, book) or result.account
    changed = [result] if month in history else list(chain.origins)
    subject = _Subject(
        account=account,
        ledger=ledger_as_it_stands(frozen.ledger, account) if frozen is not None else result.ledger,
        result=result,
        visits={visit.visit_id: visit for visit in visits},
        differences=tuple(part for origin in changed if _says(part := difference(origin, history))),
        policy=book.on(month.first_on),
        is_frozen=frozen is not None,
        grades=grades,
    )
    told = _told(subject)
    told["sentences"] = {language: texts.sentences(told, language) for language in texts.LANGUAGES}
    return told


def _says(part: Adjustment) -> bool:
    """Whether a closed month owes anything, or differs at all."""
    return bool(part.free_minutes or part.approved_minutes or part.causes)


def _told(subject: _Subject) -> JsonObject:
    account = subject.account
    rows = _rows(subject)
    return {
        "month": str(account.month),
        "client_id": account.client_id,
        "provider_id": account.provider_id,
        "policy_version": account.policy_version,
        "state": account.state,
        "account": account_json(account),
        "known_now": account_json(subject.result.account) if subject.is_frozen else None,
        "steps": _steps(account, subject.policy),
        "rows": rows,
        "sums": _sums(rows),
        "reason_deadline": reason_deadline(account.month, subject.policy).isoformat(),
        "declines": [_decline(part) for part in subject.result.declines],
        "not_counted": _not_counted(subject),
        "reasons": [_reason(one, account, subject.policy) for one in _reasons(subject)],
        "carried_in": {"origin_month": str(account.month.previous), "minutes": account.carried_in_minutes},
        "adjustments": [_adjustment(part, account) for part in subject.differences],
        "adjustment_free_minutes": sum(part.free_minutes for part in subject.differences),
        "adjustment_approved_excess_minutes": sum(part.approved_minutes for part in subject.differences),
        "findings": [finding.code for finding in subject.result.findings],
    }


def account_json(account: MonthAccount) -> JsonObject:
    """An account's fields as JSON values."""
    row: JsonObject = {}
    for field in fields(account):
        value = getattr(account, field.name)
        if isinstance(value, datetime):
            value = local_rfc3339(value)
        row[field.name] = value if value is None or isinstance(value, int | str) else str(value)
    return row


def _steps(account: MonthAccount, policy: Policy) -> list[JsonObject]:
    """From ordered to settled, each figure with its formula and paragraph."""
    formulas = (
        ("ordered_minutes", "sum over the order periods, floored once", "3"),
        ("ceiling_minutes", f"floor(ordered x {policy.ceiling_percent} / 100)", "3"),
        ("executed_minutes", "accepted visits of the classes that count", "2.3, 2.4, 3"),
        ("declined_compensated_minutes", "compensation - made_up_offset", "4"),
        ("reported_minutes", "executed + declined", "3"),
        ("free_minutes", "min(reported - outside, ceiling)", "3"),
        ("excess_minutes", "reported - free", "3"),
        ("excess_reasoned_minutes", "min(excess, minutes of all reasons)", "3"),
        ("excess_approved_minutes", "min(excess, approved minutes of reasons in time)", "3"),
        ("excess_pending_minutes", "min(excess - approved, undecided minutes of reasons in time)", "3"),
        ("unpaid_minutes", "excess - approved - pending", "3"),
        ("carried_in_minutes", "approved of the month before", "3"),
        ("adjustment_minutes", "changes of closed months", "3"),
        ("settled_minutes", "free + carried_in + adjustment", "3"),
    )
    return [
        {"name": name, "minutes": getattr(account, name), "formula": formula, "paragraph": f"DOMAIN.md {paragraph}"}
        for name, formula, paragraph in formulas
    ]


def _rows(subject: _Subject) -> list[JsonObject]:
    return [_row(block, subject) for block in subject.ledger]


def _row(block: Block, subject: _Subject) -> JsonObject:
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


def _sums(rows: Iterable[JsonObject]) -> dict[str, int]:
    sums = dict.fromkeys((*COUNTED, "held"), 0)
    for row in rows:
        if row["fate"] in sums:
            sums[row["fate"]] += row["minutes"]
    return sums


def _decline(part: DeclinePart) -> JsonObject:
    outcome = part.outcome
    row: JsonObject = {
        "decline_id": outcome.decline_id,
        "planned_start_at": local_rfc3339(outcome.planned_start_at),
        "notice": outcome.notice,
        "planned_minutes": outcome.planned_minutes,
        "executed_minutes": outcome.executed_minutes,
        "share_percent": outcome.share_percent,
        "compensation_minutes": outcome.compensation_minutes,
        "made_up_on": outcome.made_up_on.isoformat() if outcome.made_up_on else None,
        "linked_minutes": part.linked_minutes,
        "made_up_offset_minutes": part.offset_minutes,
        "compensated_minutes": part.compensated_minutes,
        "visit_ids": list(outcome.visit_ids),
        "paragraph": "DOMAIN.md 4",
    }
    return row | {language: texts.decline(row, language) for language in texts.LANGUAGES}


def _not_counted(subject: _Subject) -> list[JsonObject]:
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


def _reasons(subject: _Subject) -> list[ExcessReason]:
    reasons = (one for one in subject.result.data.reasons if one.month == subject.account.month)
    return sorted(reasons, key=lambda one: (one.submitted_on, one.reason_id))


def _reason(one: ExcessReason, account: MonthAccount, policy: Policy) -> JsonObject:
    deadline = reason_deadline(account.month, policy)
    row: JsonObject = {
        "reason_id": one.reason_id,
        "reason": one.reason,
        "minutes": one.minutes,
        "submitted_on": one.submitted_on.isoformat(),
        "deadline": deadline.isoformat(),
        "in_time": one.submitted_on <= deadline,
        "decision": one.decision,
        "approved_minutes": approved_minutes(one),
        "decision_note": one.decision_note,
        "paragraph": "DOMAIN.md 3",
    }
    return row | {language: texts.reason(row, language) for language in texts.LANGUAGES}


def _adjustment(part: Adjustment, account: MonthAccount) -> JsonObject:
    """What a closed month owes beyond what was settled for it, and how the approved part settles."""
    carried = not _is_own(part, account) and part.origin_month.next == account.month
    row: JsonObject = {
        "origin_month": str(part.origin_month),
        "adjustment_free_minutes": part.free_minutes,
        "adjustment_approved_excess_minutes": part.approved_minutes,
        "approved_settles_as": "carried_in" if carried else "adjustment",
        "is_due": _is_own(part, account),
        "causes": list(part.causes),
        "paragraph": "DOMAIN.md 3",
    }
    return row | {language: texts.adjustment(row, language) for language in texts.LANGUAGES}


def _is_own(part: Adjustment, account: MonthAccount) -> bool:
    """The difference is the explained month's own: it settles in a later, open month."""
    return part.origin_month == account.month


def _instant(minute: int) -> datetime:
    return datetime.fromtimestamp(minute * 60, UTC)
