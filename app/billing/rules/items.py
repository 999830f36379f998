"""What an account entitles to, per price: the stuff lines are made of, own month or origin month alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from app.billing.rules.tariff import Tariff
from app.core.localtime import local_date
from app.facts.accounts import AccountResult, Fate, ServiceDone
from app.facts.derived import BillingLine
from app.facts.registry import Order

Key = tuple[str, str, str, str, int, str, str, str]


@dataclass(frozen=True, slots=True)
class Item:
    """Minutes and visits of one account at one price."""

    kind: str
    """time, visit, care_service or month_item."""
    service: str
    band: str
    unit: str
    """hour, visit, care_service, month; empty where the list has no price."""
    unit_price_ore: int
    order_id: str
    cost_code: str
    district: str
    minutes: int
    """Of the 110 %; 0 for what lies outside it."""
    count: int
    """Visits, care services or months paid; minutes of a visit outside the 110 % that only an hourly price pays."""

    @property
    def key(self) -> Key:
        """Two items of one key are one line."""
        return (
            self.kind, self.service, self.band, self.unit, self.unit_price_ore, self.order_id, self.cost_code,
            self.district,
        )  # fmt: skip

    @property
    def text(self) -> str:
        """The key as a cause: stable, readable; its first letter tells the kind."""
        return f"{_LETTERS[self.kind]}:" + "/".join(str(part) for part in self.key)

    @property
    def is_nothing(self) -> bool:
        return not self.minutes and not self.count

    def negated(self) -> Item:
        return replace(self, minutes=-self.minutes, count=-self.count)

    @classmethod
    def of_line(cls, line: BillingLine) -> Item:
        """What a settled line settled."""
        return cls(
            _KINDS[line.cause.split(":")[1]], line.service, line.band, line.unit, line.unit_price_ore,
            line.order_id, line.cost_code, line.district, line.minutes, line.count,
        )  # fmt: skip


_LETTERS = {"time": "t", "visit": "v", "care_service": "s", "month_item": "m"}
_KINDS = {letter: kind for kind, letter in _LETTERS.items()}


def merge(items: Iterable[Item]) -> list[Item]:
    """One item per key, minutes and counts added, in order of key."""
    merged: dict[Key, Item] = {}
    for item in items:
        before = merged.get(item.key)
        merged[item.key] = (
            item if before is None
            else replace(before, minutes=before.minutes + item.minutes, count=before.count + item.count)
        )  # fmt: skip
    return [merged[key] for key in sorted(merged)]


def free_items(result: AccountResult, tariff: Tariff, services: Iterable[ServiceDone]) -> list[Item]:
    """What settles with the month itself: free minutes, visits outside the 110 %, alarm, care services."""
    items = _of_blocks(result, tariff, "free")
    items += _flat_items(result, tariff)
    items += _service_items(result, tariff, services)
    return [item for item in merge(items) if not item.is_nothing]


def approved_items(result: AccountResult, tariff: Tariff) -> list[Item]:
    """What settles of the excess: it keeps its band, price and date."""
    return [item for item in merge(_of_blocks(result, tariff, "approved")) if not item.is_nothing]


def _of_blocks(result: AccountResult, tariff: Tariff, fate: Fate) -> list[Item]:
    """The blocks of a fate, minutes and visits added up before an item is made: a month has a hundred of them."""
    sums: dict[tuple[str, str, str, str, int, str], tuple[int, int]] = {}
    for block in result.ledger:
        if block.fate != fate:
            continue
        unit, price, visits = tariff.of_block(block)
        kind = "visit" if unit == "visit" and price else "time"
        band = block.start_band if kind == "visit" else block.band
        key = (kind, block.service, band, unit, price, block.order_id)
        minutes, count = sums.get(key, (0, 0))
        sums[key] = (minutes + block.minutes, count + visits)
    return [_item(result, tariff, key[:4], key[4], (key[5], *much)) for key, much in sums.items()]


def _flat_items(result: AccountResult, tariff: Tariff) -> list[Item]:
    items = []
    has_alarm = any(order.service == "alarm" for order in _orders_in_month(result))
    alarm_order = next((order.order_id for order in _orders_in_month(result) if order.service == "alarm"), "")
    for block in result.ledger:
        if block.fate != "flat":
            continue
        if block.service == "alarm":
            has_alarm, alarm_order = True, alarm_order or block.order_id
            continue
        price = tariff.of_flat(block)
        unit, ore = (price.unit, price.amount_ore) if price is not None else ("", 0)
        count = block.minutes if unit == "hour" else 1
        items.append(_item(result, tariff, ("visit", block.service, block.band, unit), ore, (block.order_id, 0, count)))
    if has_alarm:
        month_price = tariff.prices.per_month(tariff.operation, "alarm", result.account.month.first_on)
        unit, ore = ("month", month_price.amount_ore) if month_price is not None else ("", 0)
        items.append(_item(result, tariff, ("month_item", "alarm", "", unit), ore, (alarm_order, 0, 1)))
    return items


def _service_items(result: AccountResult, tariff: Tariff, services: Iterable[ServiceDone]) -> list[Item]:
    """Care services carried out, where the price list pays them at all."""
    items = []
    for done in services:
        price = tariff.prices.per_care_service(tariff.operation, done.care_service, local_date(done.done_at))
        if price is not None:
            what = ("care_service", done.care_service, "", "care_service")
            items.append(_item(result, tariff, what, price.amount_ore, ("", 0, done.count)))
    return items


def _item(
    result: AccountResult, tariff: Tariff, what: tuple[str, str, str, str], price: int, much: tuple[str, int, int]
) -> Item:
    kind, service, band, unit = what
    order_id, minutes, count = much
    order = tariff.order(order_id)
    district = order.district if order else result.account.district
    return Item(kind, service, band, unit, price, order_id, order.cost_code if order else "", district, minutes, count)


def _orders_in_month(result: AccountResult) -> list[Order]:
    month = result.account.month
    return [
        order
        for order in result.data.orders
        if order.valid_from <= month.last_on and (order.valid_to is None or order.valid_to >= month.first_on)
    ]
