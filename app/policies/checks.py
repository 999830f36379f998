"""What is possible for a key's value (DOMAIN.md 9): a policy that cannot be is refused where it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import time
from typing import Any

from app.policies.keys import KEYS, PolicyKey
from app.policies.policy import DeclineShare
from app.refusals import ImpossiblePolicy, UnknownPolicy


def check_value(name: str, value: Any) -> None:
    """Refuses an unknown key (with the list of known ones) or a value that is impossible for it."""
    key = KEYS.get(name)
    if key is None:
        raise UnknownPolicy(f"there is no policy key {name!r}; known keys: {', '.join(sorted(KEYS))}")
    problem = _problem(key, value)
    if problem:
        raise ImpossiblePolicy(f"{name} = {value!r}: {problem}")


def _problem(key: PolicyKey, value: Any) -> str:
    return _CHECKS[key.kind](key, value)


def _whole_number(key: PolicyKey, value: Any) -> str:
    fits = isinstance(value, int) and not isinstance(value, bool) and key.least <= value <= key.most
    return "" if fits else f"expected a whole number from {key.least} to {key.most}"


def _truth(_key: PolicyKey, value: Any) -> str:
    return "" if isinstance(value, bool) else "expected true or false"


def _clock_time(_key: PolicyKey, value: Any) -> str:
    try:
        time.fromisoformat(value)
    except (TypeError, ValueError):
        return "expected a local time HH:MM"
    return ""


def _choice(key: PolicyKey, value: Any) -> str:
    return "" if value in key.choices else f"expected one of {', '.join(key.choices)}"


def _texts(key: PolicyKey, value: Any) -> str:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        return "expected a list of texts"
    if key.choices and not set(value) <= set(key.choices):
        return f"expected only {', '.join(key.choices)}"
    return ""


def _shares(_key: PolicyKey, value: Any) -> str:
    known = {entry.name for entry in fields(DeclineShare)}
    if not isinstance(value, list):
        return "expected a list of rows with notice and percent"
    for row in value:
        if not isinstance(row, dict) or not {"notice", "percent"} <= set(row) or not set(row) <= known:
            return f"each row has notice, percent and maybe {', '.join(sorted(known - {'notice', 'percent'}))}"
        problem = next((said for name, said in _SHARE_CELLS.items() if not _fits(name, row)), "")
        if problem:
            return problem
    return ""


_SHARE_CELLS: Mapping[str, str] = {
    "notice": "notice is one of in_advance, at_door, absent",
    "percent": "percent is a whole number from 0 to 100",
    "care_service": "care_service is a text",
    "absence": "absence is one of hospital, away, dead",
    "day_from": "day_from and day_to are whole numbers from 1 on, of an absence",
    "day_to": "day_from and day_to are whole numbers from 1 on, of an absence",
}


def _fits(name: str, row: Mapping[str, Any]) -> bool:
    value = row.get(name)
    if name == "notice":
        return value in ("in_advance", "at_door", "absent")
    if name == "percent":
        return type(value) is int and 0 <= value <= 100
    if name == "care_service":
        return value is None or isinstance(value, str)
    if name == "absence":
        return value in (None, "", "hospital", "away", "dead")
    return value is None or (type(value) is int and value >= 1 and bool(row.get("absence")))


_CHECKS: Mapping[str, Callable[[PolicyKey, Any], str]] = {
    "int": _whole_number,
    "bool": _truth,
    "time": _clock_time,
    "choice": _choice,
    "codes": _texts,
    "texts": _texts,
    "shares": _shares,
}
