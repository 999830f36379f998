"""The provider's statement (utbetalningsbesked): what the month pays, with the same sum as the billing lines, and what
it did not pay, each with the sentence that says what would have made it paid."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO, TextIO

import xlsxwriter

from app.billing.formats.lines_out import write_sheet
from app.billing.formats.rows import Row, line_row, safe_cell
from app.billing.rules.not_paid import NotPaid
from app.billing.rules.totals import control_totals
from app.core.month import Month
from app.facts.derived import BillingLine

PAID_COLUMNS = (
    "client_id", "origin_month", "kind", "service", "band", "order_id", "cost_code", "minutes", "count", "unit",
    "unit_price_ore", "amount_ore", "cause", "line_id",
)  # fmt: skip
NOT_PAID_COLUMNS = ("client_id", "on", "from", "minutes", "why", "visit_or_decline_id", "text_sv", "text_en")


@dataclass(frozen=True, slots=True)
class Statement:
    """One provider's month."""

    month: Month
    provider_id: str
    provider_name: str
    lines: Sequence[BillingLine]
    not_paid: Sequence[NotPaid]


def write_statement_csv(statement: Statement, out: TextIO) -> None:
    """Head, paid rows, sum, rows that were not paid; an empty row between the parts."""
    writer = csv.writer(out, lineterminator="\n")
    head = _head(statement)
    for name, value in head.items():
        writer.writerow([name, safe_cell(value)])
    for columns, rows in ((PAID_COLUMNS, _paid(statement)), (NOT_PAID_COLUMNS, _unpaid(statement))):
        writer.writerow([])
        writer.writerow(columns)
        for row in rows:
            writer.writerow(["" if row[name] is None else safe_cell(row[name]) for name in columns])


def write_statement_xlsx(statement: Statement, out: BinaryIO) -> None:
    """Three sheets: Sammanfattning, Utbetalas, Ersätts inte."""
    with xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_formulas": False}) as book:
        head = [{"name": name, "value": value} for name, value in _head(statement).items()]
        write_sheet(book.add_worksheet("Sammanfattning"), ("name", "value"), head)
        write_sheet(book.add_worksheet("Utbetalas"), PAID_COLUMNS, _paid(statement))
        write_sheet(book.add_worksheet("Ersätts inte"), NOT_PAID_COLUMNS, _unpaid(statement))


def _head(statement: Statement) -> Row:
    totals = control_totals(statement.lines)
    return {
        "utbetalningsbesked": str(statement.month),
        "provider_id": statement.provider_id,
        "provider_name": statement.provider_name,
        "lines": totals.lines,
        "minutes": totals.minutes,
        "amount_ore": totals.amount_ore,
        "amount_kr": kronor(totals.amount_ore),
        "hash": totals.hash,
        "not_paid_minutes": sum(row.minutes for row in statement.not_paid),
    }


def kronor(ore: int) -> str:
    """1 234,50 kr, for people."""
    whole, rest = divmod(abs(ore), 100)
    grouped = f"{whole:,}".replace(",", " ")
    return f"{'−' if ore < 0 else ''}{grouped},{rest:02d} kr"


def _paid(statement: Statement) -> list[Row]:
    return [{name: row[name] for name in PAID_COLUMNS} for row in map(line_row, statement.lines)]


def _unpaid(statement: Statement) -> list[Row]:
    return [
        {
            "client_id": row.client_id,
            "on": row.on.isoformat(),
            "from": row.from_text,
            "minutes": row.minutes,
            "why": row.why,
            "visit_or_decline_id": row.cause_id,
            "text_sv": row.sv,
            "text_en": row.en,
        }
        for row in statement.not_paid
    ]
