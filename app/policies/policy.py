"""Every policy value as valid on one local day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time


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
    continuity_variants: tuple[str, ...]
    continuity_official_week: int
    night_from: time
    night_to: time
    misfit_over_percent: int
    misfit_under_percent: int
    misfit_months: int
    extra_manual_reasons: tuple[str, ...]
    extra_correction_reasons: tuple[str, ...]
    extra_excess_reasons: tuple[str, ...]
