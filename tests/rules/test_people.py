"""DOMAIN.md 2.2 rows 30-39: what people state beside the taps."""

from __future__ import annotations

import pytest

from tests.diary import codes, derived, minutes, moment, only, visit_of

ORDER = "order bo P1 2020-01-01.. 600/month id=o1\n"
VISIT = "2026-01-05 08:00 KOM anna bo\n2026-01-05 09:00 GICK anna bo\n"


def manuals(count: int, more: str = "", reason: str = "forgot_both") -> str:
    """Manual visits of ten minutes, one after the other, without a confirmer."""
    return "\n".join(
        f"manual m{n} bo anna 2026-01-{n // 60 + 6:02d}T{n % 60 // 4 + 6:02d}:{n % 4 * 15:02d}.."
        f"{n % 60 // 4 + 6:02d}:{n % 4 * 15 + 10:02d} {reason} {more}"
        for n in range(count)
    )


# rows 30-33, 37


def test_twenty_manual_visits_need_no_second_person_twenty_one_do() -> None:
    assert codes(derived(ORDER + manuals(20))) == []
    above = derived(ORDER + manuals(21))
    assert codes(above) == ["unconfirmed"] * 21
    assert all(visit.holds == ("unconfirmed",) for visit in above.visits)


def test_the_confirmed_ones_are_not_held_but_count() -> None:
    confirmed = "manual c1 bo bea 2026-01-20T08:00..09:00 forgot_both ok=chef\n"
    derivation = derived(ORDER + manuals(20) + "\n" + confirmed)
    assert len([visit for visit in derivation.visits if visit.held]) == 20
    assert not visit_of(derivation, "bea", "bo").held
    own = derived(ORDER + manuals(20) + "\n" + confirmed.replace("ok=chef", "ok=bea"))
    assert visit_of(own, "bea", "bo").held


def test_above_the_floor_the_percent_decides() -> None:
    story = ORDER + "policy manual_share_floor 0\n" + manuals(1) + "\n"
    taps = "\n".join(
        f"2026-01-{10 + n:02d} 08:00 KOM anna bo\n2026-01-{10 + n:02d} 08:30 GICK anna bo" for n in range(19)
    )
    assert codes(derived(story + taps)) == []  # 1 of 20 is 5 %, not above
    fewer = "\n".join(taps.splitlines()[2:])
    assert codes(derived(story + fewer)) == ["unconfirmed"]


def test_the_share_is_of_a_provider_and_month() -> None:
    february = "manual f1 bo anna 2026-02-05T08:00..09:00 forgot_both\n"
    other = (
        "staff eva provider=P2\nmanual p2 bo eva 2026-01-20T08:00..09:00 forgot_both\norder bo P2 2020-01-01.. 1/day\n"
    )
    assert codes(derived(ORDER + manuals(20) + "\n" + february + other)) == []


@pytest.mark.parametrize(
    "exemption",
    [
        "refuses bo 2026-01-01..",
        "outage P1 2026-01-01T00:00..2026-02-01T00:00",
        "outage all 2026-01-01T00:00..",
        "service o1 shopping proof=none",
        "service o1 shopping proof=one_end",
    ],
)
def test_refused_tags_outages_and_services_without_tag_are_outside_the_share(exemption: str) -> None:
    assert codes(derived(ORDER + manuals(21, "care_service=shopping") + "\n" + exemption)) == []


def test_a_care_service_that_needs_both_taps_is_not_outside() -> None:
    story = ORDER + manuals(21, "care_service=shopping") + "\nservice o1 shopping proof=both"
    assert "unconfirmed" in codes(derived(story))


def test_corrected_visits_count_like_manual_ones() -> None:
    story = ORDER + "policy manual_share_floor 0\n" + VISIT
    assert codes(derived(story + "correct c1 phone-anna/1 end=2026-01-05T09:10")) == ["unconfirmed"]
    assert codes(derived(story + "correct c1 phone-anna/1 end=2026-01-05T09:10 ok=chef")) == []
    assert codes(derived(story + "correct c1 phone-anna/1 cancel")) == []


