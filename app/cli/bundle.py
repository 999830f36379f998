"""`komgick import BUNDLE [--dry-run]`, `komgick export --out BUNDLE [--month M]`, with --open or --study."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.context import DataOption, FormatOption, opened
from app.cli.output import Format, emit
from app.cli.reading import month_of
from app.cli.reporting import rows_and_phases

if TYPE_CHECKING:
    from app.core.month import Month


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

    with opened(data) as database, rows_and_phases("import") as (progress, derivation):
        report = pipeline.import_bundle(
            database, bundle, now=utc_now(), dry_run=dry_run, progress=progress, derivation=derivation
        )
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
    open_data: Annotated[
        bool, typer.Option("--open", help="Open data of the month instead: no persons, small groups suppressed.")
    ] = False,
    study: Annotated[
        str, typer.Option("--study", metavar="NAME", help="Data for a study instead, under its own pseudonyms.")
    ] = "",
    to_month: Annotated[
        str, typer.Option("--to-month", metavar="YYYY-MM", help="The study's last month, where it is not --month.")
    ] = "",
    variable: Annotated[
        list[str] | None,
        typer.Option("--variable", metavar="TABLE.NAME", help="What the study gets: `komgick study variables`."),
    ] = None,
    by: Annotated[str, typer.Option("--by", help="Who takes it out, for the record.")] = "",
    data: DataOption = None,
    fmt: FormatOption = Format.TABLE,
) -> None:
    """Write the bundle back; import then export gives equal tables. Prints rows per file.

    --open and --study write CSV and Parquet with a datapackage.json into a folder that does not exist yet.
    """
    if open_data and study:
        raise typer.BadParameter("either --open or --study", param_hint="--open")
    if (to_month or variable) and not study:
        raise typer.BadParameter("--to-month and --variable are of a study", param_hint="--study")
    if (open_data or study) and not month:
        raise typer.BadParameter("give the month", param_hint="--month")
    try:
        if open_data:
            counts = _export_open(month_of(month, "--month"), out, by, data)
        elif study:
            counts = _export_study(study, (month, to_month or month), variable or [], (out, by, data))
        else:
            counts = _export_bundle(month_of(month, "--month") if month else None, out, data)
    except OSError as error:
        sys.stderr.write(f"cannot_write: {error.strerror}: {error.filename or out}\n")
        raise typer.Exit(1) from error
    emit([{"file": name, "rows": rows} for name, rows in counts.items()], fmt, ("file", "rows"))


def _export_bundle(month: Month | None, out: Path, data: Path | None) -> Mapping[str, int]:
    from app import pipeline  # noqa: PLC0415 -- `--help` needs no database

    with opened(data) as database, rows_and_phases("export") as (progress, _):
        return pipeline.export_bundle(database, out, month=month, progress=progress)


def _export_open(month: Month, out: Path, by: str, data: Path | None) -> Mapping[str, int]:
    from app.core.clock import utc_now  # noqa: PLC0415 -- `--help` needs no database
    from app.pipeline_access import operator  # noqa: PLC0415 -- likewise
    from app.pipeline_insight import export_open  # noqa: PLC0415 -- likewise

    with opened(data) as database:
        return export_open(database, month, out, operator(by), utc_now())


def _export_study(
    study: str, period: tuple[str, str], variables: Sequence[str], where: tuple[Path, str, Path | None]
) -> Mapping[str, int]:
    from app.core.clock import utc_now  # noqa: PLC0415 -- `--help` needs no database
    from app.pipeline_access import operator  # noqa: PLC0415 -- likewise
    from app.pipeline_insight import Delivery, export_study  # noqa: PLC0415 -- likewise

    first, last = month_of(period[0], "--month"), month_of(period[1], "--to-month")
    count = (last.year - first.year) * 12 + last.number - first.number + 1
    if count < 1:
        raise typer.BadParameter("the last month lies before the first", param_hint="--to-month")
    out, by, data = where
    wanted = Delivery(study, [first.plus(number) for number in range(count)], variables)
    with opened(data) as database:
        return export_study(database, wanted, out, operator(by), utc_now())
