"""One seed is one town: its months follow each other, and a day of it can be played live."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from app.cli import main
from app.core.localtime import local_date
from app.simulation import BUNDLE_KEYS, plan_of_day, taps_of_day, town_of, write_month
from tests.simulation.conftest import OCTOBER, Written, written

MAY_BE_ENDED_LATER = {
    "staff": {"valid_to"},
    "contacts": {"valid_to"},
    "tags": {"valid_to_at"},
    "devices": {"revoked_at"},
}


def test_the_next_month_changes_nothing_but_ends(october: Written, november: Written) -> None:
    for file, key in BUNDLE_KEYS.items():
        before = {tuple(row[c] for c in key): row for row in october[file]}
        for row in november[file]:
            old = before.get(tuple(row[c] for c in key))
            if old is None:
                continue
            changed = {c for c in row if row[c] != old[c]}
            assert changed <= MAY_BE_ENDED_LATER.get(file, set()), (file, old, row)
            assert all(old[c] == "" for c in changed), (file, old, row)


def test_statements_of_two_months_have_different_keys(october: Written, november: Written) -> None:
    for file in ("taps", "planned_visits", "declines", "manual_visits", "corrections", "disputes", "excess_reasons"):
        keys = [{tuple(row[c] for c in BUNDLE_KEYS[file]) for row in month[file]} for month in (october, november)]
        assert not keys[0] & keys[1], file


def test_most_people_are_still_there_the_month_after(october: Written, november: Written) -> None:
    for file, column in (("clients", "client_id"), ("staff", "staff_id"), ("tags", "tag_uid")):
        first, second = ({row[column] for row in month[file]} for month in (october, november))
        assert len(first & second) / len(first) > 0.9, file
        assert first != second, f"nobody came or left in {file}"


def test_who_is_employed_taps_and_nobody_else(october: Written) -> None:
    employed: dict[str, tuple[str, str]] = {}
    for row in october["staff"]:
        low, high = employed.get(row["staff_id"], ("9", "0"))
        employed[row["staff_id"]] = (min(low, row["valid_from"]), max(high, row["valid_to"] or "9"))
    for row in october["taps"]:
        if row["staff_id"] in employed:
            day = str(local_date(datetime.fromisoformat(row["tapped_at"])) - timedelta(days=1))
            assert employed[row["staff_id"]][0] <= str(local_date(datetime.fromisoformat(row["tapped_at"])))
            assert day <= employed[row["staff_id"]][1], row


def test_a_month_that_is_still_running_is_the_whole_month_without_the_future(tmp_path: Path) -> None:
    until = datetime(2026, 10, 14, 12, 0, tzinfo=UTC)
    whole = written(tmp_path / "whole", 40, OCTOBER)
    write_month(whole.town, OCTOBER, tmp_path / "part", until=until)
    taps = (tmp_path / "part" / "taps.csv").read_text(encoding="utf-8").splitlines()[1:]
    full = (tmp_path / "whole" / "taps.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert taps == [line for line in full if line.split(",")[6] <= "2026-10-14T12:00:00Z"]
    assert 0 < len(taps) < len(full)
    plan = (tmp_path / "part" / "planned_visits.csv").read_bytes()
    assert plan == (tmp_path / "whole" / "planned_visits.csv").read_bytes()


def test_a_day_can_be_played_live(october: Written) -> None:
    on = date(2026, 10, 13)
    plan = plan_of_day(october.town, on)
    assert 500 < len(plan) < 1200
    assert [stop.start_at for stop in plan] == sorted(stop.start_at for stop in plan)
    assert {stop.staff_id for stop in plan} <= {row["staff_id"] for row in october["staff"]}
    assert {c for stop in plan for c in stop.client_ids} <= {row["client_id"] for row in october["clients"]}
    assert {stop.tag_uid for stop in plan} <= {row["tag_uid"] for row in october["tags"]}
    assert {stop.device_id for stop in plan} <= {row["device_id"] for row in october["devices"]}
    assert {(stop.planned_id, stop.client_ids[0]) for stop in plan} <= {
        (row["planned_id"], row["client_id"]) for row in october["planned_visits"]
    }


def test_the_live_day_is_the_day_of_the_month(october: Written) -> None:
    on = date(2026, 10, 1)
    live = {(tap.device_id, tap.tag_uid, tap.at) for tap in taps_of_day(october.town, on)}
    stored = {(r["device_id"], r["tag_uid"], datetime.fromisoformat(r["tapped_at"])) for r in october["taps"]}
    assert live <= stored
    assert len(live) > 800


def test_a_town_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 3"):
        town_of(2, 1)


def test_every_small_size_of_town_can_live_a_month(tmp_path: Path) -> None:
    for clients in (3, 4, 9, 25):
        counts = write_month(town_of(clients, clients), OCTOBER, tmp_path / str(clients))
        assert counts["taps"] > 0
        assert counts["clients"] == clients


def test_the_command_writes_the_bundle_and_counts_on_stdout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["simulate", "--clients", "10", "--month", "2026-10", "--seed", "2", "--out", str(tmp_path / "b.zip")]
    monkeypatch.setattr("sys.argv", ["komgick", *arguments, "--format", "json"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    told = capsys.readouterr()
    assert '{"file": "clients.csv", "rows": 10}' in told.out
    assert told.err == ""
    assert (tmp_path / "b.zip").is_file()


def test_a_month_that_is_none_is_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["komgick", "simulate", "--month", "2026-13", "--out", str(tmp_path / "b")])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert "YYYY-MM" in capsys.readouterr().err
