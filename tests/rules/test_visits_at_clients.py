"""DOMAIN.md 2.1 rows 13, 14, 18-20, 2.3, 2.4: what shows at the client and between visits."""

from __future__ import annotations

import hashlib

from tests.diary import codes, derived, minutes, moment, only, visit_of

ORDER = "order bo P1 2020-01-01.. 600/month\n"
VISIT = "2026-01-05 08:00 KOM anna bo\n2026-01-05 09:00 GICK anna bo\n"
COUPLE = "tag T bo,cia\n2026-01-05 08:00 KOM anna tag:T\n2026-01-05 08:31 GICK anna tag:T\n"


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


# row 13


def test_the_later_carer_above_max_staff_is_the_unordered_one() -> None:
    derivation = derived(
        ORDER + VISIT + "2026-01-05 08:30 KOM bea bo\n2026-01-05 09:30 GICK bea bo\n"
        "2026-01-05 09:00 KOM dan bo\n2026-01-05 09:20 GICK dan bo"
    )
    # anna has left at 09:00 when dan comes, but bea is there
    assert [v.staff_id for v in derivation.visits if "unordered_second_staff" in v.findings] == ["bea", "dan"]
    assert all(visit.accepted for visit in derivation.visits)


def test_equal_starts_are_decided_by_device_and_seq() -> None:
    derivation = derived(
        ORDER + "2026-01-05 08:00 KOM anna bo device=z\n2026-01-05 09:00 GICK anna bo device=z\n"
        "2026-01-05 08:00 KOM bea bo device=a\n2026-01-05 09:00 GICK bea bo device=a"
    )
    assert only(derivation, "unordered_second_staff").staff_id == "anna"


def test_the_largest_max_staff_of_the_day_counts_and_a_visit_without_end_does_not() -> None:
    second = "2026-01-05 08:30 KOM bea bo\n2026-01-05 08:40 GICK bea bo\n"
    assert codes(derived(ORDER + "order bo P1 2026-01-05.. 10/day max_staff=2\n" + VISIT + second)) == []
    open_ended = "2026-01-05 08:10 KOM dan bo\n"
    assert "unordered_second_staff" not in codes(
        derived(ORDER + "order bo P1 2026-01-05.. 10/day max_staff=2\n" + VISIT + second + open_ended)
    )


def test_without_an_order_there_is_only_no_order() -> None:
    second = "2026-01-05 08:30 KOM bea bo\n2026-01-05 08:40 GICK bea bo"
    assert codes(derived(VISIT + second)) == ["no_order", "no_order"]


def test_a_trainee_along_is_no_second_carer_and_needs_no_order() -> None:
    trainee = "staff bea role=trainee\n2026-01-05 08:30 KOM bea bo\n2026-01-05 08:40 GICK bea bo\n"
    assert codes(derived(ORDER + VISIT + trainee)) == []
    assert codes(derived(trainee)) == []


# row 14


def test_a_couples_minutes_are_dealt_one_by_one_in_order_of_client_id() -> None:
    derivation = derived(COUPLE + ORDER + "order cia P1 2020-01-01.. 600/month")
    assert [(visit.client_id, visit.minutes) for visit in derivation.visits] == [("bo", 16), ("cia", 15)]
    assert codes(derivation) == []
    assert visit_of(derivation, "anna", "bo").visit_id == sha("phone-anna/1/bo")


def test_each_days_parts_of_a_household_visit_sum_to_the_day() -> None:
    derivation = derived(
        "tag T bo,cia,dag\n2026-01-31 23:48 KOM anna tag:T\n2026-02-01 00:13 GICK anna tag:T\n"
        "order bo P1 2020-01-01.. 1/month\norder cia P1 2020-01-01.. 1/month\norder dag P1 2020-01-01.. 1/month"
    )
    by_day: dict[object, int] = {}
    for visit in derivation.visits:
        for on, count in visit.minutes_by_day().items():
            by_day[on] = by_day.get(on, 0) + count
    assert sorted(by_day.values()) == [12, 13]


