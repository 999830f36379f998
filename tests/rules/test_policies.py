"""Policies: DOMAIN.md 9 key by key, dates, what is refused and in which words (DOMAIN.md preface: never a constant)."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.policies import PolicyBook
from app.policies.book import DatedValue
from app.policies.keys import KEYS
from app.policies.toml import read_policies, write_policies
from app.refusals import ImpossiblePolicy, UnknownPolicy

DEFAULTS = """
ceiling_percent 110; pair_limit_h 24; open_until_h 16; repeat_s 60; auto_max_h 16; auto_day_break 04:00; auto_short_h 2;
auto_retry_min 5; too_long_h 6; hold_above_h 16; too_short_min 2; move_s 60; manual_share_percent 5;
manual_share_floor 20; decline_window_min 60; declines_count_towards_ceiling True; double_compensation_guard True;
reason_lag_months 1; minutes_rounding truncate_stamps; household_split equal; night_patrol_counts True;
per_visit_band_counts True; absence_lowers_ordered False; claw_back_lowered_orders False; second_staff_counts True;
run_day 6; run_time 18:00; run_time_holiday 10:00; weekend_is_holiday False; grade_a_receive_s 120;
grade_a_offset_s 30; grade_b_s 120; late_cancellation_h 48; plan_match_h 2; missed_after_min 30; client_word brukare
"""
HELD = {
    "overlap", "grade_d", "visit_in_absence", "client_disputes", "revoked_device", "tag_level", "unconfirmed",
    "too_long",
}  # fmt: skip
TODAY = date(2026, 10, 1)


@pytest.mark.parametrize("said", [one.strip() for one in DEFAULTS.split(";")])
def test_every_key_has_the_default_of_the_domain(said: str) -> None:
    name, value = said.split()
    assert str(PolicyBook.built_in().value(name, TODAY)) == value


def test_tables_have_the_defaults_of_the_domain() -> None:
    book = PolicyBook.built_in()
    assert set(book.value("holds", TODAY)) == HELD
    assert book.value("decline_shares", date(2016, 12, 31)) == [{"notice": "at_door", "percent": 100}]
    assert book.value("decline_shares", date(2017, 1, 1)) == []
    assert all(row["source"] and row["text"] for row in book.rows())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('ceiling_percent = "110"', "expected a whole number from 100 to 1000"),
        ("ceiling_percent = 99", "expected a whole number from 100 to 1000"),
        ("ceiling_percent = true", "expected a whole number from 100 to 1000"),
        ("reason_lag_months = 1.5", "expected a whole number"),
        ("run_day = 29", "expected a whole number from 1 to 28"),
        ('run_time = "25:00"', "expected a local time HH:MM"),
        ("weekend_is_holiday = 1", "expected true or false"),
        ('household_split = "half"', "expected one of equal, ordered"),
        ('holds = ["visit_missed"]', "expected only overlap"),
        ('holds = "overlap"', "expected a list of texts"),
        ("decline_shares = [{percent = 50}]", "each row has notice, percent"),
        ('decline_shares = [{notice = "no", percent = 50}]', "notice is one of in_advance, at_door, absent"),
        ('decline_shares = [{notice = "absent", percent = 101}]', "percent is a whole number from 0 to 100"),
        ('decline_shares = [{notice = "absent", percent = 1, absence = "ill"}]', "absence is one of hospital"),
        ('decline_shares = [{notice = "absent", percent = 1, day_from = 2}]', "of an absence"),
        ('ceiling_percent = {value = 115, valid_from = "soon"}', "valid_from is a date"),
        ("ceiling_percent = {value = 115, since = 2026-01-01}", "a dated value has value, valid_from and source"),
        ("ceiling_percent 115", "is not TOML"),
    ],
)
def test_an_impossible_value_is_refused_with_what_is_possible(text: str, said: str) -> None:
    with pytest.raises(ImpossiblePolicy, match=said):
        read_policies(text)


@pytest.mark.parametrize("text", ["ceiling_procent = 115", '[[policy]]\nkey = "ceiling_procent"\nvalue = 115'])
def test_an_unknown_key_is_refused_with_the_list_of_known_ones(text: str) -> None:
    with pytest.raises(UnknownPolicy) as refused:
        read_policies(text)
    assert "'ceiling_procent'" in str(refused.value)
    assert all(name in str(refused.value) for name in KEYS)


def test_a_value_holds_from_its_date_until_the_next() -> None:
    book = PolicyBook.built_in().with_overrides(
        read_policies(
            "[[ceiling_percent]]\nvalue = 115\nvalid_from = 2026-04-01\nsource = 'KF 12'\n"
            "[[ceiling_percent]]\nvalue = 120\nvalid_from = 2026-05-15\n"
        )
    )
    days = ("2026-03-31", "2026-04-01", "2026-05-14", "2026-05-15")
    assert [book.on(date.fromisoformat(on)).ceiling_percent for on in days] == [110, 115, 115, 120]
    assert book.version != PolicyBook.built_in().version
    sources = [row["source"] for row in book.rows() if row["key"] == "ceiling_percent"]
    assert sources == ["DOMAIN 3 [S3]", "KF 12", "policies.toml"]


def test_a_citys_own_rule_is_not_overruled_by_a_later_built_in_one() -> None:
    own = [{"notice": "at_door", "percent": 75}]
    book = PolicyBook.built_in().with_overrides([DatedValue("decline_shares", own, date(2015, 1, 1))])
    assert book.value("decline_shares", TODAY) == own


_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "ceiling_percent": st.integers(100, 1000),
    "run_time": st.times().map(lambda at: at.strftime("%H:%M")),
    "weekend_is_holiday": st.booleans(),
    "household_split": st.sampled_from(["equal", "ordered"]),
    "holds": st.lists(st.sampled_from(sorted(HELD)), unique=True),
    "extra_manual_reasons": st.lists(st.text(max_size=8)),
    "decline_shares": st.lists(
        st.fixed_dictionaries(
            {"notice": st.sampled_from(["in_advance", "at_door", "absent"]), "percent": st.integers(0, 100)}
        )
    ),
}


@given(
    st.lists(
        st.sampled_from(sorted(_VALUES)).flatmap(
            lambda name: st.builds(
                DatedValue, st.just(name), _VALUES[name], st.dates(date(2000, 1, 1)), st.text(max_size=8)
            )
        )
    )
)
def test_what_is_written_is_read_back(values: list[DatedValue]) -> None:
    assert read_policies(write_policies(values)) == values
