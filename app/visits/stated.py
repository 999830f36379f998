"""What a statement of a person touches, as changes to derive: queued in the statement's own transaction."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import Connection

from app.core.localtime import day_bounds, month_bounds
from app.core.month import Month
from app.facts import Attest, Correction, Decline, Dispute, ExcessReason, ManualVisit, PlannedVisit, Resolution, Tap
from app.visits.flow import resolve
from app.visits.queue import Change

Statement = PlannedVisit | Decline | ManualVisit | Correction | Dispute | ExcessReason | Resolution | Attest
_DAY = timedelta(days=1)


def changes_of_taps(taps: Iterable[Tap]) -> list[Change]:
    """New taps, or taps newly doubted."""
    return [Change("staff", tap.staff_id, tap.at, tap.at) for tap in taps]


def changes_of_statement(connection: Connection, said: Statement) -> list[Change]:
    """A new statement, or a new version of one; call it for the old version too."""
    if isinstance(said, PlannedVisit):
        return [Change("client", said.client_id, said.start_at, max(said.start_at, said.end_at))]
    if isinstance(said, Decline):
        last = max(said.planned_end_at, said.planned_start_at)
        return [
            Change("client", said.client_id, said.planned_start_at, last),
            _account(said.client_id, said.provider_id, said.planned_start_at),
        ]
    if isinstance(said, ManualVisit):
        return [Change("manual", said.manual_id)]
    if isinstance(said, Correction):
        return [Change("correction", said.correction_id)]
    if isinstance(said, Dispute):
        return [Change("client", said.client_id, *day_bounds(said.on_date))]
    if isinstance(said, ExcessReason):
        return [_account(said.client_id, said.provider_id, month_bounds(said.month)[0])]
    if isinstance(said, Attest):
        return [attested(said.provider_id, said.month)]
    return resolve(connection, [said.finding_id])


def attested(provider_id: str, month: Month) -> Change:
    """A provider's month is ready: the state of its accounts."""
    first_at = month_bounds(month)[0]
    return Change("accounts", provider_id, first_at, first_at)


def _account(client_id: str, provider_id: str, at: datetime) -> Change:
    """The account of an instant's month, and the next one, into which it may be carried."""
    return Change("account", client_id, at, at + 32 * _DAY, provider_id)
