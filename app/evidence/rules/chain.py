"""A device's chain: what has been received, what is missing, and what the chain says about itself. Pure.

`seq` rises by one per device, `prev` is the hash of the statement before: gaps show, order and content are fixed, and
the same number with another hash is a fork (a copied key). A number counts as received when any statement with it is
stored, when it came as rejected input, or when a `void` covers it: nothing can block a device for good.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from app.core.ids import finding_id
from app.evidence.rules.signatures import b64url
from app.facts import Finding

NOTHING_BEFORE = hashlib.sha256(b"").digest()
"""`prev` of a device's first statement."""
MOST_MISSING = 50_000
"""The lowest so many are listed. A device with more takes the rest for received until these have come, then un-acks
them: it keeps everything for 35 days, so nothing is lost, and an absurd head cannot make an absurd answer."""


@dataclass(slots=True)
class Progress:
    """What is received of one device: everything up to `upto`, and the numbers above it.

    `hashes` holds the contents seen per number above `upto` (and at `upto` itself where known); a number with an empty
    set was rejected input. `voided` are ranges, both ends included. `top`: the highest number ever received.
    """

    upto: int = 0
    hashes: dict[int, set[bytes]] = field(default_factory=dict)
    voided: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.upto == 0:
            self.hashes.setdefault(0, {NOTHING_BEFORE})

    @property
    def top(self) -> int:
        return max((self.upto, *self.hashes))

    def holds(self, seq: int) -> bool:
        """Whether the number is received or voided."""
        if seq <= self.upto or seq in self.hashes:
            return True
        return bool(self.voided) and any(first <= seq <= last for first, last in self.voided)

    def advance(self) -> None:
        """Move `upto` to the highest number with everything below received or voided."""
        ranges = sorted(self.voided)
        moved = True
        while moved:
            moved = False
            while self.upto + 1 in self.hashes:
                self.upto += 1
                moved = True
            for first, last in ranges:
                if first <= self.upto + 1 <= last:
                    self.upto = last
                    moved = True

    def upto_hash(self) -> str:
        """Base64url hash of the statement at `upto`; empty where it is voided, rejected, or forked."""
        found = self.hashes.get(self.upto, set())
        return b64url(next(iter(found))) if len(found) == 1 else ""

    def missing(self, head_seq: int) -> list[int]:
        """The numbers up to the head (or the highest received) neither received nor voided; at most MOST_MISSING."""
        last = max(head_seq, self.top)
        gaps: list[int] = []
        position = self.upto + 1
        for low, high in [*self._void_ranges(last), (last + 1, last + 1)]:
            free = (seq for seq in range(position, low) if seq not in self.hashes)
            gaps.extend(islice(free, MOST_MISSING - len(gaps)))
            position = max(position, high + 1)
        return gaps

    def _void_ranges(self, last: int) -> list[tuple[int, int]]:
        """Void ranges above `upto` up to `last`, sorted and joined."""
        joined: list[tuple[int, int]] = []
        for low, high in sorted((max(low, self.upto + 1), min(high, last)) for low, high in self.voided):
            if low > high:
                continue
            if joined and low <= joined[-1][1] + 1:
                joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
            else:
                joined.append((low, high))
        return joined


def place_unreadable(claimed: list[int | None], progress: Progress, head_seq: int) -> list[int | None]:
    """Which number each item of an upload stands for, where some cannot be read (None in `claimed`).

    Devices send in the order of their numbers, so an unreadable item takes the number after the one before it, or
    before the one after it; an upload without any readable one, the lowest missing numbers. Never a number that is
    received already or lies above the head: then None.
    """
    taken = {seq for seq in claimed if seq is not None}
    placed = list(claimed)
    for index in range(1, len(placed)):
        before = placed[index - 1]
        if placed[index] is None and before is not None:
            placed[index] = _free(before + 1, taken, progress, head_seq)
    for index in range(len(placed) - 2, -1, -1):
        after = placed[index + 1]
        if placed[index] is None and after is not None:
            placed[index] = _free(after - 1, taken, progress, head_seq)
    if placed and all(seq is None for seq in placed):
        candidates = (seq for seq in range(progress.upto + 1, min(head_seq, progress.upto + 10_000) + 1))
        free = [seq for seq in candidates if not progress.holds(seq)][: len(placed)]
        placed[: len(free)] = free
    return placed


def _free(seq: int, taken: set[int], progress: Progress, head_seq: int) -> int | None:
    if seq in taken or not 1 <= seq <= head_seq or progress.holds(seq):
        return None
    taken.add(seq)
    return seq


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What is odd in one device's chain; empty tuples in a healthy one.

    `forks`: (seq, time of the earliest content). `voids`: (from, to, cause, time). `gaps`: (from, to, time of the
    statement after it), open now. `breaks`: (seq, time) whose `prev` is the hash of no known content of the number
    before it; also a head's `head_hash`, as the number after its `head_seq`. `rejected`: (seq, time received) of
    numbers that only ever came as something nobody can read or nobody signed.
    """

    device_id: str
    provider_id: str
    forks: tuple[tuple[int, datetime], ...] = ()
    voids: tuple[tuple[int, int, str, datetime], ...] = ()
    gaps: tuple[tuple[int, int, datetime], ...] = ()
    breaks: tuple[tuple[int, datetime], ...] = ()
    rejected: tuple[tuple[int, datetime], ...] = ()


def device_findings(report: ChainReport) -> tuple[Finding, ...]:
    """Findings `seq_fork`, `seq_gap` (voided and open ones), `chain_broken` and `rejected_input` of one device.

    None of them holds.
    """
    made = [_finding(report, "seq_fork", at, (("seq", str(seq)),), seq) for seq, at in report.forks]
    for first, last, cause, at in report.voids:
        facts = (("from_seq", str(first)), ("to_seq", str(last)), ("cause", cause))
        made.append(_finding(report, "seq_gap", at, facts, first))
    for first, last, at in report.gaps:
        made.append(_finding(report, "seq_gap", at, (("from_seq", str(first)), ("to_seq", str(last))), last + 1))
    made += [_finding(report, "chain_broken", at, (("seq", str(seq)),), seq) for seq, at in report.breaks]
    made += [_finding(report, "rejected_input", at, (("seq", str(seq)),), seq) for seq, at in report.rejected]
    return tuple({finding.finding_id: finding for finding in made}.values())


def _finding(report: ChainReport, code: str, at: datetime, facts: Iterable[tuple[str, str]], seq: int) -> Finding:
    said = (("device_id", report.device_id), *facts)
    about = [report.device_id, *(value for name, value in said if name in ("seq", "from_seq", "to_seq"))]
    return Finding(
        finding_id=finding_id(code, *about),
        code=code,
        at=at,
        provider_id=report.provider_id,
        taps=((report.device_id, seq),),
        facts=said,
    )
