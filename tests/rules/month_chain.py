"""A client's months with a provider that are changed and closed in tests, with the lines of every close."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from app.billing.rules.lines import LineInput, account_lines, settle
from app.billing.rules.tariff import Tariff
from app.core.month import Month
from app.facts import BillingLine, Price
from app.facts.accounts import AccountInput, ClosedMonth
from app.facts.prices import PriceList
from app.months.rules.chain import Chain, account_in_chain
from app.months.rules.closing import account_hash, freeze, run_on
from app.months.rules.reasons import excess_before
from app.policies import PolicyBook
from tests.rules.month_facts import BOOK

ALWAYS = date(2010, 1, 1)
PRICES = (
    Price("private", "day", "care", "hour", ALWAYS, 51_600),
    Price("private", "night", "care", "visit", ALWAYS, 26_000),
    Price("private", "day", "meal", "visit", ALWAYS, 4_500),
    Price("private", "day", "alarm", "month", ALWAYS, 19_700),
)


@dataclass
class Case:
    """One client and provider: inputs by month, closed months, settled lines."""

    inputs: dict[Month, AccountInput]
    policies: PolicyBook = field(default_factory=lambda: BOOK)
    prices: tuple[Price, ...] = PRICES
    history: dict[Month, ClosedMonth | None] = field(default_factory=dict)
    settled: list[BillingLine] = field(default_factory=list)

    def chain(self, month: Month) -> Chain:
        return account_in_chain(month, self.inputs, self.history, self.policies)

    def tariff(self) -> Tariff:
        orders = [order for data in self.inputs.values() for order in data.orders]
        return Tariff(PriceList(self.prices), "private", orders)

    def lines(self, chain: Chain) -> tuple[BillingLine, ...]:
        result = chain.result
        return account_lines(
            LineInput(
                result,
                self.tariff(),
                account_hash(result.account, result.ledger),
                previous=chain.previous,
                origins=chain.origins,
                settled=self.settled,
            )
        )

    def close(self, month: Month) -> ClosedMonth | None:
        chain = self.chain(month)
        on = run_on(month, self.policies)
        lines = settle(self.lines(chain), on)
        reasons = self.inputs[month.previous].reasons if month.previous in self.inputs else ()
        before = excess_before(month, self.history, reasons, self.policies)
        frozen = freeze(chain.result, lines, on, before) if chain.result.exists else None
        self.history[month] = frozen
        self.settled += lines
        return frozen
