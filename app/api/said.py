"""What bodies of people's statements share: strict forms, closed lists, who speaks (EVIDENCE.md section 6)."""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from fastapi import Header, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from app.access.principals import Principal
from app.api.access import asked
from app.api.paging import printable
from app.pipeline_statements import Speaker

Form = TypeVar("Form", bound=BaseModel)


class Stating(BaseModel):
    """A body whose every member is known; NUL and lone surrogates are refused."""

    model_config = ConfigDict(extra="forbid", str_max_length=4000)


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a time needs an offset")
    at = value.astimezone(UTC)
    if not 1000 < at.year < 9999:
        raise ValueError("a year from 1001 to 9998")
    return at


def _visible(value: str) -> str:
    if not printable(value).isprintable():
        raise ValueError("printable characters only")
    return value


Ident = Annotated[str, StringConstraints(min_length=1, max_length=128), AfterValidator(_visible)]
OptionalIdent = Annotated[str, StringConstraints(max_length=128), AfterValidator(_visible)]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_visible)]
Note = Annotated[str, StringConstraints(max_length=2000), AfterValidator(printable)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=2000), AfterValidator(printable)]
Instant = Annotated[datetime, AfterValidator(_aware)]
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


def speaker(request: Request, principal: Principal) -> Speaker:
    """Who states something in this request."""
    return Speaker(principal, asked(request))


def made_id(prefix: str, principal: Principal, key: str) -> str:
    """An id for a new statement: of the caller's own idempotency key where there is one, else drawn."""
    if not key:
        return f"{prefix}_{secrets.token_hex(8)}"
    digest = hashlib.sha256(f"{principal.provider_id}\x1f{principal.id}\x1f{key}".encode("utf-8", "surrogatepass"))
    return f"{prefix}_{digest.hexdigest()[:16]}"
