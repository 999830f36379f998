"""Ordered time: what the city asked a provider to give a client in a month (DOMAIN.md 3).

Readings where the text leaves room:
- "the order lasts through the day of death" (2.2 row 35): an order ends with that day at the latest; this is not the
  lowering that `absence_lowers_ordered` decides.
- `absence_lowers_ordered`: the days that lower are those on which a visit would be held, so the edge days do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from app.core.month import Month
from app.facts.registry import Absence, Order
from app.policies import Policy


@dataclass(frozen=True, slots=True)
class OrderedTime:
    """Ordered minutes of a month, and which orders each of its days has."""

    minutes: int
    orders_by_day: tuple[tuple[Order, ...], ...]
    """One entry per day of the month, in order of (valid_from, order_id)."""

    def days(self, days: tuple[date, ...]) -> tuple[date, ...]:
        """Those of the month's days that have any order."""
        if all(self.orders_by_day):
            return days
        return tuple(on for on, orders in zip(days, self.orders_by_day, strict=True) if orders)


def ordered_time(orders: Sequence[Order], absences: Sequence[Absence], month: Month, policy: Policy) -> OrderedTime:
    """The exact sum over the order periods, floored once: N minutes a month give N x days / days in the month, N
    minutes a day N x days."""
    count = month.day_count
    first_on, last_on = month.first_on, month.last_on
    dead_on = min((absence.from_on for absence in absences if absence.kind == "dead"), default=None)
    by_day: list[tuple[Order, ...]] = [()] * count
    numerator = 0  # of a fraction with denominator `count`
    for order in sorted(orders, key=_by_start):
        last = last_on if order.valid_to is None else min(order.valid_to, last_on)
        if dead_on is not None:
            last = min(last, dead_on)
        if order.valid_from > last or last < first_on:
            continue
        start = max((order.valid_from - first_on).days, 0)
        after = (last - first_on).days + 1
        days = after - start
        by_day[start:after] = [(*before, order) for before in by_day[start:after]] if any(by_day) else [(order,)] * days
        if policy.absence_lowers_ordered:
            days -= _absent_days(absences, first_on, start, after)
        numerator += days * (order.minutes_per_month or 0) + days * (order.minutes_per_day or 0) * count
    return OrderedTime(numerator // count, tuple(by_day))


def ceiling(ordered_minutes: int, policy: Policy) -> int:
    """Up to this many minutes need no reason: 'upp till' is inclusive; floor."""
    return ordered_minutes * policy.ceiling_percent // 100


def order_for(orders: Sequence[Order], service: str) -> Order | None:
    """Which of a day's orders a visit of a class belongs to: the one labelled like the class, else the first."""
    if len(orders) > 1:
        for order in orders:
            if order.service == service:
                return order
    return orders[0] if orders else None


def _by_start(order: Order) -> tuple[date, str]:
    return (order.valid_from, order.order_id)


def _absent_days(absences: Sequence[Absence], first_on: date, start: int, after: int) -> int:
    days = (first_on + timedelta(days=day) for day in range(start, after))
    return sum(1 for on in days if any(absence.holds_visit_on(on) for absence in absences))