def test_a_restaffed_visit_is_outside_unless_also_corrected_otherwise() -> None:
    story = ORDER + "policy manual_share_floor 0\nstaff bea\n" + VISIT
    restaffed = story + "correct c1 device=phone-anna staff=bea 2026-01-05T07:00..2026-01-05T10:00\n"
    assert codes(derived(restaffed)) == []
    twice = derived(restaffed + "correct c2 phone-anna/1 end=2026-01-05T09:10 ok=chef")
    assert twice.visits[0].holds == ("unconfirmed",)  # the restaffing took effect and lacks a confirmer


# row 34


def test_a_correction_names_the_visit_by_its_kom_or_its_gick() -> None:
    for end in ("phone-anna/1", "phone-anna/2"):
        derivation = derived(ORDER + VISIT + f"correct c1 {end} start=2026-01-05T08:15 ok=chef")
        (visit,) = derivation.visits
        assert (visit.minutes, visit.source, visit.grade) == (45, "corrected", "C")
        assert visit.kom is not None
        assert visit.kom.at == moment("2026-01-05T08:00")


def test_the_later_correction_wins_per_field_in_order_of_made_at_then_id() -> None:
    derivation = derived(
        ORDER
        + VISIT
        + "correct c3 phone-anna/1 end=2026-01-05T09:30 made=2026-01-06T10:00\n"
        + "correct c1 phone-anna/1 end=2026-01-05T09:20 made=2026-01-06T10:00\n"
        + "correct c2 phone-anna/1 start=2026-01-05T08:10 end=2026-01-05T09:10 made=2026-01-06T09:00\n"
    )
    assert minutes(derivation) == [80]


@pytest.mark.parametrize(
    ("correction", "why"),
    [
        ("c1 phone-anna/9 cancel", "names_no_visit"),
        ("c1 m9 cancel", "names_no_visit"),
        ("c1 phone-anna/1 end=2026-01-05T07:59", "ends_before_start"),
        ("c1 phone-anna/1 start=2026-01-05T09:01", "ends_before_start"),
        ("c1 phone-anna/1 staff=nobody", "unknown_staff"),
        ("c1 phone-anna/1 client=nobody", "unknown_client"),
    ],
)
def test_a_correction_without_effect_is_a_finding(correction: str, why: str) -> None:
    derivation = derived(ORDER + VISIT + f"correct {correction}")
    finding = only(derivation, "correction_without_effect")
    assert (finding.fact("correction_ids"), finding.fact("why")) == ("c1", why)
    assert minutes(derivation) == [60]
    assert derivation.visits[0].source == "taps"


def test_a_folded_tap_names_no_visit() -> None:
    derivation = derived(ORDER + VISIT + "2026-01-05 08:00:30 KOM anna bo\ncorrect c1 phone-anna/3 cancel")
    assert "correction_without_effect" in codes(derivation)


def test_a_single_kom_gets_its_end_by_hand() -> None:
    derivation = derived(ORDER + "2026-01-05 08:00 KOM anna bo grade=A\ncorrect c1 phone-anna/1 end=2026-01-05T08:40")
    (visit,) = derivation.visits
    assert (visit.minutes, visit.status, visit.grade, codes(derivation)) == (40, "complete", "C", [])


def test_a_single_gick_gets_its_start_by_hand_and_the_reversal_is_gone() -> None:
    story = ORDER + "2026-01-05 08:00 GICK anna bo\n2026-01-05 09:00 KOM anna bo\n"
    accepted = "correct c1 phone-anna/1 start=2026-01-05T08:00 end=2026-01-05T09:00\ncorrect c2 phone-anna/2 cancel"
    derivation = derived(story + accepted)
    assert (minutes(derivation), codes(derivation)) == ([60, 0], [])


def test_a_cancelled_visit_has_no_minutes_and_no_findings() -> None:
    derivation = derived(VISIT + "correct c1 phone-anna/1 cancel")
    assert [(v.status, v.minutes, v.source) for v in derivation.visits] == [("cancelled", 0, "corrected")]
    assert codes(derivation) == []


