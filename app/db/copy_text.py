"""Rows in COPY's text format, written as PostgreSQL itself writes them.

So a line can be compared with what `COPY ... TO STDOUT` says of a stored row: equal lines are equal rows. (Unequal
lines may still be equal rows: PostgreSQL compares those.)
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import psycopg
from sqlalchemy import Connection

from app.db.arrays import quoted

_ESCAPES = {ord("\\"): r"\\", ord("\t"): r"\t", ord("\n"): r"\n", ord("\r"): r"\r"}
_PLAIN = re.compile(r"[a-z][a-z0-9_]*")


def copy_line(cells: Sequence[str | None]) -> bytes:
    """The cells as one line, its end included; None is NULL."""
    line = "\t".join([r"\N" if cell is None else cell for cell in cells])
    plain = (
        line.count("\t") == len(cells) - 1
        and line.count("\\") == cells.count(None)
        and "\n" not in line
        and "\r" not in line
    )
    if not plain:
        line = "\t".join([r"\N" if cell is None else cell.translate(_ESCAPES) for cell in cells])
    return f"{line}\n".encode()


def instant_cell(at: datetime) -> str:
    """An instant as PostgreSQL shows it where the session's time zone is UTC."""
    text = at.isoformat(" ")
    if not text.endswith("+00:00"):
        return text
    if at.microsecond:
        return text[:-6].rstrip("0") + "+00"
    return text[:-3]


def array_cell(values: Collection[str]) -> str:
    """A one-dimensional array of texts."""
    if not values:
        return "{}"
    return "{" + ",".join([_element(value) for value in values]) + "}"


def _element(value: str) -> str:
    if _PLAIN.fullmatch(value) and value != "null":
        return value
    return quoted(value)


def raw_connection(connection: Connection) -> psycopg.Connection[Any]:
    """psycopg's connection, for COPY."""
    raw = connection.connection.driver_connection
    if not isinstance(raw, psycopg.Connection):
        raise TypeError("the engine makes psycopg connections only")
    return raw
