"""`komgick visits` and `komgick findings`: what happened, and what a person must look at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.context import DataOption, FormatOption, opened
from app.cli.output import Format, Lang, emit
from app.cli.reading import day_of, month_of

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

VISIT_COLUMNS = (
    "visit_id", "manual_id", "client_id", "provider_id", "unit_id", "staff_id", "start_at", "end_at", "minutes",
    "status", "held", "source", "grade", "service", "planned_id", "replaced_by", "findings", "kom", "gick",
)  # fmt: skip
FINDING_COLUMNS = (
    "finding_id", "code", "at", "client_id", "staff_id", "provider_id", "taps", "text", "proposal", "holds", "state",
)  # fmt: skip
MonthOption = Annotated[str, typer.Option("--month", metavar="YYYY-MM", help="Only this local month.")]


def visits(
    day: Annotated[str, typer.Option("--day", metavar="YYYY-MM-DD", help="Only this local day.")] = "",
    month: MonthOption = "",
    *,
    client: Annotated[str, typer.Option("--client", help="Only this client_id.")] = "",
    staff: Annotated[str, typer.Option("--staff", help="Only this staff_id.")] = "",
    data: DataOption = None,
    fmt: FormatOption = Format.TABLE,
) -> None:
    """Visits by start, else end, with their status, minutes, findings and taps; cancelled ones too."""
    from app.core.localtime import day_bounds, month_bounds  # noqa: PLC0415 -- `--help` needs nothing
    from app.visits.listing import Asked, stream  # noqa: PLC0415 -- likewise
    from app.visits.presented import visit_fields  # noqa: PLC0415 -- likewise

    if day and month:
        raise typer.BadParameter("give either --day or --month", param_hint="--day")
    bounds = day_bounds(day_of(day, "--day")) if day else month_bounds(month_of(month, "--month")) if month else ()
    from_at, to_at = bounds or (None, None)
    with _caught_up(data) as (connection, now):
        found = stream(connection, Asked(now, from_at, to_at, client_id=client, staff_id=staff))
        emit((visit_fields(visit, now) for visit in found), fmt, VISIT_COLUMNS)


def findings(
    month: MonthOption = "",
    lang: Annotated[Lang, typer.Option("--lang", help="Language of the texts.")] = Lang.SV,
    data: DataOption = None,
    fmt: FormatOption = Format.TABLE,
) -> None:
    """What a person must look at, by time; a text says what it is, a proposal what accepting it would state."""
    from app.core.localtime import local_date, month_bounds  # noqa: PLC0415 -- `--help` needs nothing
    from app.registry.store import load_policy_book  # noqa: PLC0415 -- likewise
    from app.visits.findings_shown import Asked, finding_fields, stream  # noqa: PLC0415 -- likewise

    from_at, to_at = month_bounds(month_of(month, "--month")) if month else (None, None)
    with _caught_up(data) as (connection, now):
        book = load_policy_book(connection)
        word = book.on(local_date(now)).client_word
        found = stream(connection, Asked(now, from_at, to_at), book)
        emit((finding_fields(shown, lang.value, word) for shown in found), fmt, FINDING_COLUMNS)


@contextmanager
def _caught_up(data: Path | None) -> Iterator[tuple[Connection, datetime]]:
    """A read-only transaction in which nothing waits to be derived that was stated before the command."""
    from app.core.clock import utc_now  # noqa: PLC0415 -- `--help` needs no database
    from app.db.callers import Caller  # noqa: PLC0415 -- likewise
    from app.pipeline_derive import catch_up  # noqa: PLC0415 -- likewise

    with opened(data) as database:
        now = utc_now()
        catch_up(database, now)
        with database.transaction(Caller.batch(), read_only=True) as connection:
            yield connection, now
