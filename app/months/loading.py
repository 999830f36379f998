"""What month accounts are computed from, read for many clients at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Connection,
    Date,
    DateTime,
    Select,
    Text,
    and_,
    between,
    bindparam,
    cast,
    func,
    literal,
    select,
    type_coerce,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import NullType

from app.core.ids import finding_id
from app.core.localtime import local_month, month_bounds
from app.core.month import Month
from app.evidence import store as evidence
from app.evidence.store import Wanted, among, among_many
from app.evidence.tables import attests, closes, excess_reasons, resolutions
from app.facts import DeclineOutcome, ExcessReason, Share
from app.facts.accounts import AccountInput, ClosedMonth, Stay
from app.facts.directory import Directory
from app.facts.prices import PriceList
from app.findings.tables import findings
from app.months import store
from app.months.rules.reporting_limit import ACCOUNT_CODES, month_account
from app.months.tables import month_accounts, reopened_accounts
from app.policies import PolicyBook
from app.registry.store import DirectoryReader, load_ordered, load_prices
from app.visits.store import DAY, outcome_from_row
from app.visits.tables import decline_outcomes, visits

Key = tuple[str, str]
"""(client_id, provider_id)."""
# Statements are made once: for one account their making would cost more than their answers.
_CLIENTS = func.any(bindparam("clients", type_=ARRAY(Text)))


@dataclass(slots=True)
class Books:
    """Everything the accounts of some clients follow from."""

    book: PolicyBook
    prices: PriceList
    directory: Directory
    closed: tuple[Month, ...]
    """All closed months of the municipality, ascending."""
    history: Mapping[Key, Mapping[Month, ClosedMonth]]
    reopened: Mapping[Key, frozenset[Month]]
    stays: dict[tuple[Key, Month], list[Stay]] = field(default_factory=lambda: defaultdict(list))
    others: set[tuple[Key, Month]] = field(default_factory=set)
    outcomes: dict[Key, list[DeclineOutcome]] = field(default_factory=lambda: defaultdict(list))
    reasons: dict[Key, list[ExcessReason]] = field(default_factory=lambda: defaultdict(list))
    open_findings: dict[tuple[Key, Month], int] = field(default_factory=dict)
    resolved_findings: frozenset[str] = frozenset()
    attested: set[tuple[str, Month]] = field(default_factory=set)

    def history_of(self, key: Key) -> dict[Month, ClosedMonth | None]:
        """Every closed month, None where this client and provider had no account."""
        own = self.history.get(key, {})
        return {month: own.get(month) for month in self.closed}

    def input_of(self, key: Key, month: Month) -> AccountInput:
        """One account's input, before its place among the other months."""
        client_id, provider_id = key
        outcomes = self._outcomes_of(key, month)
        return AccountInput(
            month=month,
            client_id=client_id,
            provider_id=provider_id,
            orders=self.directory.orders(client_id, provider_id),
            stays=tuple(self.stays.get((key, month), ())),
            declines=outcomes,
            reasons=tuple(reason for reason in self.reasons.get(key, ()) if reason.month == month),
            absences=self.directory.absences(client_id),
            executed_elsewhere=self._executed_elsewhere(key, month, outcomes),
            visit_bands=self.prices.visit_bands(self.operation_of(provider_id), month.last_on),
            has_other_visits=(key, month) in self.others,
            has_reasons_before=any(reason.month == month.previous for reason in self.reasons.get(key, ())),
            findings_open=self.open_findings.get((key, month), 0),
            resolved_findings=self.resolved_findings,
            attested=(provider_id, month) in self.attested,
        )

    def operation_of(self, provider_id: str) -> str:
        """municipal or private; empty for a provider nobody knows."""
        provider = self.directory.providers.get(provider_id)
        return provider.operation if provider is not None else ""

    def _outcomes_of(self, key: Key, month: Month) -> tuple[DeclineOutcome, ...]:
        """The month's declines, and those of other months that are linked to the same days."""
        known = self.outcomes.get(key, ())
        own = [one for one in known if local_month(one.planned_start_at) == month]
        days = {one.made_up_on for one in own if one.made_up_on is not None}
        linked = [one for one in known if one not in own and one.made_up_on in days]
        return (*own, *linked)

    def _executed_elsewhere(self, key: Key, month: Month, outcomes: Iterable[DeclineOutcome]) -> Mapping[date, int]:
        """Executed minutes on days of other months that declines are linked to."""
        days = {one.made_up_on for one in outcomes if one.made_up_on is not None and Month.of(one.made_up_on) != month}
        executed: dict[date, int] = {}
        for other in {Month.of(on) for on in days}:
            data = AccountInput(other, *key, orders=(), stays=tuple(self.stays.get((key, other), ())))
            for block in month_account(data, self.book).ledger:
                if block.of == "visit" and block.fate in ("free", "unpaid") and block.on in days:
                    executed[block.on] = executed.get(block.on, 0) + block.minutes
        return executed


