"""Reads a file's rows into a temporary table by COPY and checks every cell on the way; memory stays the same."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from sqlalchemy import Connection, text

from app.registry.bundle.cells import NULL
from app.registry.bundle.columns import Column, File
from app.registry.bundle.errors import Errors
from app.registry.bundle.rows import Rows
from app.registry.bundle.source import Source

_TYPES = {
    "text": "text",
    "int": "bigint",
    "decimal": "numeric",
    "date": "date",
    "instant": "timestamptz",
    "month": "text",
    "flag": "boolean",
}
Progress = Callable[[str, int], None]
"""Called with the name of what is being done and the number of rows done so far."""


def no_progress(_file: str, _rows: int) -> None:
    """Nobody watches."""


@dataclass(slots=True)
class Run:
    """One import while it lasts: where to, what was found, who watches.

    `choices` lists what a municipality adds to closed lists: (file, column) -> further values. `staged` counts rows;
    `broken` names files whose header could not be understood.
    """

    connection: Connection
    errors: Errors = field(default_factory=Errors)
    progress: Progress = no_progress
    choices: dict[tuple[str, str], Sequence[str]] = field(default_factory=dict)
    staged: dict[str, int] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)

    @property
    def raw(self) -> psycopg.Connection[Any]:
        """psycopg's connection, for COPY."""
        raw = self.connection.connection.driver_connection
        assert isinstance(raw, psycopg.Connection)  # noqa: S101 -- the engine makes psycopg connections only
        return raw


def stage_name(file: File) -> str:
    """The temporary table of a file."""
    return "stage_" + file.name.removesuffix(".csv")


def stage(run: Run, source: Source, file: File) -> None:
    """Read one file into its temporary table. Wrong rows are noted and left out, their keys remembered."""
    columns = tuple(_with_choices(run, file, column) for column in file.columns)
    details = ", details jsonb NOT NULL DEFAULT '{}'" if file.open_columns else ""
    details += ", defaulted text[] NOT NULL DEFAULT '{}'" if file.defaults else ""
    run.connection.execute(text(f"DROP TABLE IF EXISTS {stage_name(file)}"))
    listed = ", ".join(f'"{column.name}" {_TYPES[column.kind]}' for column in columns)
    run.connection.execute(text(f"CREATE TEMP TABLE {stage_name(file)} (line int, {listed}{details}) ON COMMIT DROP"))
    with source.lines(file.name) as lines:
        reader = csv.reader(lines, strict=True)
        rows = Rows(run, file, columns, reader)
        names = rows.read_header()
        if names is None:
            run.broken.add(file.name)
            return
        target = ", ".join(f'"{name}"' for name in ("line", *names))
        statement = f"COPY {stage_name(file)} ({target}) FROM STDIN (NULL '{NULL}')"
        with run.raw.cursor() as cursor, cursor.copy(statement) as copy:
            for chunk in rows.chunks():
                copy.write(chunk)
    if rows.bad_keys:
        run.connection.execute(
            text("INSERT INTO stage_bad_keys VALUES (:file, :value)"),
            [{"file": file.name, "value": value} for value in rows.bad_keys],
        )
    run.staged[file.name] = rows.count
    run.progress(file.name, rows.count)
    run.connection.execute(text(f"ANALYZE {stage_name(file)}"))


def bad_keys_table(run: Run) -> None:
    """Make the table of keys of rows that were left out: who refers to them is not an error of its own."""
    run.connection.execute(text("CREATE TEMP TABLE stage_bad_keys (file text, value text) ON COMMIT DROP"))


def _with_choices(run: Run, file: File, column: Column) -> Column:
    more = run.choices.get((file.name, column.name), ())
    return replace(column, choices=(*column.choices, *more)) if more else column
