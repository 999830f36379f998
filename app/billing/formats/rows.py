"""A line as plain values, in the order of CONTRACT.md 4, and text cells that no spreadsheet runs as a formula."""

from __future__ import annotations

from dataclasses import fields
from datetime import date, datetime

from app.billing.rules.totals import ControlTotals
from app.core.localtime import format_instant
from app.core.month import Month
from app.facts.accounts import FeeLine
from app.facts.derived import BillingLine

Value = str | int | None
Row = dict[str, Value]

LINE_COLUMNS = tuple(field.name for field in fields(BillingLine))
FEE_COLUMNS = tuple(field.name for field in fields(FeeLine))
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def line_row(line: BillingLine | FeeLine) -> Row:
    """The line's fields as texts, whole numbers and None."""
    return {field.name: _value(getattr(line, field.name)) for field in fields(line)}


def totals_row(totals: ControlTotals) -> Row:
    return {field.name: getattr(totals, field.name) for field in fields(totals)}


def safe_cell(value: Value) -> Value:
    """A text that a spreadsheet would run as a formula gets an apostrophe in front; numbers stay numbers."""
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return f"'{value}"
    return value


def _value(value: object) -> Value:
    if isinstance(value, datetime):
        return format_instant(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Month):
        return str(value)
    if value is None or isinstance(value, str | int):
        return value
    raise TypeError(f"no cell for {value!r}")
