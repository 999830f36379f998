"""Keep provisional billing lines in step with their accounts. What a run has settled is never touched."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, between

from app.billing import store
from app.billing.rules.lines import LineInput, account_lines
from app.billing.rules.tariff import Tariff, missing_prices
from app.core.localtime import month_bounds
from app.core.month import Month
from app.evidence.store import among
from app.facts import BillingLine
from app.facts.accounts import ServiceDone
from app.findings import store as finding_store
from app.findings.tables import findings
from app.months.flow import Computed
from app.months.loading import Books, Key
from app.months.rules.chain import Chain
from app.months.rules.closing import account_hash
from app.months.rules.reporting_limit import account_finding


def write_lines(connection: Connection, computed: Computed, now: datetime) -> set[tuple[Key, Month]]:
    """Bring the provisional lines of these accounts up to date; for which closed months they correct anything."""
    chains = [chain for chain in computed.chains if chain.result.account.state != "closed"]
    if not chains:
        return set()
    clients = {chain.result.account.client_id for chain in chains}
    origins = {origin.account.month for chain in chains for origin in chain.origins}
    settled = store.settled_lines(connection, clients, origins)
    services = store.services_done(connection, clients, origins | {chain.result.account.month for chain in chains})
    made = {line.line_id: line for chain in chains for line in lines_of(computed.books, chain, settled, services)}
    places = {(chain.result.account.month, key_of(chain)) for chain in chains}
    known = {
        line.line_id: line
        for line in store.provisional_lines(connection, clients, {month for month, _ in places})
        if (line.month, (line.client_id, line.provider_id)) in places
    }
    changed = [replace(line, changed_at=now) for line_id, line in made.items() if _differs(known.get(line_id), line)]
    gone = [line for line_id, line in known.items() if line_id not in made]
    store.put_lines(connection, changed, now)
    store.empty_lines(connection, gone, now)
    _note_missing_prices(connection, computed.books, chains, made.values(), now)
    corrected = [line for line in made.values() if line.kind == "adjustment"]
    return {((line.client_id, line.provider_id), line.origin_month) for line in corrected}


def _note_missing_prices(
    connection: Connection, books: Books, chains: Sequence[Chain], lines: Iterable[BillingLine], now: datetime
) -> None:
    """`price_missing` for these accounts, as it is now. A city without a price list bills elsewhere: nothing is missing
    then."""
    by_place: dict[tuple[Month, Key], list[BillingLine]] = defaultdict(list)
    for line in lines:
        by_place[line.month, (line.client_id, line.provider_id)].append(line)
    places = {(chain.result.account.month, key_of(chain)): chain.result for chain in chains}
    missing = {} if books.prices.is_empty else {place: missing_prices(by_place[place]) for place in places}
    made = {
        finding.finding_id: finding
        for place, what in missing.items() if what
        for finding in [account_finding("price_missing", places[place].data, (("what", ", ".join(what)),))]
    }  # fmt: skip
    c = findings.c
    clients = {client_id for _, (client_id, _) in places}
    from_at, to_at = month_bounds(min(places)[0])[0], month_bounds(max(places)[0])[1]
    stored = {
        one.finding_id: one
        for _, one in finding_store.load(
            connection, c.step == "billing", among(c.client_id, clients), between(c.at, from_at, to_at)
        )
        if (Month.parse(one.fact("month")), (one.client_id, one.provider_id)) in places
    }
    finding_store.drop(connection, [one for one in stored if one not in made])
    finding_store.put(connection, "billing", [one for one in made.values() if stored.get(one.finding_id) != one], now)


def lines_of(
    books: Books,
    chain: Chain,
    settled: Mapping[Key, list[BillingLine]],
    services: Mapping[Key, list[ServiceDone]],
    sealed: str = "",
) -> Sequence[BillingLine]:
    """The lines of one account; `sealed` is its hash, where that is known already."""
    account = chain.result.account
    if not chain.result.exists and not chain.origins:
        return ()  # with origins: a price put right is owed also where there is no account any more
    key = key_of(chain)
    orders = books.directory.orders(*key)
    return account_lines(
        LineInput(
            result=chain.result,
            tariff=Tariff(books.prices, books.operation_of(account.provider_id), orders),
            account_hash=sealed or account_hash(account, chain.result.ledger),
            run_on=None,
            previous=chain.previous,
            origins=chain.origins,
            settled=settled.get(key, ()),
            services=services.get(key, ()),
        )
    )


def key_of(chain: Chain) -> Key:
    """Whose account it is: (client_id, provider_id)."""
    return chain.result.account.client_id, chain.result.account.provider_id


def _differs(known: BillingLine | None, line: BillingLine) -> bool:
    """Whether anything a reader of the line would see has changed; the account's own hash alone does not count."""
    return known is None or replace(known, changed_at=None) != replace(line, changed_at=None)
