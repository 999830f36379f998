"""One account explained, and what of a month was not paid: computed at read from what is stored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from sqlalchemy import Connection

from app.core.localtime import month_bounds
from app.core.month import Month
from app.evidence.store import load_grades
from app.facts import Visit
from app.facts.derived import JsonObject
from app.months.flow import CLIENTS_AT_ONCE, compute_month
from app.months.loading import Books, Key
from app.months.rules.chain import Chain
from app.months.rules.explain import explain
from app.months.store import load_current
from app.months.tables import month_accounts
from app.refusals import NotFound
from app.visits.store import load_stretches


def explanation(connection: Connection, month: Month, client_id: str, provider_id: str) -> JsonObject:
    """Every minute of an account (DOMAIN.md 3), closed or open. NotFound where there is no such account."""
    key = (client_id, provider_id)
    computed = compute_month(connection, month, [key])
    chain = computed.chains[0]
    history = computed.books.history_of(key)
    if not chain.result.exists and history.get(month) is None:
        raise NotFound(f"{client_id} has no account with {provider_id} in {month}")
    visits = visits_of(connection, month, [client_id])[client_id]
    mine = [visit for visit in visits if visit.provider_id == provider_id]
    return explain(chain, history, mine, computed.books.book, _grades_of(connection, mine))


def _grades_of(connection: Connection, visits: list[Visit]) -> dict[tuple[str, int], str]:
    """The grade of every tap of these visits."""
    keys = [(end.device_id, end.seq) for visit in visits for end in (visit.kom, visit.gick) if end is not None]
    return load_grades(connection, keys) if keys else {}


def visits_of(connection: Connection, month: Month, clients: list[str]) -> dict[str, list[Visit]]:
    """The visits of clients any part of which lies in the month."""
    from_at, to_at = month_bounds(month)
    found: dict[str, list[Visit]] = defaultdict(list)
    for visit, _ in load_stretches(connection, "client_id", [(one, from_at, to_at) for one in clients]):
        if visit.at < to_at:
            found[visit.client_id].append(visit)
    return found


def chains_of_provider(connection: Connection, month: Month, provider_id: str) -> Iterator[tuple[Books, Chain]]:
    """Every account of a provider's month, computed with its ledger."""
    c = month_accounts.c
    stored = load_current(connection, c.month_on == month.first_on, c.provider_id == provider_id)
    keys: list[Key] = [(one.account.client_id, provider_id) for one in stored]
    for start in range(0, len(keys), CLIENTS_AT_ONCE):
        computed = compute_month(connection, month, keys[start : start + CLIENTS_AT_ONCE])
        for chain in computed.chains:
            yield computed.books, chain