def load_books(
    connection: Connection,
    keys: Collection[Key],
    months: Collection[Month],
    book: PolicyBook,
    registry: DirectoryReader | None = None,
    *,
    whole_history: bool = True,
) -> Books:
    """All that the accounts of these clients and providers in these months follow from.

    `registry`: as a derivation has read it; without it the part that accounts need is read.
    Without `whole_history` closed months are read of clients for whom one has been reopened, and the one just before of
    those with reasons to carry over: all that an open month needs, so a tap costs the same after years.
    """
    clients = {client_id for client_id, _ in keys}
    reasons = evidence.load_excess_reasons(connection, Wanted(clients=clients))
    reopened = _reopened(connection, clients)
    # The month before is looked at of those who may carry something over, an earlier one of those it was reopened for.
    wanted: dict[Month, set[str]] = defaultdict(set, {month: set(clients) for month in months})
    before = {month.previous for month in months}
    carrying = {reason.client_id for reason in reasons if reason.month in before}
    for reason in reasons:
        if reason.month in before:
            wanted[reason.month].add(reason.client_id)
    for (client_id, _), its in reopened.items():
        for month in its:
            wanted[month].add(client_id)
    if whole_history:
        history = store.load_closed(connection, clients)
    else:
        history = store.load_closed(connection, carrying, before.union(months)) if carrying else {}
        history |= store.load_closed(connection, {client_id for client_id, _ in reopened}) if reopened else {}
    books = Books(
        book=book,
        prices=PriceList(load_prices(connection)),
        directory=load_ordered(connection, clients) if registry is None else registry.load(clients=clients),
        closed=closed_months(connection),
        history=history,
        reopened=reopened,
    )
    for row in connection.execute(_OUTCOMES, {"clients": list(clients)}):
        outcome = outcome_from_row(row)
        books.outcomes[outcome.client_id, outcome.provider_id].append(outcome)
        looked_at = wanted.get(local_month(outcome.planned_start_at), ())
        if outcome.made_up_on is not None and outcome.client_id in looked_at:
            wanted[Month.of(outcome.made_up_on)].add(outcome.client_id)
    for reason in reasons:
        books.reasons[reason.client_id, reason.provider_id].append(reason)
    for month, whose in wanted.items():
        _load_stays(connection, books, whose, month)
        _load_open_findings(connection, books, whose, month)
    books.resolved_findings = _resolved(connection, keys, wanted)
    books.attested = {(provider_id, Month.parse(month)) for provider_id, month in connection.execute(_ATTESTED)}
    return books


_OUTCOMES = select(decline_outcomes).where(decline_outcomes.c.client_id == _CLIENTS)
_ATTESTED = select(attests.c.provider_id, attests.c.month).distinct()


def closed_months(connection: Connection) -> tuple[Month, ...]:
    """The months whose run has been, ascending."""
    return tuple(Month.parse(month) for month in connection.execute(_CLOSED).scalars())


_CLOSED = select(closes.c.month).distinct().order_by(closes.c.month)


def _reopened(connection: Connection, clients: Collection[str]) -> dict[Key, frozenset[Month]]:
    found: dict[Key, set[Month]] = defaultdict(set)
    for row in connection.execute(_REOPENED, {"clients": list(clients)}):
        found[row.client_id, row.provider_id].add(Month.of(row.month_on))
    return {key: frozenset(months) for key, months in found.items()}


_REOPENED = select(reopened_accounts).where(reopened_accounts.c.client_id == _CLIENTS)


def _load_stays(connection: Connection, books: Books, clients: Collection[str], month: Month) -> None:
    """The month's stays, and which accounts have visits that are none."""
    from_at = month_bounds(month)[0]
    first_minute = int(from_at.timestamp()) // 60
    values = {
        "clients": list(clients), "from_at": from_at, "day_before": from_at - timedelta(days=1),
        "month_on": month.first_on, "before_on": month.previous.first_on, "earliest_on": month.plus(-2).first_on,
    }  # fmt: skip
    for row in connection.execute(_STAYS, values).all():
        client_id, provider_id, visit_id, start, end, service, held, second, unit_id, position, weights, counts = row
        key = (client_id, provider_id)
        if not counts or start is None or end is None:
            books.others.add((key, month))
            continue
        first, after = start, max(start, end)
        if first < first_minute and after <= first_minute:
            continue
        share = Share(position, tuple(weights)) if weights else None
        books.stays[key, month].append(Stay(visit_id, first, after, service, held, second, unit_id, share))


def _stays() -> CompoundSelect[Any]:
    """Visits of a month, and those that began in one of the two before and last into it: none lasts two months.

    Apart, so that neither month before is read whole: what began within a day, and the few that last longer.
    """
    c = visits.c
    from_at, day_before = (bindparam(name, type_=DateTime(timezone=True)) for name in ("from_at", "day_before"))
    month_on, before_on, earliest_on = (bindparam(f"{name}_on", type_=Date) for name in ("month", "before", "earliest"))
    shown = select(
        c.client_id, c.provider_id, c.visit_id, _minute(c.start_at), _minute(c.end_at), c.service,
        func.cardinality(c.holds) > 0, literal("unordered_second_staff") == func.any(c.findings), c.unit_id,
        c.share_position, type_coerce(c.share_weights, NullType()),
        and_(c.role == "carer", c.status.in_(("complete", "declined"))),
    ).where(c.client_id == _CLIENTS, c.status != "cancelled")  # fmt: skip
    near = and_(c.month_on == before_on, c.at >= day_before, c.end_at > from_at)
    earlier = between(c.month_on, earliest_on, before_on)
    long = and_(earlier, c.end_at - c.start_at > DAY, c.at < day_before, c.end_at > from_at)
    return union_all(*(shown.where(part) for part in (c.month_on == month_on, near, long)))


