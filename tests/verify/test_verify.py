"""`komgick verify`: an honest export passes offline; whatever is changed is found and named with file and line."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from app import pipeline
from app.db.engine import Database
from app.evidence.keys import open_keyring
from app.verify.flow import Check, verify
from tests.verify import town


@pytest.fixture
def export(database: Database, tmp_path: Path) -> Path:
    """October, closed and exported."""
    town.live(database, tmp_path / "told")
    out = tmp_path / "export"
    pipeline.export_bundle(database, out, month=town.MONTH)
    return out


def found(folder: Path) -> dict[str, Check]:
    return {check.name: check for check in verify(folder)}


def wrongs(folder: Path) -> list[str]:
    return [f"{check.name}: {one}" for check in verify(folder) for one in check.wrong]


def test_an_honest_export_passes_offline_as_folder_and_as_zip(export: Path, database: Database, tmp_path: Path) -> None:
    pipeline.export_bundle(database, tmp_path / "all.zip")
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
        }  # fmt: skip
        assert lines["signatures"].startswith("ok (72 signed taps")
        assert lines["closes"] == "ok (hashes of 1 of 1 closes)"
        assert lines[f"month {town.MONTH}"].startswith("ok (3 frozen accounts recomputed")


def test_a_whole_and_a_months_export_import_again_and_still_pass_but_for_the_other_servers_receipts(
    export: Path, make_database: Callable[..., Database], tmp_path: Path
) -> None:
    copy = make_database()
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
    other = town.Device("d_other").jwk
    lines = _lines(folder, "devices.csv")
    _write(folder, "devices.csv", [
        line.replace(line.split('""x"":""')[1][:43], other["x"]).replace(line.split('""y"":""')[1][:43], other["y"])
        if line.startswith("d_a,") else line for line in lines
    ])  # fmt: skip


def _richer_account(folder: Path) -> None:
    lines = _lines(folder, "closed_accounts.jsonl")
    row = json.loads(lines[0])
    row["account"]["free_minutes"] += 10
    _write(folder, "closed_accounts.jsonl", [json.dumps(row) + "\n", *lines[1:]])


def _richer_line(folder: Path) -> None:
    lines = _lines(folder, "billing_lines.csv")
    cells = lines[1].split(",")
    place = lines[0].split(",").index("amount_ore")
    cells[place] = str(int(cells[place]) + 100)
    _write(folder, "billing_lines.csv", [lines[0], ",".join(cells), *lines[2:]])


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
        (_longer_unsigned_visit, f"month {town.MONTH}", "closed_accounts.jsonl"),
        (_another_device_key, "signatures", "taps.csv"),
        (_richer_account, "closes", "closed_accounts.jsonl"),
        (_richer_line, "closes", "closes.csv"),
        (_receipt_of_another, "receipts", "receipts.jsonl"),
        (_order_grows, f"month {town.MONTH}", "closed_accounts.jsonl"),
    ],
)
def test_even_the_holder_of_the_servers_key_cannot_change_what_devices_and_closes_say(
    attack: Callable[[Path], None], check: str, file: str, export: Path, database: Database
) -> None:
    attack(export)
    town.reseal(export, open_keyring(database.settings.data))
    checks = found(export)
    assert checks["seal"].wrong == ()
    assert file in {one.file for one in checks[check].wrong}, wrongs(export)


def test_a_published_key_tells_a_strangers_seal(export: Path, cli_environment: Mapping[str, str]) -> None:
    genuine = found(export)["server key"].looked_at
    assert [c.wrong for c in verify(export, genuine) if c.name == "server key"] == [()]
    assert [len(c.wrong) for c in verify(export, "AAAAAA") if c.name == "server key"] == [1]


def test_a_bundle_that_no_server_exported_does_not_pass(tmp_path: Path) -> None:
    folder = tmp_path / "told"
    folder.mkdir()
    town.write_csv(folder, "taps.csv", town.unsigned_taps())
    assert [one.file for one in found(folder)["seal"].wrong] == ["datapackage.json"]
