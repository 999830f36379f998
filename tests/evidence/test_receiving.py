"""Uploads into a real database: duplicates, forks, gaps, voids, rejected input, quarantine, grants, SUN counters."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from app import pipeline
from app.db.callers import Caller
from app.db.engine import Database
from app.evidence.enrolment import list_devices
from app.evidence.flow import Answer, Upload
from app.evidence.grants import issue_grant
from app.evidence.keys import open_keyring, write_secret
from app.evidence.oddities import findings_of_device
from app.evidence.rules.signatures import b64url, short_thumbprint, take_apart
from app.evidence.store import load_taps
from app.evidence.sun import SunKeys, make
from app.evidence.timing import regrade
from app.policies import PolicyBook
from app.refusals import Conflict
from tests.evidence.devices import START, TAPS, Device, register, rows, statement_hash

UID = "04DE5F1EACC040"


def receive(database: Database, *uploads: Upload, now: datetime) -> list[Answer]:
    return pipeline.receive_taps(database, uploads, now)


def findings(database: Database, device_id: str = "d_test") -> list[tuple[str, int]]:
    with database.transaction(Caller.batch(), read_only=True) as connection:
        return [(f.code, f.taps[0][1]) for f in findings_of_device(connection, device_id)]


def test_a_tap_is_stored_byte_for_byte_with_its_proof_of_time(database: Database) -> None:
    device = register(database, Device())
    document = device.tap("KOM", service="care")
    [answer] = receive(database, device.upload([document]), now=device.at)
    assert answer.body["results"] == [{"seq": 1, "status": "stored", "findings": []}]
    assert (answer.body["upto"], answer.body["upto_hash"], answer.body["missing"]) == (1, statement_hash(document), [])
    [row] = rows(database, TAPS)
    assert row[:7] == ("d_test", 1, take_apart(document).hash.hex(), "p_1", "KOM", UID, "s_1")
    assert row[7:] == (START, START, START, START, None, START, "A", [], "uid", document)


def test_the_receipt_is_signed_by_the_server_and_names_this_upload(database: Database) -> None:
    device = register(database, Device())
    [answer] = receive(database, device.upload([device.tap()]), now=device.at)
    signed = take_apart(answer.body["receipt"])
    assert signed.signed_by(open_keyring(database.settings.data).public_keys()[0], "receipt")
    said = json.loads(signed.payload)
    assert said == {name: value for name, value in answer.body.items() if name != "receipt"}
    assert (said["nonce"], said["dev"], said["recv"]) == ("nonce-000001", "d_test", "2026-11-22T07:00:00.000Z")
    assert rows(database, "SELECT receipt_id, upto, jws FROM receipts") == [(said["r"], 1, answer.body["receipt"])]


def test_the_same_again_is_a_duplicate_whatever_its_signature(database: Database) -> None:
    device = register(database, Device())
    document = device.tap()
    again = device.sign("tap", json.loads(take_apart(document).payload))
    assert again != document
    assert statement_hash(again) == statement_hash(document)
    receive(database, device.upload([document]), now=device.at)
    [answer] = receive(database, device.upload([document, again]), now=device.at)
    assert [result["status"] for result in answer.body["results"]] == ["duplicate", "duplicate"]
    assert len(rows(database, TAPS)) == 1


def test_another_content_under_a_number_is_a_fork_kept_and_found_and_not_the_tap(database: Database) -> None:
    device = register(database, Device())
    twin = Device(key=device.key)
    first, copied = device.tap("KOM"), twin.tap("GICK")
    receive(database, device.upload([first]), now=device.at)
    [answer] = receive(database, twin.upload([copied]), now=device.at + timedelta(seconds=1))
    assert answer.body["results"] == [{"seq": 1, "status": "stored", "findings": ["seq_fork"]}]
    assert answer.chain_changed
    assert len(rows(database, TAPS)) == 2
    assert ("seq_fork", 1) in findings(database)
    with database.transaction(Caller.batch()) as connection:
        assert [tap.act for tap in load_taps(connection)] == ["KOM"]


def test_a_gap_is_missing_until_filled_and_a_void_ends_it(database: Database) -> None:
    device = register(database, Device())
    documents = [device.tap() for _ in range(6)]
    [answer] = receive(database, device.upload([documents[0], documents[3]]), now=device.at)
    assert (answer.body["upto"], answer.body["missing"]) == (1, [2, 3, 5, 6])
    assert [code for code, _ in findings(database)] == ["seq_gap", "seq_gap"]
    [answer] = receive(database, device.upload([documents[4], documents[5], documents[1]]), now=device.at)
    assert (answer.body["upto"], answer.body["missing"]) == (2, [3])
    void = device.say("void", from_seq=3, to_seq=3, cause="storage_lost")
    [answer] = receive(database, device.upload([void]), now=device.at)
    assert (answer.body["upto"], answer.body["missing"]) == (7, [])
    assert answer.body["results"] == [{"seq": 7, "status": "stored", "findings": ["seq_gap"]}]
    assert findings(database) == [("seq_gap", 3)]


def test_a_cut_tail_shows_in_the_head(database: Database) -> None:
    device = register(database, Device())
    documents = [device.tap() for _ in range(3)]
    [answer] = receive(database, device.upload(documents[:2]), now=device.at)
    assert (answer.body["missing"], findings(database)) == ([3], [("seq_gap", 4)])
    receive(database, device.upload(documents[2:]), now=device.at)
    assert findings(database) == []


def test_a_statement_that_does_not_follow_the_one_before_breaks_the_chain(database: Database) -> None:
    device = register(database, Device())
    first = device.tap()
    device.prev = b64url(b"x" * 32)
    second = device.tap()
    [answer] = receive(database, device.upload([first, second]), now=device.at)
    assert answer.body["upto"] == 2
    assert findings(database) == [("chain_broken", 2)]


def test_a_broken_link_is_found_when_the_earlier_statement_comes_later(database: Database) -> None:
    device = register(database, Device())
    first = device.tap()
    device.prev = b64url(b"x" * 32)
    second = device.tap()
    receive(database, device.upload([second]), now=device.at)
    receive(database, device.upload([first]), now=device.at)
    assert findings(database) == [("chain_broken", 2)]


def test_a_link_is_checked_across_receipts(database: Database) -> None:
    device = register(database, Device())
    receive(database, device.upload([device.tap()]), now=device.at)
    device.prev = b64url(b"x" * 32)
    receive(database, device.upload([device.tap()]), now=device.at)
    assert findings(database) == [("chain_broken", 2)]


def test_ill_signed_and_unreadable_items_are_kept_and_count_as_received(database: Database) -> None:
    device = register(database, Device())
    good, forged, strange, junk, last = (device.tap() for _ in range(5))
    forged = f"{forged.rpartition('.')[0]}.{b64url(bytes(64))}"
    strange = device.sign("tap", {**json.loads(take_apart(strange).payload), "note": "fri text"})
    items = [good, forged, strange, "inte en jws\x00", last]
    [answer] = receive(database, device.upload(items), now=device.at)
    assert [(r["seq"], r["status"], r["findings"]) for r in answer.body["results"]] == [
        (1, "stored", []), (2, "rejected", ["bad_signature"]), (3, "rejected", ["unreadable"]),
        (4, "rejected", ["unreadable"]), (5, "stored", []),
    ]  # fmt: skip
    assert (answer.body["upto"], answer.body["missing"]) == (5, [])
    kept = rows(database, "SELECT why, item FROM rejected_input ORDER BY rejected_id")
    assert [(why, bytes(item)) for why, item in kept] == [
        ("bad_signature", forged.encode()), ("unreadable", strange.encode()), ("unreadable", b"inte en jws\x00"),
    ]  # fmt: skip
    assert answer.chain_changed
    assert findings(database) == [("rejected_input", seq) for seq in (2, 3, 4)]
    [answer] = receive(database, device.upload([junk]), now=device.at)
    assert answer.body["results"][0]["status"] == "stored", "a number once rejected can still come well"
    assert answer.chain_changed
    assert findings(database) == [("rejected_input", 2), ("rejected_input", 3)]


def test_another_devices_statement_is_rejected_input(database: Database) -> None:
    device, other = register(database, Device()), Device("d_other")
    document = device.sign("tap", json.loads(take_apart(other.tap()).payload))
    [answer] = receive(database, device.upload([document], head_seq=0), now=device.at)
    assert answer.body["results"] == [{"seq": None, "status": "rejected", "findings": ["other_device"]}]


def test_rejected_input_is_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.evidence.flow.MOST_REJECTED_A_DAY", 3)
    device = register(database, Device())
    receive(database, device.upload([f"junk {number}" for number in range(9)]), now=device.at)
    assert rows(database, "SELECT count(*) FROM rejected_input") == [(3,)]


def test_an_unknown_device_or_a_bad_head_is_401_and_kept(database: Database) -> None:
    device, stranger = register(database, Device()), Device("d_stranger")
    imposter = Device()
    answers = receive(
        database, stranger.upload([stranger.tap()]), imposter.upload([imposter.tap()]), device.upload(), now=START
    )
    assert [answer.status for answer in answers] == [401, 401, 200]
    assert [why for (why,) in rows(database, "SELECT why FROM rejected_input ORDER BY rejected_id")] == [
        "unknown_device", "bad_head_signature",
    ]  # fmt: skip
    assert rows(database, "SELECT count(*) FROM taps") == [(0,)]


@pytest.mark.parametrize(
    "jwk", ["{}", "kein JSON", '{"kty":"EC"}', '{"crv":"P-256","kty":"EC","x":"AA","y":"AA"}', "[]"]
)
def test_a_registry_key_that_is_none_is_401_and_disturbs_nobody(database: Database, jwk: str) -> None:
    device, keyless = register(database, Device()), register(database, Device("d_keyless"))
    with database.transaction(Caller.batch()) as connection:
        connection.execute(text("UPDATE devices SET public_jwk = :jwk WHERE device_id = 'd_keyless'"), {"jwk": jwk})
    uploads = device.upload([device.tap()]), keyless.upload([keyless.tap()])
    answers = receive(database, *uploads, now=device.at)
    assert [answer.status for answer in answers] == [200, 401]
    with database.transaction(Caller.batch(), read_only=True) as connection:
        shown = {row["device_id"]: row["thumbprint"] for row in list_devices(connection)}
    assert shown == {"d_test": short_thumbprint(device.jwk), "d_keyless": ""}
    with pytest.raises(Conflict):
        pipeline.confirm_device(database, "d_keyless", "", device.at)


def test_a_head_of_another_form_is_422(database: Database) -> None:
    device = register(database, Device())
    answers = receive(database, Upload("x"), device.upload(extra=1), Upload(device.sign("head", {})), now=START)
    assert [answer.status for answer in answers] == [422, 422, 422]


def test_a_version_to_come_is_stored_and_quarantined(database: Database) -> None:
    device = register(database, Device())
    device.seq = 1
    document = device.sign("tap", {"v": 2, "dev": device.device_id, "seq": 1, "wonder": {"new": True}})
    [answer] = receive(database, device.upload([document]), now=device.at)
    assert (answer.status, answer.body["upto"]) == (200, 1)
    assert answer.body["results"] == [{"seq": 1, "status": "quarantined", "findings": []}]
    assert rows(database, "SELECT kind, quarantined, jws FROM device_statements") == [("unknown", True, document)]


def test_declines_and_services_done_are_handed_on(database: Database) -> None:
    device = register(database, Device())
    decline = device.say(
        "decline", decline_id="n_1", client="c_1", planned_start="2026-11-22T08:00:00Z",
        planned_end="2026-11-22T08:30:00Z", notice="at_door",
    )  # fmt: skip
    done = device.say("done", client="c_1", services=[{"care_service": "dusch"}])
    [answer] = receive(database, device.upload([decline, done, device.say("clock")]), now=device.at)
    assert answer.declines[0].notice == "at_door"
    assert answer.done[0].services[0].count == 1
    [again] = receive(database, device.upload([decline]), now=device.at)
    assert again.declines == ()
    assert rows(database, "SELECT kind, body->>'client' FROM device_statements ORDER BY seq") == [
        ("decline", "c_1"), ("done", "c_1"), ("clock", None),
    ]  # fmt: skip


def test_a_revoked_devices_taps_are_stored_and_the_receipt_says_so(database: Database) -> None:
    device = register(database, Device())
    pipeline.revoke_device(database, device.device_id, "lost", START)
    [answer] = receive(database, device.upload([device.tap()]), now=device.at)
    assert (answer.status, answer.body["revoked"]) == (200, True)
    assert answer.body["results"] == [{"seq": 1, "status": "quarantined", "findings": ["revoked_device"]}]
    assert rows(database, "SELECT reason FROM device_events WHERE kind = 'revoked'") == [("lost",)]
    assert len(rows(database, TAPS)) == 1


def test_an_unconfirmed_devices_taps_are_quarantined_until_confirmed(database: Database) -> None:
    device = register(database, Device(), confirmed=False)
    [answer] = receive(database, device.upload([device.tap()]), now=device.at)
    assert answer.body["results"][0]["status"] == "quarantined"
    assert answer.stamped[0].quarantined
    with database.transaction(Caller.batch()) as connection:
        assert load_taps(connection) == []
    thumbprint = short_thumbprint(device.jwk)
    pipeline.confirm_device(database, device.device_id, thumbprint.lower(), START)
    with database.transaction(Caller.batch()) as connection:
        assert [tap.key for tap in load_taps(connection)] == [("d_test", 1)]


def test_an_ack_bounds_a_tap_from_below_and_another_devices_receipt_does_not(database: Database) -> None:
    device, other = register(database, Device()), register(database, Device("d_other"))
    [mine], [others] = (receive(database, one.upload([one.tap()]), now=START) for one in (device, other))
    device.wait(minutes=10)
    device.ack = mine.body["r"]
    bounded = device.tap()
    device.ack = others.body["r"]
    receive(database, device.upload([bounded, device.tap()]), now=device.at)
    assert rows(database, "SELECT not_before FROM taps WHERE device_id = 'd_test' ORDER BY seq") == [
        (None,), (START,), (None,),
    ]  # fmt: skip


def test_a_phone_fifteen_minutes_ahead_is_put_right(database: Database) -> None:
    device = register(database, Device(clock_error=timedelta(minutes=15)))
    document = device.tap()
    device.wait(minutes=40)
    [answer] = receive(database, device.upload([document]), now=device.at)
    assert answer.body["results"] == [{"seq": 1, "status": "stored", "findings": ["clock_doubt"]}]
    assert rows(database, "SELECT tapped_at, at, grade, doubts FROM taps") == [
        (START + timedelta(minutes=15), START, "C", ["clock_doubt"])
    ]


def test_a_replayed_old_head_is_no_clock_sample_of_now(database: Database) -> None:
    device = register(database, Device())
    old = device.upload()
    receive(database, old, now=device.at)
    device.wait(minutes=60)
    document = device.tap()
    receive(database, Upload(old.head, (document,)), now=device.at + timedelta(hours=5))
    assert rows(database, "SELECT grade, at FROM taps") == [("B", device.at)], "by the head's first receipt"
    assert rows(database, "SELECT count(*), min(received_at) FROM heads") == [(1, START)]


def split(documents: list[str], chooser: random.Random) -> list[list[str]]:
    """The documents in some order, some twice, in uploads of 1 to 4."""
    order = documents + chooser.sample(documents, 3)
    chooser.shuffle(order)
    parts = []
    while order:
        count = chooser.randint(1, 4)
        parts.append(order[:count])
        order = order[count:]
    return parts


def test_order_split_and_repetition_of_uploads_give_equal_taps(
    database: Database, make_database: Callable[..., Database]
) -> None:
    device = Device(clock_error=timedelta(minutes=3))
    keys = SunKeys(1, bytes(16), bytes(16))
    secret = json.dumps({"1": {"meta_key": "00" * 16, "master_key": "00" * 16}})
    write_secret(database.settings.data / "secrets/sun_keys.json", secret)
    documents = []
    for counter in (5, 6, 6, 4, 9, 8, 12):
        documents.append(device.tap(sun=make(keys, bytes.fromhex(UID), counter)))
        device.wait(minutes=7)
    now, results = device.at, []
    for seed in range(4):
        fresh = make_database()
        register(fresh, device)
        parts = split(documents, random.Random(seed)) if seed else [documents]
        for part in parts:
            receive(fresh, device.upload(part), now=now)
        with fresh.transaction(Caller.batch()) as connection:
            results.append((rows(fresh, TAPS), load_taps(connection), findings(fresh)))
    assert len(results[0][0]) == 7
    for taps, facts, found in results[1:]:
        assert (taps, facts, found) == results[0]
    doubts = {tap.seq: tap.doubts for tap in results[0][1]}
    assert doubts == {
        1: ("clock_doubt",), 2: ("clock_doubt",), 3: ("clock_doubt", "tag_counter_replay"),
        4: ("clock_doubt", "tag_counter_order"), 5: ("clock_doubt",), 6: ("clock_doubt", "tag_counter_order"),
        7: ("clock_doubt",),
    }  # fmt: skip
    assert {tap.seq: tap.grade for tap in results[0][1]} == {1: "C", 2: "C", 3: "D", 4: "D", 5: "C", 6: "D", 7: "C"}


@pytest.fixture
def sun_keys(database: Database) -> SunKeys:
    secret = json.dumps({"1": {"meta_key": "01" * 16, "master_key": "02" * 16}})
    write_secret(database.settings.data / "secrets/sun_keys.json", secret)
    return SunKeys(1, bytes([1]) * 16, bytes([2]) * 16)


def test_a_verified_tag_is_level_sun_and_a_copied_text_is_not(database: Database, sun_keys: SunKeys) -> None:
    device = register(database, Device())
    good = make(sun_keys, bytes.fromhex(UID), 1)
    texts = [good, make(SunKeys(9, bytes(16), bytes(16)), bytes.fromhex(UID), 2), "junk"]
    documents = [device.tap(sun=said) for said in texts] + [device.tap(uid="04AABBCCDDEE80", sun=good)]
    receive(database, device.upload(documents), now=device.at)
    assert rows(database, "SELECT tag_level, doubts FROM taps ORDER BY seq") == [
        ("sun", []), ("uid", ["sun_invalid"]), ("uid", ["sun_invalid"]), ("uid", ["sun_invalid"]),
    ]  # fmt: skip


def test_a_replay_over_two_devices_is_found_in_whatever_order_they_arrive(
    make_database: Callable[..., Database], sun_keys: SunKeys
) -> None:
    said = make(sun_keys, bytes.fromhex(UID), 7)
    for first, second in itertools.permutations(["d_a", "d_b"]):
        fresh = make_database()
        register(fresh, one := Device("d_a"))
        register(fresh, two := Device("d_b", at=START + timedelta(hours=1)))
        taps = {"d_a": one.tap(sun=said), "d_b": two.tap(sun=said)}
        one.wait(hours=2)
        two.wait(hours=1)
        devices: dict[str, Device] = {"d_a": one, "d_b": two}
        receive(fresh, devices[first].upload([taps[first]]), now=one.at)
        [answer] = receive(fresh, devices[second].upload([taps[second]]), now=one.at)
        assert rows(fresh, "SELECT device_id, seq, code FROM tap_doubts") == [("d_b", 1, "tag_counter_replay")]
        touched = [(tap.device_id, tap.seq) for tap in answer.touched]
        assert touched == ([] if second == "d_b" else [("d_b", 1)])
        assert answer.body["results"][0]["findings"] == (["tag_counter_replay"] if second == "d_b" else [])


def test_a_grant_names_the_person_and_an_expired_or_foreign_one_is_a_doubt(database: Database) -> None:
    device = register(database, Device())
    keyring = open_keyring(database.settings.data)
    with database.transaction(Caller.auth()) as connection:
        good = issue_grant(connection, keyring, ("s_9", device.device_id, "p_1"), START)
        short = issue_grant(connection, keyring, ("s_9", device.device_id, "p_1"), START, timedelta(minutes=5))
        foreign = issue_grant(connection, keyring, ("s_9", "d_other", "p_1"), START)
    device.wait(minutes=10)
    grants = [good.grant_id, short.grant_id, foreign.grant_id, "g_none"]
    documents = [device.tap(grant=grant, staff="s_9") for grant in grants]
    documents += [device.tap(grant=good.grant_id, staff="s_other")]
    body = {"act": "KOM", "tag": {"uid": UID}}
    documents += [device.say("tap", grant=good.grant_id, **body)]
    receive(database, device.upload(documents), now=device.at)
    assert rows(database, "SELECT staff_id, doubts FROM taps ORDER BY seq") == [
        ("s_9", []), ("s_9", ["grant_expired"]), ("s_9", ["grant_invalid"]), ("s_9", ["grant_invalid"]),
        ("s_other", ["grant_invalid"]), ("s_9", []),
    ]  # fmt: skip


def test_a_stored_grant_that_somebody_changed_is_no_grant(database: Database) -> None:
    device = register(database, Device())
    with database.transaction(Caller.auth()) as connection:
        grant = issue_grant(connection, open_keyring(database.settings.data), ("s_9", "d_test", "p_1"), START)
    with database.transaction(Caller.batch()) as connection:
        connection.exec_driver_sql("ALTER TABLE shift_grants DISABLE TRIGGER refuse_change")
        connection.exec_driver_sql("UPDATE shift_grants SET expires_at = expires_at + interval '1 year'")
        connection.exec_driver_sql("ALTER TABLE shift_grants ENABLE TRIGGER refuse_change")
    receive(database, device.upload([device.tap(grant=grant.grant_id)]), now=device.at)
    assert rows(database, "SELECT doubts FROM taps") == [(["grant_invalid"],)]


def test_many_devices_share_a_transaction_and_each_gets_its_own_answer(database: Database) -> None:
    devices = [register(database, Device(f"d_{number:03d}")) for number in range(20)]
    uploads: Sequence[Upload] = [device.upload([device.tap(), device.tap("GICK")]) for device in devices]
    answers = receive(database, *uploads, *uploads, now=START)
    assert [answer.device_id for answer in answers] == [device.device_id for device in devices] * 2
    assert {result["status"] for answer in answers[20:] for result in answer.body["results"]} == {"duplicate"}
    assert {answer.body["upto"] for answer in answers} == {2}
    assert rows(database, "SELECT count(*) FROM taps") == [(40,)]


def test_stored_evidence_can_be_changed_by_nobody(database: Database) -> None:
    device = register(database, Device())
    receive(database, device.upload([device.tap()]), now=device.at)
    for table in ("taps", "heads", "receipts", "device_events", "shift_grants", "rejected_seqs"):
        with pytest.raises(Exception, match="never changed"), database.transaction(Caller.batch()) as connection:
            connection.exec_driver_sql(f"DELETE FROM {table}")


def test_grades_are_rebuilt_from_stored_heads_and_receive_times(database: Database) -> None:
    device = register(database, Device())
    documents = [device.tap()]
    receive(database, device.upload(documents), now=device.at)
    device.wait(minutes=50)
    documents = [device.tap()]
    device.clock_error = timedelta(minutes=-20)
    documents += [device.tap()]
    device.wait(minutes=10)
    device.reboot()
    documents += [device.tap()]
    receive(database, device.upload(documents), now=device.at)
    device.wait(minutes=90)
    receive(database, device.upload(), now=device.at)
    stored = rows(database, "SELECT seq, at, estimated_at, grade FROM taps ORDER BY seq")
    assert [row[3] for row in stored] == ["A", "B", "C", "C"]
    with database.transaction(Caller.batch(), read_only=True) as connection:
        rebuilt = regrade(connection, device.device_id, PolicyBook.built_in().on(START.date()))
    assert [(seq, s.at, s.estimated_at, s.grade) for (seq, _), s in sorted(rebuilt.items())] == stored
