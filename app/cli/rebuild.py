"""`komgick rebuild`: derive everything again, and say where it differs from what was stored."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.context import DataOption, FormatOption, opened
from app.cli.output import Format, emit
from app.cli.reporting import phases


def rebuild(
    month: Annotated[
        str | None, typer.Option("--month", metavar="YYYY-MM", help="List only what differs in this local month.")
    ] = None,
    data: DataOption = None,
    fmt: FormatOption = Format.TABLE,
) -> None:
    """Derive visits, findings and accounts again from statements and registry; exit 1 where anything differed.

    The new derivation replaces the stored one. Statements are never touched.
    """
    from app import pipeline_derive  # noqa: PLC0415 -- `--help` needs no database
    from app.core.clock import utc_now  # noqa: PLC0415 -- likewise
    from app.core.month import Month  # noqa: PLC0415 -- likewise

    wanted = Month.parse(month) if month else None
    with opened(data) as database:
        pipeline_derive.catch_up(database, utc_now())
        with phases() as progress:
            difference = pipeline_derive.rebuild(database, utc_now(), progress=progress)
    rows = [row for row in difference.named if wanted is None or row.get("month") in (None, "", str(wanted))]
    emit(rows, fmt, ("table", "kind", "id"))
    total = difference.total if wanted is None else len(rows)
    counts = ", ".join(f"{count} {table}" for table, count in difference.rows.items())
    typer.echo(f"derived {counts}; {total} differ", err=True)
    if total:
        raise typer.Exit(1)
