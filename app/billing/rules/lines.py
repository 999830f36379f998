"""Billing lines: what is owed for a month account, in öre (DOMAIN.md 5, CONTRACT.md 4).

The lines of an account are its free minutes at their prices, what was approved of the month before (`carried_in`), and
what changed in closed months since their lines were settled (`adjustment`), each with the price of its own date. The
minutes of the lines sum to the account's settled minutes.

Readings where the text leaves room:
- One line for each account, kind, origin, class, band, unit, price, order, cost code and district: its `cause` says
  them, and after a semicolon what changed (`visit:<id>`, `decline:<id>`, `order`, `reasons`, `rules`, `price`).
- A payment per visit goes with the visit's first minute: it settles when that minute does. Later minutes of such a
  visit, and minutes in a band paid per visit of a visit that began in an hourly one, stand at 0 öre.
- Amounts are rounded half up by magnitude, so that a line and its full correction cancel to the öre.
- What has no price in the list stands at 0 öre and is never dropped: finding `price_missing`.
- alarm: one item a month for an account with an accepted alarm visit or an order labelled `alarm` in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from fractions import Fraction
from math import floor

from app.billing.rules.items import Item, approved_items, free_items, merge
from app.billing.rules.tariff import Tariff
from app.core.ids import digest_text
from app.core.localtime import month_bounds
from app.core.month import Month
from app.facts.accounts import AccountResult, ServiceDone
from app.facts.derived import BillingLine


@dataclass(frozen=True, slots=True)
class LineInput:
    """What the lines of one account follow from."""

    result: AccountResult
    tariff: Tariff
    account_hash: str
    run_on: date | None = None
    """The run that settles them; None: provisional."""
    changed_at: datetime | None = None
    previous: AccountResult | None = None
    """The month before as known now: where carried_in comes from."""
    origins: Sequence[AccountResult] = ()
    """Closed months as known now, from `months.rules.chain`."""
    settled: Sequence[BillingLine] = ()
    """Every settled line of this client and provider so far."""
    services: Sequence[ServiceDone] = ()
    """Care services carried out for this client by this provider, of the month and of the origins."""


@dataclass(frozen=True, slots=True)
class _Draft:
    """A line before it has its identity."""

    item: Item
    kind: str
    origin: Month
    cause: str
    because: str = ""
    corrects: str = ""


def account_lines(given: LineInput) -> tuple[BillingLine, ...]:
    """The lines of one account: own, carried in, adjustments; empty where nothing is owed."""
    month = given.result.account.month
    drafts = [
        _Draft(item, item.kind, month, _cause("free", item))
        for item in free_items(given.result, given.tariff, _of_month(given.services, month))
    ]
    if given.previous is not None:
        drafts += [
            _Draft(item, "carried_in", month.previous, _cause("approved", item))
            for item in approved_items(given.previous, given.tariff)
        ]
    for origin in given.origins:
        drafts += _corrections(origin, given)
    return tuple(_line(draft, given) for draft in drafts)


def amount_ore(minutes: int, ore_per_hour: int) -> int:
    """Round half up of minutes x öre / 60, once per line; a negative amount mirrors the positive one."""
    sign = -1 if minutes * ore_per_hour < 0 else 1
    return sign * ((abs(minutes * ore_per_hour) * 2 + 60) // 120)


def raised_ore(ore_per_hour: int, percent: Fraction) -> int:
    """A price raised by a percentage, rounded half up to the öre (the 2.0 % of 2017: 40,000 becomes 40,800)."""
    return floor(ore_per_hour * (1 + percent / 100) + Fraction(1, 2))


def _corrections(origin: AccountResult, given: LineInput) -> Iterable[_Draft]:
    """What an origin month owes now less what was settled for it, per price: the free part, and the approved part
    except in the month right after, where it is carried in whole."""
    account = origin.account
    due = {"free": free_items(origin, given.tariff, _of_month(given.services, account.month))}
    if account.month.next != given.result.account.month:
        due["approved"] = approved_items(origin, given.tariff)
    causes = next((p.causes for p in given.result.data.adjustments if p.origin_month == account.month), ())
    for part, items in due.items():
        before = _settled_items(given.settled, account.month, part)
        for item in merge([*items, *(one.negated() for one, _ in before)]):
            if item.is_nothing:
                continue
            corrects = next((line_id for one, line_id in before if one.key == item.key), "")
            because = ",".join(causes) or "price"
            yield _Draft(item, "adjustment", account.month, _cause(part, item), because, corrects)


def _settled_items(settled: Iterable[BillingLine], origin: Month, part: str) -> list[tuple[Item, str]]:
    return [
        (Item.of_line(line), line.line_id)
        for line in settled
        if line.origin_month == origin and line.cause.startswith(f"{part}:")
    ]


def _of_month(services: Iterable[ServiceDone], month: Month) -> list[ServiceDone]:
    first_at, after_at = month_bounds(month)
    return [done for done in services if first_at <= done.done_at < after_at]


def _cause(part: str, item: Item) -> str:
    """Which part of the origin month's entitlement, at which price: stable, and unique within account and kind."""
    return f"{part}:{item.text}"


def _line(draft: _Draft, given: LineInput) -> BillingLine:
    account, item = given.result.account, draft.item
    key = (str(account.month), account.client_id, account.provider_id, draft.kind, item.band, str(draft.origin))
    order = given.tariff.order(item.order_id)
    return BillingLine(
        line_id=digest_text(*key, draft.cause)[:32],
        run_on=given.run_on,
        month=account.month,
        origin_month=draft.origin,
        client_id=account.client_id,
        provider_id=account.provider_id,
        unit_id=(order.unit_id if order else "") or account.unit_id,
        district=item.district,
        order_id=item.order_id,
        cost_code=item.cost_code,
        operation=given.tariff.operation,
        kind=draft.kind,  # type: ignore[arg-type] # a text of Item.kind or the two above
        service=item.service,
        band=item.band,
        minutes=item.minutes,
        count=item.count,
        unit=item.unit,
        unit_price_ore=item.unit_price_ore,
        amount_ore=_amount(item),
        cause=f"{draft.cause}; {draft.because}" if draft.because else draft.cause,
        corrects=draft.corrects,
        policy_version=account.policy_version,
        account_hash=given.account_hash,
        changed_at=given.changed_at,
        state="settled" if given.run_on is not None else "provisional",
    )


def _amount(item: Item) -> int:
    if item.unit == "hour":
        return amount_ore(item.minutes or item.count, item.unit_price_ore)
    return item.count * item.unit_price_ore


def settle(lines: Iterable[BillingLine], run_on: date) -> tuple[BillingLine, ...]:
    """The same lines as a run leaves them."""
    return tuple(replace(line, run_on=run_on, state="settled") for line in lines)
