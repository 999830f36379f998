"""`komgick import BUNDLE [--dry-run]` and `komgick export --out BUNDLE [--month M]`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from app.cli.context import DataOption, FormatOption, opened
from app.cli.output import Format, emit


def import_bundle(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A folder, or a .zip.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and count, store nothing.")] = False,
    data: DataOption = None,
    fmt: FormatOption = Format.TABLE,
) -> None:
    """Read a bundle, all or nothing; per file: added, changed, unchanged. Errors (up to 100) name file and line."""
    from app import pipeline  # noqa: PLC0415 -- `--help` needs no database
    from app.core.clock import utc_now  # noqa: PLC0415 -- likewise

    with opened(data) as database, _progress("import") as progress:
        report = pipeline.import_bundle(database, bundle, now=utc_now(), dry_run=dry_run, progress=progress)
    emit(
        [
            {"file": name, "added": counts.added, "changed": counts.changed, "unchanged": counts.unchanged}
            for name, counts in report.counts.items()
        ],
        fmt,
        ("file", "added", "changed", "unchanged"),
    )
    if dry_run:
        sys.stderr.write("dry run: nothing was stored\n")


def export_bundle(
    out: Annotated[Path, typer.Option("--out", metavar="BUNDLE", help="A folder, or a file that ends in .zip.")],
    month: Annotated[str, typer.Option("--month", metavar="YYYY-MM", help="Only what recomputes this month.")] = "",
    *,
    data: DataOption = None,
    fmt: FormatOption = Format.TABLE,
) -> None:
    """Write the bundle back; import then export gives equal tables. Prints rows per file."""
    from app import pipeline  # noqa: PLC0415 -- `--help` needs no database
    from app.core.month import Month  # noqa: PLC0415 -- likewise

    try:
        when = Month.parse(month) if month else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--month") from error
    with opened(data) as database, _progress("export") as progress:
        try:
            counts = pipeline.export_bundle(database, out, month=when, progress=progress)
        except OSError as error:
            sys.stderr.write(f"cannot_write: {error.strerror}: {error.filename or out}\n")
            raise typer.Exit(1) from error
    emit([{"file": name, "rows": rows} for name, rows in counts.items()], fmt, ("file", "rows"))


@contextmanager
def _progress(verb: str) -> Iterator[Callable[[str, int], None]]:
    """On a terminal (stderr): what is being done, rows so far, rows a second. Nothing when piped."""
    if not sys.stderr.isatty():
        yield lambda _what, _rows: None
        return
    from rich.console import Console  # noqa: PLC0415 -- only a terminal needs it
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415 -- likewise

    shown = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} rows"),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
    )
    with Progress(*shown, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(verb, total=None, rate="")

        def report(what: str, rows: int) -> None:
            if progress.tasks[task].description != f"{verb} {what}":
                progress.reset(task, description=f"{verb} {what}", rate="")
            elapsed = progress.tasks[task].elapsed or 0
            progress.update(task, completed=rows, rate=f"{rows / elapsed:,.0f}/s" if rows and elapsed else "")

        yield report
