"""A month as open data: figures of organisations and districts, no person in it, and nothing to find by subtraction.

Units are left out. A group of fewer than five clients or (but for districts, which have no staff) staff shows no
figure. A hidden group could still be had as its whole less all the others: so within every whole that is shown, the
hidden ones are none, or two or more that together are no small group; the smallest others are hidden until it is so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app.insight.table_files import Column

LEVELS = ("municipality", "operation", "district", "provider")
FEWEST = 5
Group = Mapping[str, Any]
Key = tuple[str, str]

_FIGURES = (
    Column("clients", "integer", "Brukare med utförd tid", "Clients with executed time"),
    Column("staff", "integer", "Omsorgspersonal (personer)", "Carers (persons)"),
    Column("executed_minutes", "integer", "Utförd tid, minuter", "Executed minutes"),
    Column("ordered_minutes", "integer", "Beställd tid, minuter", "Ordered minutes"),
    Column("executed_share", "number", "Nyttjandegrad: utförd / beställd tid", "Executed / ordered time"),
    Column("client_time_share", "number", "Brukartid: andel av arbetad tid", "Share of worked time with clients"),
    Column("hourly_share", "number", "Timavlönades andel av tiden", "Hourly-paid carers' share of the time"),
    Column("trained_share", "number", "Andel utbildade efter antal", "Trained carers by headcount"),
    Column("trained_time_share", "number", "Andel utbildade efter tid hos brukare", "Trained by time with clients"),
    Column("start_spread_minutes", "number", "Starttidens spridning, minuter", "Spread of start times, minutes"),
    Column("continuity_mean", "number", "Personal per brukare i månaden, medelvärde", "Different staff a client, mean"),
    Column("continuity_median", "number", "Personal per brukare i månaden, median", "Different staff a client, median"),
)
COLUMNS = (
    Column("month", "string", "Månad", "Month, YYYY-MM"),
    Column("level", "string", "Nivå", "municipality, operation, district or provider"),
    Column("id", "string", "Beteckning", "Id of the group"),
    Column("name", "string", "Namn", "Name of the group"),
    *_FIGURES,
    Column("suppressed", "boolean", "Röjandeskydd: siffrorna visas inte", "Figures are withheld to protect persons"),
)


def open_rows(quality: Mapping[str, Any], continuity: Mapping[Key, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a month that may be published: `komgick quality`'s groups, and continuity per (level, id)."""
    groups = [group for group in quality["groups"] if group["level"] in LEVELS]
    hidden = hidden_groups(groups)
    rows = []
    for group in groups:
        key = _key(group)
        shown = {} if key in hidden else _figures(group, continuity.get(key, {}))
        named = {"month": quality["month"], "level": group["level"], "id": group["id"], "name": group["name"]}
        figures = {column.name: shown.get(column.name) for column in _FIGURES}
        rows.append({**named, **figures, "suppressed": key in hidden})
    return rows


def hidden_groups(groups: Sequence[Group]) -> frozenset[Key]:
    """The (level, id) of every group whose figures are withheld."""
    hidden = {_key(group) for group in groups if _is_small([group])}
    while (victim := next(_exposing(groups, hidden), None)) is not None:
        hidden.add(victim)
    return frozenset(hidden)


def _exposing(groups: Sequence[Group], hidden: set[Key]) -> Iterator[Key]:
    """For each whole whose hidden parts could be had by subtraction: the smallest part that is still shown."""
    for part in _parts(groups, hidden):
        inside = [group for group in part if _key(group) in hidden]
        shown = [group for group in part if _key(group) not in hidden]
        if inside and shown and (len(inside) == 1 or _is_small(inside)):
            yield _key(min(shown, key=lambda group: (group["clients"], group["id"])))


def _parts(groups: Sequence[Group], hidden: set[Key]) -> Iterator[list[Group]]:
    """Sets of groups that add up to something that is shown: the municipality, or an operation."""
    for level in LEVELS[1:]:
        yield [group for group in groups if group["level"] == level]
    for operation in groups:
        if operation["level"] == "operation" and _key(operation) not in hidden:
            yield [g for g in groups if g["level"] == "provider" and g["operation"] == operation["id"]]


def _is_small(groups: Sequence[Group]) -> bool:
    """Whether these groups together are too few persons; a district has no staff of its own."""
    staffed = groups[0]["level"] != "district"
    staff, clients = (sum(int(group[name]) for group in groups) for name in ("staff", "clients"))
    return clients < FEWEST or (staffed and staff < FEWEST)


def _key(group: Group) -> Key:
    return group["level"], group["id"]


def _figures(group: Group, continuity: Mapping[str, Any]) -> dict[str, Any]:
    education = group["education"] or {"headcount": {}, "client_time": {}}
    return {
        **group,
        "staff": None if group["level"] == "district" else group["staff"],
        "trained_share": education["headcount"].get("trained_share"),
        "trained_time_share": education["client_time"].get("trained_share"),
        "continuity_mean": continuity.get("mean"),
        "continuity_median": continuity.get("median"),
    }
