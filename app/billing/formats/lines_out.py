"""Billing and fee lines as CSV (trailer: control totals), JSON (first object: control totals) and XLSX."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from typing import BinaryIO, TextIO

import xlsxwriter

from app.billing.formats.rows import FEE_COLUMNS, LINE_COLUMNS, Row, line_row, safe_cell, totals_row
from app.billing.rules.totals import control_totals
from app.facts.accounts import FeeLine
from app.facts.derived import BillingLine


def write_lines_csv(lines: Sequence[BillingLine], out: TextIO) -> None:
    """Header, one row a line, and a trailer `totals,lines=N,minutes=N,amount_ore=N,hash=...`."""
    _write_rows(out, LINE_COLUMNS, (line_row(line) for line in lines))
    totals = totals_row(control_totals(lines))
    csv.writer(out, lineterminator="\n").writerow(["totals", *(f"{name}={value}" for name, value in totals.items())])


def write_lines_json(lines: Sequence[BillingLine], out: TextIO) -> None:
    """An array: the control totals, then the lines."""
    _write_json([totals_row(control_totals(lines)), *map(line_row, lines)], out)


def write_lines_xlsx(lines: Sequence[BillingLine], out: BinaryIO) -> None:
    """A sheet of lines and a sheet of control totals."""
    with xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_formulas": False}) as book:
        write_sheet(book.add_worksheet("lines"), LINE_COLUMNS, [line_row(line) for line in lines])
        totals = totals_row(control_totals(lines))
        write_sheet(book.add_worksheet("totals"), tuple(totals), [totals])


def write_fees_csv(lines: Sequence[FeeLine], out: TextIO) -> None:
    """Header and one row a fee line."""
    _write_rows(out, FEE_COLUMNS, (line_row(line) for line in lines))


def write_fees_json(lines: Sequence[FeeLine], out: TextIO) -> None:
    """An array of fee lines."""
    _write_json(list(map(line_row, lines)), out)


def write_sheet(sheet: xlsxwriter.worksheet.Worksheet, columns: Sequence[str], rows: Iterable[Row]) -> int:
    """Writes header and rows from the top; the number of the first free row. Texts stay texts."""
    sheet.write_row(0, 0, columns)
    position = 1
    for row in rows:
        for column, name in enumerate(columns):
            value = row[name]
            if isinstance(value, int):
                sheet.write_number(position, column, value)
            elif value is not None:
                sheet.write_string(position, column, str(safe_cell(value)))
        position += 1
    return position


def _write_rows(out: TextIO, columns: Sequence[str], rows: Iterable[Row]) -> None:
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(["" if row[name] is None else safe_cell(row[name]) for name in columns])


def _write_json(rows: Sequence[Row], out: TextIO) -> None:
    json.dump(rows, out, ensure_ascii=False, indent=1)
    out.write("\n")
