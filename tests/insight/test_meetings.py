"""Meetings: connected groups of overlapping visits of one client."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.insight.meetings import meetings_of
from app.insight.stays import Stays, counts_for_continuity
from tests.insight.world import visit

START = datetime(2026, 10, 5, 6, 0, tzinfo=UTC)


def _casts(stays: Stays) -> list[tuple[str, tuple[str, ...]]]:
    meetings = meetings_of(stays)
    return [
        (
            stays.clients[client],
            tuple(stays.persons[p] for p in meetings.met_person[meetings.met_meeting == index].tolist()),
        )
        for index, client in enumerate(meetings.client.tolist())
    ]


def test_overlapping_visits_are_one_meeting_and_touching_ones_are_two() -> None:
    stays = Stays.of_visits(
        [
            visit("bo", "anna", "08:00", "08:30"),
            visit("bo", "cia", "08:29", "08:40"),
            visit("bo", "dan", "08:40", "09:00"),
        ]
    )
    assert _casts(stays) == [("bo", ("staff:anna", "staff:cia")), ("bo", ("staff:dan",))]


def test_a_chain_of_overlaps_is_one_meeting_even_when_its_ends_never_met() -> None:
    stays = Stays.of_visits(
        [
            visit("bo", "anna", "08:00", "10:00"),
            visit("bo", "cia", "08:10", "08:20"),
            visit("bo", "dan", "09:00", "11:00"),
        ]
    )
    assert len(meetings_of(stays)) == 1


def test_a_visit_with_one_tap_belongs_to_the_visit_it_lies_in_also_at_its_start_not_at_its_end() -> None:
    at_start = [visit("bo", "anna", "08:00", "08:30"), visit("bo", "cia", "08:00", None)]
    at_end = [visit("bo", "anna", "08:00", "08:30"), visit("bo", "cia", "08:30", None)]
    gick_inside = [visit("bo", "anna", "08:00", "08:30"), visit("bo", "cia", None, "08:10")]
    assert [len(meetings_of(Stays.of_visits(v))) for v in (at_start, at_end, gick_inside)] == [1, 2, 1]


def test_two_points_at_the_same_instant_are_one_meeting() -> None:
    assert (
        len(meetings_of(Stays.of_visits([visit("bo", "anna", "08:00", None), visit("bo", "cia", "08:00", None)]))) == 1
    )


def test_the_same_person_under_two_employments_is_met_once() -> None:
    stays = Stays.of_visits(
        [
            visit("bo", "anna", "08:00", "08:30", person="person:p1"),
            visit("bo", "anna2", "12:00", "12:30", person="person:p1"),
        ]
    )
    assert stays.persons == ["person:p1"]


def test_only_carers_care_and_night_patrol_count_and_cancelled_visits_do_not() -> None:
    kept = [
        visit("bo", "a", "08:00", "08:30"),
        visit("bo", "a", "23:00", "23:10", service="night_patrol"),
        visit("bo", "a", "08:00", None),
        visit("bo", "a", "08:00", None, status="declined"),
        visit("bo", "a", "08:00", "08:30", holds=("overlap",)),
    ]
    left_out = [
        *(visit("bo", "a", "08:00", "08:30", service=s) for s in ("meal", "alarm", "digital", "phone")),
        *(visit("bo", "a", "08:00", "08:30", role=r) for r in ("trainee", "health_care", "admin")),
        visit("bo", "a", "08:00", "08:30", status="cancelled"),
    ]
    assert [counts_for_continuity(v) for v in kept] == [True] * len(kept)
    assert [counts_for_continuity(v) for v in left_out] == [False] * len(left_out)


def test_stamps_centuries_apart_do_not_overflow() -> None:
    far = visit("bo", "anna", "08:00", "08:30", on="9000-01-01")
    near = [visit(f"c{n}", "anna", "08:00", "08:30") for n in range(200)]
    assert len(meetings_of(Stays.of_visits([far, *near]))) == 201


_STAYS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 40), st.integers(0, 15)), min_size=1, max_size=25
)


@given(_STAYS)
def test_meetings_equal_merging_visit_by_visit(rows: list[tuple[int, int, int, int]]) -> None:
    visits = [
        visit(
            f"c{c}", f"s{s}", START + timedelta(minutes=at), START + timedelta(minutes=at + length) if length else None
        )
        for c, s, at, length in rows
    ]
    groups: list[set[int]] = [{index} for index in range(len(rows))]
    for i, (ci, _, ai, li) in enumerate(rows):
        for j, (cj, _, aj, lj) in enumerate(rows):
            inside = (ai <= aj < ai + li) or (aj <= ai < aj + lj) or ai == aj
            if ci == cj and inside:
                one, other = (next(g for g in groups if k in g) for k in (i, j))
                if one is not other:
                    one |= other
                    groups.remove(other)
    expected = sorted(
        (f"c{rows[min(g)][0]}", min(rows[i][2] for i in g), tuple(sorted({f"staff:s{rows[i][1]}" for i in g})))
        for g in groups
    )
    stays = Stays.of_visits(visits)
    meetings = meetings_of(stays)
    base = int(START.timestamp()) * 1_000_000
    found = sorted(
        (client, (int(start) - base) // 60_000_000, cast)
        for (client, cast), start in zip(_casts(stays), meetings.start_us, strict=True)
    )
    assert found == expected
    assert bool(np.all(np.diff(meetings.met_meeting) >= 0))
