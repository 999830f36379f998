"""What must hold for any story (DOMAIN.md 2; ARCHITECTURE.md section 2, habit 9)."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from app.facts import Correction, Decline, ManualVisit, PlannedVisit, Tap, Visit
from app.visits.rules.clients import ClientEvents, settle_client
from app.visits.rules.clusters import clusters
from app.visits.rules.corrections import Corrections, restaff
from app.visits.rules.derive import DerivationInput, derive
from app.visits.rules.pairing import pair_taps
from app.visits.rules.stay import quiet_at
from tests.diary import moment, read

TOWN = read(
    """
    staff anna person=a
    staff anna2 person=a provider=P2 to=2026-01-06
    staff bea
    staff eva provider=P2 role=trainee
    client bo site=house
    client cia site=house
    client dag
    tag tag-bo bo
    tag tag-cia cia to=2026-01-06T12:00
    tag tag-cia dag from=2026-01-06T13:00
    tag couple bo,dag
    device d1 provider=P1
    device d2 provider=P2 revoked=2026-01-06T10:00
    order bo P1 2026-01-01..2026-01-06 600/month
    order dag P1 2026-01-01.. 600/month max_staff=2
    order bo P2 2026-01-01.. 300/month
    absence dag hospital 2026-01-05..2026-01-07
    outage P1 2026-01-05T09:00..2026-01-05T10:00
    policy manual_share_floor 0
    """
)
DIRECTORY, BOOK = TOWN.directory, TOWN.book
START = moment("2026-01-05T06:00")
PEOPLE = ("anna", "anna2", "bea", "eva", "nobody")

# Times meet the limits of the rules often: seconds apart, minutes, 2 h, 16 h, 24 h, and exactly on them.
STEPS = st.sampled_from([0, 1, 30, 60, 61, 119, 120, 299, 300, 301, 600, 3600, 7200, 21600, 57600, 57601, 86400, 86401])


@st.composite
def taps(draw: Any) -> tuple[Tap, ...]:
    at = START
    found: list[Tap] = []
    for _ in range(draw(st.integers(0, 14))):
        at += timedelta(seconds=draw(STEPS))
        device = draw(st.sampled_from(["d1", "d2", "d3"]))
        act = draw(st.sampled_from(["KOM", "KOM", "GICK", "GICK", "AUTO"]))
        tag = draw(st.sampled_from(["tag-bo", "tag-bo", "tag-cia", "couple", "nobodys"]))
        staff = draw(st.sampled_from(PEOPLE))
        grade = draw(st.sampled_from(["A", "B", "C", "D"]))
        service = draw(st.sampled_from([None, None, "meal"]))
        found.append(Tap(device, len(found), act, tag, staff, at, at + timedelta(hours=1), service, grade))
    return tuple(found)


def instants(draw: Any) -> Any:
    return START + timedelta(minutes=draw(st.integers(0, 60)) * 30)


@st.composite
def plans(draw: Any) -> PlannedVisit:
    start = instants(draw)
    return PlannedVisit(
        f"p{draw(st.integers(0, 9))}", draw(st.sampled_from(["bo", "dag"])), draw(st.sampled_from(["P1", "P2"])),
        draw(st.sampled_from(PEOPLE)), start, start + timedelta(minutes=30), draw(st.sampled_from(["care", "meal"])),
        draw(st.integers(1, 2)), draw(st.sampled_from([None, None, START])),
    )  # fmt: skip


@st.composite
def declines(draw: Any) -> Decline:
    start = instants(draw)
    notice = draw(st.sampled_from(["at_door", "in_advance", "absent"]))
    return Decline(
        f"x{draw(st.integers(0, 9))}", draw(st.sampled_from(["bo", "dag"])), "P1", start,
        start + timedelta(minutes=30), draw(st.integers(1, 2)), notice,
        start + timedelta(minutes=draw(st.integers(-30, 90))),
    )  # fmt: skip


@st.composite
def manual_visits(draw: Any) -> ManualVisit:
    start = instants(draw)
    end = draw(st.sampled_from([None, start + timedelta(minutes=45)]))
    return ManualVisit(
        f"m{draw(st.integers(0, 9))}", draw(st.sampled_from(["bo", "cia"])), "P1", draw(st.sampled_from(PEOPLE)),
        start, end, draw(st.sampled_from([None, "meal"])), "", "no_phone", "", "anna",
        draw(st.sampled_from(["", "chef"])),
    )  # fmt: skip


@st.composite
def corrections(draw: Any) -> Correction:
    kind = draw(
        st.sampled_from(["set_times", "set_times", "cancel_visit", "set_staff", "set_client", "set_staff_of_device"])
    )
    at, other = instants(draw), instants(draw)
    return Correction(
        f"c{draw(st.integers(0, 9))}", START + timedelta(hours=draw(st.integers(0, 3))), kind,
        draw(st.sampled_from(["d1", "d2", "d3"])), draw(st.integers(0, 13)), "", draw(st.sampled_from(["d1", "d2"])),
        at, other, draw(st.sampled_from([None, at])), draw(st.sampled_from([None, other])),
        draw(st.sampled_from(PEOPLE)), draw(st.sampled_from(["bo", "dag"])), "wrong_time", "", "anna",
        draw(st.sampled_from(["", "chef"])),
    )  # fmt: skip


STORIES = st.builds(
    DerivationInput,
    taps=taps(),
    plans=st.lists(plans(), max_size=5, unique_by=lambda row: row.planned_id).map(tuple),
    declines=st.lists(declines(), max_size=3, unique_by=lambda row: row.decline_id).map(tuple),
    manual_visits=st.lists(manual_visits(), max_size=3, unique_by=lambda row: row.manual_id).map(tuple),
    corrections=st.lists(corrections(), max_size=4, unique_by=lambda row: row.correction_id).map(tuple),
)
MANY = settings(max_examples=60, deadline=None)


def sorted_of(story: tuple[Tap, ...], staff_id: str) -> list[Tap]:
    return sorted((tap for tap in story if tap.staff_id == staff_id), key=lambda tap: tap.order)


@MANY
@given(STORIES)
def test_every_tap_has_exactly_one_role(story: DerivationInput) -> None:
    result = derive(story, DIRECTORY, BOOK)
    restaffed, _ = restaff(story.taps, Corrections.of(story.corrections))
    ends: Counter[tuple[str, int]] = Counter()
    for staff_id in {tap.staff_id for tap in restaffed}:
        pairing = pair_taps(sorted_of(restaffed, staff_id), DIRECTORY, BOOK)
        ends.update(tap.key for stay in pairing.stays for tap in (stay.kom, stay.gick) if tap is not None)
        ends.update(key for finding in pairing.findings for key in finding.taps)
    assert ends == Counter(tap.key for tap in story.taps)
    assert set(result.roles) == {tap.key for tap in story.taps}
    of_visits = {(end.device_id, end.seq) for visit in result.visits for end in (visit.kom, visit.gick) if end}
    assert of_visits == {key for key, role in result.roles.items() if role in ("kom", "gick")}


@MANY
@given(STORIES, st.randoms(use_true_random=False))
def test_order_and_repetition_of_statements_change_nothing(story: DerivationInput, random: Any) -> None:
    def mixed(rows: tuple[Any, ...]) -> tuple[Any, ...]:
        again = [*rows, *rows]
        random.shuffle(again)
        return tuple(again)

    shuffled = DerivationInput(*(mixed(getattr(story, name)) for name in DerivationInput.__slots__))
    assert derive(shuffled, DIRECTORY, BOOK) == derive(story, DIRECTORY, BOOK)


@MANY
@given(taps(), st.sampled_from(PEOPLE))
def test_a_closed_point_splits_without_a_trace(story: tuple[Tap, ...], staff_id: str) -> None:
    its = sorted_of(tuple(replace(tap, staff_id=staff_id) for tap in story), staff_id)
    whole = pair_taps(its, DIRECTORY, BOOK)
    for point in whole.closed_points:
        before, after = pair_taps(its[:point], DIRECTORY, BOOK), pair_taps(its[point:], DIRECTORY, BOOK)
        assert before.stays + after.stays == whole.stays
        assert before.findings + after.findings == whole.findings


@MANY
@given(taps(), st.sampled_from(PEOPLE))
def test_where_all_stays_are_quiet_is_a_closed_point(story: tuple[Tap, ...], staff_id: str) -> None:
    its = sorted_of(tuple(replace(tap, staff_id=staff_id) for tap in story), staff_id)
    whole = pair_taps(its, DIRECTORY, BOOK)
    for point in range(1, len(its)):
        at = its[point].at
        begun = [stay for stay in whole.stays if stay.anchor.at < at]
        if its[point - 1].at < at and all(quiet_at(stay, BOOK) < at for stay in begun):
            before, after = pair_taps(its[:point], DIRECTORY, BOOK), pair_taps(its[point:], DIRECTORY, BOOK)
            assert before.stays + after.stays == whole.stays
            assert before.findings + after.findings == whole.findings


@MANY
@given(STORIES)
def test_days_sum_to_the_visit_and_households_to_the_whole(story: DerivationInput) -> None:
    from app.core.minutes import whole_minutes

    households: dict[Any, list[Visit]] = defaultdict(list)
    for visit in derive(story, DIRECTORY, BOOK).visits:
        assert sum(visit.minutes_by_day().values()) == visit.minutes
        assert visit.minutes >= 0
        if visit.share is not None and visit.minutes:
            households[visit.kom, visit.gick].append(visit)
    for members in households.values():
        first = members[0]
        assert first.start_at is not None
        assert first.end_at is not None
        assert len({member.share for member in members}) == len(members)
        whole = whole_minutes(first.start_at, first.end_at)
        assert sum(m.minutes for m in members) <= whole
        if first.share is not None and len(members) == len(first.share.weights):
            assert sum(member.minutes for member in members) == whole


@MANY
@given(STORIES)
def test_what_is_held_incomplete_or_cancelled_is_not_accepted(story: DerivationInput) -> None:
    result = derive(story, DIRECTORY, BOOK)
    for visit in result.visits:
        assert visit.accepted == (not visit.holds and visit.status in ("complete", "declined") and None not in (
            visit.start_at, visit.end_at))  # fmt: skip
        if visit.status == "incomplete":
            assert {"kom_without_gick", "gick_without_kom", "wrong_client_gick"} & set(visit.findings)
    ids = [finding.finding_id for finding in result.findings]
    assert len(ids) == len(set(ids))  # one per visit and code, per tap, per plan, ...
    assert len({visit.visit_id for visit in result.visits}) == len(result.visits)


@MANY
@given(STORIES)
def test_clusters_settle_to_the_same_as_the_whole(story: DerivationInput) -> None:
    result = derive(story, DIRECTORY, BOOK)
    for client_id in ("bo", "cia", "dag"):
        events = ClientEvents(
            tuple(visit for visit in result.visits if visit.client_id == client_id),
            tuple(plan for plan in story.plans if plan.client_id == client_id),
            tuple(decline for decline in story.declines if decline.client_id == client_id),
        )
        whole = settle_client(events, DIRECTORY, BOOK)
        parts = [settle_client(cluster.events, DIRECTORY, BOOK) for cluster in clusters(events, BOOK)]
        assert {visit for part in parts for visit in part.visits} == set(whole.visits)
        assert {finding for part in parts for finding in part.findings} == set(whole.findings)
        assert {outcome for part in parts for outcome in part.outcomes} == set(whole.outcomes)
        assert sum(len(part.visits) for part in parts) == len(whole.visits)
        # settling again what was settled changes nothing
        assert set(whole.visits) == set(events.visits)
