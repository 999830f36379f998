"""After a close: what a person must look at is as known now, and a rebuild says nothing differs (DOMAIN.md 3)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app import pipeline, pipeline_derive, pipeline_months
from app.core.month import Month
from app.db.callers import Caller
from app.db.engine import Database
from app.findings.tables import findings
from tests.contract.commands import Komgick
from tests.diary import moment
from tests.flows.bundles import Bundle, write

NOW = datetime(2026, 2, 6, 18, tzinfo=UTC)
JANUARY, FEBRUARY = Month(2026, 1), Month(2026, 2)
ORDER = {
    "order_id": "o1", "client_id": "c1", "provider_id": "p1", "unit_id": "u1", "district": "Norr",
    "valid_from": "2026-01-01", "valid_to": "", "minutes_per_month": "100",
}  # fmt: skip


def town() -> Bundle:
    """One client with 120 minutes in January where 100 are ordered: 10 above the ceiling."""
    at = "2026-01-05T{}:00:00+01:00"
    tap = {"device_id": "d1", "tag_uid": "T1", "staff_id": "s1"}
    return {
        "providers.csv": [{"provider_id": "p1", "name": "Ett", "operation": "private"}],
        "units.csv": [{"unit_id": "u1", "provider_id": "p1", "name": "Enheten"}],
        "staff.csv": [{"staff_id": "s1", "valid_from": "2020-01-01", "unit_id": "u1", "name": "Anna"}],
        "clients.csv": [{"client_id": "c1", "name": "Bo"}],
        "tags.csv": [{"tag_uid": "T1", "client_id": "c1", "valid_from_at": "2020-01-01T00:00:00+01:00"}],
        "orders.csv": [ORDER],
        "taps.csv": [
            {**tap, "seq": "1", "act": "KOM", "tapped_at": at.format("08")},
            {**tap, "seq": "2", "act": "GICK", "tapped_at": at.format("10")},
        ],
    }


def take(database: Database, path: Path, bundle: Bundle, now: datetime = NOW) -> None:
    pipeline.import_bundle(database, write(path, bundle), now=now)


def close(database: Database, month: Month, on: date, now: datetime = NOW) -> pipeline_months.Closed:
    return pipeline_months.close_month(database, month, on=on, by="city", now=now, progress=lambda *_: None)


def codes(database: Database) -> list[str]:
    with database.transaction(Caller.batch(), read_only=True) as connection:
        return sorted(connection.execute(select(findings.c.code)).scalars())


def test_an_order_lowered_after_the_close_is_a_finding_and_no_claw_back(database: Database, tmp_path: Path) -> None:
    take(database, tmp_path / "one", town())
    close(database, JANUARY, date(2026, 2, 6))
    take(database, tmp_path / "two", {"orders.csv": [{**ORDER, "minutes_per_month": "60"}]})
    assert codes(database) == ["excess_without_reason", "order_changed_after_close"]
    assert close(database, FEBRUARY, date(2026, 3, 6)).totals.minutes == 0


def test_a_reason_that_comes_after_the_close_ends_the_finding_that_it_lacks(database: Database, tmp_path: Path) -> None:
    take(database, tmp_path / "one", town())
    close(database, JANUARY, date(2026, 2, 6))
    assert codes(database) == ["excess_without_reason"]
    reason = {
        "client_id": "c1", "provider_id": "p1", "month": "2026-01", "minutes": "10", "reason": "illness",
        "submitted_on": "2026-02-20",
    }  # fmt: skip
    take(database, tmp_path / "two", {"excess_reasons.csv": [reason]})
    assert codes(database) == []


def test_a_rebuild_finds_no_difference_where_accounts_have_findings(database: Database, tmp_path: Path) -> None:
    take(database, tmp_path / "one", town())
    for state in ("open", "closed"):
        assert pipeline_derive.rebuild(database, NOW).named == []
        assert codes(database) == ["excess_without_reason"]
        if state == "open":
            close(database, JANUARY, date(2026, 2, 6))


def test_the_run_says_which_accounts_nobody_attested(database: Database, tmp_path: Path) -> None:
    take(database, tmp_path / "one", town())
    left = close(database, JANUARY, date(2026, 2, 6)).left_open
    assert (left.accounts, left.not_attested, left.unpaid_minutes) == (1, 1, 10)
    pipeline_months.attest_month(database, FEBRUARY, "p1", "boss", NOW)
    assert close(database, FEBRUARY, date(2026, 3, 6)).left_open.not_attested == 0


def test_a_month_is_shown_as_it_was_known_at_the_end_of_a_day(
    database: Database, tmp_path: Path, cli_environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in cli_environment.items():
        monkeypatch.setenv(name, value)
    reason = {
        "reason_id": "x1", "client_id": "c1", "provider_id": "p1", "month": "2026-01", "minutes": "10",
        "reason": "illness", "submitted_on": "2026-02-10",
    }  # fmt: skip
    approved = {**reason, "decision": "approved", "decided_on": "2026-02-20"}
    take(database, tmp_path / "one", town(), moment("2026-01-20T12:00"))
    close(database, JANUARY, date(2026, 2, 6), moment("2026-02-06T18:00"))
    take(database, tmp_path / "two", {"excess_reasons.csv": [reason]}, moment("2026-02-10T23:59"))
    take(database, tmp_path / "three", {"excess_reasons.csv": [approved]}, moment("2026-02-21T00:00"))
    close(database, FEBRUARY, date(2026, 3, 6), moment("2026-03-06T18:00"))
    take(
        database, tmp_path / "four", {"orders.csv": [{**ORDER, "minutes_per_month": "200"}]}, moment("2026-03-20T12:00")
    )

    def known(month: str, on: str) -> list[tuple[Any, ...]]:
        shown = Komgick().json("month", "show", month, "--as-known-on", on)
        names = (
            "state",
            "excess_pending_minutes",
            "excess_approved_minutes",
            "carried_in_minutes",
            "adjustment_minutes",
        )
        return [tuple(one[name] for name in names) for one in shown]

    assert known("2026-01", "2026-01-19") == []
    assert known("2026-01", "2026-01-20") == known("2026-01", "2026-02-05") == [("open", 0, 0, 0, 0)]
    assert known("2026-01", "2026-02-06") == known("2026-01", "2026-02-09") == [("closed", 0, 0, 0, 0)]
    assert known("2026-01", "2026-02-10") == known("2026-01", "2026-02-20") == [("closed", 10, 0, 0, 0)]
    assert known("2026-01", "2026-02-21") == known("2026-01", "2026-03-20") == [("closed", 0, 10, 0, 0)]
    assert known("2026-02", "2026-02-20") == [("open", 0, 0, 0, 0)]
    assert known("2026-02", "2026-02-21") == [("open", 0, 0, 10, 0)]
    assert known("2026-02", "2026-03-06") == known("2026-02", "2026-03-20") == [("closed", 0, 0, 10, 0)]
    assert known("2026-03", "2026-03-19") == []
    # 120 of January lie within 220 now: the ten that were approved are taken back and paid as free time.
    assert known("2026-03", "2026-03-20") == [("open", 0, 0, 0, 0)]
