"""DOMAIN.md 4: declined visits."""

from __future__ import annotations

import pytest

from app.facts import DeclineOutcome
from tests.diary import codes, derived, minutes, visit_of

ORDER = "order bo P1 2010-01-01.. 600/month\n"
PLAN = "plan p1 bo anna {day}T08:00..09:00\n"


def outcome(story: str) -> DeclineOutcome:
    (found,) = derived(ORDER + story).outcomes
    return found


def at_door(kom: str, more: str = "", notice: str = "at_door", noticed: str = "08:05") -> str:
    return (
        f"2016-05-02 {kom} KOM anna bo\n{more}"
        f"decline x1 bo 2016-05-02T08:00..09:00 {notice} noticed=2016-05-02T{noticed}\n"
    )


def test_at_the_door_is_compensated_until_2016_and_its_kom_is_declined_without_findings() -> None:
    derivation = derived(ORDER + at_door("08:00"))
    (found,) = derivation.outcomes
    assert (found.notice, found.planned_minutes, found.share_percent, found.compensation_minutes) == (
        "at_door",
        60,
        100,
        60,
    )
    assert [(v.status, v.decline_id, v.minutes) for v in derivation.visits] == [("declined", "x1", 0)]
    assert codes(derivation) == []


def test_the_planned_date_picks_the_rule() -> None:
    late = "2016-12-31 23:30 KOM anna bo\ndecline x1 bo 2016-12-31T23:30..2017-01-01T00:30 at_door\n"
    early = "2017-01-01 00:00 KOM anna bo\ndecline x1 bo 2017-01-01T00:00..01:00 at_door\n"
    assert outcome(late).compensation_minutes == 60
    assert outcome(early).compensation_minutes == 0
    assert outcome(early).notice == "at_door"


@pytest.mark.parametrize(
    ("kom", "noticed", "judged"),
    [
        ("07:00", "08:05", "at_door"),
        ("06:59:59", "08:05", "in_advance"),
        ("08:05", "08:05", "at_door"),
        ("08:05:01", "08:05", "in_advance"),
        ("07:10", "07:15", "at_door"),
    ],
)
def test_the_window_reaches_from_60_minutes_before_to_noticed_at(kom: str, noticed: str, judged: str) -> None:
    derivation = derived(ORDER + at_door(kom, noticed=noticed))
    assert derivation.outcomes[0].notice == judged
    assert ("notice_contradicted" in codes(derivation)) is (judged == "in_advance")


def test_a_visit_that_ended_before_the_planned_start_shows_nothing() -> None:
    story = at_door("07:30", "2016-05-02 07:59:59 GICK anna bo\n")
    assert outcome(story).notice == "in_advance"
    assert minutes(derived(ORDER + story)) == [29]
    still = at_door("07:30", "2016-05-02 08:00 GICK anna bo\n")
    assert outcome(still).notice == "at_door"


def test_a_gick_without_kom_shows_presence_but_is_no_visit_of_the_decline() -> None:
    derivation = derived(
        ORDER + "2016-05-02 08:03 GICK anna bo\ndecline x1 bo 2016-05-02T08:00..09:00 at_door noticed=2016-05-02T08:05"
    )
    assert derivation.outcomes[0].notice == "at_door"
    assert derivation.outcomes[0].visit_ids == ()
    assert codes(derivation) == ["gick_without_kom"]


def test_only_staff_of_that_provider_count() -> None:
    story = "staff eva provider=P2\n2016-05-02 08:00 KOM eva bo\n"
    story += "decline x1 bo 2016-05-02T08:00..09:00 at_door noticed=2016-05-02T08:05"
    assert outcome(story).notice == "in_advance"


def test_stated_in_advance_with_a_tap_is_at_the_door_with_a_finding() -> None:
    derivation = derived(ORDER + at_door("08:00", notice="in_advance"))
    assert derivation.outcomes[0].notice == "at_door"
    assert codes(derivation) == ["notice_contradicted"]


def test_stated_in_advance_without_a_tap_closes_nothing_and_pays_nothing() -> None:
    derivation = derived(ORDER + at_door("10:00", notice="in_advance"))
    assert (derivation.outcomes[0].notice, derivation.outcomes[0].compensation_minutes) == ("in_advance", 0)
    assert codes(derivation) == ["kom_without_gick"]


def test_absent_stays_absent_and_a_tap_contradicts_it() -> None:
    derivation = derived(ORDER + at_door("08:00", notice="absent"))
    assert (derivation.outcomes[0].notice, derivation.outcomes[0].compensation_minutes) == ("absent", 0)
    assert codes(derivation) == ["kom_without_gick", "notice_contradicted"]
    assert codes(derived(ORDER + "decline x1 bo 2016-05-02T08:00..09:00 absent")) == []


def test_declined_in_the_middle_keeps_its_minutes_and_they_are_not_compensated() -> None:
    derivation = derived(ORDER + at_door("08:00", "2016-05-02 08:10 GICK anna bo\n", noticed="08:10"))
    assert [(v.status, v.minutes, v.accepted) for v in derivation.visits] == [("declined", 10, True)]
    assert derivation.outcomes[0].compensation_minutes == 50


