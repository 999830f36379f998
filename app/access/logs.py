"""The two logs, each written in the transaction of what it tells of: no log row, no change and no answer.

`audit_event`: what was changed, by whom. `reading`: whose personal data was read, by whom, through which route.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert

from app.access.principals import Principal
from app.access.tables import audit_event
from app.access.tables import reading as reading_log


@dataclass(frozen=True, slots=True)
class Asked:
    """The request in whose service something was read or changed; all empty for a command."""

    route: str = ""
    request_id: str = ""


def note_change(
    connection: Connection,
    principal: Principal,
    action: str,
    subject: str,
    now: datetime,
    *,
    facts: Mapping[str, Any] | None = None,
    request_id: str = "",
) -> None:
    """Append to audit_event, in the caller's transaction. `facts`: ids, codes and numbers, never text about people."""
    row = {
        "at": now, "actor": principal.id, "role": _capacity(principal), "provider_id": principal.provider_id,
        "action": action, "subject": subject, "facts": dict(facts or {}), "request_id": request_id,
    }  # fmt: skip
    connection.execute(_CHANGED, row)


def note_reading(
    connection: Connection,
    principal: Principal,
    what: str,
    subjects: Collection[str],
    now: datetime,
    *,
    asked: Asked = Asked(),
) -> None:
    """Append to `reading`, in the transaction that read: kind of data, ids of those it is about, and how many."""
    ids = sorted({one for one in subjects if one})
    row = {
        "at": now, "actor": principal.id, "role": _capacity(principal), "provider_id": principal.provider_id,
        "district": principal.district, "what": what, "route": asked.route, "subjects": ids, "count": len(ids),
        "request_id": asked.request_id, "break_glass": principal.break_glass,
    }  # fmt: skip
    connection.execute(_READ, row)


_CHANGED, _READ = insert(audit_event).inline(), insert(reading_log).inline()


def _capacity(principal: Principal) -> str:
    return principal.role or " ".join(sorted(principal.scopes)) or principal.kind
