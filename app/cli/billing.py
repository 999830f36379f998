"""`komgick billing export | statement`, `komgick fees export`: what is owed, and the basis of client fees."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from app.cli.context import DataOption, opened
from app.cli.month import MonthArgument, ProviderOption
from app.cli.reading import month_of

billing = typer.Typer(add_completion=False, no_args_is_help=True, help="What the billing system pulls.")
fees = typer.Typer(add_completion=False, no_args_is_help=True, help="The basis of client fees.")


class FileFormat(StrEnum):
    """The values of `--format` of an export."""

    CSV = "csv"
    JSON = "json"
    XLSX = "xlsx"


FileOption = Annotated[FileFormat, typer.Option("--format", help="csv, json or xlsx.")]
OutOption = Annotated[Path | None, typer.Option("--out", metavar="F", help="Write to this file instead of stdout.")]


@billing.command()
def export(
    m: MonthArgument,
    fmt: FileOption = FileFormat.CSV,
    out: OutOption = None,
    provider: ProviderOption = "",
    data: DataOption = None,
) -> None:
    """The month's billing lines with control totals: first JSON object or CSV trailer."""
    from app.billing.formats.lines_out import write_lines_csv, write_lines_json, write_lines_xlsx  # noqa: PLC0415
    from app.billing.store import load_lines  # noqa: PLC0415 -- `--help` needs no database
    from app.billing.tables import billing_lines  # noqa: PLC0415 -- likewise
    from app.core.clock import utc_now  # noqa: PLC0415 -- likewise
    from app.db.callers import Caller  # noqa: PLC0415 -- likewise
    from app.pipeline_months import complete_month  # noqa: PLC0415 -- likewise

    wanted = month_of(m)
    if fmt is FileFormat.XLSX and out is None and sys.stdout.isatty():
        raise typer.BadParameter("a spreadsheet needs --out FILE.xlsx, or a pipe", param_hint="--format")
    with opened(data) as database:
        complete_month(database, wanted, utc_now())
        with database.transaction(Caller.batch(), read_only=True) as connection:
            c = billing_lines.c
            conditions = [c.month_on == wanted.first_on, *([c.provider_id == provider] if provider else [])]
            lines = load_lines(connection, *conditions)
    if fmt is FileFormat.XLSX:
        with out.open("wb") if out is not None else nullcontext(sys.stdout.buffer) as file:
            write_lines_xlsx(lines, file)
        return
    write = write_lines_csv if fmt is FileFormat.CSV else write_lines_json
    if out is None:
        write(lines, sys.stdout)
        return
    with out.open("w", encoding="utf-8", newline="") as text:
        write(lines, text)


@billing.command()
def statement(
    m: MonthArgument,
    provider: Annotated[str, typer.Option("--provider", metavar="P", help="The provider_id.")],
    out: Annotated[Path, typer.Option("--out", metavar="F", help="A .csv or .xlsx file.")],
    data: DataOption = None,
) -> None:
    """The provider's utbetalningsbesked: every line with the same sum, and what was not paid with what would help."""
    from app.billing.formats.statement import write_statement_csv, write_statement_xlsx  # noqa: PLC0415
    from app.billing.statements import statement_of  # noqa: PLC0415 -- `--help` needs no database
    from app.core.clock import utc_now  # noqa: PLC0415 -- likewise
    from app.db.callers import Caller  # noqa: PLC0415 -- likewise
    from app.pipeline_months import complete_month  # noqa: PLC0415 -- likewise

    if out.suffix not in (".csv", ".xlsx"):
        raise typer.BadParameter("a statement is a .csv or an .xlsx", param_hint="--out")
    wanted = month_of(m)
    with opened(data) as database:
        complete_month(database, wanted, utc_now())
        with database.transaction(Caller.batch(), read_only=True) as connection:
            found = statement_of(connection, wanted, provider)
    if out.suffix == ".xlsx":
        with out.open("wb") as file:
            write_statement_xlsx(found, file)
    else:
        with out.open("w", encoding="utf-8", newline="") as text:
            write_statement_csv(found, text)
    typer.echo(f"{out}: {len(found.lines)} lines, {sum(line.amount_ore for line in found.lines)} öre", err=True)


@fees.callback()
def _fees() -> None:
    """The basis of client fees."""  # makes `fees` a group: with one command alone `export` would be no word of its own


@fees.command("export")
def export_fees(
    m: MonthArgument,
    fmt: FileOption = FileFormat.CSV,
    out: OutOption = None,
    data: DataOption = None,
) -> None:
    """The month's fee lines: client-minutes, counts, late cancellations, days of absence; never the fee itself."""
    from app.billing.fee_flow import fees_of_month  # noqa: PLC0415 -- `--help` needs no database
    from app.billing.formats.lines_out import write_fees_csv, write_fees_json  # noqa: PLC0415 -- likewise
    from app.core.clock import utc_now  # noqa: PLC0415 -- likewise
    from app.db.callers import Caller  # noqa: PLC0415 -- likewise
    from app.pipeline_months import complete_month  # noqa: PLC0415 -- likewise

    if fmt is FileFormat.XLSX:
        raise typer.BadParameter("fee lines come as csv or json", param_hint="--format")
    wanted = month_of(m)
    with opened(data) as database:
        complete_month(database, wanted, utc_now())
        with database.transaction(Caller.batch(), read_only=True) as connection:
            lines = fees_of_month(connection, wanted)
    write = write_fees_csv if fmt is FileFormat.CSV else write_fees_json
    if out is None:
        write(lines, sys.stdout)
        return
    with out.open("w", encoding="utf-8", newline="") as text:
        write(lines, text)