def _minute(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Whole minutes since 1970 of a stamp cut to the minute."""
    return cast(func.floor(func.extract("epoch", column) / 60), BigInteger)


_STAYS = _stays()


def _load_open_findings(connection: Connection, books: Books, clients: Collection[str], month: Month) -> None:
    """How many findings of each account nobody has resolved; not those about accounts, they are made here, nor those
    about the city's price list, which are no provider's to resolve."""
    from_at, to_at = month_bounds(month)
    values = {"clients": list(clients), "from_at": from_at, "to_at": to_at}
    for client_id, provider_id, count in connection.execute(_OPEN_FINDINGS, values).all():
        books.open_findings[(client_id, provider_id), month] = count


def _open_findings() -> Select[Any]:
    c = findings.c
    from_at, to_at = (bindparam(name, type_=DateTime(timezone=True)) for name in ("from_at", "to_at"))
    resolved = select(resolutions.c.finding_id).where(resolutions.c.finding_id == c.finding_id).exists()
    return (
        select(c.client_id, c.provider_id, func.count())
        .where(
            c.client_id == _CLIENTS, c.at >= from_at, c.at < to_at, c.born_resolved.is_(False), ~resolved,
            c.provider_id != "", c.step.not_in(("account", "billing")),
        )
        .group_by(c.client_id, c.provider_id)
    )  # fmt: skip


_OPEN_FINDINGS = _open_findings()


def _resolved(connection: Connection, keys: Collection[Key], months: Collection[Month]) -> frozenset[str]:
    """Which findings these accounts may have about themselves are resolved."""
    ids = {finding_id(code, *key, str(month)) for code in ACCOUNT_CODES for key in keys for month in months}
    return frozenset(connection.execute(_RESOLVED, {"ids": list(ids)}).scalars())


_RESOLVED = select(resolutions.c.finding_id).where(
    resolutions.c.finding_id == func.any(bindparam("ids", type_=ARRAY(Text)))
)


def made_up_links(connection: Connection, keys: Collection[Key]) -> dict[Key, list[tuple[Month, date]]]:
    """Per client and provider the declines that were made up: their month, and the day they are linked to."""
    c = decline_outcomes.c
    found: dict[Key, list[tuple[Month, date]]] = defaultdict(list)
    query = select(c.client_id, c.provider_id, c.planned_start_at, c.made_up_on).where(
        among(c.client_id, {client_id for client_id, _ in keys}), c.made_up_on.is_not(None)
    )
    for client_id, provider_id, at, on in connection.execute(query):
        found[client_id, provider_id].append((local_month(at), on))
    return found


def active_months(connection: Connection, keys: Collection[Key], first: Month, last: Month) -> dict[Key, set[Month]]:
    """Per client and provider the months with a visit, a decline, a reason or a stored account: all of those from
    `first` to `last`, and maybe others."""
    clients = {client_id for client_id, _ in keys}
    found: dict[Key, set[Month]] = defaultdict(set)
    # A visit that began in a month before may reach into the first: no visit lasts two.
    begun = between(visits.c.month_on, first.plus(-2).first_on, last.first_on)
    queries: Sequence[Any] = (
        select(visits.c.client_id, visits.c.provider_id, visits.c.month_on, func.max(visits.c.end_at))
        .where(among_many(visits.c.client_id, clients), visits.c.status != "cancelled", begun)
        .group_by(visits.c.client_id, visits.c.provider_id, visits.c.month_on),
        store.stored_months(clients, between(month_accounts.c.month_on, first.first_on, last.first_on)),
    )
    for query in queries:
        for client_id, provider_id, on, last_at in connection.execute(query):
            month = Month.of(on)
            found[client_id, provider_id].add(month)
            if last_at is not None and local_month(last_at) > month:
                found[client_id, provider_id].add(local_month(last_at))
    c = decline_outcomes.c
    for client_id, provider_id, at in connection.execute(
        select(c.client_id, c.provider_id, c.planned_start_at).where(among(c.client_id, clients))
    ):
        found[client_id, provider_id].add(local_month(at))
    r = excess_reasons.c
    for client_id, provider_id, month_text in connection.execute(
        select(r.client_id, r.provider_id, r.month).where(among(r.client_id, clients)).distinct()
    ):
        month = Month.parse(month_text)
        found[client_id, provider_id] |= {month, month.next}
    return {key: months for key, months in found.items() if key in keys}
