"""`komgick visits`, `findings` and `policy show` as a person calls them, in processes of their own."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from app.db.callers import Caller
from app.db.engine import Database
from app.visits import queue
from tests.doors.town import a_morning, at, tap
from tests.flows.stored_world import store_taps


def _run(environment: Mapping[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_happened_and_what_to_look_at(database: Database, cli_environment: Mapping[str, str]) -> None:
    a_morning(database)
    with database.transaction(Caller.batch()) as connection:
        queue.enqueue(connection, store_taps(connection, [tap(6, "KOM", "bo", "c1", at("23:50"))]))
    rows: list[dict[str, Any]] = json.loads(
        _run(cli_environment, "visits", "--day", "2026-10-05", "--client", "c1", "--format", "json")
    )
    assert [(one["staff_id"], one["minutes"], one["status"]) for one in rows] == [
        ("anna", 30, "complete"), ("anna", 20, "complete"), ("bo", 0, "incomplete"),
    ]  # fmt: skip
    assert list(rows[0]) == [
        "visit_id", "manual_id", "client_id", "provider_id", "unit_id", "staff_id", "start_at", "end_at", "minutes",
        "status", "held", "source", "grade", "service", "planned_id", "replaced_by", "findings", "kom", "gick",
    ]  # fmt: skip
    found = json.loads(_run(cli_environment, "findings", "--month", "2026-10", "--lang", "en", "--format", "json"))
    assert [(one["code"], one["client_id"], one["state"]) for one in found] == [
        ("kom_without_gick", "c2", "open"), ("kom_without_gick", "c1", "open"),
    ]  # fmt: skip
    assert found[0]["proposal"]["new_end_at"] == "2026-10-05T08:00:00Z"
    assert "without GICK" in found[0]["text"]
    shown = csv.DictReader(
        io.StringIO(_run(cli_environment, "policy", "show", "--on", "2026-10-05", "--format", "csv"))
    )
    assert {row["key"]: row["value"] for row in shown}["ceiling_percent"] == "110"
