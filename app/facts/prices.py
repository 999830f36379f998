"""Which price a minute, a visit, a care service or a month has: a look-up for rules, built once from the price list."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from datetime import date

from app.facts.registry import Price


class PriceList:
    """The price list of one municipality. Answers are the price row valid on a local day, None where there is none.

    A class without prices of its own that is paid by band (night_patrol) has those of care (DOMAIN.md 2.4).
    """

    def __init__(self, prices: Iterable[Price] = ()) -> None:
        series: dict[tuple[str, str, str, str], list[Price]] = defaultdict(list)
        for price in sorted(prices, key=lambda row: row.valid_from):
            series[price.operation, price.band, price.service or "care", price.unit].append(price)
        self._series = dict(series)
        self._starts = {key: [row.valid_from for row in rows] for key, rows in self._series.items()}
        self._asked: dict[tuple[str, str, str, date], Price | None] = {}

    @property
    def is_empty(self) -> bool:
        """No price is listed for anything."""
        return not self._series

    def by_band(self, operation: str, band: str, service: str, on: date) -> Price | None:
        """The price of care in a band, per hour or per visit: of the two the one decided last, the hour if equal."""
        key = (operation, band, service, on)
        if key not in self._asked:
            if len(self._asked) > 100_000:
                self._asked.clear()
            self._asked[key] = self._by_band(*key)
        return self._asked[key]

    def per_visit(self, operation: str, band: str, service: str, on: date) -> Price | None:
        """The price of a visit of a class outside the 110 %; one listed for the other band counts for both."""
        return self._any_band(operation, band, service, on, "visit")

    def per_care_service(self, operation: str, care_service: str, on: date) -> Price | None:
        return self._any_band(operation, "day", care_service, on, "care_service")

    def per_month(self, operation: str, service: str, on: date) -> Price | None:
        return self._any_band(operation, "day", service, on, "month")

    def visit_bands(self, operation: str, on: date) -> frozenset[tuple[str, str]]:
        """(class, band) paid per visit on a day, of the classes paid by band."""
        return frozenset(
            (service, band)
            for service in ("care", "night_patrol")
            for band in ("day", "night")
            if (price := self.by_band(operation, band, service, on)) is not None and price.unit == "visit"
        )

    def _by_band(self, operation: str, band: str, service: str, on: date) -> Price | None:
        found = [price for unit in ("hour", "visit") if (price := self._valid((operation, band, service, unit), on))]
        if not found:
            return self.by_band(operation, band, "care", on) if service == "night_patrol" else None
        return max(found, key=lambda price: price.valid_from)  # the first of equals: the hour

    def _any_band(self, operation: str, band: str, service: str, on: date, unit: str) -> Price | None:
        for asked in (band, "", "day", "night"):
            price = self._valid((operation, asked, service, unit), on)
            if price is not None:
                return price
        return None

    def _valid(self, key: tuple[str, str, str, str], on: date) -> Price | None:
        index = bisect_right(self._starts.get(key, ()), on) - 1
        return self._series[key][index] if index >= 0 else None
