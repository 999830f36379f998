"""Executed time: minutes of accepted visits of the classes that count, by local day and band (DOMAIN.md 2.3, 2.4, 3).

Held visits give blocks too, with fate `held`; classes outside the 110 % one block `flat` per visit that starts in the
month. Readings where the text leaves room:
- A carer whose second presence was not ordered and does not count by policy leaves no block.
- With `per_visit_band_counts` false the minutes inside a band paid per visit are outside executed; the visit that
  starts there still is one `flat` block, so that its payment is not lost. Likewise night patrol that does not count.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from app.facts.accounts import Block, Stay
from app.facts.registry import Order
from app.months.rules.month_grid import Cell, MonthGrid, band_at
from app.months.rules.ordered_time import order_for
from app.policies import PolicyBook

COUNTED_CLASSES = frozenset({"care", "night_patrol"})
"""Classes inside the 110 % (DOMAIN.md 2.4); night_patrol only where the policy says so."""


class OrderedDays:
    """Is a day ordered, and by which order: as known now, else as frozen at close (day index -> order_id)."""

    __slots__ = ("_by_class", "_by_day", "_frozen")

    def __init__(self, orders_by_day: Sequence[tuple[Order, ...]], frozen: Mapping[int, str]) -> None:
        self._by_day = orders_by_day
        self._frozen = frozen
        self._by_class: dict[str, list[tuple[bool, str]]] = {}

    def of(self, service: str) -> list[tuple[bool, str]]:
        """Per day of the month: (lies outside any order, order_id of the order a visit of the class belongs to)."""
        days = self._by_class.get(service)
        if days is None:
            days = self._by_class[service] = [self._one(day, service) for day in range(len(self._by_day))]
        return days

    def _one(self, day: int, service: str) -> tuple[bool, str]:
        order = order_for(self._by_day[day], service)
        if order is not None:
            return False, order.order_id
        return day not in self._frozen, self._frozen.get(day, "")


@dataclass(frozen=True, slots=True)
class Setting:
    """What the stays of one account are cut by."""

    grid: MonthGrid
    book: PolicyBook
    ordered: OrderedDays
    visit_bands: frozenset[tuple[str, str]] = frozenset()
    """(class, band) paid per visit: asked only where per_visit_band_counts is false."""


def blocks_of_stays(stays: Iterable[Stay], setting: Setting) -> list[Block]:
    """The month's blocks, each stay cut at the borders of the grid. Fate free (not yet judged), held or flat."""
    blocks: list[Block] = []
    grid = setting.grid
    month_first, month_after, cells, starts = grid.first, grid.after, grid.cells, grid.starts
    for stay in stays:
        first, after = stay.first, stay.after
        if first >= month_after or after < month_first or after == month_first != first:
            continue
        if first < month_first:
            index, start = 0, band_at(first, setting.book)
        else:
            index = bisect_right(starts, first) - 1
            start = (cells[index].on, cells[index].band)
        if stay.service not in COUNTED_CLASSES:
            if first >= month_first and not stay.held:
                days = setting.ordered.of(stay.service)
                blocks.append(_block(stay, cells[index], (first, after), start, days)._replace(fate="flat"))
            continue
        last, position = min(after, month_after), max(first, month_first)
        days = setting.ordered.of(stay.service)
        while True:
            cell = cells[index]
            end = min(last, cell.after)
            if _stands(stay, cell, setting.visit_bands):
                block = _block(stay, cell, (position, end), start, days)
                if block.minutes or block.begins:
                    blocks.append(block)
            elif position == first and not stay.held and _is_paid_all_the_same(stay, cell):
                blocks.append(_block(stay, cell, (position, end), start, days)._replace(fate="flat"))
            if end == last:
                break
            position, index = end, index + 1
    return blocks


def executed_by_day(stays: Iterable[Stay], grid: MonthGrid, book: PolicyBook) -> dict[date, int]:
    """Executed minutes per local day of a month: what a made-up link of another month asks for."""
    always = OrderedDays([()] * len(grid.days), {})
    return minutes_by_day(blocks_of_stays(stays, Setting(grid, book, always)))


def minutes_by_day(blocks: Iterable[Block]) -> dict[date, int]:
    """Executed minutes per local day of blocks not yet judged."""
    by_day: dict[date, int] = {}
    for block in blocks:
        if block.fate == "free":
            by_day[block.on] = by_day.get(block.on, 0) + block.minutes
    return by_day


def _stands(stay: Stay, cell: Cell, visit_bands: frozenset[tuple[str, str]]) -> bool:
    """Do the stay's minutes in this cell count towards executed (or would, were they not held)?"""
    policy = cell.policy
    if stay.second and not policy.second_staff_counts:
        return False
    if stay.service == "night_patrol" and not policy.night_patrol_counts:
        return False
    return policy.per_visit_band_counts or (stay.service, cell.band) not in visit_bands


def _is_paid_all_the_same(stay: Stay, cell: Cell) -> bool:
    return not (stay.second and not cell.policy.second_staff_counts)


def _block(
    stay: Stay, cell: Cell, span: tuple[int, int], start: tuple[date, str], days: list[tuple[bool, str]]
) -> Block:
    first, after = span
    visit_id, stay_first, _, service, held, _, unit_id, share = stay
    minutes = after - first if share is None else share.minutes_between(first - stay_first, after - stay_first)
    outside, order_id = days[cell.day]
    return Block(
        visit_id, "visit", service, cell.on, cell.band, first, after, minutes, "held" if held else "free", outside,
        order_id, start[0], start[1], first == stay_first, unit_id, share, stay_first,
    )  # fmt: skip
