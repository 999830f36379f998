"""`order_misfit`: an order that has not fitted for months, for the commissioner (DOMAIN.md 3). Judged at close."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from sqlalchemy import Connection

from app.core.month import Month
from app.facts import MonthAccount
from app.findings import store as finding_store
from app.months import store
from app.months.rules.forecast import order_misfit
from app.months.tables import month_accounts
from app.registry.store import load_policy_book


def note_misfits(connection: Connection, month: Month, now: datetime) -> int:
    """Note the accounts of a month just closed that end a row of months above or under; how many."""
    policy = load_policy_book(connection).on(month.first_on)
    months = [month.plus(-back) for back in reversed(range(policy.misfit_months))]
    rows: dict[tuple[str, str], list[MonthAccount]] = defaultdict(list)
    for one in store.load_current(connection, month_accounts.c.month_on.in_([each.first_on for each in months])):
        rows[one.account.client_id, one.account.provider_id].append(one.account)
    found = [
        finding
        for accounts in rows.values()
        if (finding := order_misfit(sorted(accounts, key=lambda one: one.month), policy)) is not None
    ]
    finding_store.put(connection, "account", found, now)
    return len(found)
