"""Lengths of time and local days, remembered: making a timedelta or asking a time zone costs more than the rules do."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from app.core.localtime import local_date


@lru_cache(maxsize=1024)
def hours(count: int) -> timedelta:
    return timedelta(hours=count)


@lru_cache(maxsize=1024)
def minutes(count: int) -> timedelta:
    return timedelta(minutes=count)


@lru_cache(maxsize=1024)
def seconds(count: int) -> timedelta:
    return timedelta(seconds=count)


def local_day(at: datetime) -> date:
    """`local_date`, asked once an hour: every hour of UTC lies within one local day."""
    if at.tzinfo is UTC:
        return _day_of_hour(at.toordinal(), at.hour)
    return local_date(at)


@lru_cache(maxsize=65536)
def _day_of_hour(ordinal: int, hour: int) -> date:
    return local_date(datetime.fromordinal(ordinal).replace(hour=hour, tzinfo=UTC))
