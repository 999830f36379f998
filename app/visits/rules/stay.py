"""What pairing hands on: a stay is the pair of taps, before corrections and before a household's minutes are dealt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.facts import Finding, Tap
from app.policies import PolicyBook
from app.visits.rules.spans import hours, local_day, minutes, seconds


@dataclass(frozen=True, slots=True)
class Stay:
    """KOM and GICK of one staff_id at one tag's holders; one of the two may be missing (DOMAIN.md 2.1)."""

    staff_id: str
    kom: Tap | None
    gick: Tap | None
    client_ids: tuple[str, ...]
    """The holders at the KOM, else at the GICK."""
    code: str = ""
    """Why an end is missing: kom_without_gick, gick_without_kom or wrong_client_gick."""
    next_tap: Tap | None = None
    """The tap that proposes something: for a single KOM the next KOM elsewhere (row 5), for a single GICK the single
    KOM after it (row 10), for a pair of AUTO the third one (row 9)."""
    next_single: bool = False
    """Row 9: the third AUTO found no end of its own."""
    left: Tap | None = None
    """Row 5: the KOM at the same client that a KOM elsewhere had ended before this single GICK."""
    moves: tuple[Tap, ...] = ()
    """Ends of this stay that came within seconds of a tap at another site (row 21)."""

    @property
    def anchor(self) -> Tap:
        """The tap that names the stay: its KOM, else its GICK."""
        tap = self.kom or self.gick
        assert tap is not None  # noqa: S101 -- for the type checker: a stay without taps does not exist
        return tap


@dataclass(frozen=True, slots=True)
class Pairing:
    """What became of the taps of one staff_id: every tap is in one stay, or in exactly one finding."""

    stays: tuple[Stay, ...]
    """In order of their first tap."""
    findings: tuple[Finding, ...]
    """About taps outside any visit (unknown_tag, unknown_staff) and folded ones (repeated_tap)."""
    closed_points: tuple[int, ...]
    """Positions in the taps where nothing is pending: pairing taps[:i] and taps[i:] apart gives the same as together.
    (Position 0 is always one and is left out.)"""

    @property
    def open(self) -> Stay | None:
        """The last stay when its GICK is still missing."""
        last = self.stays[-1] if self.stays else None
        return last if last is not None and last.gick is None else None


def quiet_at(stay: Stay, book: PolicyBook) -> datetime:
    """Until this instant (inclusive) a later tap may still change the stay or be read in its light.

    An instant later than this of every earlier stay, and inside none, is a closed point: known from the stays alone,
    so that a stretch can be derived again without its past.
    """
    policy = book.on(local_day(stay.anchor.at))
    touch = seconds(max(policy.repeat_s, policy.move_s))
    if stay.gick is None:
        return stay.anchor.at + max(touch, hours(policy.pair_limit_h))
    quiet = stay.gick.at + touch
    if stay.kom is None:
        return max(quiet, stay.gick.at + hours(policy.open_until_h))
    if is_retry(stay.kom, stay.gick, policy.auto_retry_min):
        return max(quiet, stay.kom.at + hours(policy.pair_limit_h))
    return quiet


def is_retry(first: Tap, second: Tap, auto_retry_min: int) -> bool:
    """Row 9: two AUTO so close that the second may have been a second try to arrive."""
    return first.act == "AUTO" and second.act == "AUTO" and second.at - first.at <= minutes(auto_retry_min)


def same_place(some: Sequence[str], others: Sequence[str]) -> bool:
    """The same client: the tags have a holder in common."""
    return some == others or not set(some).isdisjoint(others)
