"""The first wall: conditions every query of a door carries. PostgreSQL's row-level security is the second.

The two know nothing of each other, so that each holds when the other is broken (the leak tests switch them off in
turn by replacing `narrowed`).
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, true

from app.access.principals import Principal

SEEN_AFTER_VISIT = timedelta(days=90)
"""How long an own visit shows a client's name and address (EVIDENCE.md section 4)."""


def narrowed(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """The condition itself. The one place through which every filter of this module goes."""
    return condition


def of_provider(principal: Principal, column: Any) -> ColumnElement[bool]:
    """Rows whose provider is the caller's own; all for the city."""
    if not principal.provider_id:
        return true()
    return narrowed(column == principal.provider_id)


def of_district(principal: Principal, column: Any) -> ColumnElement[bool]:
    """Rows of a commissioner's own district; all for everybody else."""
    if not principal.district:
        return true()
    return narrowed(column == principal.district)


def of_units(principal: Principal, column: Any) -> ColumnElement[bool]:
    """Rows of the caller's units; all where the role is not limited to units."""
    if not principal.unit_ids:
        return true()
    return narrowed(column.in_(sorted(principal.unit_ids)))


def of_staff(principal: Principal, column: Any) -> ColumnElement[bool]:
    """A carer's own rows; all for the other roles."""
    if principal.role != "carer":
        return true()
    return narrowed(column == principal.staff_id)


def of_clients(principal: Principal, client_id: Any, known: Select[Any]) -> ColumnElement[bool]:
    """Rows about clients among `known`, a SELECT of client_ids the caller may know; all for the whole city."""
    if not principal.provider_id and not principal.district:
        return true()
    return narrowed(client_id.in_(known))


def visits_since(now: datetime) -> date:
    """The first day whose own visits still show a client."""
    return (now - SEEN_AFTER_VISIT).date()
