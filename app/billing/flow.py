"""Keep provisional billing lines in step with their accounts. What a run has settled is never touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime

from sqlalchemy import Connection

from app.billing import store
from app.billing.rules.lines import LineInput, account_lines
from app.billing.rules.tariff import Tariff
from app.core.month import Month
from app.facts import BillingLine
from app.facts.accounts import ServiceDone
from app.months.flow import Computed
from app.months.loading import Books, Key
from app.months.rules.chain import Chain
from app.months.rules.closing import account_hash


def write_lines(connection: Connection, computed: Computed, now: datetime) -> set[tuple[Key, Month]]:
    """Bring the provisional lines of these accounts up to date; for which closed months they correct anything."""
    chains = [chain for chain in computed.chains if chain.result.account.state != "closed"]
    if not chains:
        return set()
    clients = {chain.result.account.client_id for chain in chains}
    settled = store.settled_lines(connection, clients)
    services = store.services_done(connection, clients)
    made = {line.line_id: line for chain in chains for line in lines_of(computed.books, chain, settled, services)}
    places = {(chain.result.account.month, _key(chain)) for chain in chains}
    known = {
        line.line_id: line
        for line in store.provisional_lines(connection, clients, {month for month, _ in places})
        if (line.month, (line.client_id, line.provider_id)) in places
    }
    changed = [replace(line, changed_at=now) for line_id, line in made.items() if _differs(known.get(line_id), line)]
    gone = [line for line_id, line in known.items() if line_id not in made]
    store.put_lines(connection, changed, now)
    store.empty_lines(connection, gone, now)
    corrected = [line for line in made.values() if line.kind == "adjustment"]
    return {((line.client_id, line.provider_id), line.origin_month) for line in corrected}


def lines_of(
    books: Books,
    chain: Chain,
    settled: dict[Key, list[BillingLine]],
    services: dict[Key, list[ServiceDone]],
    run_on: date | None = None,
) -> Sequence[BillingLine]:
    """The lines of one account; settled by a run when `run_on` is given."""
    account = chain.result.account
    if not chain.result.exists:
        return ()
    key = _key(chain)
    orders = books.directory.orders(*key)
    return account_lines(
        LineInput(
            result=chain.result,
            tariff=Tariff(books.prices, books.operation_of(account.provider_id), orders),
            account_hash=account_hash(account, chain.result.ledger),
            run_on=run_on,
            previous=chain.previous,
            origins=chain.origins,
            settled=settled.get(key, ()),
            services=services.get(key, ()),
        )
    )


def _key(chain: Chain) -> Key:
    return chain.result.account.client_id, chain.result.account.provider_id


def _differs(known: BillingLine | None, line: BillingLine) -> bool:
    """Whether anything a reader of the line would see has changed; the account's own hash alone does not count."""
    return known is None or replace(known, changed_at=None) != replace(line, changed_at=None)
