"""A provider's utbetalningsbesked for a month: the lines it is paid by, and what was not paid and why."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection, select

from app.billing.formats.statement import Statement
from app.billing.rules.not_paid import NotPaid, not_paid
from app.billing.store import load_lines
from app.billing.tables import billing_lines
from app.core.month import Month
from app.facts.accounts import AccountResult
from app.months.loading import Books
from app.months.reading import chains_of_provider, visits_of
from app.months.rules.chain import Chain
from app.months.rules.reasons import as_it_stands, ledger_as_it_stands
from app.refusals import NotFound
from app.registry.tables import providers


def statement_of(connection: Connection, month: Month, provider_id: str) -> Statement:
    """The statement, with the same sum as the billing export. NotFound for an unknown provider."""
    name = connection.execute(select(providers.c.name).where(providers.c.provider_id == provider_id)).scalar()
    if name is None:
        raise NotFound(f"there is no provider {provider_id!r}")
    c = billing_lines.c
    lines = load_lines(connection, c.month_on == month.first_on, c.provider_id == provider_id)
    unpaid: list[NotPaid] = []
    for books, chain in chains_of_provider(connection, month, provider_id):
        client_id = chain.result.account.client_id
        visits = [
            visit for visit in visits_of(connection, month, [client_id])[client_id] if visit.provider_id == provider_id
        ]
        unpaid += not_paid(_as_closed(books, chain), visits, books.book)
    return Statement(month, provider_id, name, lines, tuple(unpaid))


def _as_closed(books: Books, chain: Chain) -> AccountResult:
    """The account; of a closed month the one its run froze, with what has become of its excess."""
    result = chain.result
    account = result.account
    history = books.history_of((account.client_id, account.provider_id))
    frozen = history.get(account.month)
    shown = as_it_stands(account.month, history, result.data.reasons, books.book)
    if frozen is None or shown is None:
        return result
    ledger = ledger_as_it_stands(frozen.ledger, shown)
    return replace(result, account=shown, write_ledger=lambda: ledger)
