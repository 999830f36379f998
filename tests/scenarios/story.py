"""The diary language with money and the calendar of the office: a whole installation in memory, without a database.

Lines beside those of tests/diary.py; a line of the same id again is a later version of it:

    operation P1 municipal
    price   day care hour 51600 [operation=private] [from=2016-01-01]
    reason  r1 bo P1 2026-10 60 approved submitted=2026-11-05 [part=30]     # pending, approved, rejected
    attest  P1 2026-10
    close   2026-10 [on=2026-11-06]     # the lines above it are what the run knows

An `order` with `id=` can be given again with other days or minutes; `service=` is its label.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

from app.billing.flow import lines_of
from app.billing.rules.fees import FeeInput, fee_lines
from app.billing.rules.lines import settle
from app.core.localtime import local_month
from app.core.month import Month
from app.facts import (
    BillingLine,
    Directory,
    ExcessReason,
    Finding,
    MonthAccount,
    Price,
    RegistryRows,
    Resolution,
    Visit,
)  # fmt: skip
from app.facts.accounts import AccountResult, Block, ClosedMonth, FeeLine, stay_of
from app.facts.prices import PriceList
from app.months.flow import chain_of
from app.months.loading import Books, Key
from app.months.rules.chain import Chain
from app.months.rules.closing import freeze, run_on
from app.months.rules.reasons import as_it_stands, excess_before
from app.policies import PolicyBook
from app.visits.rules.derive import Derivation, DerivationInput, derive
from tests.diary_reader import Reader

EVER = date(2010, 1, 1)
_KEYS = {"orders": "order_id", "declines": "decline_id", "corrections": "correction_id", "disputes": "dispute_id",
         "manual_visits": "manual_id", "plans": "planned_id"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Told:
    """All that has been said and registered up to a point of a story."""

    statements: DerivationInput
    registry: RegistryRows
    book: PolicyBook
    reasons: tuple[ExcessReason, ...] = ()
    prices: tuple[Price, ...] = ()
    attested: frozenset[tuple[str, Month]] = frozenset()


@dataclass
class Town:
    """Months as they follow from what is told, computed from nothing; and what runs have frozen so far."""

    history: dict[Key, dict[Month, ClosedMonth]] = field(default_factory=lambda: defaultdict(dict))
    closed: list[Month] = field(default_factory=list)
    settled: dict[Key, list[BillingLine]] = field(default_factory=lambda: defaultdict(list))

    def derive(self, told: Told) -> Derivation:
        """Visits, findings and outcomes."""
        return derive(told.statements, Directory(told.registry), told.book)

    def books(self, told: Told, derivation: Derivation) -> Books:
        """Everything that accounts follow from, with every closed month to be looked at again."""
        books = Books(
            book=told.book,
            prices=PriceList(told.prices),
            directory=Directory(told.registry),
            closed=tuple(self.closed),
            history=self.history,
            reopened={key: frozenset(self.closed) for key in self.keys(told, derivation)},
            attested=set(told.attested),
        )
        for visit in derivation.visits:
            _take_visit(books, visit)
        for outcome in derivation.outcomes:
            books.outcomes[outcome.client_id, outcome.provider_id].append(outcome)
        for reason in told.reasons:
            books.reasons[reason.client_id, reason.provider_id].append(reason)
        resolved = frozenset(one.finding_id for one in told.statements.resolutions)
        books.resolved_findings = resolved
        for finding in derivation.findings:
            if finding.provider_id and not finding.born_resolved and finding.finding_id not in resolved:
                place = ((finding.client_id, finding.provider_id), local_month(finding.at))
                books.open_findings[place] = books.open_findings.get(place, 0) + 1
        return books

    def keys(self, told: Told, derivation: Derivation) -> list[Key]:
        """Every client and provider that have anything to do with each other."""
        rows: Iterable[Any] = (*derivation.visits, *derivation.outcomes, *told.reasons, *told.registry.orders)
        return sorted({(row.client_id, row.provider_id) for row in rows if row.provider_id} | set(self.history))

    def chains(self, told: Told, month: Month) -> tuple[Books, list[Chain]]:
        """The month's accounts that exist, and those that closed months may owe something to."""
        derivation = self.derive(told)
        books = self.books(told, derivation)
        chains = [chain_of(books, key, month) for key in self.keys(told, derivation)]
        return books, [chain for chain in chains if chain.result.exists or chain.origins]

    def accounts(self, told: Told, month: Month) -> dict[Key, AccountResult]:
        """The month as known now."""
        _, chains = self.chains(told, month)
        return {_key(chain): chain.result for chain in chains if chain.result.exists}

    def lines(self, told: Told, month: Month) -> list[BillingLine]:
        """The month's lines: of a closed one what was settled."""
        if month in self.closed:
            return [line for its in self.settled.values() for line in its if line.month == month]
        books, chains = self.chains(told, month)
        return [line for chain in chains for line in lines_of(books, chain, self.settled, {})]

    def shown(self, told: Told, key: Key, month: Month) -> MonthAccount | None:
        """A closed account as doors show it; None where it was not closed."""
        return as_it_stands(month, self._history_of(key), _of(told, key, month), told.book)

    def _history_of(self, key: Key) -> dict[Month, ClosedMonth | None]:
        own = self.history.get(key, {})
        return {month: own.get(month) for month in self.closed}

    def close(self, told: Told, month: Month, on: date | None = None) -> None:
        """The payment run of a month."""
        books, chains = self.chains(told, month)
        made: dict[Key, tuple[ClosedMonth, tuple[BillingLine, ...]]] = {}
        for chain in chains:
            lines = settle(lines_of(books, chain, self.settled, {}), on or run_on(month, told.book))
            if not chain.result.exists and not lines:
                continue
            key = _key(chain)
            before = excess_before(month, self._history_of(key), _of(told, key, month.previous), told.book)
            made[key] = (freeze(chain.result, lines, on or run_on(month, told.book), before), lines)
        for key, (frozen, lines) in made.items():
            self.history[key][month] = frozen
            self.settled[key] += lines
        self.closed.append(month)

    def fees(self, told: Told, month: Month) -> list[FeeLine]:
        """The basis of fees of an open month, without what it takes over from closed ones."""
        blocks: dict[str, list[Block]] = defaultdict(list)
        for key, result in self.accounts(told, month).items():
            blocks[key[0]] += result.ledger
        return [
            line
            for client_id in sorted(blocks)
            for line in fee_lines(
                FeeInput(
                    month, client_id, tuple(blocks[client_id]),
                    [one for one in told.statements.declines if one.client_id == client_id],
                    Directory(told.registry).absences(client_id),
                ),
                told.book,
            )
        ]  # fmt: skip