def test_only_members_with_an_order_with_that_provider_who_are_home_are_visited() -> None:
    both = ORDER + "order cia P1 2020-01-01.. 600/month\n"
    away = "absence cia hospital 2026-01-04..2026-01-06\n"
    edge = "absence cia hospital 2026-01-05..2026-01-09\n"
    assert [v.client_id for v in derived(COUPLE + ORDER).visits] == ["bo"]
    assert [v.client_id for v in derived(COUPLE + both + away).visits] == ["bo"]
    assert [v.client_id for v in derived(COUPLE + both + edge).visits] == ["bo", "cia"]
    assert [v.client_id for v in derived(COUPLE).visits] == ["bo", "cia"]
    assert [v.client_id for v in derived(COUPLE + away).visits] == ["bo"]
    all_away = derived(COUPLE + both + away + "absence bo away 2026-01-04..2026-01-06")
    assert [v.client_id for v in all_away.visits] == ["bo", "cia"]
    assert codes(all_away) == ["visit_in_absence", "visit_in_absence"]


def test_one_member_alone_still_has_the_id_of_a_household() -> None:
    assert derived(COUPLE + ORDER).visits[0].visit_id == sha("phone-anna/1/bo")
    assert derived(VISIT).visits[0].visit_id == sha("phone-anna/1")


def test_a_split_by_ordered_time_follows_the_orders() -> None:
    derivation = derived(
        "policy household_split ordered\ntag T bo,cia\n2026-01-05 08:00 KOM anna tag:T\n"
        "2026-01-05 08:30 GICK anna tag:T\norder bo P1 2020-01-01.. 400/month\norder cia P1 2020-01-01.. 200/month"
    )
    assert minutes(derivation) == [20, 10]


def test_a_correction_of_a_household_names_the_taps_and_applies_before_dealing() -> None:
    derivation = derived(
        COUPLE + ORDER + "order cia P1 2020-01-01.. 1/month\ncorrect c1 phone-anna/2 end=2026-01-05T08:41 ok=chef"
    )
    assert minutes(derivation) == [21, 20]
    assert [visit.source for visit in derivation.visits] == ["corrected", "corrected"]


def test_findings_about_a_visit_stand_on_each_member_about_a_tap_once() -> None:
    derivation = derived(
        "tag T bo,cia\n" + ORDER + "order cia P1 2020-01-01.. 1/month\n"
        "2026-01-05 08:00:00 KOM anna tag:T\n2026-01-05 08:00:30 KOM anna tag:T"
    )
    assert codes(derivation) == ["kom_without_gick", "kom_without_gick", "repeated_tap"]
    assert only(derivation, "repeated_tap").client_id == "bo"
    assert only(derivation, "repeated_tap").born_resolved


# rows 18-20


def test_no_order_is_for_carers_and_the_day_of_the_visit() -> None:
    assert codes(derived("order bo P1 2026-01-06.. 1/month\n" + VISIT)) == ["no_order"]
    assert codes(derived("order bo P2 2020-01-01.. 1/month\n" + VISIT)) == ["no_order"]
    assert codes(derived("order bo P1 2020-01-01..2026-01-05 1/month\n" + VISIT)) == []


def test_two_employments_of_one_person_overlap_and_the_weaker_one_is_held() -> None:
    derivation = derived(
        ORDER
        + "staff anna person=annika\nstaff anna2 person=annika provider=P2\norder cia P2 2020-01-01.. 1/month\n"
        + VISIT
        + "2026-01-05 08:59 KOM anna2 cia grade=B\n2026-01-05 09:30 GICK anna2 cia"
    )
    assert codes(derivation) == ["overlap", "overlap"]
    assert [visit.held for visit in derivation.visits] == [False, True]
    # each provider sees only its own side
    assert {f.provider_id: f.client_id for f in derivation.findings} == {"P1": "bo", "P2": "cia"}


def test_equally_proved_overlaps_are_both_held_and_touching_is_none() -> None:
    other = "staff anna person=annika\nstaff anna2 person=annika\n" + ORDER + VISIT
    both = derived(other + "2026-01-05 08:59:59 KOM anna2 bo\n2026-01-05 09:30 GICK anna2 bo")
    assert [visit.held for visit in both.visits] == [True, True]
    touching = derived(other + "2026-01-05 09:00 KOM anna2 bo\n2026-01-05 09:30 GICK anna2 bo")
    assert "overlap" not in codes(touching)


