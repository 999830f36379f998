"""From the signed tap to the visit: shifts that outlast their grant, two persons at one reader, copied tags, lost
phones (EVIDENCE.md sections 1 and 2; DOMAIN.md 2.1 row 25, 2.3)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app import pipeline
from app.db.callers import Caller
from app.db.engine import Database
from app.evidence.grants import issue_grant
from app.evidence.keys import SUN_KEYS, open_keyring, write_secret
from app.evidence.sun import SunKeys, make
from app.pipeline_derive import catch_up
from tests.evidence.devices import Device, register, rows
from tests.verify import town

MORNING = datetime(2026, 10, 5, 6, tzinfo=UTC)
UIDS = {f"c{number}": f"04A1B2C3D4E58{number}" for number in (1, 2, 3)}
KEYS = SunKeys(1, bytes([1]) * 16, bytes([2]) * 16)


@dataclass
class Town:
    """Three clients, two carers; what devices say there, and the visits that come of it."""

    database: Database

    def device(self, device_id: str, *, confirmed: bool = True) -> Device:
        """A device that has been running since before the morning."""
        device = Device(device_id, at=MORNING, booted_at=MORNING - timedelta(hours=1))
        return register(self.database, device, confirmed=confirmed)

    def grant(self, staff: str, device: Device, lasts: timedelta = timedelta(hours=14)) -> str:
        with self.database.transaction(Caller.auth()) as connection:
            who = (staff, device.device_id, "p_1")
            return issue_grant(connection, open_keyring(self.database.settings.data), who, device.at, lasts).grant_id

    def send(self, device: Device, *documents: str) -> None:
        [answer] = pipeline.receive_taps(self.database, [device.upload(documents)], device.at)
        assert answer.status == 200
        catch_up(self.database, device.at)

    def visits(self) -> list[tuple[object, ...]]:
        """(client, staff, minutes, status, held, grade)."""
        return rows(
            self.database,
            "SELECT client_id, staff_id, minutes, status, holds <> '{}', grade FROM visits"
            " ORDER BY coalesce(start_at, end_at)",
        )

    def findings(self) -> list[str]:
        return [code for (code,) in rows(self.database, "SELECT code FROM findings ORDER BY at, code")]


@pytest.fixture
def lived(database: Database, tmp_path: Path) -> Town:
    folder = tmp_path / "registry"
    folder.mkdir()
    registry = {
        name: town.FILES[f"{name}.csv"] for name in ("providers", "units", "staff", "clients", "tags", "orders")
    }
    for name, content in registry.items():
        town.write_csv(folder, f"{name}.csv", content)
    pipeline.import_bundle(database, folder, now=MORNING - timedelta(days=1))
    keys = {"1": {"meta_key": KEYS.meta_key.hex(), "master_key": KEYS.master_key.hex()}}
    write_secret(database.settings.data / "secrets" / SUN_KEYS, json.dumps(keys))
    return Town(database)


def test_a_double_shift_that_outlasts_its_grant_is_paid_and_shown(lived: Town) -> None:
    phone = lived.device("d_phone")
    grant = lived.grant("s_1", phone, timedelta(minutes=20))
    came = phone.tap("KOM", UIDS["c1"], grant=grant)
    phone.wait(minutes=30)
    lived.send(phone, came, phone.tap("GICK", UIDS["c1"], grant=grant))
    assert lived.visits() == [("c1", "s_1", 30, "complete", False, "B")]
    assert lived.findings() == ["grant_expired"]


def test_the_next_grant_of_a_double_shift_goes_on_with_the_same_visit(lived: Town) -> None:
    phone = lived.device("d_phone")
    came = phone.tap("KOM", UIDS["c1"], grant=lived.grant("s_1", phone, timedelta(minutes=20)))
    phone.wait(minutes=30)
    lived.send(phone, came, phone.tap("GICK", UIDS["c1"], grant=lived.grant("s_1", phone)))
    assert (lived.visits(), lived.findings()) == ([("c1", "s_1", 30, "complete", False, "B")], [])


def test_two_persons_at_one_shared_reader_are_two_visits(lived: Town) -> None:
    reader = lived.device("d_reader")
    said = []
    for act, staff in (("KOM", "s_1"), ("KOM", "s_2"), ("GICK", "s_1"), ("GICK", "s_2")):
        said.append(reader.tap(act, UIDS["c1"], staff=staff, staff_by="badge"))
        reader.wait(minutes=10)
    lived.send(reader, *said)
    assert [visit[:4] for visit in lived.visits()] == [("c1", "s_1", 20, "complete"), ("c1", "s_2", 20, "complete")]
    assert lived.findings() == ["unordered_second_staff"]
    assert rows(lived.database, "SELECT DISTINCT staff_by FROM taps") == [("badge",)]


def test_a_phone_used_under_anothers_grant_is_doubted_and_the_stated_person_stands(lived: Town) -> None:
    phone = lived.device("d_phone")
    grant = lived.grant("s_1", phone)
    lived.send(phone, phone.tap("KOM", UIDS["c1"], staff="s_2", grant=grant))
    assert rows(lived.database, "SELECT staff_id, doubts FROM taps") == [("s_2", ["grant_invalid"])]


def test_a_copied_tag_text_holds_the_visit_it_pretends_and_gaps_in_a_counter_are_normal(lived: Town) -> None:
    uid = bytes.fromhex(UIDS["c1"])
    phone, thief = lived.device("d_phone"), lived.device("d_thief")
    honest = [phone.tap("KOM", UIDS["c1"], sun=make(KEYS, uid, 10))]
    phone.wait(minutes=30)
    honest.append(phone.tap("GICK", UIDS["c1"], sun=make(KEYS, uid, 25)))
    lived.send(phone, *honest)
    assert (lived.visits(), lived.findings()) == ([("c1", "s_1", 30, "complete", False, "B")], [])
    thief.wait(hours=3)
    copied = [thief.tap("KOM", UIDS["c1"], staff="s_2", sun=make(KEYS, uid, 10))]
    thief.wait(minutes=45)
    copied.append(thief.tap("GICK", UIDS["c1"], staff="s_2", sun=make(KEYS, uid, 30)))
    lived.send(thief, *copied)
    assert lived.visits() == [
        ("c1", "s_1", 30, "complete", False, "B"), ("c1", "s_2", 45, "complete", True, "D"),
    ]  # fmt: skip
    assert "tag_counter_replay" in lived.findings()


def test_texts_read_ahead_hold_what_is_told_with_them(lived: Town) -> None:
    uid = bytes.fromhex(UIDS["c1"])
    phone, other = lived.device("d_phone"), lived.device("d_other")
    ahead = [make(KEYS, uid, 5), make(KEYS, uid, 6)]
    phone.wait(minutes=10)
    lived.send(phone, phone.tap("AUTO", UIDS["c1"], sun=make(KEYS, uid, 7)))
    other.wait(hours=5)
    came = other.tap("KOM", UIDS["c1"], staff="s_2", sun=ahead[0])
    other.wait(minutes=30)
    lived.send(other, came, other.tap("GICK", UIDS["c1"], staff="s_2", sun=ahead[1]))
    assert ("c1", "s_2", 30, "complete", True, "D") in lived.visits()
    assert "tag_counter_order" in lived.findings()


def test_a_lost_phones_taps_are_kept_and_held(lived: Town) -> None:
    phone = lived.device("d_phone")
    said = [phone.tap("KOM", UIDS["c1"])]
    phone.wait(minutes=30)
    said.append(phone.tap("GICK", UIDS["c1"]))
    pipeline.revoke_device(lived.database, "d_phone", "lost", phone.at)
    phone.wait(minutes=5)
    lived.send(phone, *said)
    assert [visit[3:5] for visit in lived.visits()] == [("complete", True)]
    assert "revoked_device" in lived.findings()


def test_what_an_unconfirmed_device_says_waits_for_the_manager(lived: Town) -> None:
    phone = lived.device("d_phone", confirmed=False)
    said = [phone.tap("KOM", UIDS["c1"])]
    phone.wait(minutes=30)
    lived.send(phone, *said, phone.tap("GICK", UIDS["c1"]))
    assert lived.visits() == []
