"""What a provider's minutes and visits cost: the price list as seen from one client's orders."""

from __future__ import annotations

from collections.abc import Iterable

from app.facts.accounts import Block
from app.facts.derived import BillingLine
from app.facts.prices import PriceList
from app.facts.registry import Order, Price


class Tariff:
    """Prices for one operation (municipal or private), and the orders that lines name."""

    def __init__(self, prices: PriceList, operation: str, orders: Iterable[Order] = ()) -> None:
        self.prices = prices
        self.operation = operation
        self._orders = {order.order_id: order for order in orders}

    def order(self, order_id: str) -> Order | None:
        return self._orders.get(order_id)

    def of_block(self, block: Block) -> tuple[str, int, int]:
        """(unit, öre, visits it pays) of a block of the 110 %: per visit when the visit began in a band paid so, else
        by its own band, where minutes in a band paid per visit cost nothing. The unit is empty without a price."""
        start = self.prices.by_band(self.operation, block.start_band, block.service, block.start_on)
        if start is not None and start.unit == "visit":
            return "visit", start.amount_ore, int(block.begins)
        price = self.prices.by_band(self.operation, block.band, block.service, block.on)
        if price is None:
            return "", 0, 0
        if price.unit == "visit":
            return "visit", 0, 0
        return "hour", price.amount_ore, 0

    def of_flat(self, block: Block) -> Price | None:
        """The price of a visit outside the 110 %: per visit; night patrol that does not count by its band."""
        if block.service in ("care", "night_patrol"):
            return self.prices.by_band(self.operation, block.start_band, block.service, block.start_on)
        return self.prices.per_visit(self.operation, block.band, block.service, block.on)


def missing_prices(lines: Iterable[BillingLine]) -> tuple[str, ...]:
    """The classes and bands of an account's lines for which the price list has nothing (`price_missing`)."""
    return tuple(sorted({f"{line.service}/{line.band}".rstrip("/") for line in lines if not line.unit}))
