"""A closed month with signed and unsigned taps, exported; and what an attacker may do to the export."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app import pipeline
from app.core.month import Month
from app.db.callers import Caller
from app.db.engine import Database
from app.evidence.keys import Keyring
from app.evidence.seal import SealingSink, sealed_package
from app.pipeline_derive import catch_up
from app.pipeline_months import close_month
from app.registry.bundle.writer import open_sink
from tests.evidence.devices import Device, register

MONTH = Month(2026, 10)
CLOSED_AT = datetime(2026, 11, 6, 12, tzinfo=UTC)
_HOME = {"c1": "04A1B2C3D4E581", "c2": "04A1B2C3D4E582", "c3": "04A1B2C3D4E583"}
FILES: dict[str, list[dict[str, str]]] = {
    "providers.csv": [{"provider_id": "p_1", "name": "Omsorg", "operation": "private"}],
    "units.csv": [{"unit_id": "u1", "provider_id": "p_1", "name": "Ekbacken"}],
    "staff.csv": [
        {"staff_id": f"s_{n}", "valid_from": "2026-01-01", "unit_id": "u1", "name": f"Bo {n}"} for n in (1, 2)
    ],
    "clients.csv": [{"client_id": one, "name": f"Ada {one}", "address": "Storgatan 1"} for one in _HOME],
    "tags.csv": [
        {"tag_uid": uid, "client_id": one, "valid_from_at": "2026-01-01T00:00:00Z"} for one, uid in _HOME.items()
    ],
    "orders.csv": [
        {"order_id": f"o_{one}", "client_id": one, "provider_id": "p_1", "unit_id": "u1", "district": "Norr",
         "valid_from": "2026-01-01", "minutes_per_month": "300"}
        for one in _HOME
    ],
    "prices.csv": [
        {"operation": "private", "band": band, "service": "", "unit": "hour", "valid_from": "2026-01-01",
         "amount_ore": "45000"}
        for band in ("day", "night")
    ],
    "declines.csv": [
        {"decline_id": "dec1", "client_id": "c3", "provider_id": "p_1", "planned_start_at": "2026-10-20T08:00:00Z",
         "planned_end_at": "2026-10-20T08:30:00Z", "notice": "at_door", "noticed_at": "2026-10-20T08:01:00Z"}
    ],
    "manual_visits.csv": [
        {"manual_id": "m1", "client_id": "c2", "provider_id": "p_1", "staff_id": "s_2",
         "start_at": "2026-10-21T10:00:00Z", "end_at": "2026-10-21T10:45:00Z", "reason": "other",
         "note": "Glömde.\r\nBåda.", "made_by": "Bo", "approved_by": "Eva"}
    ],
}  # fmt: skip


def unsigned_taps() -> list[dict[str, str]]:
    """A reader without key: s_2 at c3, twelve mornings."""
    rows: list[dict[str, str]] = []
    for day in range(1, 13):
        start = datetime(2026, 10, day, 7, tzinfo=UTC)
        for act, at in (("KOM", start), ("GICK", start + timedelta(minutes=30 + day))):
            rows.append(
                {"device_id": "r_old", "seq": str(len(rows) + 1), "act": act, "tag_uid": _HOME["c3"],
                 "staff_id": "s_2", "tapped_at": at.isoformat(), "received_at": at.isoformat()}
            )  # fmt: skip
    return rows


def write_csv(folder: Path, name: str, rows: Sequence[dict[str, str]]) -> None:
    with (folder / name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def signed_month(database: Database, device: Device, client: str, days: range) -> None:
    """s_1 visits a client on these days of October; uploads two days at a time, each upload receipted."""
    waiting: list[str] = []
    for day in days:
        device.at = datetime(2026, 10, day, 9, tzinfo=UTC)
        waiting.append(device.tap("KOM", _HOME[client]))
        device.wait(minutes=25 + day % 7)
        waiting.append(device.tap("GICK", _HOME[client]))
        if day % 2 == 0:
            device.wait(seconds=20)
            answer = pipeline.receive_taps(database, [device.upload(waiting)], device.at)[0]
            assert answer.status == 200
            device.ack = answer.body["r"]
            waiting = []


def live(database: Database, folder: Path) -> None:
    """October happens: a registry and unsigned taps by bundle, signed taps of two devices; then the month is closed."""
    folder.mkdir()
    for name, rows in {**FILES, "taps.csv": unsigned_taps()}.items():
        write_csv(folder, name, rows)
    pipeline.import_bundle(database, folder, now=datetime(2026, 10, 25, tzinfo=UTC))
    for device, client, days in ((_device("d_a"), "c1", range(1, 21)), (_device("d_b"), "c2", range(3, 19))):
        register(database, device)
        signed_month(database, device, client, days)
    catch_up(database, CLOSED_AT)
    close_month(database, MONTH, on=CLOSED_AT.date(), by="city", now=CLOSED_AT, progress=lambda *_: None)


def _device(device_id: str) -> Device:
    return Device(device_id, at=datetime(2026, 10, 1, tzinfo=UTC), booted_at=datetime(2026, 9, 30, tzinfo=UTC))


def tap_count(database: Database) -> int:
    """How many taps are stored."""
    from sqlalchemy import text

    with database.transaction(Caller.batch(), read_only=True) as connection:
        return int(connection.execute(text("SELECT count(*) FROM taps")).scalar_one())


def reseal(folder: Path, keyring: Keyring) -> None:
    """What only the owner of the server's key can do: a true seal over changed files."""
    package = json.loads((folder / "datapackage.json").read_text("utf-8"))
    contents = {one["path"]: (folder / one["path"]).read_bytes() for one in package["files"]}
    with open_sink(folder.with_name("resealed")) as opened:
        sink = SealingSink(opened)
        for name, content in contents.items():
            with sink.create(name) as target:
                target.write(content)
    described = json.dumps({name: value for name, value in package.items() if name not in ("files", "seal")})
    sealed = sealed_package(described, sink.files(), keyring, {"month": str(MONTH)}, CLOSED_AT)
    (folder / "datapackage.json").write_text(sealed, "utf-8")


