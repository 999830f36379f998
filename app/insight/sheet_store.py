"""What a client's sheet asks the database. Reads only."""

from __future__ import annotations

from sqlalchemy import Connection, select

from app.core.localtime import local_date, month_bounds
from app.core.month import Month
from app.facts import Directory, Visit
from app.insight.client_sheet import Office, SheetFacts, first_name
from app.insight.stays import COUNTED_CLASSES
from app.months.rules.ordered_time import ordered_time
from app.refusals import NotFound
from app.registry.store import load_directory, load_policy_book
from app.visits.store import from_row
from app.visits.tables import decline_outcomes, visits


def load_sheet(connection: Connection, month: Month, client_id: str) -> SheetFacts:
    """Everything the sheet says. NotFound for an unknown client."""
    rows = _visits(connection, month, client_id)
    directory = load_directory(connection, clients=[client_id], staff=sorted({visit.staff_id for visit in rows}))
    client = directory.clients.get(client_id)
    if client is None:
        raise NotFound(f"there is no client {client_id!r}")
    policy = load_policy_book(connection).on(month.first_on)
    orders = directory.orders_of_client(client_id)
    ordered = sum(
        ordered_time(
            [order for order in orders if order.provider_id == provider_id],
            directory.absences(client_id),
            month,
            policy,
        ).minutes
        for provider_id in {order.provider_id for order in orders}
    )
    from_at, to_at = month_bounds(month)
    declined = [
        max(row.planned_minutes - row.executed_minutes, 0)
        for row in connection.execute(
            select(decline_outcomes).where(
                decline_outcomes.c.client_id == client_id,
                decline_outcomes.c.planned_start_at >= from_at,
                decline_outcomes.c.planned_start_at < to_at,
                decline_outcomes.c.notice != "absent",
            )
        )
    ]
    return SheetFacts(
        client_name=client.name or client_id,
        client_word=policy.client_word,
        month=month,
        visits=[visit for visit in rows if Month.of(local_date(visit.at)) == month],
        names={visit.staff_id: _name(directory, visit) for visit in rows},
        ordered_minutes=ordered,
        used_minutes=sum(_used(visit, month) for visit in rows),
        declined=len(declined),
        declined_minutes=sum(declined),
        offices=_offices(directory, client_id, month),
    )


def _visits(connection: Connection, month: Month, client_id: str) -> list[Visit]:
    """The client's visits of the month and of the one before: a night may end in this one."""
    query = select(visits).where(
        visits.c.month_on.in_((month.first_on, month.previous.first_on)),
        visits.c.client_id == client_id,
        ~visits.c.ceased,
    )
    return [from_row(row) for row in connection.execute(query)]


def _used(visit: Visit, month: Month) -> int:
    """Executed minutes that lie in the month, of accepted visits of the classes that count."""
    if not visit.accepted or visit.role != "carer" or visit.service not in COUNTED_CLASSES:
        return 0
    return sum(minutes for on, minutes in visit.minutes_by_day().items() if Month.of(on) == month)


def _name(directory: Directory, visit: Visit) -> str:
    employment = directory.employment(visit.staff_id, visit.at)
    return employment.name if employment else ""


def _offices(directory: Directory, client_id: str, month: Month) -> list[Office]:
    """The units that had an order in the month, each with the contact's first name."""
    offices: dict[tuple[str, str], Office] = {}
    for order in directory.orders_of_client(client_id):
        if order.valid_from > month.last_on or (order.valid_to is not None and order.valid_to < month.first_on):
            continue
        unit, provider = directory.units.get(order.unit_id), directory.providers.get(order.provider_id)
        name = (unit.name if unit else "") or (provider.name if provider else "") or order.provider_id
        contact = next(
            (
                first_name(employments[-1].name)
                for row in directory.contacts
                if (row.client_id, row.provider_id, row.kind) == (client_id, order.provider_id, "contact")
                and row.valid_from <= month.last_on
                and (row.valid_to is None or row.valid_to >= month.last_on)
                and (employments := directory.employments(row.staff_id))
            ),
            "",
        )
        offices[order.provider_id, order.unit_id] = Office(name, unit.phone if unit else "", contact)
    return list(offices.values())
