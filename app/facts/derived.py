"""What follows from statements and registry: a pure function of the two, droppable and rebuilt identically."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from math import gcd
from typing import Any, Literal

from app.core.minutes import day_parts, whole_minutes
from app.core.month import Month
from app.facts.registry import Role
from app.facts.statements import Grade, VisitClass

Source = Literal["taps", "manual", "corrected"]
Status = Literal["complete", "incomplete", "declined", "cancelled"]
VisitMark = Literal["by_code", "by_hand", "in_share", "times_confirmed", "unconfirmed"]
"""by_code: the code given instead of a refused tag (row 30). by_hand: an end is stated by hand (row 20). in_share:
counts in the provider's share of manual visits (row 33). times_confirmed: its times were corrected with a confirmer
(row 11). unconfirmed: a statement that took effect lacks a confirmer other than its maker (row 33)."""


@dataclass(frozen=True, slots=True)
class TapRef:
    """Where an end of a visit comes from: the tap itself, at its own stamp (corrections do not change it)."""

    device_id: str
    seq: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Share:
    """One client's part of a household visit: minutes are dealt one by one from the start (DOMAIN.md 2.1 row 14).

    `position` is this client's place among the members in order of client_id; `weights` has one entry per member
    (all 1 for an equal split, ordered minutes for `household_split` by ordered time).
    """

    position: int
    weights: tuple[int, ...]

    def minutes_between(self, first: int, after: int) -> int:
        """How many of the minutes numbered first..after-1 (0 = the visit's first) are dealt to this client."""
        return self._dealt_before(after) - self._dealt_before(first)

    def _dealt_before(self, count: int) -> int:
        before = _dealt_in_round(self.weights, self.position)
        rounds, rest = divmod(count, len(before) - 1)
        return rounds * before[-1] + before[rest]


@lru_cache(maxsize=4096)
def _dealt_in_round(weights: tuple[int, ...], position: int) -> tuple[int, ...]:
    """How many of a round's first 0, 1, 2, ... minutes go to a member. A round has sum(weights) turns in lowest terms,
    spread evenly, the first member first; weights that are all 0 are equal ones."""
    shared = gcd(*weights)
    parts = [weight // shared for weight in weights] if shared else [1] * len(weights)
    total = sum(parts)
    given = [0] * len(parts)
    before = [0]
    for turn in range(1, total + 1):
        owner = max(range(len(parts)), key=lambda i: (parts[i] * turn - given[i] * total, -i))
        given[owner] += 1
        before.append(given[position])
    return tuple(before)


@dataclass(frozen=True, slots=True)
class Visit:
    """One staff member's stay at one client, from KOM to GICK.

    `start_at`/`end_at` are what counts (after corrections); `kom`/`gick` keep the taps' own stamps.
    """

    visit_id: str
    manual_id: str
    client_id: str
    provider_id: str
    """The staff member's at KOM; empty when it cannot be known (then the visit has no account)."""
    unit_id: str
    staff_id: str
    person: str
    """`Employment.person`: the human being, for overlap and continuity."""
    role: Role
    start_at: datetime | None
    end_at: datetime | None
    status: Status
    source: Source
    grade: Grade
    service: VisitClass
    kom: TapRef | None = None
    gick: TapRef | None = None
    planned_id: str = ""
    decline_id: str = ""
    """The decline at the door this visit belongs to."""
    replaced_by: str = ""
    care_service: str = ""
    share: Share | None = None
    holds: tuple[str, ...] = ()
    """Codes that hold the visit's minutes now (unresolved); empty = not held."""
    findings: tuple[str, ...] = ()
    """Codes of the findings about this visit, sorted."""
    open_until_at: datetime | None = None
    stated_service: VisitClass | None = None
    """The class stated at KOM or by hand; None: not stated, so `service` is the matched plan's, else care."""
    stated_status: Status = "complete"
    """The status before declines were looked at, so that they can be looked at again."""
    marks: tuple[VisitMark, ...] = ()
    """How the visit came about, for the steps that judge it together with others (VisitMark), sorted."""
    proposal: tuple[tuple[str, str], ...] = ()
    """What pairing alone proposes (the next KOM elsewhere; first to last AUTO); shown by a finding, never filled in."""

    @property
    def held(self) -> bool:
        return bool(self.holds)

    @property
    def at(self) -> datetime:
        """The start, else the end: every visit has one."""
        at = self.start_at or self.end_at
        if at is None:
            raise ValueError("a visit without any end does not exist")
        return at

    @property
    def minutes(self) -> int:
        """Executed whole minutes of this client's visit: both ends known and status complete or declined."""
        if self.status not in ("complete", "declined") or self.start_at is None or self.end_at is None:
            return 0
        total = whole_minutes(self.start_at, self.end_at)
        return total if self.share is None else self.share.minutes_between(0, total)

    @property
    def accepted(self) -> bool:
        """DOMAIN.md 2.3: both ends known, grade A-C, nothing holds it.

        Grade D is one of `holds` (code `grade_d`) until a person has decided (EVIDENCE.md 1).
        """
        return (
            self.status in ("complete", "declined")
            and self.start_at is not None
            and self.end_at is not None
            and not self.holds
        )

    def minutes_by_day(self) -> dict[date, int]:
        """Minutes per local day; sums to `minutes`."""
        if self.minutes == 0 or self.start_at is None or self.end_at is None:
            return {}
        parts = {}
        for on, first, after in day_parts(self.start_at, self.end_at):
            dealt = after - first if self.share is None else self.share.minutes_between(first, after)
            if dealt:
                parts[on] = dealt
        return parts


@dataclass(frozen=True, slots=True)
class Finding:
    """Something the data says that a person must look at. Born resolved: `repeated_tap`."""

    finding_id: str
    code: str
    at: datetime
    """The tap's time; a visit's start, else end; a decline's planned start; an account's last minute of the month."""
    client_id: str = ""
    staff_id: str = ""
    provider_id: str = ""
    visit_id: str = ""
    taps: tuple[tuple[str, int], ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    """Named values for the text in the reader's language."""
    proposal: tuple[tuple[str, str], ...] = ()
    """Empty, or what accepting it would state: kind and its fields, instants as RFC 3339."""
    holds: bool = False
    born_resolved: bool = False

    def fact(self, name: str) -> str:
        return dict(self.facts).get(name, "")


@dataclass(frozen=True, slots=True)
class DeclineOutcome:
    """What a decline led to (DOMAIN.md 4)."""

    decline_id: str
    client_id: str
    provider_id: str
    planned_start_at: datetime
    notice: str
    """As judged: at_door, in_advance or absent."""
    visit_ids: tuple[str, ...]
    planned_minutes: int
    """Planned minutes x staff_count."""
    executed_minutes: int
    """What its visits executed, held minutes too."""
    share_percent: int
    compensation_minutes: int
    made_up_minutes: int
    """Linked made-up minutes as stated."""
    made_up_on: date | None


@dataclass(frozen=True, slots=True)
class MonthAccount:
    """One client x provider x month (CONTRACT.md 4, DOMAIN.md 3). All durations whole minutes."""

    month: Month
    client_id: str
    provider_id: str
    unit_id: str
    district: str
    ordered_minutes: int
    ceiling_minutes: int
    executed_minutes: int
    held_minutes: int
    declined_compensated_minutes: int
    made_up_offset_minutes: int
    reported_minutes: int
    free_minutes: int
    excess_minutes: int
    excess_reasoned_minutes: int
    excess_approved_minutes: int
    excess_pending_minutes: int
    unpaid_minutes: int
    carried_in_minutes: int
    adjustment_minutes: int
    settled_minutes: int
    visits: int
    findings_open: int
    policy_version: str
    state: Literal["open", "attested", "closed"] = "open"
    known_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class BillingLine:
    """One line of what is owed (CONTRACT.md 4). A settled line is never changed or deleted."""

    line_id: str
    run_on: date | None
    month: Month
    origin_month: Month
    client_id: str
    provider_id: str
    unit_id: str
    district: str
    order_id: str
    cost_code: str
    operation: str
    kind: Literal["time", "visit", "care_service", "month_item", "carried_in", "adjustment"]
    service: str
    band: str
    minutes: int
    count: int
    unit: str
    unit_price_ore: int
    amount_ore: int
    cause: str
    corrects: str
    policy_version: str
    account_hash: str
    changed_at: datetime | None
    state: Literal["provisional", "settled"]


JsonObject = dict[str, Any]
