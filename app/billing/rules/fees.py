"""The basis of client fees: another question about the same visits (DOMAIN.md 5). Never the fee itself.

Client-minutes are the union of intervals over all staff and providers: two carers at once count once. Declined time,
held time and excess that the city does not pay are not in it.

Readings where the text leaves room:
- Classes: `care` and `night_patrol` by client-minutes; `meal` by count, with the fixed minutes granted for it
  (standard_minutes of an order's care service in the area `maltider`) where there are any. A minute under care and
  night patrol at once is care. alarm, digital and phone have no fee.
- Pending excess is not in it until it is approved; then, after a close, it comes as an adjustment of its origin month.
- Late cancellations and days of absence stand once, on the line of `care`. Late is noticed less than
  `late_cancellation_h` before the planned start; `absent` is no cancellation. Days of absence are all local days of the
  client's periods, first and last included, each once.
- count is the number of visits with some minute in the basis (two carers at once are two).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from app.core.localtime import local_date, local_month
from app.core.month import Month
from app.facts.accounts import Block, FeeLine
from app.facts.registry import Absence
from app.facts.statements import Decline
from app.policies import Policy, PolicyBook

PAID = frozenset({"free", "approved"})
TIMED_CLASSES = ("care", "night_patrol")


@dataclass(frozen=True, slots=True)
class FeeInput:
    """One client's month over all providers."""

    month: Month
    client_id: str
    blocks: Sequence[Block]
    """The ledgers of the client's accounts of the month, all providers."""
    declines: Sequence[Decline] = ()
    absences: Sequence[Absence] = ()
    meal_minutes: int = 0
    """Fixed minutes of one meal visit, see `fixed_minutes`."""


def fee_lines(given: FeeInput, book: PolicyBook) -> tuple[FeeLine, ...]:
    """The month's lines, one per fee class; none for a class with nothing."""
    found: dict[str, tuple[int, int]] = {}
    taken: list[tuple[int, int]] = []
    for fee_class in TIMED_CLASSES:
        mine = [block for block in given.blocks if _is_timed(block, fee_class)]
        spans = _union([*taken, *(span for block in mine for span in _spans(block))])
        found[fee_class] = (_length(spans) - _length(taken), len({b.cause_id for b in mine if b.minutes}))
        taken = spans
    meals = sum(1 for block in given.blocks if block.service == "meal" and block.fate == "flat")
    found["meal"] = (meals * given.meal_minutes, meals)
    late = sum(1 for decline in given.declines if _is_late(decline, given.month, book))
    away = absence_days(given.absences, given.month)
    lines = []
    for fee_class, (minutes, count) in found.items():
        extra = (late, away) if fee_class == "care" else (0, 0)
        if minutes or count or any(extra):
            lines.append(FeeLine(given.month, given.month, given.client_id, fee_class, minutes, count, *extra, "month"))
    return tuple(lines)


def fee_adjustments(
    month: Month, now: Mapping[Month, Sequence[FeeLine]], settled: Iterable[FeeLine]
) -> tuple[FeeLine, ...]:
    """What an open month corrects for closed ones: `now` are the closed months' lines as known now (months that did
    not change may be left out), `settled` every line settled so far for the client; the origin month stays named."""
    before: dict[tuple[Month, str], list[FeeLine]] = defaultdict(list)
    for line in settled:
        before[line.origin_month, line.fee_class].append(line)
    found = []
    for origin in sorted(now):
        lines = {line.fee_class: line for line in now[origin]}
        classes = sorted({*lines, *(fee_class for at, fee_class in before if at == origin)})
        for fee_class in classes:
            part = _difference(lines.get(fee_class), before[origin, fee_class])
            if part is not None:
                found.append(replace(part, month=month, origin_month=origin, cause="adjustment"))
    return tuple(found)


def fixed_minutes(care_services: Iterable[tuple[str, int | None]]) -> int:
    """Fixed minutes of a meal: the first standard_minutes among (care_area, standard_minutes) of the area maltider."""
    return next((minutes for area, minutes in care_services if area == "maltider" and minutes), 0)


def absence_days(absences: Iterable[Absence], month: Month) -> int:
    """Local days of the month inside any absence, first and last included; after a death all."""
    days: set[date] = set()
    for absence in absences:
        last = month.last_on if absence.to_on is None or absence.kind == "dead" else min(absence.to_on, month.last_on)
        on = max(absence.from_on, month.first_on)
        while on <= last:
            days.add(on)
            on += timedelta(days=1)
    return len(days)


def _is_timed(block: Block, fee_class: str) -> bool:
    return block.of == "visit" and block.service == fee_class and block.fate in PAID


def _is_late(decline: Decline, month: Month, book: PolicyBook) -> bool:
    if decline.notice == "absent" or local_month(decline.planned_start_at) != month:
        return False
    policy: Policy = book.on(local_date(decline.planned_start_at))
    return decline.noticed_at > decline.planned_start_at - timedelta(hours=policy.late_cancellation_h)


def _spans(block: Block) -> list[tuple[int, int]]:
    """The block's minutes as half-open spans of epoch minutes; of a household visit those dealt to this client."""
    if block.share is None:
        return [(block.first, block.after)] if block.after > block.first else []
    dealt = block.share.minutes_between
    start = block.stay_first
    return [
        (minute, minute + 1) for minute in range(block.first, block.after) if dealt(minute - start, minute - start + 1)
    ]


def _union(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first, after in sorted(spans):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], after))
        else:
            joined.append((first, after))
    return joined


def _length(spans: Iterable[tuple[int, int]]) -> int:
    return sum(after - first for first, after in spans)


def _difference(now: FeeLine | None, before: Sequence[FeeLine]) -> FeeLine | None:
    pattern = now or before[0]

    def less(figure: Callable[[FeeLine], int]) -> int:
        return (figure(now) if now is not None else 0) - sum(figure(line) for line in before)

    part = replace(
        pattern,
        client_minutes=less(lambda line: line.client_minutes),
        count=less(lambda line: line.count),
        late_cancellations=less(lambda line: line.late_cancellations),
        absence_days=less(lambda line: line.absence_days),
    )
    figures = (part.client_minutes, part.count, part.late_cancellations, part.absence_days)
    return part if any(figures) else None