def test_a_short_visit_in_the_middle_is_not_too_short() -> None:
    assert codes(derived(ORDER + at_door("08:00", "2016-05-02 08:01 GICK anna bo\n"))) == []


def test_compensation_is_never_negative_and_counts_held_minutes() -> None:
    long = at_door("08:00", "2016-05-02 10:00 GICK anna bo\ndispute q1 bo 2016-05-02 open\n")
    assert outcome(long).compensation_minutes == 0
    held = at_door("08:00", "2016-05-02 08:20 GICK anna bo\ndispute q1 bo 2016-05-02 open\n")
    assert outcome(held).compensation_minutes == 40


def test_two_staff_declined_at_the_door() -> None:
    second = "2016-05-02 08:08 KOM bea bo\n2016-05-02 08:09 KOM dan bo\n"
    story = at_door("08:00", second).replace("at_door noticed", "at_door staff_count=2 noticed")
    derivation = derived(ORDER + story)
    (found,) = derivation.outcomes
    assert (found.planned_minutes, found.compensation_minutes, len(found.visit_ids)) == (120, 120, 2)
    assert [(v.staff_id, v.status) for v in derivation.visits] == [
        ("anna", "declined"), ("bea", "declined"), ("dan", "incomplete"),
    ]  # fmt: skip


def test_its_visits_begin_no_later_than_the_planned_end() -> None:
    story = at_door("09:01", noticed="09:05")
    assert outcome(story).notice == "at_door"
    assert outcome(story).visit_ids == ()


def test_a_visit_of_another_plan_is_not_the_declines() -> None:
    plans = "plan p0 bo anna 2016-05-02T07:30..08:10\nplan p1 bo bea 2016-05-02T08:00..09:00\n"
    derivation = derived(ORDER + plans + at_door("07:30", "2016-05-02 08:10 GICK anna bo\n"))
    assert derivation.outcomes[0].notice == "at_door"  # somebody was there
    assert visit_of(derivation, "anna", "bo").status == "complete"
    assert derivation.outcomes[0].compensation_minutes == 60


def test_a_visit_belongs_to_the_earliest_decline_only() -> None:
    derivation = derived(
        ORDER + "2016-05-02 08:00 KOM anna bo\n"
        "decline x2 bo 2016-05-02T08:30..09:00 at_door noticed=2016-05-02T08:35\n"
        "decline x1 bo 2016-05-02T08:00..08:30 at_door noticed=2016-05-02T08:05\n"
    )
    assert {found.decline_id: len(found.visit_ids) for found in derivation.outcomes} == {"x1": 1, "x2": 0}


@pytest.mark.parametrize(
    "excuse", ["refuses bo 2016-05-02..2016-05-02", "outage P1 2016-05-02T08:05..2016-05-02T08:06"]
)
def test_for_refused_tags_and_in_an_outage_the_stated_notice_stands(excuse: str) -> None:
    without_tap = f"decline x1 bo 2016-05-02T08:00..09:00 at_door noticed=2016-05-02T08:05\n{excuse}"
    derivation = derived(ORDER + without_tap)
    assert (derivation.outcomes[0].compensation_minutes, codes(derivation)) == (60, [])
    advance = derived(ORDER + at_door("08:00", notice="in_advance") + excuse)
    assert advance.outcomes[0].notice == "in_advance"
    assert "notice_contradicted" not in codes(advance)
    absent = derived(ORDER + at_door("08:00", notice="absent") + excuse)
    assert absent.outcomes[0].notice == "absent"
    assert "notice_contradicted" in codes(absent)


def test_an_outage_after_noticed_at_excuses_nothing() -> None:
    story = "decline x1 bo 2016-05-02T08:00..09:00 at_door noticed=2016-05-02T08:05\n"
    story += "outage P1 2016-05-02T08:06..2016-05-02T09:00"
    assert codes(derived(ORDER + story)) == ["notice_contradicted"]


def test_the_code_given_shows_presence() -> None:
    story = "manual m1 bo anna 2016-05-02T08:00..08:10 tag_refused ok=chef\n"
    story += "decline x1 bo 2016-05-02T08:00..09:00 at_door noticed=2016-05-02T08:05"
    assert (outcome(story).notice, outcome(story).compensation_minutes) == ("at_door", 50)
    assert outcome(story.replace("tag_refused", "forgot_both")).notice == "in_advance"


def test_a_trainees_minutes_are_not_executed() -> None:
    story = "staff anna role=trainee\n" + at_door("08:00", "2016-05-02 08:20 GICK anna bo\n")
    assert outcome(story).compensation_minutes == 60


def test_made_up_minutes_need_a_date() -> None:
    story = at_door("08:00").strip()
    assert (
        outcome(story + " made_up=30@2016-05-03").made_up_minutes,
        outcome(story + " made_up=30").made_up_minutes,
    ) == (30, 0)


def test_a_cancelled_visit_is_no_tap_at_the_door() -> None:
    assert outcome(at_door("08:00") + "correct c1 phone-anna/1 cancel").notice == "in_advance"
