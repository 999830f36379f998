"""Visits and month accounts recomputed by the rules, and compared with what a close froze."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime
from typing import Any

from app.core.localtime import local_month, month_bounds
from app.core.month import Month
from app.facts import DeclineOutcome, Directory, ExcessReason, MonthAccount, Tap, Visit
from app.facts.accounts import AccountInput, AccountResult, ClosedMonth, Stay, stay_of
from app.facts.prices import PriceList
from app.months.rules.chain import account_in_chain
from app.months.rules.reporting_limit import month_account
from app.policies import PolicyBook
from app.visits.rules.derive import DerivationInput, derive

Key = tuple[str, str]
"""(client_id, provider_id)."""
# What a close froze but a recomputation does not: labels, and a count of work to do.
_NOT_COMPARED = frozenset({"state", "known_at", "findings_open", "policy_version"})
# An account with nothing in these was frozen for the sake of lines that put a price right.
_SAY_SOMETHING = ("ordered_minutes", "reported_minutes", "held_minutes", "settled_minutes", "visits")


@dataclass(slots=True)
class World:
    """Everything an export says, as facts. `stored_at`: when a statement of people got in, by (file, id), and its
    version."""

    directory: Directory
    book: PolicyBook
    taps: list[Tap]
    said: Mapping[str, list[Any]]
    stored: Mapping[tuple[str, str], tuple[datetime, int]] = field(default_factory=dict)


@dataclass(slots=True)
class Books:
    """The accounts' inputs, of all clients."""

    world: World
    prices: PriceList
    visits: int
    stays: dict[tuple[Key, Month], list[Stay]]
    others: set[tuple[Key, Month]]
    outcomes: dict[Key, list[DeclineOutcome]]
    reasons: dict[Key, list[ExcessReason]]

    def input_of(self, key: Key, month: Month) -> AccountInput:
        """One account's input, before its place among the other months."""
        directory = self.world.directory
        provider = directory.providers.get(key[1])
        outcomes = self._outcomes_of(key, month)
        return AccountInput(
            month=month,
            client_id=key[0],
            provider_id=key[1],
            orders=directory.orders(*key),
            stays=tuple(self.stays.get((key, month), ())),
            declines=outcomes,
            reasons=tuple(reason for reason in self.reasons.get(key, ()) if reason.month == month),
            absences=directory.absences(key[0]),
            executed_elsewhere=self._executed_elsewhere(key, month, outcomes),
            visit_bands=self.prices.visit_bands(provider.operation if provider else "", month.last_on),
            has_other_visits=(key, month) in self.others,
            has_reasons_before=any(reason.month == month.previous for reason in self.reasons.get(key, ())),
        )

    def account(self, key: Key, month: Month, history: Mapping[Month, ClosedMonth | None]) -> AccountResult:
        """A closed month's account as the statements say it now, with the figures that its close fixed."""
        return account_in_chain(month, {month: self.input_of(key, month)}, history, self.world.book).result

    def keys(self, month: Month) -> set[Key]:
        """Who may have an account in a month."""
        found = {key for key, its in self.stays if its == month} | {key for key, its in self.others if its == month}
        found |= {k for k, rows in self.outcomes.items() if any(local_month(r.planned_start_at) == month for r in rows)}
        found |= {
            k for k, rows in self.reasons.items() if any(reason.month in (month, month.previous) for reason in rows)
        }
        return found | {(order.client_id, order.provider_id) for order in self.world.directory.rows.orders}

    def _outcomes_of(self, key: Key, month: Month) -> tuple[DeclineOutcome, ...]:
        known = self.outcomes.get(key, ())
        own = [one for one in known if local_month(one.planned_start_at) == month]
        days = {one.made_up_on for one in own if one.made_up_on is not None}
        return (*own, *(one for one in known if one not in own and one.made_up_on in days))

    def _executed_elsewhere(self, key: Key, month: Month, outcomes: Iterable[DeclineOutcome]) -> Mapping[date, int]:
        days = {one.made_up_on for one in outcomes if one.made_up_on is not None and Month.of(one.made_up_on) != month}
        executed: dict[date, int] = {}
        for other in {Month.of(on) for on in days}:
            data = AccountInput(other, *key, orders=(), stays=tuple(self.stays.get((key, other), ())))
            for block in month_account(data, self.world.book).ledger:
                if block.of == "visit" and block.fate in ("free", "unpaid") and block.on in days:
                    executed[block.on] = executed.get(block.on, 0) + block.minutes
        return executed


