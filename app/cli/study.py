"""`komgick study ...`: what research was given, which variables there are, and the end of a study's key."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.context import DataOption, FormatOption, opened
from app.cli.output import Format, emit
from app.cli.reading import reading

study = typer.Typer(add_completion=False, no_args_is_help=True, help="Studies: deliveries, variables, their keys.")


@study.command("list")
def list_studies(data: DataOption = None, fmt: FormatOption = Format.TABLE) -> None:
    """Every study that was ever delivered, and whether its key still is."""
    from app.core.settings import read_settings  # noqa: PLC0415 -- `--help` needs no database
    from app.pipeline_insight import read_studies  # noqa: PLC0415 -- likewise

    with reading(data) as connection:
        rows = read_studies(connection, read_settings(data).data)
    emit(rows, fmt, ("study", "since", "deliveries", "has_key", "key_destroyed_at"))


@study.command()
def variables(fmt: FormatOption = Format.TABLE) -> None:
    """Every variable a study may choose; what is not here cannot leave."""
    from app.insight.study import TABLES  # noqa: PLC0415 -- as above

    emit(
        (
            {"variable": f"{table}.{name}", "type": variable.column.kind, "sv": variable.column.sv,
             "en": variable.column.en}
            for table, found in TABLES.items()
            for name, variable in found.items()
        ),
        fmt,
    )  # fmt: skip


@study.command("destroy-key")
def destroy_key(
    name: Annotated[str, typer.Argument(metavar="STUDY", help="The study's name.")],
    by: Annotated[str, typer.Option("--by", help="Who does this, for the record.")] = "",
    data: DataOption = None,
    fmt: FormatOption = Format.TABLE,
) -> None:
    """Destroy a study's key: nobody can make or follow its pseudonyms any more, nor deliver to it again."""
    from app.core.clock import utc_now  # noqa: PLC0415 -- as above
    from app.pipeline_access import operator  # noqa: PLC0415 -- as above
    from app.pipeline_insight import destroy_study_key  # noqa: PLC0415 -- as above

    now = utc_now()
    with opened(data) as database:
        destroy_study_key(database, name, operator(by), now)
    emit([{"study": name, "key_destroyed_at": now}], fmt)
