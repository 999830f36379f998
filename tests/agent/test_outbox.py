"""The outbox under kills, torn files and full disks: green means durable, numbers are never given twice, what is gone
is said.
"""

import contextlib
import os
import random
import resource
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import sleep

import pytest

from device_agent.keys import NOTHING_BEFORE, BadSignature, DeviceKey, payload_of, statement_hash, verify
from device_agent.mark import Mark, MarkFile
from device_agent.outbox import FILE_NAME, NotStored, Outbox
from device_agent.sender import Sender
from tests.agent.conftest import tap
from tests.agent.server import TapServer
from tests.agent.torn import damage, grown, reopen, statements

WRITER = """
import sys
from pathlib import Path
from device_agent.clock import SystemClock
from device_agent.keys import DeviceKey
from device_agent.recovery import open_outbox
folder = Path(sys.argv[1])
outbox = open_outbox(folder, DeviceKey.load(folder / "device.key"), "d_test", SystemClock()).outbox
while True:
    stored = outbox.append("tap", {"act": "KOM", "tag": {"uid": "04A1B2C3D4E580"}}, SystemClock().now())
    print(stored.seq, stored.hash, flush=True)
"""


def check_chain(held: dict[int, str], key: DeviceKey) -> None:
    """Every statement is ours, names its predecessor where that is held, and voids account for every hole."""
    voided: set[int] = set()
    for seq, jws in held.items():
        said = verify(jws, key.jwk, "tap+jws")
        assert said["seq"] == seq
        if seq == 1:
            assert said["prev"] == NOTHING_BEFORE
        elif seq - 1 in held:
            assert said["prev"] == statement_hash(held[seq - 1])
        if said["kind"] == "void":
            voided |= set(range(said["from_seq"], said["to_seq"] + 1))
    holes = set(range(min(held, default=1), max(held, default=0) + 1)) - set(held)
    assert holes <= voided


def test_a_killed_process_leaves_every_green_tap_and_an_unbroken_chain(data: Path, key: DeviceKey) -> None:
    green: dict[int, str] = {}
    chance = random.Random(7)
    for _ in range(6):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(data)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        lines = [writer.stdout.readline()]
        sleep(chance.uniform(0.0, 0.15))
        writer.send_signal(signal.SIGKILL)
        lines += writer.stdout.read().splitlines(keepends=True)
        writer.wait()
        writer.stdout.close()
        green |= {int(seq): found for seq, found in (line.split() for line in lines if line.endswith("\n"))}
        copy = data.parent / "at the kill"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(data, copy)
        held = statements(reopen(copy, key).outbox)
        assert {seq: statement_hash(held[seq]) for seq in green} == green
        check_chain(held, key)
    assert len(green) > 20
    last = reopen(data, key)
    assert (last.quarantined, last.voided) == (None, ())


def test_the_settings_that_make_green_mean_durable_are_on(outbox: Outbox) -> None:
    db = outbox.connection()
    assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert db.execute("PRAGMA synchronous").fetchone()[0] == 2


def test_eight_threads_and_two_connections_make_one_chain(data: Path, key: DeviceKey, outbox: Outbox) -> None:
    other = Outbox(data, key, "d_test")
    threads = [
        threading.Thread(target=lambda box: [tap(box) for _ in range(10)], args=(box,)) for box in [outbox, other] * 4
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    held = statements(outbox)
    assert sorted(held) == list(range(1, 81))
    check_chain(held, key)
    other.close()


def test_the_key_is_readable_by_its_owner_only(data: Path, key: DeviceKey) -> None:
    assert stat.S_IMODE((data / "device.key").stat().st_mode) == 0o600
    assert DeviceKey.load(data / "device.key").jwk == key.jwk


def _fill(place: Path) -> Path:
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return ballast


@contextlib.contextmanager
def disk_to_fill(place: Path) -> Iterator[Callable[[], Callable[[], None]]]:
    """A folder whose disk can be filled and freed: a tmpfs of 256 KiB, or without the right to mount a limit on file
    size.
    """
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(place)]
    if os.geteuid() == 0 and subprocess.run(mount, check=False, capture_output=True).returncode == 0:
        try:
            yield lambda: _fill(place).unlink
        finally:
            subprocess.run(["umount", str(place)], check=True)
        return
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit() -> Callable[[], None]:
        size = (place / (FILE_NAME + "-wal")).stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before)

    yield limit


