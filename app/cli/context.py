"""What every command shares: `--data`, `--format`, and the opened database.

def visits(day: DayOption = None, data: DataOption = None, fmt: FormatOption = Format.TABLE) -> None:
    with opened(data) as db, db.transaction(Caller.batch(), read_only=True) as tx: ...
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.output import Format

if TYPE_CHECKING:
    from app.core.settings import Settings
    from app.db.engine import Database

DataOption = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Folder of the embedded database and secrets (KOMGICK_DATA; ./var)."),
]
FormatOption = Annotated[Format, typer.Option("--format", help="How the result is written to stdout.")]


def settings_of(data: Path | None) -> Settings:
    """The settings of this process with the command's `--data`; logs go to stderr."""
    from app.core.log import set_up_log  # noqa: PLC0415 -- `--help` needs neither settings nor log
    from app.core.settings import read_settings  # noqa: PLC0415 -- likewise

    settings = read_settings(data)
    set_up_log(settings.log_level)
    return settings


def open_database(data: Path | None) -> Database:
    """The installation's database, started or shared, migrated when behind. Close it. DatabaseUnfit."""
    from app.db.opening import open_database as open_fit  # noqa: PLC0415 -- SQLAlchemy takes longer than `--help` may

    return open_fit(settings_of(data))


@contextmanager
def opened(data: Path | None) -> Iterator[Database]:
    """`open_database` for a `with` block: closed, and the embedded server stopped, at its end."""
    db = open_database(data)
    try:
        yield db
    finally:
        db.close()