def test_set_staff_moves_the_visit_to_the_others_provider_and_person() -> None:
    derivation = derived(ORDER + VISIT + "staff bea provider=P2 person=b\ncorrect c1 phone-anna/1 staff=bea")
    (visit,) = derivation.visits
    assert (visit.staff_id, visit.provider_id, visit.unit_id, visit.person) == ("bea", "P2", "P2-unit", "person:b")


def test_set_client_moves_the_visit_but_not_its_id() -> None:
    before = derived(ORDER + VISIT).visits[0]
    (visit,) = derived(ORDER + VISIT + "client cia\ncorrect c1 phone-anna/1 client=cia").visits
    assert (visit.client_id, visit.visit_id) == ("cia", before.visit_id)


def test_corrections_change_nothing_about_pairing() -> None:
    derivation = derived(
        ORDER + VISIT + "2026-01-05 09:30 KOM anna bo\n2026-01-05 10:00 GICK anna bo\n"
        "correct c1 phone-anna/1 end=2026-01-05T09:45"
    )
    assert minutes(derivation) == [105, 30]
    assert codes(derivation) == ["overlap", "overlap"]
    assert [visit.held for visit in derivation.visits] == [True, False]


# manual visits


def test_a_manual_visit_is_a_visit_of_grade_c() -> None:
    (visit,) = derived(ORDER + "manual m1 bo anna 2026-01-05T08:00..09:00 no_phone service=meal").visits
    assert (visit.minutes, visit.source, visit.grade, visit.service) == (60, "manual", "C", "meal")
    assert visit.manual_id == "m1"


def test_a_manual_visit_with_one_end_is_incomplete() -> None:
    derivation = derived(
        ORDER + "manual m1 bo anna 2026-01-05T08:00.. forgot_gick\nmanual m2 bo bea ..2026-01-05T09:00 forgot_kom"
    )
    assert [visit.status for visit in derivation.visits] == ["incomplete", "incomplete"]
    assert codes(derivation) == ["gick_without_kom", "kom_without_gick"]


def test_a_manual_visit_of_somebody_not_employed_is_outside() -> None:
    derivation = derived("manual m1 bo ghost 2026-01-05T08:00..09:00 no_phone known=no")
    assert (derivation.visits, codes(derivation)) == ((), ["unknown_staff"])


def test_corrections_reach_manual_visits_by_manual_id() -> None:
    derivation = derived(
        ORDER + "manual m1 bo anna 2026-01-05T08:00..09:00 no_phone\ncorrect c1 m1 end=2026-01-05T09:30"
    )
    assert minutes(derivation) == [90]
    assert derivation.visits[0].source == "manual"


# rows 35, 38, 39


@pytest.mark.parametrize(
    ("absence", "held"),
    [
        ("hospital 2026-01-04..2026-01-06", True),
        ("hospital 2026-01-05..2026-01-06", False),
        ("hospital 2026-01-04..2026-01-05", False),
        ("away 2026-01-04..", True),
        ("dead 2026-01-05..", False),
        ("dead 2026-01-04..2026-01-05", True),
    ],
)
def test_a_visit_strictly_inside_an_absence_is_held(absence: str, held: bool) -> None:
    derivation = derived(ORDER + VISIT + f"absence bo {absence}")
    assert derivation.visits[0].held is held
    assert ("visit_in_absence" in codes(derivation)) is held


@pytest.mark.parametrize(
    ("state", "held"), [("open", True), ("upheld", True), ("withdrawn", False), ("rejected", False)]
)
def test_a_dispute_holds_the_days_visits_while_open_or_upheld(state: str, held: bool) -> None:
    derivation = derived(ORDER + VISIT + f"dispute q1 bo 2026-01-05 {state}")
    assert derivation.visits[0].held is held
    assert not derived(ORDER + VISIT + f"dispute q1 bo 2026-01-06 {state}").visits[0].held


def test_a_trainee_is_a_visit_with_its_role() -> None:
    (visit,) = derived("staff anna role=trainee\n" + ORDER + VISIT).visits
    assert (visit.role, visit.minutes) == ("trainee", 60)


def test_a_visit_may_end_at_its_start() -> None:
    derivation = derived(ORDER + VISIT + "correct c1 phone-anna/1 start=2026-01-05T09:00")
    assert (minutes(derivation), codes(derivation)) == ([0], ["too_short"])
