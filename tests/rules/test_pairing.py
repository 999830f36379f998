"""DOMAIN.md 2.1 rows 1-12, 15-17, 21-25: from taps to visits."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.diary import codes, derived, minutes, moment, only, read, visit_of

ORDER = "order bo P1 2020-01-01.. 600/month\norder cia P1 2020-01-01.. 600/month\n"


def told(text: str) -> tuple[list[int], list[str]]:
    derivation = derived(ORDER + text)
    return minutes(derivation), codes(derivation)


def test_a_forgotten_gick_never_makes_a_long_visit() -> None:
    derivation = derived(
        ORDER
        + """
        2026-01-05 08:00 KOM  anna  bo
        2026-01-05 14:00 KOM  anna  bo      # forgot GICK at 09
        2026-01-05 15:00 GICK anna  bo
        """
    )
    assert minutes(derivation) == [0, 60]
    assert [visit.status for visit in derivation.visits] == ["incomplete", "complete"]
    assert only(derivation, "kom_without_gick").at == moment("2026-01-05T08:00")


# Each row: the story, the minutes of its visits in order of time, the codes of its findings.
ROWS = {
    "1 a visit": ("2026-01-05 08:00 KOM anna bo\n2026-01-05 08:30 GICK anna bo", [30], []),
    "1 exactly 24 h apart is a visit": (
        "2026-01-05 08:00 KOM anna bo\n2026-01-06 08:00 GICK anna bo",
        [1440],
        ["too_long"],
    ),
    "1 a second more is none": (
        "2026-01-05 08:00 KOM anna bo\n2026-01-06 08:00:01 GICK anna bo",
        [0, 0],
        ["gick_without_kom", "kom_without_gick"],
    ),
    "2 KOM alone": ("2026-01-05 08:00 KOM anna bo", [0], ["kom_without_gick"]),
    "3 GICK alone": ("2026-01-05 08:00 GICK anna bo", [0], ["gick_without_kom"]),
    "5 KOM elsewhere ends the open visit, whatever comes later": (
        """2026-01-05 08:00 KOM anna bo
        2026-01-05 09:00 KOM anna cia
        2026-01-05 09:10 GICK anna bo
        2026-01-05 09:30 GICK anna cia""",
        [0, 30, 0],
        ["gick_without_kom", "kom_without_gick"],
    ),
    "5 only the first GICK there is linked, the next is row 6": (
        """2026-01-05 08:00 KOM anna bo
        2026-01-05 09:00 KOM anna cia
        2026-01-05 09:10 GICK anna bo
        2026-01-05 09:20 GICK anna bo
        2026-01-05 09:30 GICK anna cia""",
        [0, 30, 0, 0],
        ["gick_without_kom", "kom_without_gick", "wrong_client_gick"],
    ),
    "6 GICK at another client leaves the visit open": (
        """2026-01-05 08:00 KOM anna bo
        2026-01-05 08:20 GICK anna cia
        2026-01-05 08:30 GICK anna bo""",
        [30, 0],
        ["wrong_client_gick"],
    ),
    "6 an open KOM older than pair_limit is open no more": (
        "2026-01-05 08:00 KOM anna bo\n2026-01-06 08:00:01 GICK anna cia",
        [0, 0],
        ["gick_without_kom", "kom_without_gick"],
    ),
    "7 the same act again within 60 s is folded": (
        """2026-01-05 08:00:00 KOM anna bo
        2026-01-05 08:01:00 KOM anna bo device=other
        2026-01-05 08:30 GICK anna bo""",
        [30],
        ["repeated_tap"],
    ),
    "7 after 61 s of the first kept one it stands by itself": (
        """2026-01-05 08:00:00 KOM anna bo
        2026-01-05 08:00:40 KOM anna bo
        2026-01-05 08:01:01 KOM anna bo
        2026-01-05 08:30 GICK anna bo""",
        [0, 29],
        ["kom_without_gick", "repeated_tap"],
    ),
    "7 not across another kept tap": (
        """2026-01-05 08:00:00 KOM anna bo
        2026-01-05 08:00:20 GICK anna bo
        2026-01-05 08:00:40 KOM anna bo
        2026-01-05 08:30 GICK anna bo""",
        [0, 30],
        ["too_short"],
    ),
    "8 AUTO, AUTO is a visit": ("2026-01-05 08:00 AUTO anna bo\n2026-01-05 08:30 AUTO anna bo", [30], []),
    "8 AUTO closes a KOM of 16 h": (
        "2026-01-05 05:00 KOM anna bo\n2026-01-05 21:00 AUTO anna bo",
        [960],
        ["too_long"],
    ),
    "8 and none that is older": (
        "2026-01-05 05:00 KOM anna bo\n2026-01-05 21:00:01 AUTO anna bo",
        [0, 0],
        ["kom_without_gick", "kom_without_gick"],
    ),
    "8 not across 04:00": (
        "2026-01-05 22:00 AUTO anna bo\n2026-01-06 07:00 AUTO anna bo",
        [0, 0],
        ["kom_without_gick", "kom_without_gick"],
    ),
    "8 across 04:00 up to 2 h": ("2026-01-06 03:00 AUTO anna bo\n2026-01-06 05:00 AUTO anna bo", [120], []),
    "8 ending at 04:00 is not across": (
        "2026-01-05 23:00 AUTO anna bo\n2026-01-06 04:00 AUTO anna bo",
        [300],
        [],
    ),
    "8 beginning at 04:00 is not across": (
        "2026-01-06 04:00 AUTO anna bo\n2026-01-06 06:30 AUTO anna bo",
        [150],
        [],
    ),
    "8 AUTO elsewhere is a KOM": (
        """2026-01-05 08:00 AUTO anna bo
        2026-01-05 08:30 AUTO anna cia
        2026-01-05 08:50 AUTO anna cia""",
        [0, 20],
        ["kom_without_gick"],
    ),
    "9 a retry at arrival": (
        """2026-01-05 08:00 AUTO anna bo
        2026-01-05 08:04 AUTO anna bo
        2026-01-05 09:00 AUTO anna bo""",
        [4, 0],
        ["kom_without_gick", "too_short"],
    ),
    "9 not after more than 5 min": (
        """2026-01-05 08:00 AUTO anna bo
        2026-01-05 08:05:01 AUTO anna bo
        2026-01-05 09:00 AUTO anna bo""",
        [5, 0],
        ["kom_without_gick"],
    ),
    "9 not with a tap between": (
        """2026-01-05 08:00 AUTO anna bo
        2026-01-05 08:04 AUTO anna bo
        2026-01-05 08:30 KOM anna cia
        2026-01-05 08:40 GICK anna cia
        2026-01-05 09:00 AUTO anna bo""",
        [4, 10, 0],
        ["kom_without_gick"],
    ),
    "9 not even with a single tap between": (
        """2026-01-05 08:00 AUTO anna bo
        2026-01-05 08:04 AUTO anna bo
        2026-01-05 08:30 GICK anna cia
        2026-01-05 09:00 AUTO anna bo""",
        [4, 0, 0],
        ["gick_without_kom", "kom_without_gick"],
    ),
    "9 not when the third could not end the first": (
        """2026-01-05 20:00 AUTO anna bo
        2026-01-05 20:04 AUTO anna bo
        2026-01-06 07:00 AUTO anna bo""",
        [4, 0],
        ["kom_without_gick"],
    ),
    "10 acts reversed": (
        "2026-01-05 08:00 GICK anna bo\n2026-01-05 09:00 KOM anna bo",
        [0, 0],
        ["acts_reversed", "gick_without_kom", "kom_without_gick"],
    ),
    "10 not when that KOM finds its GICK": (
        "2026-01-05 08:00 GICK anna bo\n2026-01-05 09:00 KOM anna bo\n2026-01-05 10:00 GICK anna bo",
        [0, 60],
        ["gick_without_kom"],
    ),
    "10 not when a later KOM is the single one": (
        """2026-01-05 08:00 GICK anna bo
        2026-01-05 08:10 KOM anna bo
        2026-01-05 08:20:00 GICK anna bo
        2026-01-05 08:20:50 KOM anna bo""",
        [0, 10, 0],
        ["gick_without_kom", "kom_without_gick"],
    ),
    "10 not after 16 h": (
        "2026-01-05 08:00 GICK anna bo\n2026-01-06 00:00:01 KOM anna bo",
        [0, 0],
        ["gick_without_kom", "kom_without_gick"],
    ),
    "10 not when the next tap is elsewhere": (
        """2026-01-05 08:00 GICK anna bo
        2026-01-05 08:30 KOM anna cia
        2026-01-05 08:40 GICK anna cia
        2026-01-05 09:00 KOM anna bo""",
        [0, 10, 0],
        ["gick_without_kom", "kom_without_gick"],
    ),
    "10 not even when that next tap is a KOM without GICK": (
        """2026-01-05 08:00 GICK anna bo
        2026-01-05 08:30 KOM anna cia
        2026-01-05 09:00 KOM anna bo""",
        [0, 0, 0],
        ["gick_without_kom", "kom_without_gick", "kom_without_gick"],
    ),
    "11 two minutes are not too short": (
        "2026-01-05 08:00:10 KOM anna bo\n2026-01-05 08:02:10 GICK anna bo",
        [2],
        [],
    ),
    "11 a second less is, by elapsed seconds": (
        "2026-01-05 08:00:30 KOM anna bo\n2026-01-05 08:02:29 GICK anna bo",
        [2],
        ["too_short"],
    ),
    "11 care from 6 h is too long": (
        "2026-01-05 08:00 KOM anna bo\n2026-01-05 14:00 GICK anna bo",
        [360],
        ["too_long"],
    ),
    "11 a second less is not": ("2026-01-05 08:00:01 KOM anna bo\n2026-01-05 14:00 GICK anna bo", [360], []),
    "11 night patrol from 6 h is not": (
        "2026-01-05 08:00 KOM anna bo service=night_patrol\n2026-01-05 14:00 GICK anna bo",
        [360],
        [],
    ),
    "12 two staff are two visits": (
        """2026-01-05 08:00 KOM anna bo
        2026-01-05 08:05 KOM dan bo provider=P1
        2026-01-05 08:30 GICK dan bo
        order bo P1 2026-01-01.. 1/day max_staff=2 id=double""",
        [0, 25],
        ["kom_without_gick"],
    ),
    "15 unknown tag, before unknown staff": (
        "2026-01-05 08:00 KOM unknown1 tag:nobodys\n2026-01-05 08:30 GICK anna tag:nobodys",
        [],
        ["unknown_tag", "unknown_tag"],
    ),
    "15 a tap outside is not seen by pairing": (
        """2026-01-05 08:00 KOM anna bo
        2026-01-05 08:10 KOM anna tag:nobodys
        2026-01-05 08:30 GICK anna bo""",
        [30],
        ["unknown_tag"],
    ),
    "17 unknown staff": (
        "2026-01-05 08:00 KOM unknown1 bo\n2026-01-05 08:30 GICK unknown1 bo",
        [],
        ["unknown_staff", "unknown_staff"],
    ),
    "17 employment is judged at KOM": (
        "staff anna to=2026-01-05\n2026-01-05 23:50 KOM anna bo\n2026-01-06 00:10 GICK anna bo",
        [20],
        [],
    ),
    "17 a GICK that ends nothing needs employment itself": (
        "staff anna to=2026-01-05\n2026-01-06 00:10 GICK anna bo",
        [],
        ["unknown_staff"],
    ),
    "21 two sites within 60 s": (
        """2026-01-05 08:00 KOM anna bo
        2026-01-05 08:30:00 GICK anna bo
        2026-01-05 08:31:00 KOM anna cia
        2026-01-05 08:50 GICK anna cia""",
        [30, 19],
        ["implausible_move"],
    ),
    "21 same entrance or building: none": (
        """client bo site=house
        client cia site=house
        2026-01-05 08:00 KOM anna bo
        2026-01-05 08:30:00 GICK anna bo
        2026-01-05 08:30:20 KOM anna cia
        2026-01-05 08:50 GICK anna cia""",
        [30, 20],
        [],
    ),
    "23 the short night": ("2026-03-29 01:45 KOM anna bo\n2026-03-29 03:15 GICK anna bo", [30], []),
    "23 the long night": ("2026-10-25 01:45 KOM anna bo\n2026-10-25 03:15 GICK anna bo", [150], []),
    "25 an expired grant": (
        "2026-01-05 08:00 KOM anna bo doubts=grant_expired\n2026-01-05 08:30 GICK anna bo doubts=grant_expired",
        [30],
        ["grant_expired"],
    ),
    "25 another provider's device": (
        "device phone-anna provider=P2\n2026-01-05 08:00 KOM anna bo\n2026-01-05 08:30 GICK anna bo",
        [30],
        ["foreign_device"],
    ),
}


@pytest.mark.parametrize("row", ROWS, ids=ROWS)
def test_row(row: str) -> None:
    story, expected_minutes, expected_codes = ROWS[row]
    assert told(story) == (expected_minutes, expected_codes)


def test_an_open_visit_is_called_open_for_16_hours() -> None:
    (visit,) = derived("2026-01-05 08:00 KOM anna bo").visits
    assert visit.open_until_at == moment("2026-01-06T00:00")


def test_the_next_kom_elsewhere_proposes_the_end() -> None:
    derivation = derived("2026-01-05 08:00 KOM anna bo\n2026-01-05 09:00 KOM anna cia\n2026-01-05 09:30 GICK anna cia")
    proposal = dict(only(derivation, "kom_without_gick").proposal)
    assert proposal == {
        "kind": "set_times",
        "kom_device_id": "phone-anna",
        "kom_seq": "1",
        "new_end_at": "2026-01-05T08:00:00Z",
    }


def test_a_linked_gick_says_which_kom_was_left() -> None:
    derivation = derived("2026-01-05 08:00 KOM anna bo\n2026-01-05 09:00 KOM anna cia\n2026-01-05 09:10 GICK anna bo")
    finding = only(derivation, "gick_without_kom")
    assert (finding.fact("kom_device_id"), finding.fact("kom_seq")) == ("phone-anna", "1")


def test_reversed_acts_propose_one_visit_and_the_other_cancelled() -> None:
    derivation = derived("2026-01-05 08:00 GICK anna bo\n2026-01-05 09:00 KOM anna bo")
    proposal = dict(only(derivation, "acts_reversed").proposal)
    assert (proposal["new_start_at"], proposal["new_end_at"]) == ("2026-01-05T07:00:00Z", "2026-01-05T08:00:00Z")
    assert (proposal["kom_seq"], proposal["then_kind"], proposal["then_kom_seq"]) == ("1", "cancel_visit", "2")


def test_a_retry_proposes_one_visit_first_to_last() -> None:
    retry = "2026-01-05 08:00 AUTO anna bo\n2026-01-05 08:04 AUTO anna bo\n2026-01-05 09:00 AUTO anna bo\n"
    proposal = dict(only(derived(retry), "too_short").proposal)
    assert (proposal["kom_seq"], proposal["new_end_at"]) == ("1", "2026-01-05T08:00:00Z")
    assert proposal["then_kom_seq"] == "3"
    paired = dict(only(derived(retry + "2026-01-05 09:20 AUTO anna bo"), "too_short").proposal)
    assert "then_kind" not in paired  # the third has an end of its own: cancelling it would lose that visit


def test_history_is_never_re_attributed_when_a_tag_moves() -> None:
    derivation = derived(
        """
        tag T bo to=2026-01-05T09:00
        tag T cia from=2026-01-05T09:00
        2026-01-05 08:00 KOM anna tag:T
        2026-01-05 08:59:59 GICK anna tag:T
        2026-01-05 09:00 KOM anna tag:T
        2026-01-05 09:30 GICK anna tag:T
        """
    )
    assert [(visit.client_id, visit.minutes) for visit in derivation.visits] == [("bo", 59), ("cia", 30)]


def test_a_visit_across_midnight_is_one_visit_with_its_minutes_on_both_days() -> None:
    (visit,) = derived("2026-01-31 23:50 KOM anna bo\n2026-02-01 00:20 GICK anna bo").visits
    assert [minutes for _, minutes in sorted(visit.minutes_by_day().items())] == [10, 20]


def test_the_three_visits_of_the_rounding_rule_make_59_minutes() -> None:
    derivation = derived(
        """
        2026-01-05 08:00:40 KOM  anna bo
        2026-01-05 08:15:20 GICK anna bo
        2026-01-05 12:10:50 KOM  anna bo
        2026-01-05 12:25:10 GICK anna bo
        2026-01-05 18:00:10 KOM  anna bo
        2026-01-05 18:29:50 GICK anna bo
        """
    )
    assert sum(minutes(derivation)) == 59


def test_the_phone_used_under_another_grant_is_one_correction() -> None:
    story = """
        2026-01-05 07:09:59 KOM  anna bo
        2026-01-05 07:10    GICK anna bo
        2026-01-05 08:00 KOM  anna cia
        2026-01-05 08:30 GICK anna cia
        2026-01-05 11:40 KOM  anna bo
        staff bea
        correct c1 device=phone-anna staff=bea 2026-01-05T07:10..2026-01-05T11:40 ok=chef
        """
    derivation = derived(story)
    assert visit_of(derivation, "bea", "cia").minutes == 30
    assert [(v.staff_id, v.status) for v in derivation.visits if v.client_id == "bo"] == [
        ("anna", "incomplete"), ("bea", "incomplete"), ("anna", "incomplete"),
    ]  # fmt: skip
    assert visit_of(derivation, "bea", "cia").source == "corrected"


def test_a_device_correction_without_a_tap_in_its_period_has_no_effect() -> None:
    derivation = derived(
        "2026-01-05 08:00 KOM anna bo\nstaff bea\n"
        "correct c1 device=phone-anna staff=bea 2026-01-05T08:00:01..2026-01-05T09:00"
    )
    assert only(derivation, "correction_without_effect").fact("correction_ids") == "c1"


def test_a_revocation_is_judged_by_when_the_tap_was_received() -> None:
    story = "device phone-anna provider=P1 revoked=2026-01-05T12:00\n2026-01-05 08:00 KOM anna bo received={0}\n"
    story += "2026-01-05 08:30 GICK anna bo received={0}\norder bo P1 2026-01-01.. 600/month"
    assert codes(derived(story.format("2026-01-05T11:59:59"))) == []
    late = derived(story.format("2026-01-05T12:00"))
    assert codes(late) == ["revoked_device"]
    assert late.visits[0].holds == ("revoked_device",)


def test_every_closed_point_splits_the_walk_without_a_trace() -> None:
    from app.visits.rules.pairing import pair_taps

    diary = read(
        """
        2026-01-05 08:00 KOM anna bo
        2026-01-05 08:30 GICK anna bo
        2026-01-05 08:31:30 KOM anna cia
        2026-01-05 09:30 GICK anna bo
        2026-01-06 09:30 KOM anna bo
        2026-01-06 09:40 GICK anna bo
        """
    )
    taps, directory = diary.statements.taps, diary.directory
    whole = pair_taps(taps, directory, diary.book)
    assert whole.closed_points == (2, 4)
    for point in whole.closed_points:
        before = pair_taps(taps[:point], directory, diary.book)
        after = pair_taps(taps[point:], directory, diary.book)
        assert before.stays + after.stays == whole.stays
        assert before.findings + after.findings == whole.findings


def test_a_stay_tells_by_itself_until_when_it_may_change() -> None:
    from app.visits.rules.pairing import pair_taps
    from app.visits.rules.stay import quiet_at

    diary = read("2026-01-05 08:00 KOM anna bo\n2026-01-05 08:30 GICK anna bo\n2026-01-05 10:00 KOM anna cia")
    done, still_open = pair_taps(diary.statements.taps, diary.directory, diary.book).stays
    assert quiet_at(done, diary.book) == moment("2026-01-05T08:31")
    assert quiet_at(still_open, diary.book) == moment("2026-01-05T10:00") + timedelta(hours=24)


def test_a_gick_is_linked_even_after_the_visit_elsewhere_has_ended() -> None:
    derivation = derived(
        "2026-01-05 08:00 KOM anna bo\n2026-01-05 09:00 KOM anna cia\n2026-01-05 09:30 GICK anna cia\n"
        "2026-01-05 09:40 GICK anna bo"
    )
    assert only(derivation, "gick_without_kom").fact("kom_seq") == "1"


def test_a_gick_that_ended_another_visit_there_was_the_first_one() -> None:
    derivation = derived(
        "2026-01-05 08:00 KOM anna bo\n2026-01-05 09:00 KOM anna cia\n2026-01-05 09:30 KOM anna bo\n"
        "2026-01-05 09:40 GICK anna bo\n2026-01-05 09:50 GICK anna bo"
    )
    assert only(derivation, "gick_without_kom").fact("kom_seq") == ""
