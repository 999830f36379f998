"""What a door may refuse: an exception with a stable code; the docstring is the message.

A refusal is not a finding (stored data for a person) and not a receipt (one per tap). It ends in `api/problems.py`,
a flash on a page, or an exit status.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class Refused(Exception):  # noqa: N818 - the house word for it (ARCHITECTURE: refusal, finding, receipt)
    """The request cannot be carried out."""

    code: ClassVar[str] = "refused"

    def __init__(self, detail: str | None = None, **facts: Any) -> None:
        self.detail = detail or (type(self).__doc__ or "").strip().splitlines()[0]
        self.facts: Mapping[str, Any] = facts
        super().__init__(self.detail)


class NotFound(Refused):
    """There is no such thing, or it is not yours to see."""

    code = "not_found"


class NotAllowed(Refused):
    """Your role may not do this."""

    code = "not_allowed"


class Invalid(Refused):
    """A value is outside what is allowed."""

    code = "invalid"


class Conflict(Refused):
    """It contradicts what is stored already."""

    code = "conflict"


class UnknownPolicy(Refused):
    """There is no policy key of that name."""

    code = "unknown_policy"


class ImpossiblePolicy(Refused):
    """A policy value is outside what is possible."""

    code = "impossible_policy"


class BundleRefused(Refused):
    """The bundle has errors; nothing was imported."""

    code = "bundle_refused"


class MonthClosed(Refused):
    """The month is closed; it never changes. What comes later is booked as an adjustment."""

    code = "month_closed"


class MonthNotClosable(Refused):
    """The month cannot be closed now."""

    code = "month_not_closable"


class DatabaseUnfit(Refused):
    """The database is not set up so that nothing is lost."""

    code = "database_unfit"


class Busy(Refused):
    """Too much is waiting; try again shortly."""

    code = "busy"
