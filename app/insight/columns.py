"""Rows of whole numbers out of PostgreSQL as columns: arrays in binary read by numpy, a city's month in seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format
from sqlalchemy import Connection

from app.insight.stays import Ints, different

_INT8_ARRAY = 1016
_HEADER = 20
_CELL = np.dtype([("length", ">i4"), ("value", ">i8")])


class _Raw(Loader):
    """The wire's own bytes of an array: numpy reads them faster than a list is made."""

    format = Format.BINARY

    def load(self, data: Buffer) -> bytes:
        return bytes(data)


def read_numbers(connection: Connection, query: str, values: Mapping[str, Any], columns: int) -> list[Ints]:
    """The columns of a query all of whose cells are bigint and never NULL (else ValueError), in no particular order.

    The database packs each column into one array: a row costs some bytes, not a message.
    """
    names = [f"c{index}" for index in range(columns)]
    packed = ", ".join(f"coalesce(array_agg({name}), '{{}}')" for name in names)
    cursor = connection.connection.driver_connection.cursor(binary=True)  # type: ignore[union-attr]  # psycopg's
    cursor.adapters.register_loader(_INT8_ARRAY, _Raw)
    cursor.execute(f"SELECT {packed} FROM ({query}) AS found ({', '.join(names)})", values)  # noqa: S608 -- ours
    return [_unpacked(cell) for cell in cursor.fetchone()]


def _unpacked(cell: bytes) -> Ints:
    """PostgreSQL's binary array of bigint: dimensions, flags, type, then length and value of each."""
    cells = np.frombuffer(memoryview(cell)[_HEADER:], dtype=_CELL)
    if len(cells) and not bool((cells["length"] == 8).all()):
        raise ValueError("a cell is NULL")
    return cells["value"].astype(np.int64)


def code(
    numbers: Ints, known: Iterable[tuple[int, str]], ask: Callable[[], Iterable[tuple[int, str]]]
) -> tuple[Ints, Sequence[str]]:
    """Hashes as places in the list of the names that occur; `ask` gives names where `known` does not suffice.

    ValueError where a hash has two names, or none.
    """
    occurring = different(numbers)
    names = _place(occurring, known, {})
    if len(names) < len(occurring):
        names = _place(occurring, ask(), names)
    if len(names) < len(occurring):
        raise ValueError("a hash without a name")
    return np.searchsorted(occurring, numbers), [names[place] for place in range(len(occurring))]


def _place(occurring: Ints, named: Iterable[tuple[int, str]], names: dict[int, str]) -> dict[int, str]:
    rows = list(named)
    if not rows or not len(occurring):
        return names
    hashes = np.array([number for number, _ in rows], dtype=np.int64)
    places = np.searchsorted(occurring, hashes)
    found = np.flatnonzero((places < len(occurring)) & (occurring[places.clip(max=len(occurring) - 1)] == hashes))
    for index in found.tolist():
        place, name = int(places[index]), rows[index][1]
        if names.setdefault(place, name) != name:
            raise ValueError("two names have one hash")
    return names