def open_books(world: World) -> Books:
    """Derive all visits and sort what accounts follow from by account and month."""
    said = world.said
    derived = derive(
        DerivationInput(
            taps=tuple(world.taps),
            plans=tuple(said["planned_visits.csv"]),
            declines=tuple(said["declines.csv"]),
            manual_visits=tuple(said["manual_visits.csv"]),
            corrections=tuple(said["corrections.csv"]),
            disputes=tuple(said["disputes.csv"]),
            resolutions=tuple(said["resolutions.csv"]),
        ),
        world.directory,
        world.book,
    )
    books = Books(
        world, PriceList(said["prices.csv"]), len(derived.visits), defaultdict(list), set(),
        defaultdict(list), defaultdict(list),
    )  # fmt: skip
    for visit in derived.visits:
        if visit.status != "cancelled":
            _enter(books, visit)
    for outcome in derived.outcomes:
        books.outcomes[outcome.client_id, outcome.provider_id].append(outcome)
    for reason in sorted(said["excess_reasons.csv"], key=lambda row: (row.submitted_on, row.reason_id)):
        books.reasons[reason.client_id, reason.provider_id].append(reason)
    return books


def _enter(books: Books, visit: Visit) -> None:
    """The visit in every month that it begins in or reaches into."""
    key, stay = (visit.client_id, visit.provider_id), stay_of(visit)
    first = local_month(visit.at)
    month, last = first, max(first, local_month(max(visit.at, visit.end_at or visit.at)))
    while month <= last:
        from_at = month_bounds(month)[0]
        if month == first or (visit.end_at is not None and visit.end_at > from_at):
            first_minute = int(from_at.timestamp()) // 60
            if stay is None:
                books.others.add((key, month))
            elif stay.first >= first_minute or stay.after > first_minute:
                books.stays[key, month].append(stay)
        month = month.next


def differences(frozen: ClosedMonth | None, result: AccountResult) -> list[str]:
    """Which figures of a frozen account are not those the rules give; empty when it is as it must be."""
    if frozen is None:
        return ["the rules give an account, the close froze none"] if result.exists else []
    if not result.exists and any(getattr(frozen.account, name) for name in _SAY_SOMETHING):
        return ["the close froze an account, the rules give none"]
    return [
        f"{one.name}: frozen {getattr(frozen.account, one.name)}, recomputed {getattr(result.account, one.name)}"
        for one in fields(MonthAccount)
        if one.name not in _NOT_COMPARED and getattr(frozen.account, one.name) != getattr(result.account, one.name)
    ]


def as_known_at(world: World, at: datetime) -> World:
    """Without what was received, made or decided after an instant; what bears no time of its own stays."""
    after: Mapping[str, str] = {
        "corrections.csv": "made_at", "resolutions.csv": "resolved_at", "disputes.csv": "stated_at",
    }  # fmt: skip
    said: dict[str, list[Any]] = {}
    for name, rows in world.said.items():
        kept = [row for row in rows if not _later(world, name, row, at)]
        if name in after:
            kept = [row for row in kept if getattr(row, after[name]) <= at]
        said[name] = [_undecided(row, at) for row in kept] if name == "excess_reasons.csv" else kept
    return replace(world, taps=[tap for tap in world.taps if tap.received_at <= at], said=said)


_IDS: Mapping[str, str] = {
    "planned_visits.csv": "planned_id", "declines.csv": "decline_id", "manual_visits.csv": "manual_id",
    "corrections.csv": "correction_id", "disputes.csv": "dispute_id", "excess_reasons.csv": "reason_id",
    "resolutions.csv": "finding_id",
}  # fmt: skip


def _later(world: World, name: str, row: Any, at: datetime) -> bool:
    if name not in _IDS:
        return False
    stored = world.stored.get((name, getattr(row, _IDS[name])))
    return stored is not None and stored[0] > at and stored[1] == 1


def _undecided(reason: ExcessReason, at: datetime) -> ExcessReason:
    if reason.decided_on is None or reason.decided_on <= at.date():
        return reason
    return replace(reason, decision="pending", approved_minutes=None)


def changed_since(world: World, key: Key, at: datetime) -> bool:
    """Whether a statement about this account has another version since, whose older one an export does not hold."""
    for name in ("manual_visits.csv", "declines.csv", "excess_reasons.csv"):
        for row in world.said[name]:
            stored = world.stored.get((name, getattr(row, _IDS[name])))
            if stored is not None and stored[0] > at and stored[1] > 1 and (row.client_id, row.provider_id) == key:
                return True
    return False


def totals(results: Sequence[AccountResult]) -> Iterator[tuple[str, int]]:
    """Sums over accounts, by figure."""
    for name in ("executed_minutes", "held_minutes", "reported_minutes", "free_minutes", "unpaid_minutes"):
        yield name, sum(getattr(result.account, name) for result in results)
