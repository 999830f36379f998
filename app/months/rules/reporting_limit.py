"""The 110 % rule: a client's month with a provider, from ordered to settled, and where each minute went.

    reported = executed + declined        free = min(reported - outside, ceiling)        excess = reported - free

DOMAIN.md 3 has every line of it; `app/months/rules/excess.py` which minutes are the excess. Readings:
- Dated policies: bands and what counts follow the policy of each day; ceiling, deadline and the like, decided once a
  month, that of its first day.
- A visit outside the 110 % (meal, ...) on a day without an order is payable when some minute of an in-time reason of
  the month is approved (2.1 row 18: "payable only with a reason"; reasons are stated in minutes).
- `declines_count_towards_ceiling` false: compensated declines on ordered days are free beside the ceiling.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.core.ids import finding_id
from app.core.localtime import instant_of
from app.core.month import Month
from app.facts.accounts import AccountInput, AccountResult, Block, DeclinePart
from app.facts.derived import Finding, MonthAccount
from app.facts.statements import ExcessReason
from app.months.rules.declined_time import blocks_of_declines, decline_parts, is_possibly_compensated_twice
from app.months.rules.excess import judge
from app.months.rules.executed_time import Executed, OrderedDays, Setting, blocks_of_stays, executed_time
from app.months.rules.month_grid import MonthGrid, month_grid
from app.months.rules.ordered_time import OrderedTime, ceiling, ordered_time
from app.months.rules.reasons import NOTHING_SAID, ExcessFate, excess_fate, reason_deadline
from app.policies import Policy, PolicyBook

ACCOUNT_CODES = ("excess_without_reason", "possible_double_compensation", "order_changed_after_close")
"""What an account can say about itself."""


@dataclass(frozen=True, slots=True)
class Limit:
    """The figures from reported to unpaid."""

    ceiling: int
    executed: int
    declined: int
    free: int
    excess: int
    outside: int
    fate: ExcessFate

    @property
    def reported(self) -> int:
        return self.executed + self.declined


def month_account(data: AccountInput, book: PolicyBook) -> AccountResult:
    """The account of one client, provider and month as known from the input, with its ledger and findings."""
    grid = month_grid(data.month, book)
    policy = grid.policy
    now = ordered_time(data.orders, data.absences, data.month, policy)
    ordered_minutes, frozen_days = _at_close(data, now, policy)
    setting = Setting(grid, book, OrderedDays(now.orders_by_day, frozen_days), data.visit_bands)
    executed = executed_time(data.stays, setting)
    parts: tuple[DeclinePart, ...] = ()
    if data.declines:
        by_day = dict(data.executed_elsewhere) | dict(zip(grid.days, executed.by_day, strict=True))
        parts = decline_parts(data.declines, data.month, by_day, policy)
    declined = blocks_of_declines(parts, setting)
    is_ordered = [bool(orders) or day in frozen_days for day, orders in enumerate(now.orders_by_day)]
    limit = _limit(_sums(executed, declined, is_ordered), data.reasons, ordered_minutes, grid)

    def write_ledger() -> tuple[Block, ...]:
        blocks = blocks_of_stays(data.stays, setting) + declined
        if not limit.fate.is_granted:
            blocks = [one._replace(fate="flat_unpaid") if one.fate == "flat" and one.outside else one for one in blocks]
        fate = limit.fate
        return judge(blocks, limit.excess, fate.approved, fate.pending, policy.declines_count_towards_ceiling)

    account = _account(data, ordered_minutes, limit, (*_unit_and_district(data, now, setting), book.version), executed)
    account = replace(account, made_up_offset_minutes=sum(part.offset_minutes for part in parts)) if parts else account
    days_now = now.days(grid.days)
    days = tuple(on for on, yes in zip(grid.days, is_ordered, strict=True) if yes) if frozen_days else days_now
    findings = _findings(data, account, parts, policy, (now.minutes, bool(frozen_days)))
    unseen = sum(1 for one in findings if one.finding_id not in data.resolved_findings)
    account = replace(account, findings_open=account.findings_open + unseen) if unseen else account
    reported = tuple(_with_declined(executed.by_day, declined, data.month))
    return AccountResult(data, account, findings, parts, days, days_now, reported, write_ledger)


def _with_declined(by_day: list[int], declined: list[Block], month: Month) -> list[int]:
    for block in declined:
        by_day[(block.on - month.first_on).days] += block.minutes
    return by_day


@dataclass(frozen=True, slots=True)
class Sums:
    """Reported minutes, split as the limit asks."""

    executed: int
    executed_outside: int
    declined: int
    declined_outside: int


def _sums(executed: Executed, declined: list[Block], is_ordered: list[bool]) -> Sums:
    outside = 0
    if not all(is_ordered):
        outside = sum(minutes for minutes, inside in zip(executed.by_day, is_ordered, strict=True) if not inside)
    if not declined:
        return Sums(sum(executed.by_day), outside, 0, 0)
    declined_outside = sum(block.minutes for block in declined if block.outside)
    return Sums(sum(executed.by_day), outside, sum(block.minutes for block in declined), declined_outside)


def _limit(sums: Sums, reasons: tuple[ExcessReason, ...], ordered_minutes: int, grid: MonthGrid) -> Limit:
    policy = grid.policy
    top = ceiling(ordered_minutes, policy)
    executed, declined = sums.executed, sums.declined
    executed_inside, declined_inside = executed - sums.executed_outside, declined - sums.declined_outside
    if policy.declines_count_towards_ceiling:
        free = min(executed_inside + declined_inside, top)
    else:
        free = min(executed_inside, top) + declined_inside
    excess = executed + declined - free
    outside = sums.executed_outside + sums.declined_outside
    mine = [reason for reason in reasons if reason.month == grid.month]
    if not mine:
        return Limit(top, executed, declined, free, excess, outside, NOTHING_SAID)
    return Limit(top, executed, declined, free, excess, outside, excess_fate(excess, mine, grid.month, policy))


def _at_close(data: AccountInput, now: OrderedTime, policy: Policy) -> tuple[int, dict[int, str]]:
    """Ordered minutes that count, and the days (with the order_id then) that count as ordered only as at close."""
    frozen = data.at_close
    if not data.is_closed or frozen is None or policy.claw_back_lowered_orders:
        return now.minutes, {}
    order_then = {block.on: block.order_id for block in frozen.ledger if block.order_id}
    first_on = data.month.first_on
    days = {(on - first_on).days: order_then.get(on, "") for on in frozen.order_days}
    lost = {day: order_id for day, order_id in days.items() if not now.orders_by_day[day]}
    return max(now.minutes, frozen.account.ordered_minutes), lost


def _unit_and_district(data: AccountInput, now: OrderedTime, setting: Setting) -> tuple[str, str]:
    """The order's on its last day in the month (of several the last begun); where it names no unit, or there is none,
    the unit that executed most."""
    unit_id, district = "", ""
    last = next((orders[-1] for orders in reversed(now.orders_by_day) if orders), None)
    if last is not None:
        unit_id, district = last.unit_id, last.district
    elif data.at_close is not None and data.at_close.order_days:
        unit_id, district = data.at_close.account.unit_id, data.at_close.account.district
    if unit_id:
        return unit_id, district
    minutes: dict[str, int] = {}
    for block in blocks_of_stays(data.stays, setting):
        gained = block.minutes if block.fate == "free" else 0
        minutes[block.unit_id] = minutes.get(block.unit_id, 0) + gained
    if minutes:
        unit_id = min(minutes, key=lambda one: (-minutes[one], one))
    return unit_id, district


def _account(
    data: AccountInput, ordered_minutes: int, limit: Limit, place: tuple[str, str, str], executed: Executed
) -> MonthAccount:
    adjustment = sum([part.minutes for part in data.adjustments])
    return MonthAccount(
        month=data.month,
        client_id=data.client_id,
        provider_id=data.provider_id,
        unit_id=place[0],
        district=place[1],
        ordered_minutes=ordered_minutes,
        ceiling_minutes=limit.ceiling,
        executed_minutes=limit.executed,
        held_minutes=executed.held,
        declined_compensated_minutes=limit.declined,
        made_up_offset_minutes=0,
        reported_minutes=limit.reported,
        free_minutes=limit.free,
        excess_minutes=limit.excess,
        excess_reasoned_minutes=limit.fate.reasoned,
        excess_approved_minutes=limit.fate.approved,
        excess_pending_minutes=limit.fate.pending,
        unpaid_minutes=limit.fate.unpaid(limit.excess),
        carried_in_minutes=data.carried_in_minutes,
        adjustment_minutes=adjustment,
        settled_minutes=limit.free + data.carried_in_minutes + adjustment,
        visits=executed.visits,
        findings_open=data.findings_open,
        policy_version=place[2],
        state="closed" if data.is_closed else "attested" if data.attested else "open",
        known_at=data.known_at,
    )


def _findings(
    data: AccountInput,
    account: MonthAccount,
    parts: tuple[DeclinePart, ...],
    policy: Policy,
    ordered_now: tuple[int, bool],
) -> tuple[Finding, ...]:
    found = []
    facts: tuple[tuple[str, str], ...]
    if account.excess_minutes > account.excess_reasoned_minutes:
        missing = account.excess_minutes - account.excess_reasoned_minutes
        deadline = reason_deadline(data.month, policy).isoformat()
        facts = (("minutes", str(missing)), ("excess_minutes", str(account.excess_minutes)), ("deadline", deadline))
        found.append(account_finding("excess_without_reason", data, facts))
    if is_possibly_compensated_twice(parts, account.reported_minutes, account.ordered_minutes, policy):
        facts = (
            ("reported_minutes", str(account.reported_minutes)),
            ("ordered_minutes", str(account.ordered_minutes)),
            ("declined_minutes", str(account.declined_compensated_minutes)),
        )
        found.append(account_finding("possible_double_compensation", data, facts))
    minutes_now, has_lost_days = ordered_now
    if minutes_now < account.ordered_minutes or has_lost_days:
        facts = (("at_close_minutes", str(account.ordered_minutes)), ("now_minutes", str(minutes_now)))
        found.append(account_finding("order_changed_after_close", data, facts))
    return tuple(found)


def last_minute(month: Month) -> datetime:
    """Where findings about an account stand."""
    return instant_of(month.next.first_on) - timedelta(minutes=1)


def account_finding(code: str, data: AccountInput, facts: tuple[tuple[str, str], ...]) -> Finding:
    """A finding about an account: once per account and code, at its last minute of the month."""
    month = data.month
    return Finding(
        finding_id=finding_id(code, data.client_id, data.provider_id, str(month)),
        code=code,
        at=last_minute(month),
        client_id=data.client_id,
        provider_id=data.provider_id,
        facts=(("month", str(month)), *facts),
    )