def test_on_a_full_disk_a_tap_is_not_claimed_and_its_number_not_used(tmp_path: Path, key: DeviceKey) -> None:
    place = tmp_path / "small"
    with disk_to_fill(place) as fill:
        outbox = reopen(place, key).outbox
        greens, codes = [tap(outbox)], []
        free = fill()
        for _ in range(10):
            try:
                greens.append(tap(outbox))
            except NotStored as error:
                codes.append(error.code)
        killed = tmp_path / "killed while full"
        shutil.copytree(place, killed, ignore=shutil.ignore_patterns("ballast"))
        free()
        assert codes
        assert set(codes) <= {"disk_full", "not_writable"}
        assert sorted(statements(reopen(killed, key).outbox)) == greens, "what got red light must not come back to life"
        greens.append(tap(outbox))
        held = statements(outbox)
        assert sorted(held) == greens == list(range(1, len(greens) + 1))
        check_chain(held, key)
        outbox.close()


def test_a_read_only_database_gives_no_green_light(outbox: Outbox) -> None:
    tap(outbox)
    outbox.connection().execute("PRAGMA query_only=ON")
    with pytest.raises(NotStored) as refused:
        tap(outbox)
    assert refused.value.code == "not_writable"
    assert tap(outbox) == 2, "the next connection proves itself"


