"""The files of a bundle that a town has, and their description as a Frictionless Tabular Data Package.

Which columns a file has stands once, in `app.registry.bundle.columns`; here is only which files are written and how
their kinds of cell are called in a Table Schema.
"""

from __future__ import annotations

from typing import Any

from app.registry.bundle.columns import BY_NAME, Column

_WRITTEN = (
    "providers", "units", "staff", "clients", "contacts", "tag_refusals", "tags", "orders", "order_services", "devices",
    "taps", "planned_visits", "declines", "manual_visits", "corrections", "disputes", "excess_reasons", "absences",
    "outages", "staff_hours", "services_done", "prices", "catalogue", "external_indicators",
)  # fmt: skip

BUNDLE_COLUMNS: dict[str, tuple[str, ...]] = {
    name: tuple(column.name for column in BY_NAME[f"{name}.csv"].columns) for name in _WRITTEN
}
BUNDLE_KEYS: dict[str, tuple[str, ...]] = {name: BY_NAME[f"{name}.csv"].keys for name in _WRITTEN}

_TYPES = {
    "text": "string",
    "flag": "string",
    "int": "integer",
    "decimal": "number",
    "date": "date",
    "instant": "datetime",
    "month": "yearmonth",
}


def datapackage(name: str) -> dict[str, Any]:
    """The `datapackage.json` of a bundle: one schema per file."""
    return {
        "profile": "tabular-data-package",
        "name": name,
        "description": "Simulated home care of a fictional town. Every person in it is invented.",
        "resources": [_resource(file) for file in _WRITTEN],
    }


def _resource(file: str) -> dict[str, Any]:
    columns = BY_NAME[f"{file}.csv"].columns
    schema: dict[str, Any] = {
        "fields": [_field(column) for column in columns],
        "missingValues": [""],
        "primaryKey": list(BUNDLE_KEYS[file]),
    }
    if references := [_reference(column) for column in columns if _refers_to_one_row(column)]:
        schema["foreignKeys"] = references
    return {
        "profile": "tabular-data-resource",
        "name": file,
        "path": f"{file}.csv",
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "schema": schema,
    }


def _field(column: Column) -> dict[str, Any]:
    field: dict[str, Any] = {"name": column.name, "type": _TYPES[column.kind]}
    if column.kind == "instant":
        # The Table Schema's own datetime is UTC without offset; RFC 3339 with an offset is `any`.
        field["format"] = "any"
    constraints: dict[str, Any] = {}
    if column.required:
        constraints["required"] = True
    if choices := ("yes", "no") if column.kind == "flag" else column.choices:
        constraints["enum"] = [int(choice) for choice in choices] if column.kind == "int" else list(choices)
    return field | ({"constraints": constraints} if constraints else {})


def _refers_to_one_row(column: Column) -> bool:
    """A foreign key names a whole primary key; staff rows are dated, so staff_id alone is none."""
    return bool(column.references) and BY_NAME[column.references].keys == (column.name,)


def _reference(column: Column) -> dict[str, Any]:
    home = column.references.removesuffix(".csv")
    return {"fields": column.name, "reference": {"resource": home, "fields": column.name}}
