"""After a close: what a person must look at is as known now, and a rebuild says nothing differs (DOMAIN.md 3)."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

from sqlalchemy import select

from app import pipeline, pipeline_derive, pipeline_months
from app.core.month import Month
from app.db.callers import Caller
from app.db.engine import Database
from app.findings.tables import findings
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


def take(database: Database, path: Path, bundle: Bundle) -> None:
    pipeline.import_bundle(database, write(path, bundle), now=NOW)


def close(database: Database, month: Month, on: date) -> pipeline_months.Closed:
    return pipeline_months.close_month(database, month, on=on, by="city", now=NOW, progress=lambda *_: None)


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
