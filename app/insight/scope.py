"""Whose rows a figure is made of: everybody's for a command, a caller's own for a door (EVIDENCE.md section 4).

The first wall of the doors. Row-level security is the second and knows nothing of this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, select

from app.access.filters import of_clients, of_district, of_provider
from app.access.principals import Principal
from app.registry.tables import orders


@dataclass(frozen=True, slots=True)
class Scope:
    """The rows of a provider (its own) or of a commissioner (clients of the own district); None: all rows."""

    principal: Principal | None = None

    def provider(self, column: Any) -> tuple[ColumnElement[bool], ...]:
        """Rows of the caller's own provider."""
        return () if self.principal is None else (of_provider(self.principal, column),)

    def care(self, columns: Any) -> tuple[ColumnElement[bool], ...]:
        """Rows about care, with provider_id and client_id: also only clients with an order of the own district."""
        if self.principal is None:
            return ()
        of_caller = of_provider(self.principal, columns.provider_id)
        if not self.principal.district:
            return (of_caller,)
        known = select(orders.c.client_id).where(orders.c.district == self.principal.district)
        return (of_caller, of_clients(self.principal, columns.client_id, known))

    def orders(self) -> tuple[ColumnElement[bool], ...]:
        """Orders of the own provider or district."""
        if self.principal is None:
            return ()
        return (of_provider(self.principal, orders.c.provider_id), of_district(self.principal, orders.c.district))


EVERYTHING = Scope()


def as_text(connection: Connection, conditions: tuple[ColumnElement[bool], ...]) -> tuple[str, Mapping[str, Any]]:
    """` AND (...)` for a query written as text, and the values it needs; nothing where there is no condition."""
    if not conditions:
        return "", {}
    made = and_(*conditions).compile(dialect=connection.dialect, compile_kwargs={"render_postcompile": True})
    return f" AND ({made})", made.params
