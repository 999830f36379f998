"""Rows of a table written together: one statement and one array a column however many rows.

A statement a row costs a round trip in Python and in PostgreSQL; most of what a derivation wrote was that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table, TextClause, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.types import TypeEngine

from app.db.arrays import array_text

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own, which has no annotation here


def upsert(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], keys: tuple[str, ...], where: str = ""
) -> None:
    """Insert rows that name the same columns; one whose `keys` are there already is overwritten (`where`: only then).

    No two rows of one call may have the same keys. Raises DBAPIError.
    """
    if not rows:
        return
    names = tuple(rows[0])
    columns = {}
    for name in names:
        write = _writer(table.c[name].type)
        values = [row[name] for row in rows]
        columns[name] = values if write is None else [None if value is None else write(value) for value in values]
    connection.execute(_upsert(table, names, keys, where), columns)


@cache
def _upsert(table: Table, names: tuple[str, ...], keys: tuple[str, ...], where: str) -> TextClause:
    kinds = {name: table.c[name].type for name in names}
    listed = ", ".join(f'"{name}"' for name in names)
    arrays = ", ".join(f"CAST(:{name} AS {'text' if _writer(kind) else _name(kind)}[])" for name, kind in kinds.items())
    values = ", ".join(
        f'CAST(x."{name}" AS {_name(kind)})' if _writer(kind) else f'x."{name}"' for name, kind in kinds.items()
    )
    changes = ", ".join(f'"{name}" = excluded."{name}"' for name in names if name not in keys)
    return text(
        f"INSERT INTO {table.name} ({listed}) SELECT {values} FROM unnest({arrays}) AS x({listed})"  # noqa: S608 -- our own table's names
        f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {changes}{f' WHERE {table.name}.{where}' if where else ''}"
    )


def _name(kind: TypeEngine[Any]) -> str:
    return str(kind.compile(dialect=_DIALECT))


def _writer(kind: TypeEngine[Any]) -> Callable[[Any], str] | None:
    """How a value that is itself a list or JSON is written as an element; None for plain ones."""
    if isinstance(kind, ARRAY):
        return array_text
    return json.dumps if isinstance(kind, JSONB) else None
