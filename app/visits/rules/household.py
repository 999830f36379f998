"""A couple, one tag (DOMAIN.md 2.1 row 14): whose visit it is, and how its minutes are dealt.

Reading chosen where DOMAIN.md leaves a doubt: "absent" is what would hold the visit (row 35): the edge days of an
absence are not absent.
"""

from __future__ import annotations

from datetime import date
from math import gcd

from app.core.month import Month
from app.facts import Directory, Share


def visited(members: tuple[str, ...], provider_id: str, on: date, directory: Directory) -> tuple[str, ...]:
    """Those with an order with that provider on the day who are not absent; nobody: every member not absent; all
    absent: every member. In order of client_id."""
    home = [member for member in members if not any(a.holds_visit_on(on) for a in directory.absences(member))]
    ordered = [member for member in home if directory.orders_on(member, provider_id, on)]
    return tuple(sorted(ordered or home or members))


def shares(
    clients: tuple[str, ...], provider_id: str, on: date, directory: Directory, split: str
) -> list[Share | None]:
    """One share per client, or none for a single one; `split` is the policy `household_split`."""
    if len(clients) == 1:
        return [None]
    weights = [1] * len(clients)
    if split == "ordered":
        weights = [_ordered_minutes(client, provider_id, on, directory) for client in clients]
        common = gcd(*weights) or 1
        weights = [weight // common for weight in weights]
    return [Share(position, tuple(weights)) for position in range(len(clients))]


def _ordered_minutes(client_id: str, provider_id: str, on: date, directory: Directory) -> int:
    days = Month.of(on).day_count
    return sum(
        order.minutes_per_month if order.minutes_per_month is not None else (order.minutes_per_day or 0) * days
        for order in directory.orders_on(client_id, provider_id, on)
    )
