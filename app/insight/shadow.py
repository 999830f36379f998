"""Shadow runs: payment models over the same months, only one of them paid (DOMAIN.md 5 [S2]).

What is paid is billing's business; here every model, the paid one too, is computed from the same quantities, so that a
difference is a difference of models. A quantity is one client's with one provider in one week of one month.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from functools import cached_property

from app.facts.prices import PriceList
from app.insight.numbers import half_up, ratio, sum_of
from app.insight.shadow_model import ShadowModel, TimeRates

Band = str


@dataclass(slots=True)
class Quantities:
    """What was carried out for a client by a provider in a stretch of time."""

    minutes: dict[tuple[Band, Band], int] = field(default_factory=lambda: defaultdict(int))
    """Executed minutes by (band of the visit's start, band of the minutes)."""
    visits: dict[Band, int] = field(default_factory=lambda: defaultdict(int))
    """Carried-out visits by the band of their start."""
    declined: dict[tuple[str, Band], int] = field(default_factory=lambda: defaultdict(int))
    """Declined staff-minutes that were not executed, by (notice, band of the planned start)."""
    services: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Carried-out care services."""
    client_days: int = 0
    client_minutes: int = 0
    """Two staff at once count once."""
    standard_minutes: int = 0
    """The granted standard minutes of the care services carried out."""

    @property
    def executed(self) -> int:
        return sum(self.minutes.values())

    @property
    def visit_count(self) -> int:
        return sum(self.visits.values())

    def add(self, other: Quantities) -> None:
        """Another stretch of the same account."""
        for mine, theirs in (
            (self.minutes, other.minutes), (self.visits, other.visits), (self.declined, other.declined),
            (self.services, other.services),
        ):  # fmt: skip
            for key, value in theirs.items():
                mine[key] += value  # type: ignore[index]  # the four pairs have the same keys each
        self.client_days += other.client_days
        self.client_minutes += other.client_minutes
        self.standard_minutes += other.standard_minutes


@dataclass(frozen=True)
class AccountMonth:
    """One client x provider x month: ordered time and what was carried out, week by week (ISO week -> quantities)."""

    client_id: str
    provider_id: str
    operation: str
    month: str
    price_on: date
    ordered_minutes: int
    ceiling_minutes: int
    weeks: Mapping[str, Quantities]

    @cached_property
    def whole(self) -> Quantities:
        """The month's, summed once."""
        total = Quantities()
        for quantities in self.weeks.values():
            total.add(quantities)
        return total


@dataclass(frozen=True, slots=True)
class Amount:
    """What a model gives, exact öre: of it what time gives without uplift (for the neutral uplift), and fee minutes."""

    ore: Fraction
    time_ore: Fraction
    fee_minutes: Fraction

    @classmethod
    def total(cls, amounts: Sequence[Amount]) -> Amount:
        """Their exact sum; nothing of none."""
        if len(amounts) == 1:
            return amounts[0]
        return cls(
            sum_of(one.ore for one in amounts),
            sum_of(one.time_ore for one in amounts),
            sum_of(one.fee_minutes for one in amounts),
        )


def amount_of(model: ShadowModel, account: AccountMonth, prices: PriceList, part: Quantities | None = None) -> Amount:
    """What the model gives for the account's month, or for a part of it (its share of a cap is the month's)."""
    quantities = account.whole if part is None else part
    return amount_of_quantities(
        model, (account.operation, account.price_on, prices), quantities, kept_share(model, account)
    )


Priced = tuple[str, date, PriceList]
"""(operation, the day whose prices hold, the municipality's prices)."""


def amount_of_quantities(model: ShadowModel, priced: Priced, quantities: Quantities, kept: Fraction) -> Amount:
    """What the model gives for quantities, `kept` of whose executed time is under its cap: linear in them."""
    time = Fraction(0)
    if model.time is not None:
        rates = _rates(model.time, priced)
        time = _time_ore(rates, quantities) * kept + _declined_ore(model, rates, quantities)
    uplift = model.time.uplift if model.time else Fraction(0)
    services = sum(model.care_service_ore.get(name, 0) * count for name, count in quantities.services.items())
    fee = {
        "client_minutes": quantities.client_minutes * kept,
        "standard_minutes": Fraction(quantities.standard_minutes),
    }.get(model.fee_basis, Fraction(0))
    paid = model.visit_fee_ore * quantities.visit_count + services
    ore = time * (1 + uplift) + paid if uplift else time + paid
    return Amount(ore, time, Fraction(fee))


def uplifted(rate_ore: int, percent: Fraction) -> int:
    """A rate raised by a percentage, öre half up (vector M01)."""
    return half_up(rate_ore * (1 + percent / 100))


def neutral_uplift(paid_ore: Fraction, other_ore: Fraction, other_time_ore: Fraction) -> Fraction | None:
    """By what percent the other model's time must rise to cost what is paid; None where it pays no time.

    `other_ore` is without any uplift. At-door declines of 2.0 % of executed time give exactly 2 (vector M02).
    """
    share = ratio(paid_ore - other_ore, other_time_ore)
    return None if share is None else share * 100


def difference_percent(paid: Fraction, other: Fraction) -> Fraction | None:
    """How much more the other model gives, in percent of what is paid; None where nothing is paid."""
    share = ratio(other - paid, paid)
    return None if share is None else share * 100


def implied_base(amount: Fraction, percent: Fraction) -> Fraction:
    """The volume of which `amount` is `percent` (47 mnkr / 2.0 % = 2,350 mnkr, vector M03)."""
    return amount / (percent / 100)


def percent_of(budget: Fraction, percent: Fraction) -> Fraction:
    """What a change of that many percent costs (1 % of 133 mnkr, vector S03)."""
    return budget * percent / 100


@dataclass(frozen=True, slots=True)
class _Rates:
    """Öre an hour by band, and per visit where a band is paid so."""

    hour: Mapping[Band, int]
    visit: Mapping[Band, int]


def _rates(time: TimeRates, priced: Priced) -> _Rates:
    operation, on, prices = priced
    if not time.price_list:
        night = time.hour_ore if time.night_hour_ore is None else time.night_hour_ore
        if time.night_visit_ore is not None:
            return _Rates({"day": time.hour_ore}, {"night": time.night_visit_ore})
        return _Rates({"day": time.hour_ore, "night": night}, {})
    found = {band: prices.by_band(operation, band, "care", on) for band in ("day", "night")}
    return _Rates(
        {band: price.amount_ore for band, price in found.items() if price and price.unit == "hour"},
        {band: price.amount_ore for band, price in found.items() if price and price.unit == "visit"},
    )


def _time_ore(rates: _Rates, quantities: Quantities) -> Fraction:
    """A visit that starts in a band paid per visit pays once; one that starts in an hourly band its hourly minutes."""
    by_hour = sum(
        minutes * rates.hour.get(band, 0)
        for (start, band), minutes in quantities.minutes.items()
        if start not in rates.visit
    )
    by_visit = sum(rates.visit.get(band, 0) * count for band, count in quantities.visits.items())
    return Fraction(by_hour, 60) + by_visit


def _declined_ore(model: ShadowModel, rates: _Rates, quantities: Quantities) -> Fraction:
    return sum(
        (
            Fraction(minutes * model.decline_percent.get(notice, 0) * rates.hour.get(band, 0), 6000)
            for (notice, band), minutes in quantities.declined.items()
        ),
        Fraction(0),
    )


def kept_share(model: ShadowModel, account: AccountMonth) -> Fraction:
    """The share of the month's executed time under the cap: minutes above it are cut evenly from all [D]."""
    cap = {"ordered": account.ordered_minutes, "ceiling": account.ceiling_minutes}
    executed = account.whole.executed
    if model.time is None or model.time.cap == "none" or executed <= cap[model.time.cap]:
        return Fraction(1)
    return Fraction(cap[model.time.cap], executed)
