"""Why a client's month came out as it did: every minute with its visit, its taps, its cuts and its fate (DOMAIN.md 3).

The explanation is data; the same facts stand in it as Swedish and English sentences for a provider's clerk. Its rows
sum to the account: free, approved, pending and unpaid to reported, held to held. A closed month is explained from what
was frozen, with what is known now beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from datetime import datetime

from app.core.localtime import local_rfc3339
from app.facts.accounts import Adjustment, DeclinePart
from app.facts.derived import JsonObject, MonthAccount, Visit
from app.facts.statements import ExcessReason
from app.months.rules import explain_texts as texts
from app.months.rules.chain import Chain, History
from app.months.rules.closing import difference
from app.months.rules.explain_rows import COUNTED, NO_GRADES, Grades, Subject, not_counted, rows_of
from app.months.rules.reasons import approved_minutes, as_it_stands, ledger_as_it_stands, reason_deadline
from app.policies import Policy, PolicyBook


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
    subject = Subject(
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


def _told(subject: Subject) -> JsonObject:
    account = subject.account
    rows = rows_of(subject)
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
        "not_counted": not_counted(subject),
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


def _reasons(subject: Subject) -> list[ExcessReason]:
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
