"""Executed time: minutes of accepted visits of the classes that count, by local day and band (DOMAIN.md 2.3, 2.4, 3).

Held visits give blocks too, with fate `held`; classes outside the 110 % one block `flat` per visit that starts in the
month. Readings where the text leaves room:
- A carer whose second presence was not ordered and does not count by policy leaves no block.
- With `per_visit_band_counts` false the minutes inside a band paid per visit are outside executed; the visit that
  starts there still is one `flat` block, so that its payment is not lost. Likewise night patrol that does not count.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    for stay in stays:
        first, after = stay.first, stay.after
        if first >= grid.after or after < grid.first or after == grid.first != first:
            continue
        if first < grid.first:
            index, start = 0, band_at(first, setting.book)
        else:
            index = bisect_right(grid.starts, first) - 1
            start = (grid.cells[index].on, grid.cells[index].band)
        if stay.service in COUNTED_CLASSES:
            blocks += _pieces(stay, index, start, setting)
        elif first >= grid.first and not stay.held:
            days = setting.ordered.of(stay.service)
            blocks.append(_block(stay, grid.cells[index], (first, after), start, days)._replace(fate="flat"))
    return blocks


def _pieces(stay: Stay, index: int, start: tuple[date, str], setting: Setting) -> Iterator[Block]:
    """A stay's blocks from its first cell in the month on."""
    grid = setting.grid
    last, position = min(stay.after, grid.after), max(stay.first, grid.first)
    days = setting.ordered.of(stay.service)
    while True:
        cell = grid.cells[index]
        end = min(last, cell.after)
        block = _block(stay, cell, (position, end), start, days)
        if _stands(stay, cell, setting.visit_bands):
            if block.minutes or block.begins:
                yield block
        elif block.begins and not stay.held and (cell.policy.second_staff_counts or not stay.second):
            yield block._replace(fate="flat")
        if end == last:
            return
        position, index = end, index + 1


@dataclass(frozen=True, slots=True)
class Executed:
    """The sums of an account's stays."""

    by_day: list[int]
    """Executed minutes per day of the month."""
    held: int
    visits: int
    """Accepted visits of any class by month of start."""


def executed_time(stays: Sequence[Stay], setting: Setting) -> Executed:
    """The sums of `blocks_of_stays`. A stay that lies in one day and counts whatever its band needs no block."""
    grid = setting.grid
    day_ends, plain, month_first = grid.day_ends, grid.plain_classes, grid.first
    by_day = [0] * len(day_ends)
    cut: list[Stay] = []
    visits = 0
    for stay in stays:
        _, first, after, service, held, _, _, share = stay
        if held or share is not None or first < month_first or service not in plain:
            cut.append(stay)
            continue
        day = bisect_right(day_ends, first)
        if day < len(day_ends) and after <= day_ends[day]:
            by_day[day] += after - first
            visits += 1
        else:
            cut.append(stay)
    held_minutes = 0
    if cut:
        visits += sum(not stay.held and month_first <= stay.first < grid.after for stay in cut)
        for block in blocks_of_stays(cut, setting):
            if block.fate == "free":
                by_day[bisect_right(day_ends, block.first)] += block.minutes
            elif block.fate == "held":
                held_minutes += block.minutes
    return Executed(by_day, held_minutes, visits)


def executed_by_day(stays: Sequence[Stay], grid: MonthGrid, book: PolicyBook) -> dict[date, int]:
    """Executed minutes per local day of a month: what a made-up link of another month asks for."""
    executed = executed_time(stays, Setting(grid, book, OrderedDays([()] * len(grid.days), {})))
    return {on: minutes for on, minutes in zip(grid.days, executed.by_day, strict=True) if minutes}


def _stands(stay: Stay, cell: Cell, visit_bands: frozenset[tuple[str, str]]) -> bool:
    """Do the stay's minutes in this cell count towards executed (or would, were they not held)?"""
    policy = cell.policy
    if stay.second and not policy.second_staff_counts:
        return False
    if stay.service == "night_patrol" and not policy.night_patrol_counts:
        return False
    return policy.per_visit_band_counts or (stay.service, cell.band) not in visit_bands


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
