"""`komgick irregularities M`: what a controller should look at, and the cases that are opened under a reference."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.context import DataOption, FormatOption, opened
from app.cli.output import Format, emit, emit_object
from app.cli.reading import derived_reading, month_of
from app.refusals import Invalid

_COLUMNS = ("case_id", "rule", "about", "about_id", "provider_id", "observed", "of", "expected", "p_value")


def irregular(
    month: Annotated[str, typer.Argument(metavar="M", help="The month, YYYY-MM.")],
    *,
    case: Annotated[
        list[str] | None, typer.Option("--case", metavar="ID", help="Open this case: shows who and which; repeatable.")
    ] = None,
    reference: Annotated[
        str, typer.Option("--reference", metavar="NR", help="The city's own number of the case (with --case).")
    ] = "",
    by: Annotated[str, typer.Option("--by", help="Who opens it, for the record.")] = "",
    data: DataOption = None,
    fmt: FormatOption = Format.TABLE,
) -> None:
    """What a controller should look at, with the expected number and known false alarms; names only in a case.

    Opening a case is noted for ever, with who opened it and under which reference.
    """
    from app.core.clock import utc_now  # noqa: PLC0415 -- `--help` needs no database
    from app.insight.irregularities import irregularities, irregularities_object  # noqa: PLC0415 -- nor numpy
    from app.insight.scene_store import load_scene  # noqa: PLC0415 -- likewise
    from app.pipeline_access import operator  # noqa: PLC0415 -- likewise
    from app.pipeline_insight import Opening, open_cases  # noqa: PLC0415 -- likewise
    from app.registry.store import load_policy_book  # noqa: PLC0415 -- likewise

    when = month_of(month)
    if bool(case) != bool(reference):
        raise typer.BadParameter("a case is opened under a reference: --case ID --reference NR", param_hint="--case")
    try:
        if case:
            with opened(data) as database:
                found = open_cases(database, Opening(when, frozenset(case), reference), operator(by), utc_now())
        else:
            with derived_reading(data) as connection:
                scene = load_scene(connection, when)
                rows = irregularities(scene, load_policy_book(connection).on(when.first_on))
                found = irregularities_object(scene, rows)
    except ModuleNotFoundError as error:
        raise Invalid(f"exact tests need the extra komgick[insight]: {error}") from error
    if fmt is Format.JSON:
        emit_object(found, fmt)
    else:
        emit(found["irregularities"], fmt, (*_COLUMNS, "staff_name", "visits") if case else _COLUMNS)
