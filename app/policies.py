"""What a municipality may decide: dated values with source and text, never constants in a rule (DOMAIN.md 9).

`PolicyBook.built_in()` has the values of DOMAIN.md; `with_overrides` lays the municipality's own (policies.toml) over
them; `book.on(local_date)` is the `Policy` a rule asks. Rules get the book as an argument.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, time
from typing import Any

from app.refusals import ImpossiblePolicy, UnknownPolicy

ALWAYS = date.min
"""A value that is valid from the beginning of time."""


@dataclass(frozen=True, slots=True)
class DeclineShare:
    """One row of the table of shares: what percent of a declined visit's minutes is compensated.

    An empty `care_service` fits any; `day_from`/`day_to` count days since the client's absence of kind `absence`
    began (unplanned hospital 75 % day 1, 25 % days 2-5 in other municipalities); None = whatever day.
    """

    notice: str
    percent: int
    care_service: str = ""
    absence: str = ""
    day_from: int | None = None
    day_to: int | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """Every value as valid on one local day. Names and meaning: DOMAIN.md 9 and the places it points at."""

    ceiling_percent: int
    pair_limit_h: int
    open_until_h: int
    repeat_s: int
    auto_max_h: int
    auto_day_break: time
    auto_short_h: int
    auto_retry_min: int
    too_long_h: int
    hold_above_h: int
    too_short_min: int
    move_s: int
    manual_share_percent: int
    manual_share_floor: int
    decline_window_min: int
    decline_shares: tuple[DeclineShare, ...]
    declines_count_towards_ceiling: bool
    double_compensation_guard: bool
    reason_lag_months: int
    minutes_rounding: str
    household_split: str
    night_patrol_counts: bool
    per_visit_band_counts: bool
    absence_lowers_ordered: bool
    claw_back_lowered_orders: bool
    second_staff_counts: bool
    run_day: int
    run_time: time
    run_time_holiday: time
    weekend_is_holiday: bool
    grade_a_receive_s: int
    grade_a_offset_s: int
    grade_b_s: int
    holds: frozenset[str]
    holds_until_resolved: frozenset[str]
    late_cancellation_h: int
    plan_match_h: int
    missed_after_min: int
    client_word: str
    night_from: time
    night_to: time
    misfit_over_percent: int
    misfit_under_percent: int
    misfit_months: int
    extra_manual_reasons: tuple[str, ...]
    extra_correction_reasons: tuple[str, ...]
    extra_excess_reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PolicyKey:
    """A key: its built-in dated values (JSON shapes), what is possible, where it comes from, what it says."""

    name: str
    kind: str
    """int, percent, bool, time, choice, codes, texts, shares."""
    built_in: tuple[tuple[date, Any], ...]
    source: str
    text: str
    least: int = 0
    most: int = 1_000_000
    choices: tuple[str, ...] = ()


HOLDS = (
    "overlap", "grade_d", "visit_in_absence", "client_disputes", "revoked_device", "tag_level", "unconfirmed",
    "too_long",
)  # fmt: skip


def _key(name: str, kind: str, value: Any, source: str, text: str, **bounds: Any) -> PolicyKey:
    return PolicyKey(name, kind, ((ALWAYS, value),), source, text, **bounds)


_KEYS: tuple[PolicyKey, ...] = (
    _key("ceiling_percent", "int", 110, "DOMAIN 3 [S3]", "Reported time up to this percent of ordered needs no reason; 'upp till' is inclusive.", least=100, most=1000),
    _key("pair_limit_h", "int", 24, "DOMAIN 2.1 row 1", "KOM and GICK of one visit lie at most this many hours apart.", least=1, most=72),
    _key("open_until_h", "int", 16, "DOMAIN 2.1 row 2", "So long after KOM a visit without GICK is called open.", least=1, most=72),
    _key("repeat_s", "int", 60, "DOMAIN 2.1 row 7", "The same act again within so many seconds is folded into the first.", most=3600),
    _key("auto_max_h", "int", 16, "DOMAIN 2.1 row 8", "An AUTO tap closes an open KOM at most this old.", least=1, most=72),
    _key("auto_day_break", "time", "04:00", "DOMAIN 2.1 row 8", "An AUTO tap does not close across this local time, unless auto_short_h allows."),
    _key("auto_short_h", "int", 2, "DOMAIN 2.1 row 8", "Across the day break an AUTO tap still closes a KOM at most this old.", most=24),
    _key("auto_retry_min", "int", 5, "DOMAIN 2.1 row 9", "Two AUTO taps this close, then a third: a proposal to read them as one visit.", most=120),
    _key("too_long_h", "int", 6, "DOMAIN 2.1 row 11", "A care visit from this many hours is a finding.", least=1, most=72),
    _key("hold_above_h", "int", 16, "DOMAIN 2.1 row 11", "Any visit above this many hours is held until a person decides.", least=1, most=72),
    _key("too_short_min", "int", 2, "DOMAIN 2.1 row 11", "A visit shorter than this many minutes is a finding.", most=60),
    _key("move_s", "int", 60, "DOMAIN 2.1 row 21", "Taps at two sites within so many seconds are implausible.", most=3600),
    _key("manual_share_percent", "int", 5, "DOMAIN 2.2 row 33", "Above this share of a provider's month, manual and corrected visits need a confirmer.", most=100),
    _key("manual_share_floor", "int", 20, "DOMAIN 2.2 row 33", "Up to this many manual and corrected visits a month never need one.", most=100_000),
    _key("decline_window_min", "int", 60, "DOMAIN 4", "A KOM this many minutes before the planned start shows that staff came.", most=1440),
    PolicyKey("decline_shares", "shares", ((ALWAYS, [{"notice": "at_door", "percent": 100}]), (date(2017, 1, 1), [])), "DOMAIN 4 [S3]", "What percent of a declined visit is compensated, by notice, care service and date."),
    _key("declines_count_towards_ceiling", "bool", True, "DOMAIN 4", "Compensated declines count as reported time."),
    _key("double_compensation_guard", "bool", True, "DOMAIN 4 [S3]", "Made-up time linked to a decline is paid once."),
    _key("reason_lag_months", "int", 1, "DOMAIN 3 [S3]", "A reason is in time until the last day of the month this many months later.", most=24),
    _key("minutes_rounding", "choice", "truncate_stamps", "DOMAIN 2.3", "Both stamps are cut to the whole minute.", choices=("truncate_stamps",)),
    _key("household_split", "choice", "equal", "DOMAIN 2.1 row 14", "How a couple's minutes are dealt: equally, or by ordered time.", choices=("equal", "ordered")),
    _key("night_patrol_counts", "bool", True, "DOMAIN 2.4", "Night patrol minutes count as executed time and towards the ceiling."),
    _key("per_visit_band_counts", "bool", True, "DOMAIN 5", "Minutes inside a band paid per visit count as executed time."),
    _key("absence_lowers_ordered", "bool", False, "DOMAIN 2.2 row 35", "Days of absence lower the ordered time."),
    _key("claw_back_lowered_orders", "bool", False, "DOMAIN 3", "An order lowered after close reclaims what was settled."),
    _key("second_staff_counts", "bool", True, "DOMAIN 2.1 row 13", "An unordered second carer's minutes count."),
    _key("run_day", "int", 6, "DOMAIN 3 [S3]", "Day of the following month of the payment run.", least=1, most=28),
    _key("run_time", "time", "18:00", "DOMAIN 3", "Local time of the run on a working day."),
    _key("run_time_holiday", "time", "10:00", "DOMAIN 3", "Local time of the run on a public holiday."),
    _key("weekend_is_holiday", "bool", False, "DOMAIN 3", "Saturdays and Sundays count as public holidays for the run."),
    _key("grade_a_receive_s", "int", 120, "EVIDENCE 1", "Grade A: received within so many seconds.", most=86_400),
    _key("grade_a_offset_s", "int", 30, "EVIDENCE 1", "Grade A: device clock off by at most so many seconds.", most=86_400),
    _key("grade_b_s", "int", 120, "EVIDENCE 1", "Grade B: estimate within so many seconds of the claim; beyond it the estimate is the stamp.", most=86_400),
    _key("holds", "codes", list(HOLDS), "DOMAIN 2.3", "What holds a visit's minutes.", choices=HOLDS),
    _key("holds_until_resolved", "codes", ["grade_d", "revoked_device", "too_long", "visit_in_absence"], "DOMAIN 2.1 row 11, 2.3; EVIDENCE 1", "Holds that end when a person resolves the finding; the others end when what is wrong is put right.", choices=HOLDS),
    _key("late_cancellation_h", "int", 48, "DOMAIN 5", "A visit cancelled later than this many hours before its start is a late cancellation.", most=8760),
    _key("plan_match_h", "int", 2, "DOMAIN 2.4", "A plan matches visits that start at most this many hours away.", most=24),
    _key("missed_after_min", "int", 30, "DOMAIN 2.4", "Doors hide a missed visit until so many minutes after its planned start.", most=1440),
    _key("client_word", "choice", "brukare", "DOMAIN 1", "The word for the client in this installation.", choices=("brukare", "kund", "den enskilde")),
    _key("night_from", "time", "22:00", "DOMAIN 5 [L]", "Local time at which the night band begins."),
    _key("night_to", "time", "07:00", "DOMAIN 5 [L]", "Local time at which the day band begins."),
    _key("misfit_over_percent", "int", 110, "DOMAIN 3", "Months above this percent of ordered, in a row, make order_misfit.", most=1000),
    _key("misfit_under_percent", "int", 75, "DOMAIN 3", "Months under this percent of ordered, in a row, make order_misfit.", most=100),
    _key("misfit_months", "int", 3, "DOMAIN 3", "How many months in a row make order_misfit.", least=1, most=24),
    _key("extra_manual_reasons", "texts", [], "CONTRACT 6", "Reasons of manual visits beside the closed list."),
    _key("extra_correction_reasons", "texts", [], "CONTRACT 6", "Reasons of corrections beside the closed list."),
    _key("extra_excess_reasons", "texts", [], "CONTRACT 6", "Reasons for excess beside the closed list."),
)  # fmt: skip

KEYS: Mapping[str, PolicyKey] = {key.name: key for key in _KEYS}


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
        # an own value replaces every built-in one from its date on: a city that decides in 2015 is not overruled in 2017
        first_own = min(own, default=None)
        kept = {start: row for start, row in built_in.items() if first_own is None or start < first_own}
        return tuple(row for _, row in sorted({**kept, **own}.items()))


def check_value(name: str, value: Any) -> None:
    """Refuses an unknown key (with the list of known ones) or a value that is impossible for it."""
    key = KEYS.get(name)
    if key is None:
        raise UnknownPolicy(f"there is no policy key {name!r}; known keys: {', '.join(sorted(KEYS))}")
    problem = _problem(key, value)
    if problem:
        raise ImpossiblePolicy(f"{name} = {value!r}: {problem}")


def _problem(key: PolicyKey, value: Any) -> str:
    if key.kind == "int":
        if not isinstance(value, int) or isinstance(value, bool) or not key.least <= value <= key.most:
            return f"expected a whole number from {key.least} to {key.most}"
    elif key.kind == "bool":
        if not isinstance(value, bool):
            return "expected true or false"
    elif key.kind == "time":
        try:
            time.fromisoformat(value)
        except (TypeError, ValueError):
            return "expected a local time HH:MM"
    elif key.kind == "choice":
        if value not in key.choices:
            return f"expected one of {', '.join(key.choices)}"
    elif key.kind in ("codes", "texts"):
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            return "expected a list of texts"
        if key.choices and not set(value) <= set(key.choices):
            return f"expected only {', '.join(key.choices)}"
    elif key.kind == "shares":
        return _shares_problem(value)
    return ""


def _shares_problem(value: Any) -> str:
    known = {entry.name for entry in fields(DeclineShare)}
    if not isinstance(value, list):
        return "expected a list of rows with notice and percent"
    for row in value:
        if not isinstance(row, dict) or not {"notice", "percent"} <= set(row) or not set(row) <= known:
            return f"each row has notice, percent and maybe {', '.join(sorted(known - {'notice', 'percent'}))}"
        if row["notice"] not in ("in_advance", "at_door", "absent"):
            return "notice is one of in_advance, at_door, absent"
        if not isinstance(row["percent"], int) or isinstance(row["percent"], bool) or not 0 <= row["percent"] <= 100:
            return "percent is a whole number from 0 to 100"
    return ""


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
            for row in content:
                values.append(_dated_value(str(row.get("key", "")), {k: v for k, v in row.items() if k != "key"}))
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
            lines.append(f"source = {json.dumps(value.source, ensure_ascii=False)}")
        lines.append("")
    return "\n".join(lines)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_toml(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)