def _take_visit(books: Books, visit: Visit) -> None:
    """The visit as a stay of every month it has minutes or its start in, or as one that is none."""
    if visit.status == "cancelled":
        return
    key = (visit.client_id, visit.provider_id)
    stay = stay_of(visit)
    first = local_month(visit.start_at or visit.at)
    if stay is None:
        last = local_month(visit.end_at) if visit.end_at else first
        books.others |= {(key, first), (key, last)}
        return
    assert visit.end_at is not None
    month = first
    while month <= local_month(visit.end_at - timedelta(microseconds=1)) or month == first:
        books.stays[key, month].append(stay)
        month = month.next


def _of(told: Told, key: Key, month: Month) -> list[ExcessReason]:
    return [one for one in told.reasons if (one.client_id, one.provider_id) == key and one.month == month]


def _key(chain: Chain) -> Key:
    return chain.result.account.client_id, chain.result.account.provider_id


@dataclass
class Story(Reader):
    """Reads a story line by line; what runs freeze is frozen as they come."""

    reasons: dict[str, ExcessReason] = field(default_factory=dict)
    prices: list[Price] = field(default_factory=list)
    attested: set[tuple[str, Month]] = field(default_factory=set)
    town: Town = field(default_factory=Town)

    def told(self) -> Told:
        """What has been told so far, later versions in place of earlier ones."""
        kept = self.rows
        self.rows = defaultdict(list, {name: _latest(name, rows) for name, rows in kept.items()})
        statements, registry, book = self.story()
        self.rows = kept
        return Told(
            statements, registry, book, tuple(self.reasons.values()), tuple(self.prices), frozenset(self.attested)
        )

    def findings(self) -> tuple[Finding, ...]:
        """All findings about visits and taps."""
        return self.town.derive(self.told()).findings

    def _order(self, words: list[Any], options: dict[str, Any]) -> None:
        super()._order(words, options)
        order = self.rows["orders"][-1]
        self.rows["orders"][-1] = replace(
            order, service=options.get("service", ""), cost_code=options.get("cost_code", "")
        )

    def _operation(self, words: list[Any], _options: dict[str, Any]) -> None:
        self._at_provider(words[0])
        self.providers[words[0]] = replace(self.providers[words[0]], operation=words[1])

    def _price(self, words: list[Any], options: dict[str, Any]) -> None:
        band, service, unit, ore = words
        since = date.fromisoformat(options["from"]) if "from" in options else EVER
        self.prices.append(Price(options.get("operation", "private"), band, service, unit, since, int(ore)))

    def _reason(self, words: list[Any], options: dict[str, Any]) -> None:
        ident, client, provider, month, minutes, decision = words
        self.reasons[ident] = ExcessReason(
            ident, client, provider, Month.parse(month), int(minutes), "illness", "",
            date.fromisoformat(options["submitted"]), decision, int(options["part"]) if "part" in options else None,
        )  # fmt: skip

    def _attest(self, words: list[Any], _options: dict[str, Any]) -> None:
        self.attested.add((words[0], Month.parse(words[1])))

    def _close(self, words: list[Any], options: dict[str, Any]) -> None:
        self.town.close(
            self.told(), Month.parse(words[0]), date.fromisoformat(options["on"]) if "on" in options else None
        )

    def _resolve(self, words: list[Any], _options: dict[str, Any]) -> None:
        """`resolve too_long`: every finding of that code there is by now; or a finding_id."""
        ids = [one.finding_id for one in self.findings() if one.code == words[0]] or [words[0]]
        for one in ids:
            super()._resolve([one], {})

    @property
    def resolutions(self) -> list[Resolution]:
        """All resolutions so far."""
        return list(self.rows["resolutions"])


def _latest(name: str, rows: list[Any]) -> list[Any]:
    key = _KEYS.get(name)
    if key is None:
        return rows
    return list({getattr(row, key): row for row in rows}.values())


def read_story(text: str) -> Story:
    """The story of a text."""
    story = Story()
    for line in text.splitlines():
        story.read(line)
    return story
