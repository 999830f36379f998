"""The sender against a real HTTP server: nothing is dropped whatever it answers, and receipts are believed only when
genuine.
"""

import base64
import json
from pathlib import Path

import pytest

from device_agent.clock import SystemClock
from device_agent.keys import NOTHING_BEFORE, DeviceKey, payload_of, statement_hash
from device_agent.loop import http_client
from device_agent.outbox import Outbox
from device_agent.sender import Contact, Sender, Server
from tests.agent.conftest import tap, wait_for
from tests.agent.server import TapServer


def test_taps_arrive_byte_for_byte_in_one_chain_and_are_received(
    outbox: Outbox, sender: Sender, server: TapServer
) -> None:
    for _ in range(5):
        tap(outbox)
    sender.step()
    held = [server.held[seq] for seq in range(1, 6)]
    assert payload_of(held[0])["prev"] == NOTHING_BEFORE
    assert [payload_of(jws)["prev"] for jws in held[1:]] == [statement_hash(jws) for jws in held[:4]]
    assert outbox.counts().waiting == 0
    assert outbox.counts().received == 5
    head = server.uploads[0][0]
    assert (head["head_seq"], head["head_hash"]) == (5, statement_hash(held[4]))
    assert set(head) == {"dev", "head_seq", "head_hash", "t", "boot", "mono", "nonce", "agent_version"}


def test_header_and_payload_are_exactly_those_of_the_evidence_document(outbox: Outbox) -> None:
    body = {
        "act": "KOM",
        "tag": {"uid": "04DE5F1EACC040", "sun": "AA.BB"},
        "service": None,
        "staff": "s_12",
        "grant": "g_5kd",
    }
    jws = outbox.append("tap", body, SystemClock().now()).jws
    head = base64.urlsafe_b64decode(jws.split(".")[0] + "==")
    assert head == b'{"alg":"ES256","typ":"tap+jws"}'
    said = payload_of(jws)
    assert list(said) == ["v", "dev", "seq", "prev", "t", "boot", "mono", "ack", "kind", "act", "tag", "staff", "grant"]
    assert (said["v"], said["seq"], said["ack"], said["kind"]) == (1, 1, None, "tap")
    assert said["t"].endswith("Z")
    assert len(said["t"]) == len("2026-11-22T07:03:12.480Z")


def test_a_tap_names_the_last_receipt_seen(outbox: Outbox, sender: Sender, server: TapServer) -> None:
    sender.step()
    tap(outbox)
    sender.step()
    assert server.taps()[0]["ack"] == "r_1"


def test_an_empty_upload_is_the_heartbeat(sender: Sender, server: TapServer) -> None:
    assert sender.step() == 120.0
    head, taps = server.uploads[0]
    assert (head["head_seq"], head["head_hash"], taps) == (0, NOTHING_BEFORE, [])


@pytest.mark.parametrize("status", [204, 301, 400, 401, 403, 404, 409, 418, 429, 500, 502, 503])
def test_no_answer_but_a_receipt_makes_a_tap_received(
    outbox: Outbox, sender: Sender, server: TapServer, status: int
) -> None:
    tap(outbox)
    server.script = [status]
    sender.step()
    assert outbox.counts().waiting == 1
    assert sender.contact.code == ("contact_manager" if status == 401 else "server_trouble")
    sender.step()
    assert outbox.counts().received == 1


def test_an_answer_lost_after_the_commit_is_sent_again_and_stored_once(
    outbox: Outbox, sender: Sender, server: TapServer
) -> None:
    tap(outbox)
    server.script = ["lose"]
    sender.step()
    assert outbox.counts().waiting == 1
    sender.step()
    assert len(server.uploads) == 2
    assert len(server.held) == 1
    assert outbox.counts().received == 1


@pytest.mark.parametrize("lie", [{"nonce": "of another upload"}, {"dev": "d_other"}, {"missing": "all"}, {"recv": 5}])
def test_a_receipt_for_something_else_is_not_believed(
    outbox: Outbox, sender: Sender, server: TapServer, lie: dict[str, object]
) -> None:
    tap(outbox)
    server.forge = lie
    sender.step()
    assert sender.contact.code == "false_receipt"
    assert outbox.counts().waiting == 1


def test_a_receipt_of_another_server_is_not_believed(
    outbox: Outbox, sender: Sender, server: TapServer, data: Path
) -> None:
    tap(outbox)
    server.key = DeviceKey.load_or_create(data / "stranger.key")
    sender.step()
    assert sender.contact.code == "false_receipt"
    assert outbox.counts().waiting == 1


def test_a_batch_too_large_is_halved_until_it_fits(outbox: Outbox, sender: Sender, server: TapServer) -> None:
    for _ in range(20):
        tap(outbox)
    server.most = 3
    for _ in range(30):
        sender.step()
    assert sorted(server.held) == list(range(1, 21))
    assert outbox.counts().parked == 0


def test_a_single_poison_item_is_parked_and_shown_and_the_rest_goes_on(
    outbox: Outbox, sender: Sender, server: TapServer
) -> None:
    for _ in range(9):
        tap(outbox)
    server.poison = {4}
    for _ in range(30):
        sender.step()
    assert sorted(server.held) == [1, 2, 3, 5, 6, 7, 8, 9]
    assert (outbox.counts().parked, outbox.counts().waiting) == (1, 0)
    assert outbox.rows(1)[0][0] == 4
    server.poison = set()
    assert outbox.release() == 1
    sender.step()
    assert 4 in server.held
    assert outbox.counts().parked == 0


def test_a_server_that_refuses_even_the_empty_upload_makes_nothing_poison(
    outbox: Outbox, sender: Sender, server: TapServer
) -> None:
    for _ in range(3):
        tap(outbox)
    server.always = 422
    for _ in range(10):
        sender.step()
    assert outbox.counts().parked == 0
    assert outbox.counts().waiting == 3