Tampering = tuple[str, int]
"""(file, line) where it must be named; line 0: anywhere in the file."""


def tamper(folder: Path, dice: random.Random) -> tuple[str, Tampering]:
    """One random tampering of an export: what was done, and where."""
    done: Callable[[Path, random.Random], Tampering] = dice.choice(
        [_flip_in_jws, _drop, _swap, _add, _change_digit, _change_digit, _change_letter, _remove_file, _rehash]
    )
    return done.__name__.strip("_"), done(folder, dice)


def _pick(folder: Path, dice: random.Random, least: int = 2) -> tuple[Path, list[bytes]]:
    files = [path for path in sorted(folder.iterdir()) if path.suffix in (".csv", ".jsonl")]
    while True:
        path = dice.choice(files)
        lines = path.read_bytes().splitlines(keepends=True)
        if len(lines) > least:
            return path, lines


def _flip_in_jws(folder: Path, dice: random.Random) -> Tampering:
    path = folder / dice.choice(["taps.csv", "receipts.jsonl"])
    lines = path.read_bytes().splitlines(keepends=True)
    number = dice.choice([n for n, line in enumerate(lines) if b"eyJhbGci" in line])
    line = bytearray(lines[number])
    at = dice.randrange(line.index(b"eyJhbGci") + 10, line.index(b"eyJhbGci") + 300)
    line[at] = dice.choice([c for c in b"ABCabc019-_." if c != line[at]])
    lines[number] = bytes(line)
    path.write_bytes(b"".join(lines))
    return path.name, number + 1


def _drop(folder: Path, dice: random.Random) -> Tampering:
    path, lines = _pick(folder, dice)
    number = dice.randrange(1, len(lines))
    del lines[number]
    path.write_bytes(b"".join(lines))
    return path.name, number + 1


def _swap(folder: Path, dice: random.Random) -> Tampering:
    path, lines = _pick(folder, dice, least=3)
    one, two = sorted(dice.sample(range(1, len(lines)), 2))
    lines[one], lines[two] = lines[two], lines[one]
    path.write_bytes(b"".join(lines))
    return path.name, one + 1


def _add(folder: Path, dice: random.Random) -> Tampering:
    path, lines = _pick(folder, dice)
    number = dice.randrange(1, len(lines))
    lines.insert(number + 1, lines[number])
    path.write_bytes(b"".join(lines))
    return path.name, 0


def _change_digit(folder: Path, dice: random.Random) -> Tampering:
    return _change(folder, dice, b"0123456789")


def _change_letter(folder: Path, dice: random.Random) -> Tampering:
    return _change(folder, dice, b"abcdeghiklmnoprstuvxyz")


def _change(folder: Path, dice: random.Random, among: bytes) -> Tampering:
    path, lines = _pick(folder, dice)
    while True:
        number = dice.randrange(1, len(lines))
        places = [at for at, char in enumerate(lines[number]) if char in among]
        if places:
            break
    at = dice.choice(places)
    line = bytearray(lines[number])
    line[at] = dice.choice([char for char in among if char != line[at]])
    lines[number] = bytes(line)
    path.write_bytes(b"".join(lines))
    return path.name, number + 1


def _remove_file(folder: Path, dice: random.Random) -> Tampering:
    path, _ = _pick(folder, dice)
    path.unlink()
    return path.name, 0


def _rehash(folder: Path, dice: random.Random) -> Tampering:
    """The attacker knows of the hashes and writes new ones, without the server's key."""
    name, _ = _change_digit(folder, dice)
    package = json.loads((folder / "datapackage.json").read_text("utf-8"))
    with open_sink(folder.with_name("rehashed")) as opened:
        sink = SealingSink(opened)
        with sink.create(name) as target:
            target.write((folder / name).read_bytes())
    package["files"] = [sink.files()[0] if one["path"] == name else one for one in package["files"]]
    (folder / "datapackage.json").write_text(json.dumps(package), "utf-8")
    return "datapackage.json", 0
