"""The only place of the server that asks what time it is.

Everything else takes `now` as an argument (ARCHITECTURE habit 3), so that a test or a rebuild decides the moment.
"""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The present instant, aware, in UTC."""
    return datetime.now(UTC)
