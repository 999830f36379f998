"""A canary in every text column: what the bundle of `world` leaves empty is filled here, table by table.

A new table or column is filled without a line here; a closed list (a kind, a state) gets one of its own values.
"""

from __future__ import annotations

import hashlib
import json
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from app.core.clock import utc_now
from app.core.localtime import local_date

CLOSED = {
    "kind", "state", "month", "origin_month", "band", "operation", "unit", "reason", "decision", "code", "act", "grade",
    "status", "source", "purpose", "method", "role", "roles", "per", "proof", "notice", "employment", "education",
    "minimum_tag_level", "tag_level", "care_area", "step", "about_kind", "asked_by_side", "fee_class", "cause",
    "defaulted", "policy_version", "version_num", "staff_by", "service", "stated_service", "stated_status", "holds",
    "marks", "findings", "doubts", "visit_ids", "proposal", "scopes", "why", "what", "action", "route", "key",
}  # fmt: skip
"""Columns of words from a list of ours, by name: they tell nothing about anybody."""

WITHOUT = {
    "devices.public_jwk": "a public key",
    "questions.visit_id": "about an account here, which names client and provider",
    "questions.reason_id": "likewise", "visits.replaced_by": "a hash of ours, as visit_id",
    "visits.decline_id": "a visit of a decline at the door; the decline itself has one", "providers.name": "public",
    "taps.sun": "a proof without meaning", "corrections.device_id": "kom_device_id is what a set_times names",
    "corrections.manual_id": "likewise", "corrections.new_client_id": "likewise",
    "corrections.new_staff_id": "likewise",
    "person_roles.district": "a manager has none", "sessions.staff_id": "a manager has none",
}  # fmt: skip
"""Columns without a canary, and why."""

_VALUES: dict[str, Any] = {
    "month": "2026-11", "origin_month": "2026-11", "kind": "care", "state": "open", "decision": "pending",
    "purpose": "sign_in", "about_kind": "visit", "asked_by_side": "city", "band": "day", "operation": "private",
    "unit": "hour", "method": "passkey", "role": "manager", "month_on": date(2026, 11, 1),
}  # fmt: skip
_OF_TABLE: dict[str, dict[str, Any]] = {
    "alerts": {"kind": "absent"},
    "billing_lines": {"kind": "time", "state": "provisional"},
    "closes": {"month": "2025-01"},
    "contacts": {"kind": "contact"},
    "device_events": {"kind": "created"},
    "machines": {"scopes": ["scheduling"]},
    "machine_tokens": {"scopes": ["scheduling"]},
    "moved_visits": {"share_weights": [1, 1]},
    "questions": {"visit_id": "", "reason_id": ""},
    "taps": {
        "act": "KOM",
        "grade": "A",
        "doubts": [],
        "tag_level": "uid",
        "staff_by": "",
        "service": "",
        "sun": "",
    },
}
NOT_FILLED = {
    "alembic_version", "audit_event", "reading", "derive_queue", "policies", "prices", "catalogue",
    "external_indicators", "providers", "login_delays", "challenges", "closes", "decline_outcomes", "closed_accounts",
}  # fmt: skip
"""Logs and queues fill themselves; the others hold nobody's data, or what only a close writes."""

_COLUMNS = """
SELECT c.relname AS "table", a.attname AS name, format_type(a.atttypid, NULL) AS type,
    a.attidentity <> '' OR a.attgenerated <> '' AS made
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY c.relname, a.attnum
"""


def columns(connection: Connection) -> dict[str, list[Any]]:
    """The columns of every table of the schema."""
    found: dict[str, list[Any]] = {}
    for row in connection.execute(text(_COLUMNS)):
        found.setdefault(row.table, []).append(row)
    return found


def fill(connection: Connection, ids: dict[int, dict[str, str]]) -> None:
    """One row of each side in every empty table, as the owner. AssertionError naming what cannot be filled."""
    tables = columns(connection)
    empty = {
        name for name in tables
        if name not in NOT_FILLED and not connection.execute(text(f"SELECT EXISTS (SELECT FROM {name})")).scalar_one()
    }  # fmt: skip
    faults: dict[str, str] = {}
    for _ in range(3):  # a table may point at one that comes later in the alphabet
        for name in sorted(empty):
            try:
                with connection.begin_nested():
                    for side, own in ids.items():
                        _insert(connection, name, tables[name], own, side)
                empty.discard(name)
                faults.pop(name, None)
            except DBAPIError as error:
                faults[name] = str(error.orig)
    assert not faults, faults
    for side, own in ids.items():
        _insert(connection, "taps", tables["taps"], own, side)
        _update(connection, own, f"HEMLIG{side}")


def _update(connection: Connection, ids: dict[str, str], secret: str) -> None:
    """What the bundle and the sign-in of the world leave empty."""
    for change in (
        "UPDATE devices SET replaces = :secret WHERE device_id = :device_id",
        "UPDATE people SET person_key = :secret WHERE person_id = :person_id",
        "UPDATE person_roles SET granted_by = :secret, unit_ids = ARRAY[:unit_id] WHERE role_id = :role_id",
        "UPDATE sessions SET agent = :secret WHERE session_id = :session_id",
    ):
        assert connection.execute(text(change), {**ids, "secret": secret}).rowcount == 1, change


def without_canary(connection: Connection, canaries: list[str]) -> list[str]:
    """`table.column` of every text column in which no row has any of these, that neither CLOSED nor WITHOUT excuse."""
    found = []
    for table, wanted in columns(connection).items():
        for column in wanted:
            place = f"{table}.{column.name}"
            texts = column.type in {"text", "text[]", "json", "jsonb"}
            if not texts or table in NOT_FILLED or column.name in CLOSED or place in WITHOUT:
                continue
            has = " OR ".join(f"strpos({column.name}::text, '{one}') > 0" for one in canaries)
            if not connection.execute(text(f"SELECT EXISTS (SELECT FROM {table} WHERE {has})")).scalar_one():
                found.append(place)
    return found


def _insert(connection: Connection, table: str, wanted: list[Any], ids: dict[str, str], side: int) -> None:
    values = {
        one.name: _value(table, one, ids, side) for one in wanted
        if not one.made and not (one.name == "ended_at" or one.name.startswith("valid_to"))
    }  # fmt: skip
    names = ", ".join(f'"{name}"' for name in values)
    marks = ", ".join(f"CAST(:{one.name} AS {one.type})" for one in wanted if one.name in values)
    connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({marks})"), values)


def _value(table: str, column: Any, ids: dict[str, str], side: int) -> Any:
    name, values = column.name, _VALUES | _OF_TABLE.get(table, {})
    secret = f"HEMLIG{side} {name}" if name.endswith("_id") else f"HEMLIG{side} {table} {name}"
    if name in values:
        return values[name]
    now: datetime = utc_now()
    fixed: dict[str, Any] = {
        "timestamp with time zone": now, "date": local_date(now), "boolean": False, "integer": side,
        "bigint": 7000 + side, "smallint": side, "bytea": hashlib.sha256(secret.encode()).digest(),
        "jsonb": json.dumps({"text": secret}), "json": json.dumps({"text": secret}), "text[]": [secret],
    }  # fmt: skip
    if column.type in fixed:
        return fixed[column.type]
    return ids.get(name, secret)
