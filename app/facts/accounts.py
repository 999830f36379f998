"""What a month account is computed from, and where each of its minutes went (DOMAIN.md 3-5).

`Stay` and `Block` are named tuples, not dataclasses: a city's month has 1.5 million of each and a tuple costs a
quarter of a frozen dataclass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from types import MappingProxyType
from typing import Literal, NamedTuple

from app.core.minutes import cut
from app.core.month import Month
from app.facts.derived import BillingLine, DeclineOutcome, Finding, MonthAccount, Share, Visit
from app.facts.registry import Absence, Order
from app.facts.statements import ExcessReason

Fate = Literal["free", "approved", "pending", "unpaid", "held", "flat", "flat_unpaid"]
"""free: settles with its month. approved, pending, unpaid: the three parts of the excess. held: not executed.
flat: a visit of a class outside the 110 % (meal, alarm, digital, phone), paid per visit or month if at all.
flat_unpaid: such a visit on a day without an order, which is payable only with a reason (2.1 row 18)."""

Kind = Literal["free", "excess", "outside", "held", "flat"]


class Stay(NamedTuple):
    """A visit by a carer with both ends known, reduced to what the month counts. Minutes are whole minutes since
    1970-01-01 UTC of the cut stamps (floor of epoch seconds / 60): first inclusive, after exclusive."""

    visit_id: str
    first: int
    after: int
    service: str
    held: bool
    """Not accepted (DOMAIN.md 2.3): something holds it, or grade D."""
    second: bool
    """It has `unordered_second_staff` (row 13)."""
    unit_id: str
    share: Share | None


def stay_of(visit: Visit) -> Stay | None:
    """The visit as the month counts it; None when it never can (role, an end missing, cancelled, ends before start)."""
    if visit.role != "carer" or visit.status not in ("complete", "declined"):
        return None
    if visit.start_at is None or visit.end_at is None:
        return None
    first, after = epoch_minute(visit.start_at), epoch_minute(visit.end_at)
    held = bool(visit.holds) or visit.grade == "D"
    second = "unordered_second_staff" in visit.findings
    return Stay(visit.visit_id, first, max(first, after), visit.service, held, second, visit.unit_id, visit.share)


def epoch_minute(instant: datetime) -> int:
    """Whole minutes since 1970-01-01 UTC of a stamp cut to the minute."""
    return int(cut(instant).timestamp()) // 60


class Block(NamedTuple):
    """Some minutes of one visit or decline on one local day in one band with one fate: the rows of an account.

    The blocks with fate free, approved, pending and unpaid sum to reported, those with held to held.
    """

    cause_id: str
    """visit_id or decline_id."""
    of: Literal["visit", "decline"]
    service: str
    on: date
    band: str
    """`day` or `night`, by the local time of these minutes."""
    first: int
    """Epoch minute; for a decline its planned start (its minutes stand there, DOMAIN.md 3)."""
    after: int
    minutes: int
    """What counts: after - first, less for a household's part; a decline's compensated minutes."""
    fate: Fate
    outside: bool
    """On a day without any order."""
    order_id: str
    """The order the minutes belong to (of several that day the one named like the class, else the first)."""
    start_on: date
    start_band: str
    """Local day and band of the visit's own start: a band paid per visit pays visits that start in it."""
    begins: bool
    """The block holds the visit's first minute, with which a payment per visit goes."""
    unit_id: str
    share: Share | None = None
    stay_first: int = 0
    """Epoch minute of the visit's start, from which a household's minutes are dealt."""

    @property
    def kind(self) -> Kind:
        if self.fate in ("free", "held", "flat"):
            return self.fate
        if self.fate == "flat_unpaid":
            return "flat"
        return "outside" if self.outside else "excess"


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What a closed origin month's later change settles in an open month (DOMAIN.md 3)."""

    origin_month: Month
    free_minutes: int
    approved_minutes: int
    """What settles as adjustment; 0 in the month right after the origin, where the approved part is carried in."""
    causes: tuple[str, ...] = ()
    """Closed codes with the ids they are about: `visit:<id>`, `decline:<id>`, `order`, `reasons`, `rules`."""

    @property
    def minutes(self) -> int:
        return self.free_minutes + self.approved_minutes


