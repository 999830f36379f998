"""Tables that leave for publication or research: each as CSV and as Parquet, described by one datapackage.json.

A folder appears whole or not at all: it is written beside its place and renamed when everything else has gone well.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from app.refusals import Conflict, Invalid

_ROWS_AT_ONCE = 50_000


class Column(NamedTuple):
    """A column: its Table Schema type (string, integer, number, boolean, date, datetime) and what it means."""

    name: str
    kind: str
    sv: str
    en: str


@dataclass(frozen=True, slots=True)
class TableFile:
    """A table to write: its columns, and rows that are read once."""

    name: str
    columns: Sequence[Column]
    rows: Iterable[Mapping[str, Any]]
    key: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Package:
    """What datapackage.json says of the whole."""

    name: str
    title: str
    description: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@contextmanager
def new_folder(place: Path) -> Iterator[Path]:
    """A folder to write into; it takes its place when the block ends well, else nothing is left of it.

    Conflict where the place is taken already. OSError.
    """
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise Conflict(f"{place} exists already: choose a folder that does not")
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f".{place.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        yield part
        part.replace(place)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_tables(folder: Path, package: Package, tables: Sequence[TableFile]) -> dict[str, int]:
    """Write every table and the description; rows by table. Invalid without the library for Parquet; OSError."""
    try:
        import pyarrow as pa  # noqa: PLC0415 -- an extra; only this asks for it
        import pyarrow.parquet as pq  # noqa: PLC0415 -- likewise
    except ModuleNotFoundError as error:
        raise Invalid(f"Parquet needs the extra komgick[insight]: {error}") from error
    counts = {}
    for table in tables:
        schema = pa.schema([(column.name, _arrow_type(pa, column.kind)) for column in table.columns])
        names = [column.name for column in table.columns]
        counts[table.name] = 0
        with (
            (folder / f"{table.name}.csv").open("w", encoding="utf-8", newline="") as file,
            pq.ParquetWriter(folder / f"{table.name}.parquet", schema) as parquet,
        ):
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(names)
            read = iter(table.rows)
            while rows := list(islice(read, _ROWS_AT_ONCE)):
                writer.writerows([_cell(row[name]) for name in names] for row in rows)
                parquet.write_table(pa.Table.from_pylist([dict(row) for row in rows], schema=schema))
                counts[table.name] += len(rows)
    described = json.dumps(_described(package, tables, counts), ensure_ascii=False, indent=2)
    (folder / "datapackage.json").write_text(described + "\n", encoding="utf-8")
    return counts


def _cell(value: Any) -> Any:
    """A cell as Table Schema reads it; a text that a spreadsheet would take for a formula gets an apostrophe."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"}:
        return f"'{value}"
    return value.isoformat() if hasattr(value, "isoformat") else value


def _arrow_type(pa: Any, kind: str) -> Any:
    return {
        "integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_(), "date": pa.date32(),
        "datetime": pa.timestamp("us", tz="UTC"),
    }.get(kind, pa.string())  # fmt: skip


def _described(package: Package, tables: Sequence[TableFile], counts: Mapping[str, int]) -> dict[str, Any]:
    resources: list[dict[str, Any]] = []
    for table in tables:
        fields = [
            {"name": column.name, "type": column.kind, "title": column.sv, "description": column.en}
            for column in table.columns
        ]
        schema: dict[str, Any] = {"fields": fields, **({"primaryKey": list(table.key)} if table.key else {})}
        about = {"rows": counts[table.name]}
        resources += [
            {"name": table.name, "path": f"{table.name}.csv", "profile": "tabular-data-resource", "format": "csv",
             "encoding": "utf-8", "schema": schema, **about},
            {"name": f"{table.name}-parquet", "path": f"{table.name}.parquet", "format": "parquet",
             "mediatype": "application/vnd.apache.parquet", **about},
        ]  # fmt: skip
    return {
        "name": package.name,
        "title": package.title,
        "description": package.description,
        "profile": "data-package",
        **package.facts,
        "resources": resources,
    }