def test_a_log_torn_in_its_middle_gives_back_what_lies_behind_the_tear(data: Path, key: DeviceKey) -> None:
    copy, green = grown(data, key)
    log = copy / (FILE_NAME + "-wal")
    torn = bytearray(log.read_bytes())
    torn[len(torn) // 2] ^= 0xFF
    log.write_bytes(torn)
    healed = reopen(copy, key)
    held = statements(healed.outbox)
    assert healed.restored > 5
    assert {seq: held.get(seq) for seq in green} == green, "the flipped byte lay in a page that is written again later"


def test_a_cut_log_costs_its_numbers_but_none_is_given_twice(data: Path, key: DeviceKey) -> None:
    copy, green = grown(data, key)
    (copy / (FILE_NAME + "-wal")).unlink()
    healed = reopen(copy, key)
    assert healed.quarantined is None
    assert healed.voided == ((31, 60),)
    assert tap(healed.outbox) == 62
    held = statements(healed.outbox)
    assert all(held[seq] == green[seq] for seq in range(1, 31))
    assert payload_of(held[61])["prev"] == statement_hash(green[60]), "the chain goes on from the last green tap"
    check_chain(held, key)


@pytest.mark.parametrize("what", ["missing", "zeros", "text", "empty"])
def test_a_lost_file_is_set_aside_and_said(data: Path, key: DeviceKey, what: str) -> None:
    copy, green = grown(data, key)
    for name in (FILE_NAME + "-wal", FILE_NAME + "-shm"):
        (copy / name).unlink()
    path = copy / FILE_NAME
    if what == "missing":
        path.unlink()
    else:
        path.write_bytes({"zeros": bytes(9000), "text": b"this is no database" * 900, "empty": b""}[what])
    healed = reopen(copy, key)
    assert healed.voided == ((1, 60),)
    void = payload_of(statements(healed.outbox)[61])
    assert void["cause"] == ("outbox_corrupt" if what in ("zeros", "text") else "storage_lost")
    assert (healed.quarantined is not None) == (what in ("zeros", "text"))
    assert tap(healed.outbox) == len(green) + 2


def test_a_flipped_bit_in_the_name_of_a_column_is_damage(data: Path, key: DeviceKey) -> None:
    copy, green = grown(data, key)
    for name in (FILE_NAME + "-wal", FILE_NAME + "-shm"):
        (copy / name).unlink()
    path = copy / FILE_NAME
    path.write_bytes(path.read_bytes().replace(b"void_to INTEGER", b"void_tn INTEGER"))
    healed = reopen(copy, key)
    assert healed.quarantined is not None
    assert tap(healed.outbox) > len(green)
    held = statements(healed.outbox)
    assert all(held[seq] == green[seq] for seq in range(1, 31))


def test_a_crash_in_the_middle_of_a_recovery_forgets_nothing(data: Path, key: DeviceKey) -> None:
    copy, green = grown(data, key)
    aside = copy / "damaged-2026-11-22T070000.000Z"
    aside.mkdir()
    for name in (FILE_NAME, FILE_NAME + "-wal", FILE_NAME + "-shm"):
        (copy / name).rename(aside / name)
    held = statements(reopen(copy, key).outbox)
    assert {seq: held.get(seq) for seq in green} == green


@pytest.mark.parametrize("seeds", [range(40), pytest.param(range(40, 500), marks=pytest.mark.slow)], ids=["40", "500"])
def test_torn_files_heal_lose_only_what_is_destroyed_and_never_fork(
    data: Path, key: DeviceKey, seeds: range, server: TapServer, sender: Sender
) -> None:
    whole, green = grown(data, key, 24)
    for seed in seeds:
        chance = random.Random(seed)
        torn = data.parent / "torn"
        shutil.rmtree(torn, ignore_errors=True)
        shutil.copytree(whole, torn)
        had_mark = (torn / "chain.mark").read_bytes()
        damage(torn, chance)
        survivors = {seq for seq, jws in green.items() if jws.encode() in _bytes(torn / FILE_NAME)}
        mark_intact = (torn / "chain.mark").exists() and (torn / "chain.mark").read_bytes() == had_mark
        server.held = {seq: green[seq] for seq in range(1, chance.choice([0, 0, 10, 24]) + 1)}
        outbox = reopen(torn, key).outbox
        held = statements(outbox)
        assert all(held.get(seq) == green[seq] for seq in survivors), (
            f"seed {seed}: readable statements were thrown away"
        )
        sender._outbox, sender._failures = outbox, 0
        for _ in range(6):
            sender.step()
        seq = tap(outbox)
        if mark_intact or len(server.held) >= 24:
            assert seq > 24, f"seed {seed}: a number was given twice"
        for _ in range(4):
            sender.step()
        assert outbox.counts().waiting == 0, f"seed {seed}: the device is blocked"
        assert all(server.held.get(n, jws) == jws for n, jws in green.items() if mark_intact), f"seed {seed}: a fork"
        outbox.close()


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def test_the_mark_survives_a_torn_write_of_one_slot(tmp_path: Path) -> None:
    file = MarkFile(tmp_path / "mark")
    assert file.read() is None
    for seq in range(1, 5):
        file.write(Mark(seq, "h" * 43))
    assert file.read() == Mark(4, "h" * 43)
    content = bytearray((tmp_path / "mark").read_bytes())
    content[3] ^= 0xFF
    (tmp_path / "mark").write_bytes(content)
    assert file.read() == Mark(3, "h" * 43)


def test_a_rotten_signature_over_sound_words_is_made_again(data: Path, key: DeviceKey, outbox: Outbox) -> None:
    tap(outbox)
    jws = statements(outbox)[1]
    outbox.connection().execute(
        "UPDATE statements SET jws = ?", (jws[:-5] + ("A" if jws[-5] != "A" else "B") + jws[-4:],)
    )
    outbox.close()
    again = statements(reopen(data, key).outbox)[1]
    assert again.rpartition(".")[0] == jws.rpartition(".")[0]
    verify(again, key.jwk, "tap+jws")


def test_a_signature_spelled_differently_is_rotten_too(key: DeviceKey) -> None:
    jws = key.sign("tap+jws", {"seq": 1})
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".index(jws[-1])
    other = jws[:-1] + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last ^ 1]
    with pytest.raises(BadSignature):
        verify(other, key.jwk, "tap+jws")
