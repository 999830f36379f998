"""Local times of day as UTC seconds, and seconds as text: integers, for three million a month."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

from app.core.localtime import instant_of

DAY_SECONDS = 86_400
DAY_MINUTES = 1_440
_EPOCH = date(1970, 1, 1)


@lru_cache(maxsize=8192)
def midnight(on: date) -> int:
    """Seconds since 1970 (UTC) of the local start of a day."""
    return int(instant_of(on).timestamp())


@lru_cache(maxsize=8192)
def _length(on: date) -> int:
    return midnight(on + timedelta(days=1)) - midnight(on)


def second_of(on: date, minute: int) -> int:
    """Seconds since 1970 of a local minute of the day; from 1440 on it is a minute of the next day.

    Right on the two days of the clock change too, where minutes after midnight are not elapsed minutes.
    """
    if minute >= DAY_MINUTES:
        on, minute = on + timedelta(days=1), minute - DAY_MINUTES
    if _length(on) == DAY_SECONDS:
        return midnight(on) + minute * 60
    return int(instant_of(on, time(minute // 60, minute % 60)).timestamp())


def instant(second: int) -> datetime:
    """The UTC datetime of a second."""
    return datetime.fromtimestamp(second, UTC)


_CLOCK_TEXTS = tuple(
    f"{hour:02d}:{minute:02d}:{second:02d}Z" for hour in range(24) for minute in range(60) for second in range(60)
)


@lru_cache(maxsize=8192)
def _date_text(day: int) -> str:
    return f"{_EPOCH + timedelta(days=day)}T"


def text_of(second: int) -> str:
    """RFC 3339 in UTC."""
    return _date_text(second // DAY_SECONDS) + _CLOCK_TEXTS[second % DAY_SECONDS]
