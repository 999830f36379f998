"""Closed months as doors show them: what their runs froze, with what has become of the excess since.

"What becomes of the excess freezes when the following month closes" (DOMAIN.md 3): a decision between the two runs is
seen on the closed account, appended like any other change of one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from app.core.month import Month
from app.evidence.store import among
from app.facts import MonthAccount
from app.months import store
from app.months.loading import Books, Key
from app.months.rules.reasons import as_it_stands
from app.months.tables import month_accounts


def restate(
    connection: Connection, books: Books, months: Mapping[Key, Collection[Month]], now: datetime
) -> list[MonthAccount]:
    """Append those of the closed accounts among these that stand otherwise than they are shown; which they are."""
    touched = {(key, month) for key, its in months.items() for month in its if month in books.closed}
    if not touched:
        return []
    c = month_accounts.c
    shown = store.load_current(
        connection,
        among(c.client_id, {client_id for (client_id, _), _ in touched}),
        c.month_on.in_({month.first_on for _, month in touched}),
        c.state == "closed",
    )
    changed = []
    for one in shown:
        key, month = (one.account.client_id, one.account.provider_id), one.account.month
        if (key, month) not in touched:
            continue
        account = as_it_stands(month, books.history_of(key), books.reasons.get(key, ()), books.book)
        if account is not None and replace(account, known_at=one.account.known_at, state="closed") != one.account:
            changed.append(replace(one, account=replace(account, state="closed")))
    store.put(connection, changed, (), now)
    return [one.account for one in changed]