def test_an_end_stated_by_hand_is_weaker_than_any_tapped_end() -> None:
    derivation = derived(
        ORDER + "2026-01-05 08:00 KOM anna bo grade=D\n2026-01-05 09:00 GICK anna bo grade=D\n"
        "manual m1 bo anna 2026-01-05T08:30..09:30 forgot_both ok=chef"
    )
    assert {visit.source: visit.holds for visit in derivation.visits} == {"taps": ("grade_d",), "manual": ("overlap",)}


# 2.3


def test_grade_d_is_held_until_a_person_decides() -> None:
    story = ORDER + "2026-01-05 08:00 KOM anna bo grade=D\n2026-01-05 09:00 GICK anna bo\n"
    held = derived(story)
    (visit,) = held.visits
    assert (visit.grade, visit.holds, visit.accepted) == ("D", ("grade_d",), False)
    released = derived(story + f"resolve {only(held, 'grade_d').finding_id}")
    assert released.visits[0].accepted


def test_a_resolution_does_not_release_what_must_be_put_right() -> None:
    story = ORDER + VISIT + "dispute q1 bo 2026-01-05 open\n"
    finding = only(derived(story), "client_disputes")
    assert derived(story + f"resolve {finding.finding_id}").visits[0].held


def test_a_municipality_may_hold_by_more_until_somebody_has_looked() -> None:
    story = "policy holds too_short,no_order\n2026-01-05 08:00:00 KOM anna bo\n2026-01-05 08:01:59 GICK anna bo\n"
    held = derived(story)
    assert held.visits[0].holds == ("no_order", "too_short")
    resolved = [f"resolve {only(held, code).finding_id}\n" for code in ("no_order", "too_short")]
    assert derived(story + resolved[0]).visits[0].holds == ("too_short",)
    assert derived(story + resolved[0] + resolved[1]).visits[0].accepted
    built_in = derived(story.partition("\n")[2])
    assert built_in.visits[0].findings == ("no_order", "too_short")
    assert built_in.visits[0].accepted


def test_above_16_hours_is_held_until_resolved_or_corrected_with_a_confirmer() -> None:
    story = ORDER + "2026-01-05 04:00 KOM anna bo\n2026-01-05 20:00:{} GICK anna bo\n"
    assert not derived(story.format("00")).visits[0].held
    long = derived(story.format("01"))
    assert long.visits[0].holds == ("too_long",)
    assert not derived(story.format("01") + f"resolve {only(long, 'too_long').finding_id}").visits[0].held
    corrected = story.format("01") + "correct c1 phone-anna/1 end=2026-01-05T20:30 by=anna"
    assert derived(corrected).visits[0].held
    assert not derived(corrected + " ok=chef").visits[0].held
    assert derived(corrected + " ok=anna").visits[0].held  # maker and confirmer are never the same


def test_anything_above_16_hours_is_too_long_whatever_its_class() -> None:
    story = "2026-01-05 04:00 KOM anna bo service=night_patrol\n2026-01-05 20:00:01 GICK anna bo\n"
    assert derived(ORDER + story).visits[0].holds == ("too_long",)


def test_a_tag_under_the_providers_minimum_is_held_after_the_grace() -> None:
    story = ORDER + "provider P1 minimum=sun since={}\n" + VISIT
    assert derived(story.format("2026-01-05")).visits[0].holds == ("tag_level",)
    assert not derived(story.format("2026-01-06")).visits[0].held
    proved = VISIT.replace(" bo\n", " bo level=sun\n")
    assert not derived(ORDER + "provider P1 minimum=sun since=2026-01-05\n" + proved).visits[0].held


def test_what_holds_is_policy() -> None:
    story = ORDER + "policy holds overlap,grade_d\nabsence bo away 2026-01-04..2026-01-06\n" + VISIT
    derivation = derived(story)
    assert codes(derivation) == ["visit_in_absence"]
    assert derivation.visits[0].accepted


# 2.4


def test_the_class_is_the_stated_one_else_the_plans_else_care() -> None:
    plan = "plan p1 bo anna 2026-01-05T08:00..09:00 service=meal\n"
    assert derived(ORDER + VISIT).visits[0].service == "care"
    assert derived(ORDER + VISIT + plan).visits[0].service == "meal"
    assert (
        derived(ORDER + VISIT.replace("KOM anna bo", "KOM anna bo service=alarm") + plan).visits[0].service == "alarm"
    )
    assert derived(ORDER + VISIT.replace("GICK anna bo", "GICK anna bo service=alarm")).visits[0].service == "care"
    assert derived(ORDER + "2026-01-05 09:00 GICK anna bo service=alarm").visits[0].service == "alarm"


