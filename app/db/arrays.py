"""Lists as PostgreSQL's array text, quick enough for the rows of a flush: one array a column instead of a row a time.

psycopg looks for what must be quoted in every element by itself; that was a fifth of receiving a tap. A JSON list
differs from an array's text in its brackets and in its escapes only, so a list without anything to escape is written by
pydantic's JSON writer, eight times quicker than an element a time here, and most lists are such.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from types import NoneType
from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.types.array import ListDumper
from pydantic_core import PydanticSerializationError, to_json


def quoted(value: str) -> str:
    """A text as an element of an array."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _plainly(value: Any) -> str:
    return f'"{value}"'


def _instant(value: datetime) -> str:
    return f'"{value.isoformat()}"'


def _bytes(value: bytes) -> str:
    return f'"\\\\x{value.hex()}"'


def _boolean(value: bool) -> str:
    return "t" if value else "f"


_ELEMENTS: Mapping[type, Callable[[Any], str]] = {
    str: quoted,
    int: str,
    bool: _boolean,
    bytes: _bytes,
    date: _plainly,
    datetime: _instant,
}
_AS_IN_JSON = frozenset({str, int, bool, date, datetime})


def array_text(values: Iterable[Any]) -> str:
    """The array's text: texts, whole numbers, booleans, bytes, dates, instants, None; TypeError for anything else."""
    return _written(values if isinstance(values, list) else list(values)).decode()


def _written(listed: list[Any]) -> bytes | bytearray:
    """As `array_text`, in UTF-8. UnicodeEncodeError for a lone surrogate."""
    if not listed:
        return b"{}"
    kinds = set(map(type, listed))
    missing = NoneType in kinds
    kinds.discard(NoneType)
    if not kinds <= _ELEMENTS.keys() or len(kinds) > 1:
        raise TypeError("elements of one kind that has a text")
    if kinds <= _AS_IN_JSON and (unescaped := _unescaped(listed)) is not None:
        return unescaped
    write = _ELEMENTS[kinds.pop()] if kinds else str
    elements = ["NULL" if one is None else write(one) for one in listed] if missing else map(write, listed)
    return b"{%b}" % ",".join(elements).encode()


def _unescaped(listed: list[Any]) -> bytearray | None:
    """The text of a list in which nothing is escaped, else None."""
    try:
        written = bytearray(to_json(listed))
    except PydanticSerializationError:
        return None
    if b"\\" in written:
        return None
    written[0], written[-1] = b"{}"
    return written


class _Lists(ListDumper):
    """psycopg's own for everything that `array_text` does not know, and for texts that PostgreSQL refuses (NUL)."""

    def dump(self, obj: list[Any]) -> Buffer | None:
        try:
            written = _written(obj)
        except TypeError:
            return super().dump(obj)
        if b"\0" in written:
            return super().dump(obj)
        connection = self.connection
        encoding = connection.info.encoding if isinstance(connection, psycopg.Connection) else "utf-8"
        return written if encoding == "utf-8" else written.decode().encode(encoding)


def use_quick_lists(connection: psycopg.Connection[Any]) -> None:
    """Let this connection write lists so."""
    connection.adapters.register_dumper(list, _Lists)
