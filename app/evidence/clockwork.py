"""How well a tap's time is proved: the stamp, the estimate, the bounds and the grade (EVIDENCE.md section 1).

Pure. Three witnesses: the claim (a wall clock that people set), the monotonic clock (nobody sets it, it counts from one
boot), and the heads, each of which ties the monotonic clock of a boot to the server's clock at its receipt.

Rebuildable: a grade is a function of the claim, of its **first** receive time, and of the heads of the same boot
received until then. Heads that arrive later change nothing, so the order of later uploads is irrelevant; the same
statement first received later is rightly worth less. Two steps, so that the usual tap needs no look into history: the
heads received together with the tap are asked first, older ones only when those do not give grade A or B.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from app.core.quick import quick
from app.facts.statements import Grade
from app.policies import Policy

CLOCK_DOUBT = "clock_doubt"


@dataclass(frozen=True, slots=True)
class Sample:
    """A head: the monotonic clock (ms) of `boot` as received at `received_at` by the server's clock."""

    boot: str
    mono: int
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Claim:
    """What a statement says of its time, and what bounds it.

    `not_before`: receive time of the last receipt the device had seen (`ack`); `received_at`: first received.
    """

    at: datetime
    boot: str
    mono: int
    received_at: datetime
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Stamp:
    """The judgement. `at` is what the rules use; `estimated_at` is None where no clock sample helps."""

    at: datetime
    grade: Grade
    estimated_at: datetime | None = None
    doubts: tuple[str, ...] = ()


new_claim, new_stamp = quick(Claim), quick(Stamp)


def judge(claim: Claim, together: Iterable[Sample], policy: Policy, earlier: Iterable[Sample] | None = None) -> Stamp:
    """The stamp of a claim, by the heads received together with it and, where given, those received earlier.

    Without `earlier`, a grade below B is preliminary: `settled` tells. Heads of other boots, and heads received after
    the claim, are ignored.
    """
    stamp = _by_samples(claim, list(together), policy, fresh=True)
    if settled(stamp) or earlier is None:
        return stamp
    return _by_samples(claim, [*together, *earlier], policy, fresh=False)


def settled(stamp: Stamp) -> bool:
    """Whether a stamp judged without earlier heads is final."""
    return stamp.grade in ("A", "B")


def _by_samples(claim: Claim, samples: list[Sample], policy: Policy, *, fresh: bool) -> Stamp:
    tolerance = _seconds(policy.grade_b_s)
    usable = [s for s in samples if s.boot == claim.boot and claim.boot and s.received_at <= claim.received_at]
    lower, upper = _estimates(claim, usable)
    if lower is not None and upper is not None and lower < upper - tolerance:
        return _paused(claim, lower, upper, tolerance)
    estimate = upper if upper is not None else lower
    if estimate is None or not _within_bounds(estimate, claim, tolerance):
        return _wall_clock_only(claim, tolerance)
    error = abs(claim.at - estimate)
    if error > tolerance:
        return new_stamp(estimate, "C", estimate, (CLOCK_DOUBT,))
    at_once = claim.received_at - estimate <= _seconds(policy.grade_a_receive_s)
    exact = error <= _seconds(policy.grade_a_offset_s)
    return new_stamp(claim.at, "A" if fresh and upper is not None and at_once and exact else "B", estimate)


@cache
def _seconds(number: int) -> timedelta:
    return timedelta(seconds=number)


def _estimates(claim: Claim, samples: list[Sample]) -> tuple[datetime | None, datetime | None]:
    """(from heads before the tap, from heads after it), the tightest of each.

    A head arrives later than it was made, so each estimate errs by the time the head was under way: towards late.
    """
    before = [_estimate(claim, s) for s in samples if s.mono < claim.mono]
    after = [_estimate(claim, s) for s in samples if s.mono >= claim.mono]
    return min(before, default=None), min(after, default=None)


def _estimate(claim: Claim, sample: Sample) -> datetime:
    return sample.received_at - timedelta(milliseconds=sample.mono - claim.mono)


def _paused(claim: Claim, lower: datetime, upper: datetime, tolerance: timedelta) -> Stamp:
    """The monotonic clock stood still in between (a phone asleep): the truth lies between the two estimates."""
    if lower - tolerance <= claim.at <= upper + tolerance:
        return Stamp(claim.at, "C")
    nearest = lower if claim.at < lower else upper
    return Stamp(nearest, "C", nearest, (CLOCK_DOUBT,))


def _wall_clock_only(claim: Claim, tolerance: timedelta) -> Stamp:
    """No estimate: grade C inside the bounds, else D, for a person to decide; the claim stays the stamp."""
    if _within_bounds(claim.at, claim, tolerance):
        return Stamp(claim.at, "C")
    return Stamp(claim.at, "D", None, (CLOCK_DOUBT,))


def _within_bounds(at: datetime, claim: Claim, tolerance: timedelta) -> bool:
    if at > claim.received_at + tolerance:
        return False
    return claim.not_before is None or at >= claim.not_before - tolerance
