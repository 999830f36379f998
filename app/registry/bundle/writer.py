"""Writes files of a bundle: a folder, or a .zip, by COPY straight from the database. Memory does not grow with rows.

Cells are written as they are stored, also those a spreadsheet would take for a formula: what is exported must come
back equal. Instants are RFC 3339 in UTC.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

import psycopg
from sqlalchemy import Connection, text

from app.registry.bundle.columns import FILES, Column, File

_TYPES = {
    "text": "string",
    "int": "integer",
    "decimal": "number",
    "date": "date",
    "instant": "datetime",
    "month": "yearmonth",
    "flag": "boolean",
}


class Sink(Protocol):
    """Where files of a bundle go."""

    def create(self, name: str) -> Any:
        """A context manager with the writable binary file."""


class _Folder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def create(self, name: str) -> IO[bytes]:
        return (self._folder / name).open("wb")


class _Archive:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def create(self, name: str) -> IO[bytes]:
        return self._archive.open(name, "w", force_zip64=True)


@contextmanager
def open_sink(out: Path) -> Iterator[Sink]:
    """The bundle to write: complete under its name or not there at all. An old one of the same name is replaced."""
    out.parent.mkdir(parents=True, exist_ok=True)
    partly = out.with_name(f".{out.name}.partly")
    _remove(partly)
    try:
        if out.suffix.lower() == ".zip":
            with zipfile.ZipFile(partly, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                yield _Archive(archive)
        else:
            partly.mkdir()
            yield _Folder(partly)
        _put(partly, out)
    finally:
        _remove(partly)


def write_csv(connection: Connection, sink: Sink, name: str, query: str) -> int:
    """Write the rows of a query as CSV with header; how many."""
    return _copy_out(connection, sink, name, f"COPY ({query}) TO STDOUT (FORMAT csv, HEADER)")


def write_lines(connection: Connection, sink: Sink, name: str, queries: Iterable[str]) -> int:
    """Write the one text column of each query as lines (JSON: it has no newlines of its own)."""
    with sink.create(name) as target:
        return sum(
            _copy(connection, target, f"COPY ({query}) TO STDOUT (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')")
            for query in queries
        )


def write_text(sink: Sink, name: str, content: str) -> None:
    """Write a small file."""
    with sink.create(name) as target:
        target.write(content.encode())


def query_of(connection: Connection, file: File, where: str = "true", *, source: str | None = None) -> str:
    """SQL of a file's columns with the bundle's spelling, ordered by key. `source` may stand for the table, as `t`."""
    cells = [f'{_cell(file, column)} AS "{column.name}"' for column in file.columns]
    if file.open_columns:
        names = connection.execute(
            text(f"SELECT DISTINCT jsonb_object_keys(details) AS name FROM {file.table} ORDER BY 1")  # noqa: S608 -- from columns.py
        )
        for row in names:
            literal, name = _quoted(row.name, "'"), _quoted(row.name, '"')
            cells.append(f"t.details ->> {literal} AS {name}")
    order = ", ".join(f't."{key}"' for key in file.identity)
    return f"SELECT {', '.join(cells)} FROM {source or file.table} t WHERE {where} ORDER BY {order}"  # noqa: S608 -- from columns.py


def instant_cell(column: str) -> str:
    """SQL of an instant as RFC 3339 in UTC, fractions only where there are any."""
    utc = f"{column} AT TIME ZONE 'UTC'"
    return (
        f"CASE WHEN date_trunc('second', {column}) = {column} THEN to_char({utc}, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') "
        f'ELSE to_char({utc}, \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\') END'
    )


def describe(files: Iterable[File] = FILES) -> str:
    """datapackage.json: a Frictionless Tabular Data Package of the files."""
    resources = [
        {
            "name": file.name.removesuffix(".csv"),
            "path": file.name,
            "profile": "tabular-data-resource",
            "format": "csv",
            "encoding": "utf-8",
            "schema": {
                "fields": [_field(column) for column in file.columns],
                "primaryKey": list(file.keys),
                "foreignKeys": [
                    {
                        "fields": column.name,
                        "reference": {"resource": column.references.removesuffix(".csv"), "fields": column.name},
                    }
                    for column in file.columns
                    if column.references and column.references != "staff.csv"
                ],
                "missingValues": [""],
            },
        }
        for file in files
    ]
    package = {"name": "komgick-bundle", "profile": "tabular-data-package", "resources": resources}
    return json.dumps(package, ensure_ascii=False, indent=1) + "\n"


def _field(column: Column) -> dict[str, Any]:
    constraints: dict[str, Any] = {"required": True} if column.required else {}
    if column.choices:
        constraints["enum"] = [int(choice) for choice in column.choices] if column.kind == "int" else [*column.choices]
    described: dict[str, Any] = {"name": column.name, "type": _TYPES[column.kind]}
    if column.kind == "flag":
        described |= {"trueValues": ["yes"], "falseValues": ["no"]}
    return described | ({"constraints": constraints} if constraints else {})


def _cell(file: File, column: Column) -> str:
    name = f't."{column.name}"'
    shown = name
    if column.kind == "flag":
        shown = f"CASE WHEN {name} THEN 'yes' ELSE 'no' END"
    elif column.kind == "instant":
        shown = instant_cell(name)
    if file.table == "taps" and column.name == "received_at":
        return f"CASE WHEN t.received_given THEN {shown} END"
    if column.default:
        same = {"yes": "true", "no": "false"}.get(column.default, f"'{column.default}'")
        return f"CASE WHEN NOT ('{column.name}' = ANY(t.defaulted) AND {name} = {same}) THEN {shown} END"
    return shown


def _quoted(name: str, mark: str) -> str:
    return mark + name.replace(mark, mark * 2) + mark


def _copy_out(connection: Connection, sink: Sink, name: str, statement: str) -> int:
    with sink.create(name) as target:
        return _copy(connection, target, statement)


def _copy(connection: Connection, target: IO[bytes], statement: str) -> int:
    raw = connection.connection.driver_connection
    assert isinstance(raw, psycopg.Connection)  # noqa: S101 -- the engine makes psycopg connections only
    with raw.cursor() as cursor:
        with cursor.copy(statement) as copy:
            for chunk in copy:
                target.write(chunk)
        return cursor.rowcount


def _put(partly: Path, out: Path) -> None:
    if out.is_dir() and partly.is_dir():
        for item in out.iterdir():
            if item.is_file() and item.suffix in (".csv", ".json", ".jsonl", ".toml"):
                item.unlink()
        for item in partly.iterdir():
            item.replace(out / item.name)
    else:
        partly.replace(out)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
