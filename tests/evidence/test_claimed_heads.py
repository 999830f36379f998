"""What a device's head claimed binds it: a tail taken back stays a gap, a tail written anew is a broken chain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from app import pipeline, pipeline_derive
from app.db.callers import Caller
from app.db.engine import Database
from app.evidence.oddities import findings_of_device
from app.verify.flow import verify
from tests.evidence.devices import START, Device, register, rows
from tests.evidence.test_receiving import findings, receive

CLAIMED = "SELECT device_id, seq, encode(hash, 'hex'), provider_id, claimed_at, received_at FROM claimed_heads"


def held_back(database: Database) -> tuple[Device, Device, list[str]]:
    """A device that tapped 12 times, sent 10 and said so; and a copy of it from before the last two taps."""
    device = register(database, Device())
    first = [device.tap() for _ in range(10)]
    copy = Device(key=device.key, seq=device.seq, prev=device.prev, nonces=100)
    last = [device.tap("GICK"), device.tap()]
    receive(database, device.upload(first), now=START)
    return device, copy, last


def test_a_head_that_claims_less_takes_nothing_back(database: Database) -> None:
    device, copy, last = held_back(database)
    assert findings(database) == [("seq_gap", 13)]
    [answer] = receive(database, copy.upload(), now=START)
    assert (answer.body["upto"], answer.body["missing"]) == (10, [])
    assert findings(database) == [("seq_gap", 13)]
    receive(database, device.upload(last), now=START)
    assert findings(database) == [], "the tail came as it was claimed"


def test_a_tail_written_anew_is_a_broken_chain_and_blocks_nothing(database: Database) -> None:
    device, copy, last = held_back(database)
    receive(database, copy.upload(), now=START)
    [answer] = receive(database, copy.upload([copy.tap()]), now=START)
    assert answer.chain_changed
    assert findings(database) == [("seq_gap", 13)], "number 12 is still owed"
    [answer] = receive(database, copy.upload([copy.tap("GICK"), copy.tap()]), now=START)
    assert (answer.body["upto"], answer.body["missing"]) == (13, [])
    assert answer.chain_changed
    assert findings(database) == [("chain_broken", 13)]
    receive(database, copy.upload([copy.tap()]), now=START)
    assert findings(database) == [("chain_broken", 13)], "it stays"
    receive(database, device.upload(last), now=START)
    assert findings(database) == [("seq_fork", 11), ("seq_fork", 12)], "now both contents are here"


def test_a_head_about_a_number_long_received_is_compared_with_it(database: Database) -> None:
    device = register(database, Device())
    receive(database, device.upload([device.tap() for _ in range(5)]), now=START)
    twin = Device(key=device.key, nonces=100)
    [twin.tap() for _ in range(3)]
    twin.tap("GICK")
    [answer] = receive(database, twin.upload(), now=START)
    assert answer.chain_changed
    assert findings(database) == [("chain_broken", 5)]


def test_in_whatever_order_claim_and_content_come_the_findings_are_the_same(
    make_database: Callable[..., Database],
) -> None:
    device, found = Device(), []
    first = [device.tap() for _ in range(3)]
    copy = Device(key=device.key, seq=device.seq, prev=device.prev, nonces=100)
    device.tap("GICK")
    claim, anew = device.upload(), copy.upload([*first, copy.tap()])
    for order in ((claim, anew), (anew, claim)):
        fresh = make_database()
        register(fresh, device)
        for upload in order:
            receive(fresh, upload, now=START)
        with fresh.transaction(Caller.batch(), read_only=True) as connection:
            found.append(findings_of_device(connection, device.device_id))
    assert found[0] == found[1]
    assert [finding.code for finding in found[0]] == ["chain_broken"]


def test_a_torn_outbox_that_says_void_is_a_gap_and_no_break(database: Database) -> None:
    _, copy, _ = held_back(database)
    copy.seq = 12  # its mark says how far it was
    receive(database, copy.upload([copy.say("void", from_seq=11, to_seq=12, cause="storage_lost")]), now=START)
    receive(database, copy.upload([copy.tap()]), now=START)
    assert findings(database) == [("seq_gap", 11)]


def test_a_server_from_an_older_backup_gets_the_rest_and_finds_nothing(make_database: Callable[..., Database]) -> None:
    device = Device()
    documents = [device.tap() for _ in range(4)]
    early = device.upload(documents[:2])  # claims 4, of which two come later
    fresh = make_database()
    register(fresh, device)
    receive(fresh, early, now=START)
    documents += [device.tap() for _ in range(3)]  # what the lost server had received
    [answer] = receive(fresh, device.upload(), now=START)
    assert answer.body["missing"] == [3, 4, 5, 6, 7]
    receive(fresh, device.upload(documents[2:]), now=START)
    assert findings(fresh) == []


def test_a_healthy_device_leaves_no_claims(database: Database) -> None:
    device = register(database, Device())
    for _ in range(3):
        receive(database, device.upload([device.tap(), device.tap("GICK")]), now=device.at)
        receive(database, device.upload(), now=device.at)
    assert rows(database, CLAIMED) == []


def test_an_absurd_claim_blocks_nothing(database: Database) -> None:
    device = register(database, Device())
    receive(database, device.upload([device.tap()], head_seq=2**53 - 1), now=START)
    [answer] = receive(database, device.upload([device.tap()]), now=START)
    assert (answer.body["upto"], answer.body["missing"]) == (2, [])
    assert findings(database) == [("seq_gap", 2**53)]


def test_claims_come_along_with_an_export_and_a_rebuild_differs_in_nothing(
    database: Database, make_database: Callable[..., Database], tmp_path: Path
) -> None:
    _, copy, _ = held_back(database)
    receive(database, copy.upload([copy.tap(), copy.tap(), copy.tap()]), now=START)
    other = register(database, Device("d_other"))
    receive(database, other.upload([other.tap()], head_seq=5), now=START)
    pipeline_derive.catch_up(database, START)
    pipeline.export_bundle(database, tmp_path / "bundle")
    again = make_database()
    pipeline.import_bundle(again, tmp_path / "bundle", now=START)
    expected = [("chain_broken", "d_test"), ("seq_gap", "d_other")]
    for one in (database, again):
        assert pipeline_derive.rebuild(one, START).named == []
        stored = rows(one, "SELECT code, facts FROM findings ORDER BY code")
        assert [(code, dict(facts)["device_id"]) for code, facts in stored if code in dict(expected)] == expected
    assert sorted(rows(again, CLAIMED)) == sorted(rows(database, CLAIMED)) != []
    assert [(check.name, check.wrong) for check in verify(tmp_path / "bundle") if check.wrong] == []
