"""`komgick simulate --clients N --month M --seed S --out BUNDLE`: a believable month of a fictional town."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from app.cli.context import DataOption, FormatOption
from app.cli.output import Format, emit


def simulate(
    month: Annotated[str, typer.Option("--month", metavar="YYYY-MM", help="The month to live through.")],
    out: Annotated[Path, typer.Option("--out", metavar="BUNDLE", help="A folder, or a file that ends in .zip.")],
    clients: Annotated[int, typer.Option("--clients", min=3, max=99_999, help="How many clients the town has.")] = 120,
    seed: Annotated[int, typer.Option("--seed", help="The same seed is the same town in every month.")] = 1,
    *,
    data: DataOption = None,  # noqa: ARG001 -- every command takes it; no database is opened here
    fmt: FormatOption = Format.TABLE,
) -> None:
    """Write a realistic month as a bundle; the same arguments give the same bytes. Prints rows per file."""
    from app.core.month import Month  # noqa: PLC0415 -- `--help` needs no generator
    from app.simulation import town_of, write_month  # noqa: PLC0415 -- likewise

    try:
        when = Month.parse(month)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--month") from error
    if not 1990 <= when.year <= 2100:
        raise typer.BadParameter("a month between 1990 and 2100", param_hint="--month")
    town = town_of(clients, seed)
    try:
        with _progress(len(town.units) + 2) as advance:
            counts = write_month(town, when, out, advance=advance)
    except OSError as error:
        sys.stderr.write(f"cannot_write: {error.strerror}: {error.filename or out}\n")
        raise typer.Exit(1) from error
    emit([{"file": f"{file}.csv", "rows": rows} for file, rows in counts.items()], fmt, ("file", "rows"))


@contextmanager
def _progress(parts: int) -> Iterator[Callable[[], None]]:
    """A bar on stderr when it is a terminal, nothing when piped."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console  # noqa: PLC0415 -- only a terminal needs it
    from rich.progress import Progress  # noqa: PLC0415 -- likewise

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("simulate", total=parts)
        yield lambda: progress.advance(task)
