"""What a month did not pay, and the sentence that says what would have made it paid (issue: the utbetalningsbesked)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from app.core.localtime import local_text
from app.facts.accounts import AccountResult, Block, DeclinePart
from app.facts.derived import Visit
from app.facts.statements import ExcessReason
from app.policies import PolicyBook


@dataclass(frozen=True, slots=True)
class NotPaid:
    """Some minutes of one visit or decline that the month does not pay (0 for what only lacks a payment per visit)."""

    client_id: str
    cause_id: str
    on: date
    from_text: str
    minutes: int
    why: str
    """held, pending, no_reason, rejected, late, no_order, incomplete, declined."""
    sv: str
    en: str


_HOLDS: dict[str, tuple[str, str]] = {
    "overlap": (
        "tiderna hade rättats så att samma person inte har två besök samtidigt",
        "the times had been corrected so that one person has no two visits at once",
    ),
    "grade_d": (
        "någon hade granskat tidpunkten och löst anmärkningen",
        "someone had looked at the time and resolved the finding",
    ),
    "visit_in_absence": (
        "frånvaron hade rättats eller anmärkningen lösts",
        "the absence had been corrected or the finding resolved",
    ),
    "client_disputes": (
        "tvisten hade dragits tillbaka eller avslagits",
        "the dispute had been withdrawn or rejected",
    ),
    "revoked_device": ("anmärkningen om den spärrade enheten hade lösts", "the revoked device's finding were resolved"),
    "tag_level": ("taggen hade haft den nivå som krävs", "the tag had had the required level"),
    "unconfirmed": ("en andra person hade bekräftat registreringen", "a second person had confirmed it"),
    "too_long": (
        "tiderna hade rättats med en bekräftelse eller anmärkningen lösts",
        "the times had been corrected with a confirmer or the finding resolved",
    ),
}
_SINCE = (
    "Väntade på åtgärd när månaden stängdes; vad som har ändrats sedan dess ersätts som justering i en senare månad.",
    "Was held when the month closed; what has changed since is paid as an adjustment of a later month.",
)
_SINGLE_END = (
    "Hade ersatts om både KOM och GICK hade registrerats, eller den som saknas lagts till.",
    "Would be paid if both KOM and GICK were registered, or the missing one were added.",
)


def not_paid(result: AccountResult, visits: Iterable[Visit], book: PolicyBook) -> tuple[NotPaid, ...]:
    """Everything in an account that is not paid with the month, in order of time. `visits` are the month's of the
    client with the provider (for what holds them, and for those with one end)."""
    by_id = {visit.visit_id: visit for visit in visits}
    month = result.account.month
    deadline = month.plus(book.on(month.first_on).reason_lag_months).last_on
    reasons = [reason for reason in result.data.reasons if reason.month == month]
    found = []
    for block in result.ledger:
        if block.fate in ("free", "flat", "approved") or not (block.minutes or block.fate == "flat_unpaid"):
            continue
        why, sv, en = _judge(block, by_id.get(block.cause_id), reasons, deadline)
        found.append(_row(result, block, (why, sv, en)))
    found += [_declined(result, part) for part in result.declines if part.compensated_minutes < _wanted(part)]
    found += [
        NotPaid(
            result.account.client_id, visit.visit_id, datetime.fromisoformat(local_text(visit.at)).date(),
            local_text(visit.at), 0, "incomplete", *_SINGLE_END,
        )
        for visit in by_id.values() if visit.status == "incomplete" and visit.role == "carer"
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda row: (row.from_text, row.cause_id)))


def _judge(block: Block, visit: Visit | None, reasons: Sequence[ExcessReason], deadline: date) -> tuple[str, str, str]:
    if block.fate == "held":
        if visit is None or not (visit.holds or visit.grade == "D"):
            return "held", *_SINCE
        codes = visit.holds or ("grade_d",)
        known = [_HOLDS[code] for code in codes if code in _HOLDS] or [_HOLDS["grade_d"]]
        sv, en = (" och ".join(text[0] for text in known), " and ".join(text[1] for text in known))
        return "held", f"Hade ersatts om {sv}.", f"Would be paid if {en}."
    if block.fate == "pending":
        return "pending", "Ersätts när orsaken godkänns.", "Is paid when the reason is approved."
    return _excess(block, reasons, deadline)


def _excess(block: Block, reasons: Sequence[ExcessReason], deadline: date) -> tuple[str, str, str]:
    late = [reason for reason in reasons if reason.submitted_on > deadline]
    refused = [
        reason for reason in reasons if reason not in late and (reason.decision == "rejected" or _is_part(reason))
    ]
    order_sv = "beställning funnits den dagen, eller om " if block.outside else ""
    order_en = "there had been an order that day, or if " if block.outside else ""
    if refused:
        note = f" ({refused[-1].decision_note})" if refused[-1].decision_note else ""
        return (
            "rejected",
            f"Hade ersatts om {order_sv}orsaken hade godkänts{note}.",
            f"Would be paid if {order_en}the reason had been approved{note}.",
        )
    if late:
        came = late[0].submitted_on
        return (
            "late",
            f"Hade ersatts om {order_sv}orsaken hade lämnats in senast {deadline} och godkänts; den kom {came}.",
            f"Would be paid if {order_en}the reason had come by {deadline} and been approved; it came {came}.",
        )
    return (
        "no_order" if block.outside else "no_reason",
        f"Hade ersatts om {order_sv}en orsak hade lämnats in senast {deadline} och godkänts.",
        f"Would be paid if {order_en}a reason had been submitted by {deadline} and approved.",
    )


def _is_part(reason: ExcessReason) -> bool:
    granted = reason.approved_minutes
    return reason.decision == "approved" and granted is not None and granted < reason.minutes


def _wanted(part: DeclinePart) -> int:
    outcome = part.outcome
    return max(outcome.planned_minutes - outcome.executed_minutes, 0)


def _declined(result: AccountResult, part: DeclinePart) -> NotPaid:
    outcome = part.outcome
    at = local_text(outcome.planned_start_at)
    if part.offset_minutes:
        sv = "Den igentagna tiden är redan betald som utförd; utan den hade mer av det avböjda besöket ersatts."
        en = "The made-up time is already paid as executed; without it more of the declined visit would be paid."
    elif outcome.notice == "absent":
        sv, en = "Hade ersatts om besöket hade utförts: ingen öppnade.", "Would be paid if carried out: nobody opened."
    else:
        percent = outcome.share_percent
        sv = f"Hade ersatts om besöket hade utförts: regeln för dagen ger {percent} % för ett avböjt besök."
        en = f"Would be paid if carried out: the day's rule gives {percent} % for a declined visit."
    minutes = _wanted(part) - part.compensated_minutes
    on = datetime.fromisoformat(at).date()
    return NotPaid(result.account.client_id, outcome.decline_id, on, at, minutes, "declined", sv, en)


def _row(result: AccountResult, block: Block, text: tuple[str, str, str]) -> NotPaid:
    at = local_text(datetime.fromtimestamp(block.first * 60, UTC))
    minutes = 0 if block.fate == "flat_unpaid" else block.minutes
    return NotPaid(result.account.client_id, block.cause_id, block.on, at, minutes, *text)
