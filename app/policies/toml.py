"""policies.toml: the municipality's own values, in and out."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date, time
from typing import Any

from app.policies.book import DatedValue
from app.policies.checks import check_value
from app.policies.keys import ALWAYS, KEYS
from app.refusals import ImpossiblePolicy


def read_policies(text: str) -> list[DatedValue]:
    """The dated values of a policies.toml. Four ways to write one, freely mixed:

        ceiling_percent = 115                                       # from the beginning
        ceiling_percent = {value = 115, valid_from = 2027-01-01, source = "KF 12"}
        [[ceiling_percent]]                                         # several dates
        [[policy]]  with key = "ceiling_percent" beside value, valid_from, source

    Raises UnknownPolicy or ImpossiblePolicy; a text that is not TOML is an ImpossiblePolicy too.
    """
    try:
        parsed = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ImpossiblePolicy(f"policies.toml is not TOML: {error}") from error
    values: list[DatedValue] = []
    for name, content in parsed.items():
        if name in ("policy", "policies") and isinstance(content, list):
            values.extend(
                _dated_value(str(row.get("key", "")), {k: v for k, v in row.items() if k != "key"}) for row in content
            )
        elif name in ("policy", "policies") and isinstance(content, dict):
            values.extend(value for key, inner in content.items() for value in _values_of(key, inner))
        else:
            values.extend(_values_of(name, content))
    for value in values:
        check_value(value.key, value.value)
    return values


def _values_of(name: str, content: Any) -> list[DatedValue]:
    if isinstance(content, dict):
        return [_dated_value(name, content)]
    if isinstance(content, list) and content and all(isinstance(row, dict) and "value" in row for row in content):
        return [_dated_value(name, row) for row in content]
    return [_dated_value(name, {"value": content})]


def _dated_value(name: str, row: Mapping[str, Any]) -> DatedValue:
    if name not in KEYS:
        check_value(name, None)
    unknown = set(row) - {"value", "valid_from", "source", "text"}
    if "value" not in row or unknown:
        raise ImpossiblePolicy(f"{name}: a dated value has value, valid_from and source; got {', '.join(sorted(row))}")
    start = row.get("valid_from", ALWAYS)
    if isinstance(start, str):
        try:
            start = date.fromisoformat(start)
        except ValueError as error:
            raise ImpossiblePolicy(f"{name}: valid_from is a date YYYY-MM-DD, not {start!r}") from error
    if type(start) is not date:
        raise ImpossiblePolicy(f"{name}: valid_from is a date YYYY-MM-DD, not {start!r}")
    value = row["value"]
    return DatedValue(
        name, value.strftime("%H:%M") if isinstance(value, time) else value, start, str(row.get("source", ""))
    )


def write_policies(values: Sequence[DatedValue]) -> str:
    """The values as a policies.toml that `read_policies` reads back."""
    lines = []
    for value in values:
        lines += ["[[policy]]", f"key = {json.dumps(value.key)}", f"value = {_toml(value.value)}"]
        if value.valid_from != ALWAYS:
            lines.append(f"valid_from = {value.valid_from.isoformat()}")
        if value.source:
            lines.append(f"source = {_toml(value.source)}")
        lines.append("")
    return "\n".join(lines)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_toml(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # TOML, unlike JSON, wants it escaped
