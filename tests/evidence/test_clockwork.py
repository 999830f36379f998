"""The table of clocks: which stamp and grade each story gives. Minutes are minutes after 07:00 UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from app.evidence.clockwork import Claim, Sample, judge
from app.policies import PolicyBook
from tests.evidence.devices import START

POLICY = PolicyBook.built_in().on(START.date())


def at(minute: float, base: datetime = START) -> datetime:
    return base + timedelta(minutes=minute)


def mono(minute: float) -> int:
    """Milliseconds since a boot one hour before the story."""
    return int((minute + 60) * 60_000)


@dataclass
class Story:
    """Claimed at, monotonic at, received at; heads as (minute of the monotonic clock, minute received, boot)."""

    claimed: float
    tapped: float
    received: float
    heads: list[tuple[float, float, str]]
    earlier: list[tuple[float, float, str]]
    expected: str
    stamp: float
    doubts: tuple[str, ...] = ()
    not_before: float | None = None


STORIES = {
    "online, clock right": Story(0, 0, 0.1, [(0.1, 0.1, "b")], [], "A", 0),
    "online, clock 30 s ahead": Story(0.5, 0, 0.1, [(0.1, 0.1, "b")], [], "A", 0.5),
    "online, clock 31 s ahead": Story(31 / 60, 0, 0.1, [(0.1, 0.1, "b")], [], "B", 31 / 60),
    "received after exactly 2 minutes": Story(0, 0, 2, [(2, 2, "b")], [], "A", 0),
    "received a second after that": Story(0, 0, 121 / 60, [(121 / 60, 121 / 60, "b")], [], "B", 0),
    "offline for hours, same boot": Story(0, 0, 300, [(300, 300, "b")], [], "B", 0),
    "offline, clock exactly 2 minutes wrong": Story(2, 0, 300, [(300, 300, "b")], [], "B", 2),
    "phone 15 minutes ahead": Story(15, 0, 0.1, [(0.1, 0.1, "b")], [], "C", 0, ("clock_doubt",)),
    "phone 15 minutes ahead, offline": Story(15, 0, 300, [(300, 300, "b")], [], "C", 0, ("clock_doubt",)),
    "clock jumped back an hour before the tap": Story(-60, 0, 5, [(5, 5, "b")], [], "C", 0, ("clock_doubt",)),
    "clock jumped back after the tap": Story(0, 0, 1, [(1, 1, "b")], [], "A", 0),
    "rebooted offline": Story(0, 0, 300, [(300, 300, "other")], [], "C", 0),
    "rebooted offline, a head of that boot before": Story(0, 0, 300, [(300, 300, "other")], [(-5, -5, "b")], "B", 0),
    "rebooted, that boot's clock 15 minutes ahead": Story(
        15, 0, 300, [(300, 300, "other")], [(-5, -5, "b")], "C", 0, ("clock_doubt",)
    ),
    "rebooted, claims a time after its receipt": Story(
        300, 0, 10, [(10, 10, "other")], [], "D", 300, ("clock_doubt",)
    ),
    "rebooted, claims a time before the receipt it had seen": Story(
        -60, 0, 10, [(10, 10, "other")], [], "D", -60, ("clock_doubt",), not_before=-5
    ),
    "rebooted, claims a time within the bounds": Story(0, 0, 10, [(10, 10, "other")], [], "C", 0, not_before=-5),
    "asleep: the monotonic clock stood still for two hours": Story(
        0, 0, 180, [(60, 180, "b")], [(-5, -5, "b")], "C", 0
    ),
    "asleep, and the claim lies outside what is possible": Story(
        -30, 0, 180, [(60, 180, "b")], [(-5, -5, "b")], "C", 0, ("clock_doubt",)
    ),
    "a slow upload: a later head comes faster": Story(0, 0, 30, [(1, 20, "b"), (30, 30, "b")], [], "B", 0),
    "the monotonic clock contradicts the receipt seen": Story(
        0, -60, 10, [(10, 10, "b")], [], "C", 0, not_before=-5
    ),
    "no boot known": Story(0, 0, 10, [], [], "C", 0),
}  # fmt: skip


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
def test_the_table_of_clocks(story: Story) -> None:
    not_before = None if story.not_before is None else at(story.not_before)
    claim = Claim(at(story.claimed), "b", mono(story.tapped), at(story.received), not_before)
    together = [Sample(boot, mono(m), at(r)) for m, r, boot in story.heads]
    earlier = [Sample(boot, mono(m), at(r)) for m, r, boot in story.earlier]
    stamp = judge(claim, together, POLICY, earlier)
    assert (stamp.grade, stamp.at, stamp.doubts) == (story.expected, at(story.stamp), story.doubts)


@pytest.mark.parametrize(
    ("base", "name"),
    [
        (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "the night the clocks go back"),
        (datetime(2026, 3, 29, 0, 30, tzinfo=UTC), "the night the clocks go forward"),
        (datetime(2038, 1, 19, 3, 14, tzinfo=UTC), "the end of 32-bit time"),
    ],
)
def test_special_nights_are_ordinary_in_utc(base: datetime, name: str) -> None:
    claim = Claim(base, "b", 0, at(90, base))
    stamp = judge(claim, [Sample("b", 90 * 60_000, at(90, base))], POLICY, [])
    assert (stamp.grade, stamp.at) == ("B", base), name


@pytest.mark.parametrize("year", [1970, 2031])
def test_a_tap_of_another_year_is_put_right_by_its_boot_and_held_without(year: int) -> None:
    claimed = datetime(year, 1, 1, tzinfo=UTC)
    claim = Claim(claimed, "b", mono(0), at(1), at(-30))
    corrected = judge(claim, [Sample("b", mono(1), at(1))], POLICY, [])
    assert (corrected.grade, corrected.at, corrected.doubts) == ("C", at(0), ("clock_doubt",))
    held = judge(claim, [Sample("other", mono(1), at(1))], POLICY, [])
    assert (held.grade, held.at) == ("D", claimed)


def test_a_head_received_after_the_tap_changes_nothing() -> None:
    claim = Claim(at(0), "b", mono(0), at(10))
    late = Sample("b", mono(200), at(200))
    assert judge(claim, [], POLICY, [late]) == judge(claim, [], POLICY, [])
