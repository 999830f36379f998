"""What goes in comes out: equal tables, folder and .zip, whole and by month."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from app.core.month import Month
from app.db.callers import Caller
from app.db.engine import Database
from app.evidence.exports import ExportOptions, export_bundle
from app.evidence.imports import ImportOptions, ImportReport, import_bundle
from app.registry.bundle.columns import FILES, FORKS_FILE
from tests.flows.bundles import NOW, POLICIES, Bundle, every_file, read, write


def take_in(database: Database, path: Path, **options: object) -> ImportReport:
    with database.transaction(Caller.batch()) as connection:
        return import_bundle(connection, path, now=NOW, options=ImportOptions(**options))  # type: ignore[arg-type]  # a test's shorthand


def give_out(database: Database, out: Path, month: Month | None = None) -> Bundle:
    with database.transaction(Caller.batch()) as connection:
        export_bundle(connection, out, ExportOptions(month=month))
    if out.suffix != ".zip":
        return read(out)
    shutil.unpack_archive(out, out.with_suffix(""))
    return read(out.with_suffix(""))


def test_the_bundle_of_this_test_has_every_file_of_the_contract() -> None:
    assert set(every_file()) == {file.name for file in FILES} - {FORKS_FILE.name}


@pytest.mark.parametrize("name", ["out", "out.zip"])
def test_import_then_export_gives_equal_tables(database: Database, tmp_path: Path, name: str) -> None:
    given = write(tmp_path / "in", every_file(), POLICIES)
    if name.endswith(".zip"):
        given = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", given))
    report = take_in(database, given)
    assert report.errors == []
    came_out = give_out(database, tmp_path / name)
    expected = read(tmp_path / "in")
    # the one row nobody gave: the device only known from a tap
    expected["devices.csv"].append({"device_id": "unknown", "kind": "imported"})
    assert came_out == {name: sorted(rows, key=lambda row: sorted(row.items())) for name, rows in expected.items()}
    out = tmp_path / "out"
    assert "KF § 12" in (out / "policies.toml").read_text("utf-8")
    package = json.loads((out / "datapackage.json").read_text("utf-8"))
    assert {resource["path"] for resource in package["resources"]} == {file.name for file in FILES}


def test_an_export_imported_elsewhere_exports_the_same_bytes(
    make_database: Callable[..., Database], tmp_path: Path
) -> None:
    first, second = make_database(), make_database()
    take_in(first, write(tmp_path / "in", every_file(), POLICIES))
    give_out(first, tmp_path / "one")
    report = take_in(second, tmp_path / "one")
    assert report.errors == []
    give_out(second, tmp_path / "two")
    for path in (tmp_path / "one").iterdir():
        assert (tmp_path / "two" / path.name).read_bytes() == path.read_bytes(), path.name


def test_signed_taps_forks_and_what_was_noted_beside_them_survive_a_copy(
    make_database: Callable[..., Database], tmp_path: Path
) -> None:
    first, second = make_database(), make_database()
    take_in(first, write(tmp_path / "in", every_file()))
    with first.transaction(Caller.batch()) as connection:
        for jws, received in (("h.p1.s", "06:00:05"), ("h.p2.s", "06:00:04")):
            connection.execute(
                text(
                    "INSERT INTO taps (device_id, seq, hash, provider_id, act, tag_uid, staff_id, tapped_at, at, "
                    "received_at, grade, doubts, boot, mono, jws) VALUES ('d1', 9, sha256(convert_to(left(:jws, 4), "
                    "'UTF8')), 'p1', 'KOM', '04', 's1', '2026-10-05T06:00:00Z', '2026-10-05T06:01:00Z', "
                    "CAST(:received AS timestamptz), 'B', '{clock_doubt}', 'b1', 77, :jws)"
                ),
                {"jws": jws, "received": f"2026-10-05T{received}Z"},
            )
        connection.execute(text("INSERT INTO tap_forks VALUES ('d1', 9, 'p1')"))
        connection.execute(
            text(
                "INSERT INTO heads (device_id, hash, head_seq, claimed_at, received_at, boot, mono) "
                "VALUES ('d1', '\\x01ff', 9, '2026-10-05T06:00:00Z', '2026-10-05T06:00:01Z', 'b1', 80)"
            )
        )
    came_out = give_out(first, tmp_path / "one")
    assert [row["jws"] for row in came_out["forks.csv"]] == ["h.p1.s"]  # received later
    report = take_in(second, tmp_path / "one")
    assert report.errors == []
    everything = "SELECT * FROM {} ORDER BY 1, 2, 3"
    for table in ("taps", "tap_forks", "heads"):
        rows = []
        for database in (first, second):
            with database.transaction(Caller.batch()) as connection:
                rows.append(connection.execute(text(everything.format(table))).all())
        assert rows[0] == rows[1], table


def test_a_month_has_the_registry_and_what_lies_around_the_month(database: Database, tmp_path: Path) -> None:
    take_in(database, write(tmp_path / "in", every_file(), POLICIES))
    october = give_out(database, tmp_path / "october", Month.parse("2026-10"))
    assert sorted(row["seq"] for row in october["taps.csv"]) == ["1", "2"]
    assert len(october["corrections.csv"]) == 2
    december = give_out(database, tmp_path / "december", Month.parse("2026-12"))
    assert december["clients.csv"] == october["clients.csv"]
    for name in ("taps.csv", "planned_visits.csv", "declines.csv", "manual_visits.csv", "corrections.csv"):
        assert december[name] == [], name
    assert december["excess_reasons.csv"] == []
    november = give_out(database, tmp_path / "november", Month.parse("2026-11"))
    assert len(november["excess_reasons.csv"]) == 1  # carried into November


def test_a_later_export_replaces_an_earlier_one(database: Database, tmp_path: Path) -> None:
    take_in(database, write(tmp_path / "in", every_file()))
    out = tmp_path / "out"
    out.mkdir()
    (out / "forks.csv").write_text("stale", "utf-8")
    assert "forks.csv" not in give_out(database, out)
