"""Whole minutes of a stay, and where they lie.

DOMAIN.md 2.3: both stamps are cut to the whole minute and the difference of instants taken: what a person reads as
08:00-08:15 is 15 minutes. Rows 22 and 23: split at local boundaries, elapsed time across a clock change.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from app.core.localtime import instant_of, local_date

MINUTE = timedelta(minutes=1)


def cut(instant: datetime) -> datetime:
    """The instant without its seconds."""
    return instant.replace(second=0, microsecond=0)


def whole_minutes(start_at: datetime, end_at: datetime) -> int:
    """Minutes between two stamps, both cut to the whole minute; never negative for start <= end."""
    return int((cut(end_at) - cut(start_at)) // MINUTE)


def day_parts(start_at: datetime, end_at: datetime) -> Iterator[tuple[date, int, int]]:
    """(local date, first minute, minute after the last) counted from the cut start; parts join without a gap."""
    start, end = cut(start_at), cut(end_at)
    total = int((end - start) // MINUTE)
    on, position = local_date(start), 0
    while position < total:
        next_on = on + timedelta(days=1)
        border = min(total, int((instant_of(next_on) - start) // MINUTE))
        if border > position:
            yield on, position, border
        on, position = next_on, border


def minutes_by_day(start_at: datetime, end_at: datetime) -> dict[date, int]:
    """Minutes per local day; the sum is `whole_minutes`."""
    return {on: after - first for on, first, after in day_parts(start_at, end_at)}