def test_a_plan_matches_within_two_hours_and_else_is_missed() -> None:
    near = derived(ORDER + VISIT + "plan p1 bo anna 2026-01-05T10:00..11:00")
    assert near.visits[0].planned_id == "p1"
    far = derived(ORDER + VISIT + "plan p1 bo anna 2026-01-05T10:00:01..11:00")
    assert far.visits[0].planned_id == ""
    assert only(far, "visit_missed").at == moment("2026-01-05T10:00:01")


def test_pairs_are_taken_same_staff_first_then_smallest_difference() -> None:
    visits = VISIT + "2026-01-05 09:30 KOM bea bo\n2026-01-05 09:50 GICK bea bo\n"
    plans = "plan p1 bo bea 2026-01-05T08:00..09:00\nplan p2 bo dan 2026-01-05T08:10..09:00\n"
    derivation = derived(ORDER + visits + plans)
    assert {v.staff_id: v.planned_id for v in derivation.visits} == {"anna": "p2", "bea": "p1"}


def test_equal_differences_go_to_the_earlier_plan_then_planned_id_then_earlier_kom() -> None:
    plans = "plan p2 bo x 2026-01-05T07:30..09:00\nplan p1 bo x 2026-01-05T08:30..09:00\n"
    assert derived(ORDER + VISIT + plans).visits[0].planned_id == "p2"
    same = "plan p2 bo x 2026-01-05T08:00..09:00\nplan p1 bo x 2026-01-05T08:00..09:00\n"
    assert derived(ORDER + VISIT + same).visits[0].planned_id == "p1"
    one = "plan p1 bo x 2026-01-05T08:30..09:00\n"
    visits = derived(ORDER + VISIT + "2026-01-05 09:00 KOM bea bo\n2026-01-05 09:50 GICK bea bo\n" + one).visits
    assert [visit.planned_id for visit in visits] == ["p1", ""]


def test_staff_count_visits_share_a_plan() -> None:
    visits = VISIT + "2026-01-05 08:10 KOM bea bo\n2026-01-05 08:20 GICK bea bo\n"
    derivation = derived(ORDER + visits + "plan p1 bo anna 2026-01-05T08:00..09:00 staff_count=2")
    assert [visit.planned_id for visit in derivation.visits] == ["p1", "p1"]


def test_a_plan_of_another_provider_does_not_match() -> None:
    assert derived(ORDER + VISIT + "plan p1 bo anna 2026-01-05T08:00..09:00 provider=P2").visits[0].planned_id == ""


def test_withdrawn_declined_and_absent_plans_are_not_missed() -> None:
    plan = "plan p1 bo anna 2026-01-05T08:00..09:00"
    assert codes(derived(plan)) == ["visit_missed"]
    assert codes(derived(plan + " withdrawn=2026-01-04T10:00")) == []
    assert codes(derived(plan + "\ndecline x1 bo 2026-01-05T08:00..09:00 in_advance")) == []
    assert codes(derived(plan + "\ndecline x1 bo 2026-01-05T08:01..09:00 in_advance")) == ["visit_missed"]
    assert codes(derived(plan + "\nabsence bo away 2026-01-01..2026-01-05")) == []
    assert codes(derived(plan + "\nabsence bo away 2026-01-05..2026-01-06")) == []
    assert codes(derived(plan + "\nabsence bo away 2026-01-06..2026-01-07")) == ["visit_missed"]


def test_the_planned_end_is_proposed_when_no_kom_elsewhere_is() -> None:
    derivation = derived(ORDER + "2026-01-05 08:00 KOM anna bo\nplan p1 bo anna 2026-01-05T08:15..09:00")
    assert dict(only(derivation, "kom_without_gick").proposal)["new_end_at"] == "2026-01-05T08:00:00Z"
    past = derived(ORDER + "2026-01-05 09:30 KOM anna bo\nplan p1 bo anna 2026-01-05T08:15..09:00")
    assert only(past, "kom_without_gick").proposal == ()


def test_who_leaves_as_the_other_comes_is_there_no_more() -> None:
    assert codes(derived(ORDER + VISIT + "2026-01-05 09:00 KOM bea bo\n2026-01-05 09:30 GICK bea bo")) == []
