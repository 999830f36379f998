"""The only place that knows local time: Europe/Stockholm at the edges, UTC inside.

Two datetimes of the same zone subtract as wall clock in Python (01:30 to 03:30 on 29 March gives 2:00, the truth is
1:00), so local datetimes never leave this module: what comes out is a date, a time of day, or a UTC instant.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from app.core.month import Month

STOCKHOLM = ZoneInfo("Europe/Stockholm")


def local_date(instant: datetime) -> date:
    """The local calendar day of an instant."""
    return instant.astimezone(STOCKHOLM).date()


def local_time(instant: datetime) -> time:
    """The local time of day of an instant, without zone."""
    return instant.astimezone(STOCKHOLM).time()


def local_month(instant: datetime) -> Month:
    """The local calendar month of an instant."""
    return Month.of(local_date(instant))


def local_text(instant: datetime) -> str:
    """`2026-10-05 08:00`, for people."""
    return instant.astimezone(STOCKHOLM).strftime("%Y-%m-%d %H:%M")


def local_rfc3339(instant: datetime) -> str:
    """RFC 3339 with the local offset, for files people open."""
    return instant.astimezone(STOCKHOLM).isoformat()


@lru_cache(maxsize=65536)
def instant_of(on: date, at: time = time(0)) -> datetime:
    """The UTC instant of a local date and time of day.

    A time that occurs twice (October) is the first one; a time that is skipped (March) is the instant the clock would
    have shown without the change: both as `fold=0` of PEP 495.
    """
    return datetime.combine(on, at, STOCKHOLM).astimezone(UTC)


def day_bounds(on: date) -> tuple[datetime, datetime]:
    """[start, end) of a local day as UTC instants: 23, 24 or 25 hours apart."""
    return instant_of(on), instant_of(on + timedelta(days=1))


def month_bounds(month: Month) -> tuple[datetime, datetime]:
    """[start, end) of a local month as UTC instants."""
    return instant_of(month.first_on), instant_of(month.next.first_on)


def parse_instant(text: str) -> datetime:
    """The UTC instant of an RFC 3339 text with offset. Raises ValueError on a text without offset or not a time."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("a time needs an offset (2026-10-05T08:00:00+02:00)")
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:  # 0001-01-01T00:00:00+14:00
        raise ValueError("no such time in UTC") from error


def format_instant(instant: datetime) -> str:
    """RFC 3339 in UTC with Z; sub-seconds only when there are any."""
    text = instant.astimezone(UTC).isoformat()
    return text.removesuffix("+00:00") + "Z"
