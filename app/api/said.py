"""What bodies of people's statements share: strict forms, closed lists, who speaks (EVIDENCE.md section 6)."""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, TypeVar

from fastapi import Header, Request
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
)

from app.access.principals import Principal
from app.api.access import asked
from app.api.paging import printable
from app.pipeline_statements import Speaker

Form = TypeVar("Form", bound=BaseModel)
_FIRST_YEAR, _LAST_YEAR = 1970, 2199
"""What a person can mean; and nothing computed from two such times outgrows a column."""
LONGEST = timedelta(days=7)


class Stating(BaseModel):
    """A body whose every member is known; NUL and lone surrogates are refused."""

    model_config = ConfigDict(extra="forbid", str_max_length=4000)

    @field_validator("*")
    @classmethod
    def _storable(cls, value: object) -> object:
        """Whatever a member's own form is: its texts can be stored."""
        for text in value if isinstance(value, list) else (value,):
            if isinstance(text, str):
                printable(text)
        return value


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a time needs an offset")
    # The year as written: near the ends of what a datetime holds there may be no such time in UTC.
    if not _FIRST_YEAR <= value.year <= _LAST_YEAR:
        raise ValueError("a year from 1970 to 2199")
    return value.astimezone(UTC)


def _text_only(value: object) -> object:
    """No numbers: pydantic would take one for seconds since 1970."""
    if not isinstance(value, str):
        raise ValueError("written as text")
    return value


def _near(value: date) -> date:
    if not _FIRST_YEAR <= value.year <= _LAST_YEAR:
        raise ValueError("a year from 1970 to 2199")
    return value


def _visible(value: str) -> str:
    if not printable(value).isprintable():
        raise ValueError("printable characters only")
    return value


Ident = Annotated[str, StringConstraints(min_length=1, max_length=128), AfterValidator(_visible)]
OptionalIdent = Annotated[str, StringConstraints(max_length=128), AfterValidator(_visible)]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_visible)]
Note = Annotated[str, StringConstraints(max_length=2000), AfterValidator(printable)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=2000), AfterValidator(printable)]
Instant = Annotated[datetime, BeforeValidator(_text_only), AfterValidator(_aware)]
Day = Annotated[date, BeforeValidator(_text_only), AfterValidator(_near)]
Minutes = Annotated[int, Field(ge=0, le=100_000)]
IdempotencyKey = Annotated[
    str, Header(alias="Idempotency-Key", max_length=128, description="The same key again states nothing new")
]


def reason_fits(form: Form) -> Form:
    """`other` needs a note."""
    given: Any = form
    if given.reason == "other" and not given.note.strip():
        raise ValueError("`other` needs a note")
    return form


def require_span(start_at: datetime, end_at: datetime) -> None:
    """ValueError unless it ends after it starts, within a week."""
    if not timedelta(0) < end_at - start_at <= LONGEST:
        raise ValueError("ends after its start, within a week")


def speaker(request: Request, principal: Principal) -> Speaker:
    """Who states something in this request."""
    return Speaker(principal, asked(request))


def made_id(prefix: str, principal: Principal, key: str) -> str:
    """An id for a new statement: of the caller's own idempotency key where there is one, else drawn."""
    if not key:
        return f"{prefix}_{secrets.token_hex(8)}"
    digest = hashlib.sha256(f"{principal.provider_id}\x1f{principal.id}\x1f{key}".encode("utf-8", "surrogatepass"))
    return f"{prefix}_{digest.hexdigest()[:16]}"
