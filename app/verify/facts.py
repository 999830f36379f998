"""The rows of an export as the facts the rules take: cells to values, by the types of the facts' own fields."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from datetime import date, datetime
from typing import Any, TypeVar

from app.core.localtime import parse_instant
from app.core.month import Month
from app.facts import (
    Absence,
    Attest,
    Client,
    Contact,
    Correction,
    Decline,
    Device,
    Dispute,
    Employment,
    ExcessReason,
    ManualVisit,
    Order,
    OrderService,
    Outage,
    PlannedVisit,
    Price,
    Provider,
    RegistryRows,
    Resolution,
    Tag,
    TagRefusal,
    Unit,
)
from app.verify.bundle import Bundle, Wrong

Fact = TypeVar("Fact")

# What an empty cell means where the fact itself has no default (CONTRACT.md section 2).
_EMPTY: Mapping[str, Any] = {"staff_count": 1, "state": "open", "decision": "pending", "made_up_minutes": 0}


def read_facts(bundle: Bundle, name: str, fact: type[Fact], **given: Callable[[dict[str, str]], Any]) -> list[Fact]:
    """The rows of a file as facts; `given` computes fields that are no column. Rows that are none are noted."""
    found = []
    for line, row in bundle.rows(name):
        try:
            found.append(fact(**{**_values(fact, row), **{field: make(row) for field, make in given.items()}}))
        except (ValueError, KeyError, TypeError) as error:
            bundle.wrong.append(Wrong(name, line, f"not a row of this file ({error})"))
    return found


def read_registry(bundle: Bundle) -> RegistryRows:
    """The registry."""
    units = read_facts(bundle, "units.csv", Unit)
    provider_of = {unit.unit_id: unit.provider_id for unit in units}
    return RegistryRows(
        providers=read_facts(bundle, "providers.csv", Provider),
        units=units,
        employments=read_facts(
            bundle, "staff.csv", Employment, provider_id=lambda row: provider_of.get(row["unit_id"], "")
        ),
        clients=read_facts(bundle, "clients.csv", Client),
        contacts=read_facts(bundle, "contacts.csv", Contact),
        tag_refusals=read_facts(bundle, "tag_refusals.csv", TagRefusal),
        tags=read_facts(bundle, "tags.csv", Tag),
        orders=read_facts(bundle, "orders.csv", Order),
        order_services=read_facts(bundle, "order_services.csv", OrderService),
        devices=read_facts(bundle, "devices.csv", Device),
        absences=read_facts(bundle, "absences.csv", Absence),
        outages=read_facts(bundle, "outages.csv", Outage),
    )


STATEMENTS: Mapping[str, type[Any]] = {
    "planned_visits.csv": PlannedVisit,
    "declines.csv": Decline,
    "manual_visits.csv": ManualVisit,
    "corrections.csv": Correction,
    "disputes.csv": Dispute,
    "excess_reasons.csv": ExcessReason,
    "resolutions.csv": Resolution,
    "attests.csv": Attest,
    "prices.csv": Price,
}


def read_statements(bundle: Bundle) -> dict[str, list[Any]]:
    """What people said, and the prices, by file."""
    return {name: read_facts(bundle, name, fact) for name, fact in STATEMENTS.items()}


_COLUMNS: dict[type[Any], tuple[tuple[str, Callable[[str], Any], Any], ...]] = {}


def _columns_of(fact: type[Any]) -> tuple[tuple[str, Callable[[str], Any], Any], ...]:
    """Per field: its name, what reads a cell, and the value of an empty one."""
    if fact not in _COLUMNS:
        hints = typing.get_type_hints(fact)
        _COLUMNS[fact] = tuple(_column(fact, field, hints[field.name]) for field in fields(fact))
    return _COLUMNS[fact]


def _column(fact: type[Any], field: Any, hint: Any) -> tuple[str, Callable[[str], Any], Any]:
    options = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else ()
    optional = type(None) in options
    plain = next((one for one in options if one is not type(None)), hint)
    if field.name in _EMPTY:
        empty = _EMPTY[field.name]
    elif field.default is not MISSING:
        empty = field.default
    elif field.name == "service" and fact is PlannedVisit:
        empty = "care"
    else:
        empty = None if optional else "" if plain is str else MISSING
    return field.name, _reader(plain), empty


def _reader(kind: Any) -> Callable[[str], Any]:
    if typing.get_origin(kind) is typing.Literal:
        return _closed(typing.get_args(kind))
    readers: Mapping[Any, Callable[[str], Any]] = {
        str: str, int: int, bool: _flag, date: date.fromisoformat, datetime: parse_instant, Month: Month.parse,
    }  # fmt: skip
    return readers[kind]


def _closed(choices: tuple[str, ...]) -> Callable[[str], str]:
    def read(cell: str) -> str:
        if cell not in choices:
            raise ValueError(f"{cell!r} is none of {', '.join(choices)}")
        return cell

    return read


def _flag(cell: str) -> bool:
    if cell not in ("yes", "no"):
        raise ValueError(f"{cell!r} is neither yes nor no")
    return cell == "yes"


def _values(fact: type[Any], row: Mapping[str, str]) -> dict[str, Any]:
    values = {}
    for name, read, empty in _columns_of(fact):
        cell = row.get(name)
        if cell:
            values[name] = read(cell)
        elif cell is not None or empty is not MISSING:
            if empty is MISSING:
                raise ValueError(f"{name} is empty")
            values[name] = empty
    return values