def test_a_server_restored_from_an_older_backup_gets_its_taps_again(
    outbox: Outbox, sender: Sender, server: TapServer
) -> None:
    for _ in range(6):
        tap(outbox)
    sender.step()
    whole = dict(server.held)
    server.held = {seq: jws for seq, jws in whole.items() if seq <= 2}
    sender.step()
    assert outbox.counts().waiting == 4
    sender.step()
    assert server.held == whole
    assert outbox.counts().waiting == 0


def test_what_a_restored_server_misses_and_the_device_no_longer_has_is_voided(
    outbox: Outbox, sender: Sender, server: TapServer
) -> None:
    for _ in range(4):
        tap(outbox)
    sender.step()
    with outbox._transaction() as db:
        db.execute("DELETE FROM statements WHERE seq <= 2")
    server.held.clear()
    for _ in range(4):
        sender.step()
    void = server.taps()[-1]
    assert (void["kind"], void["from_seq"], void["to_seq"], void["cause"]) == ("void", 1, 2, "storage_lost")
    assert outbox.counts().waiting == 0
    uploads = len(server.uploads)
    sender.step()
    assert sum(said["kind"] == "void" for said in server.taps()) == 1, "one void is enough"
    assert len(server.uploads) == uploads + 1


def test_a_server_that_knows_more_than_this_disk_is_believed_and_no_number_given_twice(
    outbox: Outbox, sender: Sender, server: TapServer
) -> None:
    server.forge = {"upto": 41, "upto_hash": "h" * 43}
    sender.step()
    server.forge = {}
    assert tap(outbox) == 42
    assert payload_of(outbox.waiting(42, 1, 9999)[0].jws)["prev"] == "h" * 43


@pytest.mark.parametrize("nothing", ["", None])
def test_a_server_that_cannot_name_the_last_of_what_it_holds_is_believed_as_to_its_number(
    outbox: Outbox, sender: Sender, server: TapServer, nothing: str | None
) -> None:
    server.forge = {"upto": 41, "upto_hash": nothing}  # as where the number was forked, voided or rejected
    sender.step()
    server.forge = {}
    assert tap(outbox) == 42


def test_a_statement_never_sent_is_not_received_by_being_unmentioned(outbox: Outbox) -> None:
    for _ in range(3):
        tap(outbox)
    outbox.acknowledge("r_9", 1, 3, [], [1])
    assert outbox.counts().received == 1
    assert outbox.counts().waiting == 2


def test_a_revoked_device_keeps_its_outbox_and_remembers_it_over_a_restart(
    outbox: Outbox, sender: Sender, server: TapServer, data: Path, key: DeviceKey
) -> None:
    tap(outbox)
    server.revoked = True
    sender.step()
    assert sender.contact.code == "revoked"
    assert Outbox(data, key, "d_test").revoked
    assert outbox.counts().received == 1


def test_statements_are_kept_35_days_after_the_receipt_by_the_servers_clock(outbox: Outbox) -> None:
    day = 24 * 3600 * 1000
    tap(outbox)
    outbox.acknowledge("r_1", 100 * day, 1, [], [1])
    tap(outbox)
    outbox.acknowledge("r_2", 135 * day, 2, [], [2])
    assert outbox.hash_of(1) is not None
    outbox.acknowledge("r_3", 135 * day + 1, 2, [], [])
    assert outbox.hash_of(1) is None
    assert outbox.hash_of(2) is not None


def test_no_answer_is_tried_again_with_growing_waits_of_at_most_five_minutes(outbox: Outbox, key: DeviceKey) -> None:
    seen: list[Contact] = []
    with http_client("http://127.0.0.1:9") as http:
        lonely = Sender(outbox, key, Server(http, key.jwk), SystemClock(), on_contact=seen.append)
        waits = [lonely.step() for _ in range(20)]
    assert seen[0].code == "no_answer"
    assert waits[0] <= 2
    assert max(waits) <= 300
    assert max(waits[12:]) > 60
    assert len(set(waits)) > 15, "jitter"


def test_the_sender_thread_drains_by_itself_through_a_server_that_comes_and_goes(
    outbox: Outbox, sender: Sender, server: TapServer
) -> None:
    import threading

    server.script = [503, "lose", 500, 401]
    thread = threading.Thread(target=sender.run)
    thread.start()
    for _ in range(50):
        tap(outbox)
        sender.wake()
    wait_for(lambda: outbox.counts().waiting == 0)
    sender.stop()
    thread.join(5)
    assert sorted(server.held) == list(range(1, 51))


def test_an_upload_stays_within_its_limits(outbox: Outbox, sender: Sender, server: TapServer) -> None:
    for number in range(140):
        outbox.append(
            "tap", {"act": "KOM", "tag": {"uid": f"{number:014X}"}, "padding": "x" * 1500}, SystemClock().now()
        )
    while outbox.counts().waiting:
        sender.step()
    for head, taps in server.uploads:
        assert len(taps) <= 100
        assert len(json.dumps({"head": head, "taps": taps})) < 256 * 1024


def test_an_old_copy_of_the_disk_gives_no_number_twice(outbox: Outbox, sender: Sender, server: TapServer) -> None:
    for _ in range(3):
        tap(outbox)
    sender.step()
    server.forge = {"missing": [7], "upto": 6, "upto_hash": "h" * 43}
    sender.step()
    server.forge = {}
    assert tap(outbox) == 1008
    for _ in range(4):
        sender.step()
    assert outbox.counts().waiting == 0
    assert server.taps()[-1]["kind"] == "void"
