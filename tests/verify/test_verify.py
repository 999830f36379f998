"""`komgick verify`: an honest export passes offline; whatever is changed is found and named with file and line."""

from __future__ import annotations

import csv
import json
import random
import shutil
import subprocess
import sys
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app import pipeline
from app.core.settings import Settings
from app.db.embedded import EmbeddedServer
from app.db.engine import Database
from app.evidence.keys import open_keyring
from app.verify.flow import Check, verify
from tests.conftest import copy_database
from tests.evidence.devices import Device
from tests.verify import town


@pytest.fixture(scope="module")
def town_database(
    postgres: EmbeddedServer, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """October, lived and closed once for all tests here: none of them changes it."""
    copy_database(postgres, "verify_town", template)
    database = Database(
        postgres.url("verify_town"), Settings(data=tmp_path_factory.mktemp("verify")), passwordless=True
    )
    town.live(database, tmp_path_factory.mktemp("told") / "bundle")
    yield database
    database.close()


@pytest.fixture(scope="module")
def exported(town_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "export"
    pipeline.export_bundle(town_database, out, month=town.MONTH)
    return out


@pytest.fixture
def export(exported: Path, tmp_path: Path) -> Path:
    """A copy of October's export, to be spoilt."""
    return Path(shutil.copytree(exported, tmp_path / "export"))


def found(folder: Path) -> dict[str, Check]:
    return {check.name: check for check in verify(folder)}


def wrongs(folder: Path) -> list[str]:
    return [f"{check.name}: {one}" for check in verify(folder) for one in check.wrong]


def test_an_honest_export_passes_offline_as_folder_and_as_zip(
    export: Path, town_database: Database, tmp_path: Path
) -> None:
    pipeline.export_bundle(town_database, tmp_path / "all.zip")
    for bundle in (export, tmp_path / "all.zip"):
        ended = subprocess.run(
            [sys.executable, "-m", "app.cli", "verify", str(bundle)],
            capture_output=True, text=True, check=False, env={"PATH": "/nowhere", "KOMGICK_DATABASE_URL": "none"},
        )  # fmt: skip
        assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout
        lines = dict(line.split(": ", 1) for line in ended.stdout.splitlines() if not line.startswith(" "))
        assert set(lines) == {
            "seal", "server key", "signatures", "contents", "chain", "receipts", "revocation", "form", "closes",
            "visits", f"month {town.MONTH}",
        }, ended.stdout  # fmt: skip
        assert lines["signatures"].startswith("ok (72 signed taps")
        assert lines["closes"] == "ok (hashes of 1 of 1 closes)"
        assert lines[f"month {town.MONTH}"].startswith("ok (3 frozen accounts recomputed")


def test_what_an_export_brings_into_another_database_passes_again(
    export: Path, town_database: Database, make_database: Callable[..., Database], tmp_path: Path
) -> None:
    copy = make_database()
    shutil.copytree(town_database.settings.data / "secrets", copy.settings.data / "secrets")
    report = pipeline.import_bundle(copy, export, now=town.CLOSED_AT)
    assert report.errors == []
    pipeline.export_bundle(copy, tmp_path / "again", month=town.MONTH)
    assert wrongs(tmp_path / "again") == []


def tampered(export: Path, tmp_path: Path, dice: random.Random) -> tuple[str, town.Tampering, list[Check]]:
    folder = tmp_path / "tampered"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(export, folder)
    what, place = town.tamper(folder, dice)
    return what, place, list(verify(folder))


def assert_all_found(export: Path, tmp_path: Path, rounds: int) -> None:
    dice = random.Random(rounds)
    for number in range(rounds):
        what, (file, line), checks = tampered(export, tmp_path, dice)
        named = [one for check in checks for one in check.wrong if one.file == file]
        assert named, (number, what, file, line)
        assert not line or any(one.line == line for one in named), (number, what, file, line, named)


def test_forty_random_tamperings_are_found_and_named(export: Path, tmp_path: Path) -> None:
    assert_all_found(export, tmp_path, 40)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_five_hundred_random_tamperings_are_found_and_named(export: Path, tmp_path: Path) -> None:
    assert_all_found(export, tmp_path, 500)


def _windows(content: bytes) -> bytes:
    return content.replace(b"\n", b"\r\n")


def _marked(content: bytes) -> bytes:
    return BOM_UTF8 + content


@pytest.mark.parametrize("change", [_windows, _marked, lambda content: _marked(_windows(content))])
def test_line_ends_and_byte_order_marks_of_a_program_on_the_way_are_a_note_and_nothing_wrong(
    change: Callable[[bytes], bytes], export: Path
) -> None:
    for path in export.iterdir():
        path.write_bytes(change(path.read_bytes()))
    assert wrongs(export) == []
    assert any("taps.csv: other line ends" in note for note in found(export)["seal"].notes)
    taps = export / "taps.csv"
    taps.write_bytes(taps.read_bytes().replace(b",KOM,", b",AUTO,", 1))
    assert [(one.file, one.line) for one in found(export)["seal"].wrong] == [("taps.csv", 2)], "the line is named"


def test_a_program_that_changes_row_ends_may_leave_the_cells_alone(export: Path) -> None:
    cell = "Glömde.\r\nBåda.".encode()
    content = (export / "manual_visits.csv").read_bytes()
    assert cell in content
    changed = _windows(content.replace(cell, b"CELL")).replace(b"CELL", cell)
    (export / "manual_visits.csv").write_bytes(changed)
    assert wrongs(export) == []


def test_only_the_row_ends_may_have_been_changed(export: Path) -> None:
    lines = (export / "clients.csv").read_bytes().splitlines()
    assert b"\r" not in b"".join(lines)
    (export / "clients.csv").write_bytes(b"\r".join(lines))
    assert [one.file for one in found(export)["seal"].wrong] == ["clients.csv"]


def _lines(folder: Path, name: str) -> list[str]:
    return (folder / name).read_text("utf-8").splitlines(keepends=True)


def _write(folder: Path, name: str, lines: list[str]) -> None:
    (folder / name).write_text("".join(lines), "utf-8")


def _drop_signed_tap(folder: Path) -> None:
    lines = _lines(folder, "taps.csv")
    _write(folder, "taps.csv", [line for line in lines if not line.startswith("d_a,7,")])
    rows = [json.loads(line) for line in _lines(folder, "receipts.jsonl")]
    kept = [r for r in rows if (r["table"], r["device_id"], r.get("seq")) != ("taps", "d_a", 7)]
    _write(folder, "receipts.jsonl", [json.dumps(row) + "\n" for row in kept])


def _other_staff(folder: Path) -> None:
    lines = _lines(folder, "taps.csv")
    _write(folder, "taps.csv", [line.replace(",s_1,", ",s_2,") if "d_a,7," in line else line for line in lines])


def _longer_unsigned_visit(folder: Path) -> None:
    lines = _lines(folder, "taps.csv")
    changed = [line.replace("07:31:00Z", "07:51:00Z") if line.startswith("r_old,2,") else line for line in lines]
    assert changed != lines
    _write(folder, "taps.csv", changed)


def _another_device_key(folder: Path) -> None:
    other = Device("d_other").jwk
    lines = _lines(folder, "devices.csv")
    _write(folder, "devices.csv", [
        line.replace(line.split('""x"":""')[1][:43], other["x"]).replace(line.split('""y"":""')[1][:43], other["y"])
        if line.startswith("d_a,") else line for line in lines
    ])  # fmt: skip


def _richer_account(folder: Path) -> None:
    def change(row: dict[str, str]) -> None:
        account = json.loads(row["account"])
        account["free_minutes"] += 10
        row["account"] = json.dumps(account)

    _change_row(folder, "closed_accounts.csv", change)


def _richer_line(folder: Path) -> None:
    _change_row(folder, "billing_lines.csv", lambda row: row.update(amount_ore=str(int(row["amount_ore"]) + 100)))


def _change_row(folder: Path, name: str, change: Callable[[dict[str, str]], None]) -> None:
    with (folder / name).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    change(rows[0])
    town.write_csv(folder, name, rows)


def _receipt_of_another(folder: Path) -> None:
    rows = [json.loads(line) for line in _lines(folder, "receipts.jsonl")]
    one = next(row for row in rows if row["table"] == "receipts")
    one["upto"] += 1
    _write(folder, "receipts.jsonl", [json.dumps(row) + "\n" for row in rows])


def _order_grows(folder: Path) -> None:
    lines = _lines(folder, "orders.csv")
    _write(folder, "orders.csv", [line.replace(",300,", ",900,") for line in lines])


@pytest.mark.parametrize(
    ("attack", "check", "file"),
    [
        (_drop_signed_tap, "chain", "taps.csv"),
        (_other_staff, "contents", "taps.csv"),
        (_longer_unsigned_visit, f"month {town.MONTH}", "closed_accounts.csv"),
        (_another_device_key, "signatures", "taps.csv"),
        (_richer_account, "closes", "closed_accounts.csv"),
        (_richer_line, "closes", "closes.csv"),
        (_receipt_of_another, "receipts", "receipts.jsonl"),
        (_order_grows, f"month {town.MONTH}", "closed_accounts.csv"),
    ],
)
def test_even_the_holder_of_the_servers_key_cannot_change_what_devices_and_closes_say(
    attack: Callable[[Path], None], check: str, file: str, export: Path, town_database: Database
) -> None:
    attack(export)
    town.reseal(export, open_keyring(town_database.settings.data))
    checks = found(export)
    assert checks["seal"].wrong == ()
    assert file in {one.file for one in checks[check].wrong}, wrongs(export)


@pytest.mark.parametrize("never", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_that_cannot_be_is_named_and_no_traceback(never: str, export: Path) -> None:
    _change_row(export, "taps.csv", lambda row: row.update(tapped_at=never))
    assert ("taps.csv", 2) in {(one.file, one.line) for one in found(export)["form"].wrong}


def test_a_published_key_tells_a_strangers_seal(export: Path) -> None:
    genuine = found(export)["server key"].looked_at
    assert [c.wrong for c in verify(export, genuine) if c.name == "server key"] == [()]
    assert [len(c.wrong) for c in verify(export, "AAAAAA") if c.name == "server key"] == [1]


def test_a_bundle_that_no_server_exported_does_not_pass(tmp_path: Path) -> None:
    folder = tmp_path / "told"
    folder.mkdir()
    town.write_csv(folder, "taps.csv", town.unsigned_taps())
    assert [one.file for one in found(folder)["seal"].wrong] == ["datapackage.json"]
