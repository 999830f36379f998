"""`komgick db prepare | check | migrate | backup | restore`: the database's own commands."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from app.cli.context import DataOption, FormatOption, settings_of
from app.cli.output import Format, emit

db = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Prepare, check, migrate, back up and restore the database."
)


@db.command()
def prepare(data: DataOption = None, fmt: FormatOption = Format.TABLE) -> None:
    """Make schema, logins, passwords and tables; may be run again at any time."""
    from app.db.check import require_durable  # noqa: PLC0415 -- SQLAlchemy takes longer than `--help` may
    from app.db.opening import open_unmigrated  # noqa: PLC0415 -- likewise
    from app.db.prepare import prepare as prepare_database  # noqa: PLC0415 -- likewise

    database = open_unmigrated(settings_of(data))
    try:
        require_durable(database)
        emit([{"done": line} for line in prepare_database(database)], fmt, ("done",))
    finally:
        database.close()


@db.command()
def check(data: DataOption = None, fmt: FormatOption = Format.TABLE) -> None:
    """Say what is wrong with the database; exit status 1 when anything is."""
    from app.db.check import check as check_database  # noqa: PLC0415 -- as above
    from app.db.migrate import behind  # noqa: PLC0415 -- as above
    from app.db.opening import open_unmigrated  # noqa: PLC0415 -- as above

    database = open_unmigrated(settings_of(data))
    try:
        problems = check_database(database)
        if behind(database):
            problems.append("the schema is behind: run `komgick db migrate`")
    finally:
        database.close()
    emit([{"problem": line} for line in problems], fmt, ("problem",))
    if problems:
        sys.stderr.write(f"database_unfit: {len(problems)} problems\n")
        raise typer.Exit(1)


@db.command()
def migrate(data: DataOption = None, fmt: FormatOption = Format.TABLE) -> None:
    """Bring the tables to this program's version (every other command does it when needed)."""
    from app.db.migrate import current  # noqa: PLC0415 -- as above
    from app.db.migrate import migrate as migrate_database  # noqa: PLC0415 -- as above
    from app.db.opening import open_unmigrated  # noqa: PLC0415 -- as above

    database = open_unmigrated(settings_of(data))
    try:
        migrate_database(database)
        emit([{"revision": current(database)}], fmt, ("revision",))
    finally:
        database.close()


@db.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The file to write; one that exists is replaced.")],
    data: DataOption = None,
    fmt: FormatOption = Format.TABLE,
) -> None:
    """Write all that is in the database to one file, while it works. The keys under `secrets` are not in it."""
    from app.db.backup import backup as back_up  # noqa: PLC0415 -- as above
    from app.db.opening import open_unmigrated  # noqa: PLC0415 -- as above

    database = open_unmigrated(settings_of(data))
    try:
        emit([{"file": str(file), "bytes": back_up(database, file)}], fmt, ("file", "bytes"))
    finally:
        database.close()


@db.command()
def restore(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A file that `komgick db backup` wrote.")],
    data: DataOption = None,
    fmt: FormatOption = Format.TABLE,
) -> None:
    """Bring a backup into a database without an installation: all or nothing. Then `komgick db check`, and serve."""
    from app.db.backup import restore as bring_back  # noqa: PLC0415 -- as above
    from app.db.check import require_durable  # noqa: PLC0415 -- as above
    from app.db.opening import open_unmigrated  # noqa: PLC0415 -- as above

    database = open_unmigrated(settings_of(data))
    try:
        require_durable(database)
        emit([{"file": str(file), "revision": bring_back(database, file)}], fmt, ("file", "revision"))
    finally:
        database.close()
