"""How a month account looks from outside (CONTRACT.md 4): the same fields on the command line and over HTTP."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from app.core.localtime import format_instant, month_bounds
from app.core.month import Month
from app.evidence.store import Wanted, among, load_declines, load_planned_visits
from app.facts import PlannedVisit
from app.months.rules.forecast import Forecast, forecast
from app.months.store import StoredAccount
from app.months.tables import FIGURES
from app.policies import Policy, PolicyBook
from app.visits.tables import visits

ACCOUNT_FIELDS = (
    "month", "client_id", "provider_id", "unit_id", "district", *FIGURES, "forecast_minutes", "forecast_percent",
    "crosses_ceiling_on", "time_left_minutes", "policy_version", "state", "known_at",
)  # fmt: skip


def accounts_fields(
    connection: Connection, stored: Sequence[StoredAccount], book: PolicyBook, now: datetime
) -> Iterator[dict[str, Any]]:
    """Accounts of one month as CONTRACT.md 4 names them, each with its forecast at `now`."""
    if not stored:
        return
    month = stored[0].account.month
    policy = book.on(month.first_on)
    clients = {one.account.client_id for one in stored}
    plans = _plans_ahead(connection, month, clients, now)
    done = _begun_early(connection, clients, now, policy) if plans else frozenset()
    for one in stored:
        plan = plans.get((one.account.client_id, one.account.provider_id), ())
        yield account_fields(one, forecast(one.as_result(), plan, done, policy, now))


def account_fields(stored: StoredAccount, ahead: Forecast) -> dict[str, Any]:
    """One account with its forecast."""
    account = stored.account
    fields = {name: getattr(account, name) for name in FIGURES}
    crosses = ahead.crosses_ceiling_on
    return {
        "month": str(account.month),
        "client_id": account.client_id,
        "provider_id": account.provider_id,
        "unit_id": account.unit_id,
        "district": account.district,
        **fields,
        "forecast_minutes": ahead.forecast_minutes,
        "forecast_percent": ahead.forecast_percent,
        "crosses_ceiling_on": crosses.isoformat() if crosses else None,
        "time_left_minutes": ahead.time_left_minutes,
        "policy_version": account.policy_version,
        "state": account.state,
        "known_at": format_instant(account.known_at) if account.known_at else None,
    }


def _plans_ahead(
    connection: Connection, month: Month, clients: Collection[str], now: datetime
) -> dict[tuple[str, str], list[PlannedVisit]]:
    """What is planned after `now` in the month and not declined, by client and provider."""
    from_at, to_at = month_bounds(month)
    found: dict[tuple[str, str], list[PlannedVisit]] = defaultdict(list)
    if now >= to_at:
        return found
    ahead = Wanted(clients=clients, from_at=max(now, from_at), to_at=to_at)
    declined = {(one.client_id, one.provider_id, one.planned_start_at) for one in load_declines(connection, ahead)}
    for plan in load_planned_visits(connection, ahead):
        if (plan.client_id, plan.provider_id, plan.start_at) not in declined:
            found[plan.client_id, plan.provider_id].append(plan)
    return found


def _begun_early(connection: Connection, clients: Collection[str], now: datetime, policy: Policy) -> frozenset[str]:
    """Plans that lie ahead and are carried out already: a visit may begin so much before its plan."""
    c = visits.c
    since = now - timedelta(hours=policy.plan_match_h)
    query = select(c.planned_id).where(
        among(c.client_id, clients), c.at >= since, c.status.in_(("complete", "declined")), c.planned_id != ""
    )
    return frozenset(connection.execute(query).scalars())
