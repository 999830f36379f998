"""`order_misfit`: an order that has not fitted for months, for the commissioner (DOMAIN.md 3).

Follows the accounts whenever they change, open or closed. Doors hide it until its last month is over: what is under in
the middle of a month may still fit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import Connection, or_

from app.core.month import Month
from app.evidence.store import among
from app.facts import Finding, MonthAccount
from app.findings import store as finding_store
from app.findings.tables import findings
from app.months import store
from app.months.loading import Key
from app.months.rules.forecast import order_misfit
from app.months.tables import month_accounts
from app.policies import PolicyBook

CODE = "order_misfit"


def note_misfits(
    connection: Connection, touched: Mapping[Key, Collection[Month]], book: PolicyBook, now: datetime
) -> None:
    """Judge the months of these accounts again, and those after them whose row of months they are in."""
    months = {month for its in touched.values() for month in its}
    if not months:
        return
    back = max(book.on(month.first_on).misfit_months for month in months) - 1
    judged = {key: {month.plus(later) for month in its for later in range(back + 1)} for key, its in touched.items()}
    c, rows = month_accounts.c, defaultdict[Key, dict[Month, MonthAccount]](dict)
    around = {month.plus(by) for month in months for by in range(-back, back + 1)}
    policies = [book.on(month.first_on) for month in around]
    near = c.month_on.between(min(around).first_on, max(around).first_on)
    mine = among(c.client_id, {client_id for client_id, _ in touched})
    hundredfold = c.reported_minutes * 100  # most months fit: they are not even read
    above = hundredfold > c.ordered_minutes * min(policy.misfit_over_percent for policy in policies)
    under = hundredfold < c.ordered_minutes * max(policy.misfit_under_percent for policy in policies)
    for one in store.load_current(connection, mine, near, or_(above, under)):
        rows[one.account.client_id, one.account.provider_id][one.account.month] = one.account
    made = [
        finding
        for key, its in judged.items()
        for month in its & rows[key].keys()
        if (finding := _judged(rows[key], month, book)) is not None
    ]
    stored = {
        finding.finding_id: finding
        for _, finding in finding_store.load(
            connection, findings.c.code == CODE, among(findings.c.client_id, {client_id for client_id, _ in touched})
        )
        if Month.parse(finding.fact("month")) in judged.get((finding.client_id, finding.provider_id), ())
    }
    wanted = {finding.finding_id for finding in made}
    finding_store.drop(connection, [one for one in stored if one not in wanted])
    finding_store.put(connection, "account", [one for one in made if stored.get(one.finding_id) != one], now)


def _judged(accounts: Mapping[Month, MonthAccount], month: Month, book: PolicyBook) -> Finding | None:
    policy = book.on(month.first_on)
    row = [month.plus(-back) for back in reversed(range(policy.misfit_months))]
    return order_misfit([accounts[one] for one in row if one in accounts], policy)
