"""The keys: built-in dated values with source and text, and the bounds of each (DOMAIN.md 9)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

ALWAYS = date.min
"""A value that is valid from the beginning of time."""


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
    "overlap",
    "grade_d",
    "visit_in_absence",
    "client_disputes",
    "revoked_device",
    "tag_level",
    "unconfirmed",
    "too_long",
)
MAY_HOLD = (
    "too_short",
    "implausible_move",
    "unordered_second_staff",
    "no_order",
    "seq_gap",
    "foreign_device",
    "grant_expired",
    "clock_doubt",
)
"""Findings about a visit that hold nothing unless a municipality puts them into its table (DOMAIN.md 2.3). Such a hold
ends when the finding is resolved."""


def _key(name: str, kind: str, value: Any, source: str, text: str, **bounds: Any) -> PolicyKey:
    return PolicyKey(name, kind, ((ALWAYS, value),), source, text, **bounds)


_KEYS: tuple[PolicyKey, ...] = (
    _key(
        "ceiling_percent",
        "int",
        110,
        "DOMAIN 3 [S3]",
        "Reported time up to this percent of ordered needs no reason; 'upp till' is inclusive.",
        least=100,
        most=1000,
    ),
    _key(
        "pair_limit_h",
        "int",
        24,
        "DOMAIN 2.1 row 1",
        "KOM and GICK of one visit lie at most this many hours apart.",
        least=1,
        most=72,
    ),
    _key(
        "open_until_h",
        "int",
        16,
        "DOMAIN 2.1 row 2",
        "So long after KOM a visit without GICK is called open.",
        least=1,
        most=72,
    ),
    _key(
        "repeat_s",
        "int",
        60,
        "DOMAIN 2.1 row 7",
        "The same act again within so many seconds is folded into the first.",
        most=3600,
    ),
    _key(
        "auto_max_h",
        "int",
        16,
        "DOMAIN 2.1 row 8",
        "An AUTO tap closes an open KOM at most this old.",
        least=1,
        most=72,
    ),
    _key(
        "auto_day_break",
        "time",
        "04:00",
        "DOMAIN 2.1 row 8",
        "An AUTO tap does not close across this local time, unless auto_short_h allows.",
    ),
    _key(
        "auto_short_h",
        "int",
        2,
        "DOMAIN 2.1 row 8",
        "Across the day break an AUTO tap still closes a KOM at most this old.",
        most=24,
    ),
    _key(
        "auto_retry_min",
        "int",
        5,
        "DOMAIN 2.1 row 9",
        "Two AUTO taps this close, then a third: a proposal to read them as one visit.",
        most=120,
    ),
    _key(
        "too_long_h", "int", 6, "DOMAIN 2.1 row 11", "A care visit from this many hours is a finding.", least=1, most=72
    ),
    _key(
        "hold_above_h",
        "int",
        16,
        "DOMAIN 2.1 row 11",
        "Any visit above this many hours is held until a person decides.",
        least=1,
        most=72,
    ),
    _key(
        "too_short_min", "int", 2, "DOMAIN 2.1 row 11", "A visit shorter than this many minutes is a finding.", most=60
    ),
    _key(
        "move_s", "int", 60, "DOMAIN 2.1 row 21", "Taps at two sites within so many seconds are implausible.", most=3600
    ),
    _key(
        "manual_share_percent",
        "int",
        5,
        "DOMAIN 2.2 row 33",
        "Above this share of a provider's month, manual and corrected visits need a confirmer.",
        most=100,
    ),
    _key(
        "manual_share_floor",
        "int",
        20,
        "DOMAIN 2.2 row 33",
        "Up to this many manual and corrected visits a month never need one.",
        most=100_000,
    ),
    _key(
        "decline_window_min",
        "int",
        60,
        "DOMAIN 4",
        "A KOM this many minutes before the planned start shows that staff came.",
        most=1440,
    ),
    PolicyKey(
        "decline_shares",
        "shares",
        ((ALWAYS, [{"notice": "at_door", "percent": 100}]), (date(2017, 1, 1), [])),
        "DOMAIN 4 [S3]",
        "What percent of a declined visit is compensated, by notice, care service and date.",
    ),
    _key("declines_count_towards_ceiling", "bool", True, "DOMAIN 4", "Compensated declines count as reported time."),
    _key("double_compensation_guard", "bool", True, "DOMAIN 4 [S3]", "Made-up time linked to a decline is paid once."),
    _key(
        "reason_lag_months",
        "int",
        1,
        "DOMAIN 3 [S3]",
        "A reason is in time until the last day of the month this many months later.",
        most=24,
    ),
    _key(
        "minutes_rounding",
        "choice",
        "truncate_stamps",
        "DOMAIN 2.3",
        "Both stamps are cut to the whole minute.",
        choices=("truncate_stamps",),
    ),
    _key(
        "household_split",
        "choice",
        "equal",
        "DOMAIN 2.1 row 14",
        "How a couple's minutes are dealt: equally, or by ordered time.",
        choices=("equal", "ordered"),
    ),
    _key(
        "night_patrol_counts",
        "bool",
        True,
        "DOMAIN 2.4",
        "Night patrol minutes count as executed time and towards the ceiling.",
    ),
    _key(
        "per_visit_band_counts",
        "bool",
        True,
        "DOMAIN 5",
        "Minutes inside a band paid per visit count as executed time.",
    ),
    _key("absence_lowers_ordered", "bool", False, "DOMAIN 2.2 row 35", "Days of absence lower the ordered time."),
    _key(
        "claw_back_lowered_orders", "bool", False, "DOMAIN 3", "An order lowered after close reclaims what was settled."
    ),
    _key("second_staff_counts", "bool", True, "DOMAIN 2.1 row 13", "An unordered second carer's minutes count."),
    _key("run_day", "int", 6, "DOMAIN 3 [S3]", "Day of the following month of the payment run.", least=1, most=28),
    _key("run_time", "time", "18:00", "DOMAIN 3", "Local time of the run on a working day."),
    _key("run_time_holiday", "time", "10:00", "DOMAIN 3", "Local time of the run on a public holiday."),
    _key(
        "weekend_is_holiday", "bool", False, "DOMAIN 3", "Saturdays and Sundays count as public holidays for the run."
    ),
    _key("grade_a_receive_s", "int", 120, "EVIDENCE 1", "Grade A: received within so many seconds.", most=86_400),
    _key(
        "grade_a_offset_s",
        "int",
        30,
        "EVIDENCE 1",
        "Grade A: device clock off by at most so many seconds.",
        most=86_400,
    ),
    _key(
        "grade_b_s",
        "int",
        120,
        "EVIDENCE 1",
        "Grade B: estimate within so many seconds of the claim; beyond it the estimate is the stamp.",
        most=86_400,
    ),
    _key("holds", "codes", list(HOLDS), "DOMAIN 2.3", "What holds a visit's minutes.", choices=(*HOLDS, *MAY_HOLD)),
    _key(
        "holds_until_resolved",
        "codes",
        ["grade_d", "revoked_device", "too_long", "visit_in_absence"],
        "DOMAIN 2.1 row 11, 2.3; EVIDENCE 1",
        "Holds that end when a person resolves the finding; the others end when what is wrong is put right.",
        choices=HOLDS,
    ),
    _key(
        "late_cancellation_h",
        "int",
        48,
        "DOMAIN 5",
        "A visit cancelled later than this many hours before its start is a late cancellation.",
        most=8760,
    ),
    _key(
        "plan_match_h",
        "int",
        2,
        "DOMAIN 2.4",
        "A plan matches visits that start at most this many hours away.",
        most=24,
    ),
    _key(
        "missed_after_min",
        "int",
        30,
        "DOMAIN 2.4",
        "Doors hide a missed visit until so many minutes after its planned start.",
        most=1440,
    ),
    _key(
        "client_word",
        "choice",
        "brukare",
        "DOMAIN 1",
        "The word for the client in this installation.",
        choices=("brukare", "kund", "den enskilde"),
    ),
    _key(
        "continuity_variants",
        "texts",
        [],
        "DOMAIN 6",
        "Variants of continuity measures that apply where none is asked for; the national measure has two.",
    ),
    _key(
        "continuity_official_week",
        "int",
        42,
        "DOMAIN 6 [D]",
        "ISO week in which the official fortnight of a year begins: decided beforehand, valid on 1 January.",
        least=1,
        most=52,
    ),
    _key("night_from", "time", "22:00", "DOMAIN 5 [L]", "Local time at which the night band begins."),
    _key("night_to", "time", "07:00", "DOMAIN 5 [L]", "Local time at which the day band begins."),
    _key(
        "misfit_over_percent",
        "int",
        110,
        "DOMAIN 3",
        "Months above this percent of ordered, in a row, make order_misfit.",
        most=1000,
    ),
    _key(
        "misfit_under_percent",
        "int",
        75,
        "DOMAIN 3",
        "Months under this percent of ordered, in a row, make order_misfit.",
        most=100,
    ),
    _key("misfit_months", "int", 3, "DOMAIN 3", "How many months in a row make order_misfit.", least=1, most=24),
    _key("extra_manual_reasons", "texts", [], "CONTRACT 6", "Reasons of manual visits beside the closed list."),
    _key("extra_correction_reasons", "texts", [], "CONTRACT 6", "Reasons of corrections beside the closed list."),
    _key("extra_excess_reasons", "texts", [], "CONTRACT 6", "Reasons for excess beside the closed list."),
)

KEYS: Mapping[str, PolicyKey] = {key.name: key for key in _KEYS}
