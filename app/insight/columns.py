"""Rows of whole numbers out of PostgreSQL as columns: arrays in binary read by numpy, a city's month in seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format
from sqlalchemy import Connection

from app.insight.stays import Ints

_INT8_ARRAY, _INSTANT_ARRAY = 1016, 1185
_SINCE_1970_US = 946_684_800_000_000
"""PostgreSQL counts microseconds from 2000-01-01."""
_HEADER = 20
_CELL = np.dtype([("length", ">i4"), ("value", ">i8")])


class _Raw(Loader):
    """The wire's own bytes of an array: numpy reads them faster than a list is made."""

    format = Format.BINARY

    def load(self, data: Buffer) -> bytes:
        return bytes(data)


def read_numbers(connection: Connection, query: str, values: Mapping[str, Any], columns: int) -> list[Ints]:
    """The columns of a query all of whose cells are bigint or timestamptz and never NULL (else ValueError), unordered.

    Instants are microseconds since 1970. The database packs each column into one array: a row costs some bytes, not a
    message.
    """
    names = [f"c{index}" for index in range(columns)]
    packed = ", ".join(f"coalesce(array_agg({name}), '{{}}')" for name in names)
    cursor = connection.connection.driver_connection.cursor(binary=True)  # type: ignore[union-attr]  # psycopg's
    for kind in (_INT8_ARRAY, _INSTANT_ARRAY):
        cursor.adapters.register_loader(kind, _Raw)
    cursor.execute(f"SELECT {packed} FROM ({query}) AS found ({', '.join(names)})", values)  # noqa: S608 -- ours
    instants = [column.type_code == _INSTANT_ARRAY for column in cursor.description]
    return [
        _unpacked(cell) + _SINCE_1970_US if instant else _unpacked(cell)
        for cell, instant in zip(cursor.fetchone(), instants, strict=True)
    ]


def _unpacked(cell: bytes) -> Ints:
    """PostgreSQL's binary array of eight-byte numbers: dimensions, flags, type, then length and value of each."""
    cells = np.frombuffer(memoryview(cell)[_HEADER:], dtype=_CELL)
    if len(cells) and not bool((cells["length"] == 8).all()):
        raise ValueError("a cell is NULL")
    return cells["value"].astype(np.int64)


def code(
    numbers: Ints, known: Iterable[tuple[int, str]], ask: Callable[[], Iterable[tuple[int, str]]]
) -> tuple[Ints, Sequence[str]]:
    """Hashes as places in a list of names; `ask` gives names where `known` does not suffice.

    Names of `known` that do not occur are in the list as well. ValueError where a hash has two names, or none.
    """
    names = _by_hash(known, {})
    places = _places(numbers, names)
    if places is None:
        names = _by_hash(ask(), names)
        places = _places(numbers, names)
    if places is None:
        raise ValueError("a hash without a name")
    return places, [names[number] for number in sorted(names)]


def _places(numbers: Ints, names: Mapping[int, str]) -> Ints | None:
    """Where each number is in the sorted hashes; None where one is not."""
    if not names:
        return None if len(numbers) else numbers
    hashes = np.sort(np.fromiter(names, dtype=np.int64, count=len(names)))
    places = np.searchsorted(hashes, numbers).clip(max=len(hashes) - 1)
    return places if bool((hashes[places] == numbers).all()) else None


def _by_hash(named: Iterable[tuple[int, str]], names: dict[int, str]) -> dict[int, str]:
    for number, name in named:
        if names.setdefault(number, name) != name:
            raise ValueError("two names have one hash")
    return names
