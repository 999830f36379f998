"""From the text of a cell to the text PostgreSQL reads, or ValueError with what was expected."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from functools import lru_cache

from app.core.month import Month
from app.registry.bundle.columns import Column

# What stands for NULL in COPY's text; no cell looks like it, and it needs no escaping.
NULL = "\x02N\x02"

_CLOCK = re.compile(
    r"[Tt ](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:[.]\d+)?(?:[Zz]|[+-](?:0\d|1[0-5]):[0-5]\d)", re.ASCII
).fullmatch
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII).fullmatch
_SHORT_INT = re.compile(r"\d{1,9}", re.ASCII).fullmatch
_INT = re.compile(r"-?\d{1,19}", re.ASCII).fullmatch
_DECIMAL = re.compile(r"-?\d{1,15}(?:[.]\d{1,10})?", re.ASCII).fullmatch
_SMALL = 2_147_483_647
_BIG_COLUMNS = frozenset({"seq", "kom_seq", "amount_ore"})
_NO_INSTANT = "a time with offset, RFC 3339 (2026-10-05T08:00:00+02:00)"
_NO_DATE = "a date YYYY-MM-DD"

Convert = Callable[[str], str]


def instant(text: str) -> str:
    """An RFC 3339 time with offset, years 1000 to 9998 (all clocks and offsets stay inside the calendar)."""
    if not _CLOCK(text, 10) or not _instants_date(text[:10]):
        raise ValueError(_NO_INSTANT)
    return text


@lru_cache(maxsize=4096)
def _instants_date(text: str) -> bool:
    try:
        return "1000" < day(text) < "9999"
    except ValueError:
        return False


def day(text: str) -> str:
    """A date."""
    try:
        if _DATE(text):
            date.fromisoformat(text)
            return text
    except ValueError:
        pass
    raise ValueError(_NO_DATE)


def month(text: str) -> str:
    """A month YYYY-MM."""
    try:
        return str(Month.parse(text))
    except ValueError:
        raise ValueError("a month YYYY-MM") from None


def converter(column: Column) -> Convert | None:
    """What a non-empty cell of the column goes through; None: any text."""
    if column.choices:
        return _closed(column.choices)
    if column.kind == "int":
        return _integer(column)
    if column.kind == "decimal":
        return _decimal
    return _BY_KIND[column.kind]


def fast_converter(column: Column) -> Convert | None:
    """As `converter`, but a value outside a closed list is a KeyError: for the hot loop, which asks again then."""
    return {choice: choice for choice in column.choices}.__getitem__ if column.choices else converter(column)


def empty_value(column: Column) -> str:
    """What an empty cell becomes."""
    if column.default:
        return _FLAGS.get(column.default, column.default) if column.kind == "flag" else column.default
    return "" if column.kind in ("text", "month") and not column.null else NULL


def _closed(choices: tuple[str, ...]) -> Convert:
    known: Mapping[str, str] = {choice: choice for choice in choices}
    expected = "one of " + ", ".join(choices)

    def convert(text: str) -> str:
        try:
            return known[text]
        except KeyError:
            raise ValueError(expected) from None

    return convert


def _integer(column: Column) -> Convert:
    largest = 9_223_372_036_854_775_807 if column.name in _BIG_COLUMNS else _SMALL
    expected = "a whole number" + (" not below 0" if column.positive else "") + f", at most {largest}"

    def convert(text: str) -> str:
        if _SHORT_INT(text):
            return text
        if not _INT(text) or (column.positive and text[0] == "-") or abs(int(text)) > largest:
            raise ValueError(expected)
        return text

    return convert


def _decimal(text: str) -> str:
    if not _DECIMAL(text):
        raise ValueError("a number, with a point before decimals")
    return text


def _flag(text: str) -> str:
    try:
        return _FLAGS[text]
    except KeyError:
        raise ValueError("yes or no") from None


_FLAGS = {"yes": "t", "no": "f"}
_BY_KIND: Mapping[str, Convert | None] = {
    "text": None,
    "date": day,
    "instant": instant,
    "month": month,
    "flag": _flag,
}
