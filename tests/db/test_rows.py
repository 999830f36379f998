"""Lists as array text, and rows written together, by the real PostgreSQL."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DataError

from app.db.callers import Caller
from app.db.engine import Database
from app.facts import Finding
from app.findings import store as finding_store
from app.findings.tables import findings

NOW = datetime(2026, 1, 5, 8, 0, 0, 120000, UTC)
TEXTS = [
    "plain",
    "",
    "NULL",
    "null",
    " edges ",
    'a "quote"',
    "back\\slash",
    "\\",
    "{brace}",
    "a,b",
    "åäö 🙂",
    "\n\t",
    "x'y",
]


LISTS: list[tuple[str, list[object]]] = [
    ("text", [*TEXTS]),
    ("text", [None, "one", None]),
    ("text", []),
    ("text", [None]),
    ("bytea", [b"", b"\x00\xff\\", b'"']),
    ("timestamptz", [NOW, None, datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)]),
    ("date", [date(2026, 1, 5), date.min, date.max]),
    ("boolean", [True, False, None]),
    ("bigint", [0, -1, 2**53 - 1, None]),
    ("double precision", [1.5, -0.25]),
]


def test_a_list_comes_back_as_it_went_in_unless_postgresql_refuses_a_text(database: Database) -> None:
    with database.transaction(Caller.batch()) as connection:
        for kind, values in LISTS:
            query = text(f"SELECT CAST(:values AS {kind}[])")
            assert connection.execute(query, {"values": values}).scalar_one() == values
        with pytest.raises(DataError):
            connection.execute(text("SELECT CAST(:values AS text[])"), {"values": ["fine", "n\0ul"]})


def test_rows_are_written_together_and_those_that_were_there_are_overwritten(database: Database) -> None:
    first = [
        Finding(f"f{n}", "gick_missing", NOW, "bo", "anna", "P1", f"v{n}", taps=(("d1", n),), facts=(("text", said),))
        for n, said in enumerate(TEXTS)
    ]
    with database.transaction(Caller.batch()) as connection:
        finding_store.put(connection, "visit", first, NOW)
        again = [Finding("f1", "kom_missing", NOW, holds=True), Finding("new", "kom_missing", NOW)]
        finding_store.put(connection, "visit", again, NOW)
        stored = {one.finding_id: one for _, one in finding_store.load(connection, findings.c.step == "visit")}
    assert stored == {one.finding_id: one for one in [*first, *again]}
