"""`komgick policy show`: the policy values with their source."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.context import DataOption, FormatOption
from app.cli.output import Format, emit
from app.cli.reading import day_of, reading

policy = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help="Policy values with their source.")
COLUMNS = ("key", "value", "valid_from", "source", "text")


@policy.callback()
def _policies() -> None:
    """Dated values that the municipality may decide otherwise (policies.toml of a bundle)."""


@policy.command()
def show(
    on: Annotated[str, typer.Option("--on", metavar="YYYY-MM-DD", help="Only what is valid on this day.")] = "",
    data: DataOption = None,
    fmt: FormatOption = Format.TABLE,
) -> None:
    """Every value of every key with date, source and meaning; the municipality's own replace the built-in ones."""
    from app.registry.store import load_policy_book  # noqa: PLC0415 -- `--help` needs no database

    day = day_of(on, "--on") if on else None
    with reading(data) as connection:
        rows = load_policy_book(connection).rows(day)
    emit(rows, fmt, COLUMNS)
