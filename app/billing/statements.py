"""A provider's utbetalningsbesked for a month: the lines it is paid by, and what was not paid and why."""

from __future__ import annotations

from sqlalchemy import Connection, select

from app.billing.formats.statement import Statement
from app.billing.rules.not_paid import NotPaid, not_paid
from app.billing.store import load_lines
from app.billing.tables import billing_lines
from app.core.month import Month
from app.months.reading import chains_of_provider, visits_of
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
        unpaid += not_paid(chain.result, visits, books.book)
    return Statement(month, provider_id, name, lines, tuple(unpaid))
