"""Rows of whole numbers out of PostgreSQL as columns: binary COPY read by numpy, a city's month in about a second."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection

from app.insight.stays import Ints, different

_SIGNATURE = b"PGCOPY\n\xff\r\n\x00"
_TRAILER = 2


def copy_numbers(connection: Connection, query: str, values: Mapping[str, Any], columns: int) -> list[Ints]:
    """The columns of a query all of whose cells are bigint and never NULL (else ValueError)."""
    driver = connection.connection.cursor()
    parts: list[bytes] = []
    with driver.copy(f"COPY ({query}) TO STDOUT (FORMAT BINARY)", values) as copy:
        parts.extend(bytes(part) for part in copy)
    data = b"".join(parts)
    header = len(_SIGNATURE) + 8 + int.from_bytes(data[len(_SIGNATURE) + 4 : len(_SIGNATURE) + 8], "big")
    cell = [("length", ">i4"), ("value", ">i8")]
    row = np.dtype([("fields", ">i2"), *((f"c{index}", cell) for index in range(columns))])
    body = memoryview(data)[header : len(data) - _TRAILER]
    if len(body) % row.itemsize:
        raise ValueError("a cell is NULL or not a bigint")
    rows = np.frombuffer(body, dtype=row)
    return [rows[f"c{index}"]["value"].astype(np.int64) for index in range(columns)]


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
