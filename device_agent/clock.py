"""The only place in the agent that asks a clock.

Three things go into every statement (EVIDENCE.md section 1): the wall clock, which a person may set wrongly; the
monotonic clock, which nobody can set; and the boot it counts from, because a monotonic reading means nothing without
it.
"""

import contextlib
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

_BOOT_FILE = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Moment:
    """One reading of all three clocks.

    at: wall clock, UTC. mono: milliseconds since the boot, never set back. boot: which boot.
    """

    at: datetime
    mono: int
    boot: str

    @property
    def t(self) -> str:
        """The wall clock as it stands in a statement: RFC 3339, milliseconds, Z."""
        return self.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{self.at.microsecond // 1000:03d}Z"


class Clock(Protocol):
    """What the agent needs of a clock; tests give one that they turn themselves."""

    def now(self) -> Moment:
        """All three clocks, read together."""
        ...


class SystemClock:
    """The machine's clocks. CLOCK_BOOTTIME where there is one: it counts on while a laptop sleeps, CLOCK_MONOTONIC does
    not.
    """

    def __init__(self) -> None:
        self._clock_id = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        # Without a boot id each process counts as a boot of its own: weaker (grade C instead of B), never wrong.
        self._boot = "b_" + secrets.token_hex(6)
        with contextlib.suppress(OSError):
            self._boot = "b_" + _BOOT_FILE.read_text().strip().replace("-", "")[:12]

    def now(self) -> Moment:
        """All three clocks, read together."""
        mono = time.clock_gettime_ns(self._clock_id) // 1_000_000
        return Moment(at=datetime.fromtimestamp(time.time(), UTC), mono=mono, boot=self._boot)
