"""How a command's result leaves it: JSON alone on stdout, a table for people, CSV for spreadsheets."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, date, datetime
from enum import Enum, StrEnum
from fractions import Fraction
from typing import Any, TextIO

Row = Mapping[str, Any]
MOST_STYLED = 500
"""Rows of a table on a terminal that are drawn with styles; more scroll past anyway."""


class Format(StrEnum):
    """The values of `--format`."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


class Lang(StrEnum):
    """The values of `--lang`."""

    SV = "sv"
    EN = "en"


def emit(rows: Iterable[Row], fmt: Format, columns: Sequence[str] | None = None, *, out: TextIO | None = None) -> None:
    """Write rows: a JSON array, a table, or CSV with a header. `columns` chooses and orders; default the first row's.

    JSON and CSV stream; a table is held in memory. Instants are RFC 3339 in UTC. CSV cells that a spreadsheet would
    take for a formula are prefixed with an apostrophe (EVIDENCE.md section 6).
    """
    out = out or sys.stdout
    if fmt is Format.JSON:
        _emit_json(rows, columns, out)
    elif fmt is Format.CSV:
        _emit_csv(rows, columns, out)
    else:
        _emit_table(list(rows), columns, out)


def emit_object(value: Mapping[str, Any], fmt: Format, *, out: TextIO | None = None) -> None:
    """Write one object (`continuity`, `quality`, `shadow`, `explain`): JSON, or its fields as name and value."""
    out = out or sys.stdout
    if fmt is Format.JSON:
        out.write(json.dumps(value, default=plain, ensure_ascii=False) + "\n")
        return
    emit(({"field": name, "value": cell} for name, cell in value.items()), fmt, ("field", "value"), out=out)


def plain(value: Any) -> Any:
    """A value as JSON knows it: instants RFC 3339 UTC, dates ISO, exact fractions as decimals with 10 digits."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Fraction):
        return decimal_of(value)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return str(value)


def decimal_of(value: Fraction, digits: int = 10) -> float:
    """An exact fraction for output only, rounded half to even at `digits` decimals (CONTRACT section 4)."""
    return round(float(value), digits)


def _emit_json(rows: Iterable[Row], columns: Sequence[str] | None, out: TextIO) -> None:
    out.write("[")
    for number, row in enumerate(rows):
        chosen = row if columns is None else {name: row.get(name) for name in columns}
        out.write((",\n" if number else "\n") + json.dumps(dict(chosen), default=plain, ensure_ascii=False))
    out.write("\n]\n")


def _emit_csv(rows: Iterable[Row], columns: Sequence[str] | None, out: TextIO) -> None:
    writer = csv.writer(out, lineterminator="\n")
    header = columns
    if header is not None:
        writer.writerow(header)
    for row in rows:
        if header is None:
            header = list(row)
            writer.writerow(header)
        writer.writerow([csv_cell(row.get(name)) for name in header])


def csv_cell(value: Any) -> str:
    """A cell's text; a text that begins as a formula does gets an apostrophe before it, a number keeps its sign."""
    text = cell_text(value)
    if isinstance(value, (int, float, Fraction)) or not text:
        return text
    return f"'{text}" if text[0] in "=+-@\t\r" else text


def cell_text(value: Any) -> str:
    """A value as one cell: empty for None, yes/no for booleans as in the bundle, JSON for what has parts."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple, Mapping, set, frozenset)) or (is_dataclass(value)):
        return json.dumps(
            value if isinstance(value, (list, tuple)) else plain(value), default=plain, ensure_ascii=False
        )
    return str(plain(value)) if not isinstance(value, (str, int, float)) else str(value)


def _emit_table(rows: list[Row], columns: Sequence[str] | None, out: TextIO) -> None:
    header = list(columns) if columns is not None else list(rows[0]) if rows else []
    if out.isatty() and len(rows) <= MOST_STYLED:
        _emit_styled(rows, header, out)
        return
    # A pipe has no width to fold at and no styles, and a city's thousands of rows take rich half a minute.
    cells = [header, *([" ".join(cell_text(row.get(name)).split("\n")) for name in header] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    right = [_is_numeric(rows, name) for name in header]
    for row in cells if header else []:
        aligned = [
            cell.rjust(width) if numeric else cell.ljust(width)
            for cell, width, numeric in zip(row, widths, right, strict=True)
        ]
        out.write("  ".join(aligned).rstrip() + "\n")
    out.write(f"{len(rows)} rows\n")


def _is_numeric(rows: list[Row], name: str) -> bool:
    return all(isinstance(row.get(name), int) for row in rows) and bool(rows)


def _emit_styled(rows: list[Row], header: list[str], out: TextIO) -> None:
    """For a person at a terminal: bold heads, cells folded to its width."""
    from rich.console import Console  # noqa: PLC0415 -- JSON and CSV need no rich
    from rich.table import Table  # noqa: PLC0415 -- likewise

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in header:
        table.add_column(name, justify="right" if _is_numeric(rows, name) else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_escaped(cell_text(row.get(name))) for name in header))
    console = Console(file=out)
    if header:
        console.print(table)
    console.print(f"{len(rows)} rows", style="dim")


def _escaped(text: str) -> str:
    from rich.markup import escape  # noqa: PLC0415 -- as above

    return escape(text)