@dataclass(frozen=True, slots=True)
class ClosedMonth:
    """A client's account with a provider as the run froze it: never changes."""

    account: MonthAccount
    account_hash: str
    order_days: tuple[date, ...]
    """Days with any order, as known at close."""
    adjustments: tuple[Adjustment, ...] = ()
    ledger: tuple[Block, ...] = ()
    lines: tuple[BillingLine, ...] = ()
    run_on: date | None = None
    excess_before: tuple[int, int, int] | None = None
    """Reasoned, approved and pending of the closed month before, which freeze with this run; None: no account then."""


@dataclass(frozen=True, slots=True)
class AccountInput:
    """Everything one client's account with one provider follows from. Rows of other months do no harm,
    except stays: `exists` trusts them."""

    month: Month
    client_id: str
    provider_id: str
    orders: tuple[Order, ...] = ()
    stays: tuple[Stay, ...] = ()
    """Those with minutes or start in the month, no others, in any order (first < month's end, after > month's start or
    start in the month)."""
    declines: tuple[DeclineOutcome, ...] = ()
    """The month's; and those of other months whose made_up_on is one of the days the month's are linked to."""
    reasons: tuple[ExcessReason, ...] = ()
    absences: tuple[Absence, ...] = ()
    executed_elsewhere: Mapping[date, int] = field(default_factory=lambda: MappingProxyType({}))
    """Executed minutes of the client and provider on made_up_on days outside the month."""
    visit_bands: frozenset[tuple[str, str]] = frozenset()
    """(class, band) paid per visit in this month: asked only where the policy per_visit_band_counts is false."""
    is_closed: bool = False
    """The month is closed: this is a recomputation as known now."""
    at_close: ClosedMonth | None = None
    """What was frozen; None in a closed month means that there was no account then."""
    carried_in_minutes: int = 0
    """`excess_approved_minutes` of the month before as known now; of a closed month the frozen figure."""
    adjustments: tuple[Adjustment, ...] = ()
    has_other_visits: bool = False
    """A visit that is no stay (incomplete, other roles, not cancelled) lies in the month: an account exists all the
    same."""
    has_reasons_before: bool = False
    """A reason of the month before exists."""
    findings_open: int = 0
    """Unresolved findings about the account's visits, taps and plans; its own come on top."""
    resolved_findings: frozenset[str] = frozenset()
    """Which findings about the account itself somebody has dealt with."""
    attested: bool = False
    known_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DeclinePart:
    """One decline of the month in figures (DOMAIN.md 4)."""

    outcome: DeclineOutcome
    linked_minutes: int
    """Made-up minutes that the link gives it."""
    offset_minutes: int

    @property
    def compensated_minutes(self) -> int:
        return self.outcome.compensation_minutes - self.offset_minutes


@dataclass(frozen=True)
class AccountResult:
    """An account, every minute of it, and what a person must look at. All three come from one computation; the ledger
    is written out when it is asked for (most accounts of a city never are)."""

    data: AccountInput
    account: MonthAccount
    findings: tuple[Finding, ...]
    declines: tuple[DeclinePart, ...]
    order_days: tuple[date, ...]
    """Days that count as ordered."""
    order_days_now: tuple[date, ...]
    """Days with an order as known now: what a close freezes."""
    reported_by_day: tuple[int, ...]
    """Reported minutes of each day of the month; their sum is reported."""
    write_ledger: Callable[[], tuple[Block, ...]]

    @cached_property
    def ledger(self) -> tuple[Block, ...]:
        """In order of time; blocks of visits before declines of the same minute."""
        return self.write_ledger()

    @property
    def exists(self) -> bool:
        """CONTRACT.md 5: with an order day, a visit, a decline, or a reason of this or the month before; and, so that
        nothing owed is lost, with an amount carried in or adjusted."""
        data = self.data
        return bool(
            self.order_days
            or data.stays
            or data.has_other_visits
            or self.declines
            or any(reason.month == data.month for reason in data.reasons)
            or data.has_reasons_before
            or data.carried_in_minutes
            or data.adjustments
        )


@dataclass(frozen=True, slots=True)
class ServiceDone:
    """A care service carried out, counted for models that pay per care service (services_done.csv)."""

    client_id: str
    provider_id: str
    """The staff member's on that day."""
    staff_id: str
    done_at: datetime
    care_service: str
    count: int


@dataclass(frozen=True, slots=True)
class FeeLine:
    """The basis of a client's fee (CONTRACT.md 4): never the fee itself."""

    month: Month
    origin_month: Month
    client_id: str
    fee_class: str
    client_minutes: int
    count: int
    late_cancellations: int
    absence_days: int
    cause: str
