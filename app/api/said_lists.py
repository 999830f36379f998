"""What the routes of people's statements share: their rows, their pages, finding one, confirming one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from fastapi import Request
from sqlalchemy import ColumnElement, Connection
from starlette.responses import Response

from app.access.filters import of_clients, of_provider
from app.access.principals import Principal
from app.api.access import reading
from app.api.paging import cursor_of, page, place_of
from app.api.walls import clients_of_district
from app.evidence.stated import KINDS, Said, at_of, load_by_id, load_said
from app.refusals import Conflict, NotFound


def said_fields(said: Said) -> dict[str, Any]:
    """A statement as a row: its fields, whose it is, its version and when that was stored."""
    kind = KINDS[type(said.fact)]
    row = {name: getattr(said.fact, name) for name in kind.names}
    if "provider_id" not in row and "provider_id" in kind.table.c:
        row["provider_id"] = said.provider_id
    return {**row, "version": said.version, "stored_at": said.stored_at}


def stated_seen_by(principal: Principal, fact: type[Any]) -> list[ColumnElement[bool]]:
    """The first wall for statements of a kind: own provider, own district's clients."""
    c = KINDS[fact].table.c
    conditions = [of_provider(principal, c.provider_id)] if "provider_id" in c else []
    if principal.district and "client_id" in c:
        conditions.append(of_clients(principal, c.client_id, clients_of_district(principal)))
    return conditions


def list_said(
    request: Request,
    principal: Principal,
    fact: type[Any],
    conditions: Sequence[ColumnElement[bool]],
    paging: tuple[int, str],
) -> Response:
    """A page of statements of a kind by (time, id); `paging` is (limit, cursor)."""
    limit, cursor = paging
    place = place_of(cursor, datetime, str)
    kind = KINDS[fact]
    with reading(request, principal) as read:
        found = load_said(read.connection, fact, conditions, limit + 1, (place[0], place[1]) if place else None)
        rows = [said_fields(said) for said in found[:limit]]
        read.saw(row[name] for row in rows for name in ("client_id", "staff_id") if row.get(name))
    last = found[limit - 1] if len(found) > limit else None
    following = cursor_of(at_of(last), getattr(last.fact, kind.key)) if last else None
    return page(request, rows, following, columns_of(fact))


def columns_of(fact: type[Any]) -> tuple[str, ...]:
    """The columns of a kind's rows."""
    kind = KINDS[fact]
    own = () if "provider_id" in kind.names or "provider_id" not in kind.table.c else ("provider_id",)
    return (*kind.names, *own, "version", "stored_at")


def find_said(connection: Connection, fact: type[Any], ident: str, conditions: Sequence[ColumnElement[bool]]) -> Said:
    """The statement of an id under the conditions. NotFound; Conflict where several providers have that id."""
    found = load_by_id(connection, fact, [ident], conditions) if ident.isprintable() else []
    if not found:
        raise NotFound
    if len(found) > 1:
        raise Conflict
    return found[0]


def own_provider(principal: Principal, given: str) -> str:
    """Whose statement it is: the caller's own, or the one that the city names. NotFound for another's, or none."""
    provider_id = principal.provider_id or given
    if not provider_id or (given and given != provider_id):
        raise NotFound
    return provider_id
