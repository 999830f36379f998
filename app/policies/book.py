"""All dated values together, and the policy valid on a day."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, time
from typing import Any

from app.policies.checks import check_value
from app.policies.keys import ALWAYS, KEYS, PolicyKey
from app.policies.policy import DeclineShare, Policy


@dataclass(frozen=True, slots=True)
class DatedValue:
    """A municipality's own value of a key from a local date."""

    key: str
    value: Any
    valid_from: date = ALWAYS
    source: str = ""


@dataclass(slots=True)
class PolicyBook:
    """All dated values; immutable in use. `version` names the exact set of values."""

    overrides: tuple[DatedValue, ...] = ()
    version: str = field(init=False)
    _series: dict[str, tuple[tuple[date, Any, str], ...]] = field(init=False)
    _borders: tuple[date, ...] = field(init=False)
    _policies: dict[date, Policy] = field(init=False)

    def __post_init__(self) -> None:
        self._series = {name: self._dated(key) for name, key in KEYS.items()}
        self._borders = tuple(sorted({start for series in self._series.values() for start, _, _ in series}))
        self._policies = {}
        canonical = json.dumps(
            {name: [(start.isoformat(), value) for start, value, _ in rows] for name, rows in self._series.items()},
            sort_keys=True,
        )
        self.version = hashlib.sha256(canonical.encode()).hexdigest()[:12]

    @classmethod
    def built_in(cls) -> PolicyBook:
        """The values of DOMAIN.md 9."""
        return cls()

    def with_overrides(self, values: Sequence[DatedValue]) -> PolicyBook:
        """These values over the ones there are; later ones win for the same key and date. Validates each."""
        for value in values:
            check_value(value.key, value.value)
        merged = {(value.key, value.valid_from): value for value in (*self.overrides, *values)}
        return PolicyBook(tuple(merged[index] for index in sorted(merged)))

    def on(self, day: date) -> Policy:
        """The policy valid on a local day."""
        index = max(bisect_right(self._borders, day) - 1, 0)
        border = self._borders[index]
        policy = self._policies.get(border)
        if policy is None:
            values = {name: _typed(KEYS[name], self.value(name, border)) for name in KEYS}
            policy = self._policies[border] = Policy(**values)
        return policy

    def value(self, name: str, day: date) -> Any:
        """One key's JSON value on a day."""
        return self._row(name, day)[1]

    def rows(self, day: date | None = None) -> list[dict[str, Any]]:
        """For `policy show`: each key's values (all dates, or the one valid on a day) with source and text."""
        rows = []
        for name, key in KEYS.items():
            for start, value, source in [self._row(name, day)] if day else self._series[name]:
                since = None if start == ALWAYS else start.isoformat()
                rows.append({"key": name, "value": value, "valid_from": since, "source": source, "text": key.text})
        return rows

    def _row(self, name: str, day: date) -> tuple[date, Any, str]:
        series = self._series[name]
        return series[max(bisect_right([start for start, _, _ in series], day) - 1, 0)]

    def _dated(self, key: PolicyKey) -> tuple[tuple[date, Any, str], ...]:
        mine = [value for value in self.overrides if value.key == key.name]
        own = {v.valid_from: (v.valid_from, v.value, v.source or "policies.toml") for v in mine}
        built_in = {start: (start, value, key.source) for start, value in key.built_in}
        # an own value replaces every built-in one from its date on: a city that decides in 2015 is not overruled
        first_own = min(own, default=None)
        kept = {start: row for start, row in built_in.items() if first_own is None or start < first_own}
        return tuple(row for _, row in sorted({**kept, **own}.items()))


def _typed(key: PolicyKey, value: Any) -> Any:
    if key.kind == "time":
        return time.fromisoformat(value)
    if key.kind == "codes":
        return frozenset(value)
    if key.kind == "texts":
        return tuple(value)
    if key.kind == "shares":
        return tuple(DeclineShare(**row) for row in value)
    return value
