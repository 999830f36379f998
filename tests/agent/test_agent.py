"""The whole agent as processes: enrol, tap from another process, green, kill, restart, deliver; and its commands."""

import json
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from device_agent.cli import app
from device_agent.keys import NOTHING_BEFORE, DeviceKey, short_thumbprint
from device_agent.mark import Mark, MarkFile
from device_agent.outbox import FILE_NAME, MARK_NAME, NotStored, Outbox
from device_agent.reader import NfcpyReader, simulate
from device_agent.salvage import PAGE_SIZE
from device_agent.setup import Identity
from device_agent.simulated.field import Field
from device_agent.simulated.script import make_tag
from tests.acceptance.processes import AGENT, Watched, free_udp_port
from tests.agent.conftest import tap
from tests.agent.server import TapServer
from tests.agent.torn import reopen

QUICK = ["--max-wait", "0.3", "--holdoff", "0.5"]


@pytest.fixture
def start() -> Iterator[Callable[..., Watched]]:
    running: list[Watched] = []

    def begin(*arguments: str, env: dict[str, str] | None = None) -> Watched:
        running.append(Watched(AGENT, *arguments, env=env))
        return running[-1]

    yield begin
    for process in running:
        process.end(signal.SIGKILL)


@contextmanager
def small_disk(source: Path, place: Path, size: int) -> Iterator[Path]:
    """A copy of a device's folder where no file can grow beyond so many bytes."""
    shutil.copytree(source, place)
    with closing(sqlite3.connect(place / FILE_NAME)) as other:
        other.execute("SELECT count(*) FROM statements").fetchone()  # the index of the log is made, and stays
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield place
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


def opened(source: Path, folder: Path, key: DeviceKey, size: int) -> Exception | None:
    """What opening the outbox on such a disk ended with."""
    with small_disk(source, folder / str(size), size) as place:
        try:
            reopen(place, key).outbox.close()
        except (NotStored, sqlite3.Error, OSError) as error:
            return error
    return None


def call(*arguments: str) -> Result:
    """A command in this process, with everything real but the process itself."""
    return CliRunner().invoke(app, arguments)


def test_from_enrolment_over_a_kill_to_the_server_with_tags_from_another_process(
    tmp_path: Path, start: Callable[..., Watched]
) -> None:
    server, data, port = TapServer(), tmp_path / "device", free_udp_port()
    server.tokens = {"one-use"}
    try:
        enrolled = call("enrol", "--server", server.url, "--data", str(data), "--token", "one-use")
        assert enrolled.exit_code == 0, enrolled.stderr
        assert enrolled.stdout.strip() == short_thumbprint(DeviceKey.load(data / "device.key").jwk)
        run = [
            "run",
            "--data",
            str(data),
            "--reader",
            f"udp:127.0.0.1:{port}",
            "--act",
            "kom",
            "--staff",
            "s_1",
            *QUICK,
        ]
        server.always = 503
        agent = start(*run)
        agent.line("ready")
        present = ["simulate", "--udp", str(port), "--hold", "1.0", "--gap", "0.8"]
        first = start(*present, "--tag", "ntag213")
        assert agent.line("green").split()[1:4] == ["1", "KOM", "04A1B2C3D4E580"]
        agent.end(signal.SIGKILL)
        first.end()
        assert server.held == {}
        agent = start(*run)
        agent.line("ready")
        for number, (kind, uid) in enumerate([("ntag424", "04DE5F1EACC040"), ("felica", "03FEFFE011223344")], start=2):
            presenter = start(*present, "--tag", kind)
            assert agent.line("green").split()[1:4] == [str(number), "KOM", uid]
            presenter.end()
        server.always = None
        while len(server.held) < 3:
            threading.Event().wait(0.05)
        assert [said["tag"]["uid"] for said in server.taps()] == [
            "04A1B2C3D4E580",
            "04DE5F1EACC040",
            "03FEFFE011223344",
        ]
        assert [("sun" in said["tag"]) for said in server.taps()] == [False, True, False]
        assert {said["staff"] for said in server.taps()} == {"s_1"}
        assert agent.end() == 0, "a clean end on SIGTERM"
    finally:
        server.close()


def test_a_whole_agent_in_one_process_presents_its_script_and_drains(
    enrolled: Path, server: TapServer, start: Callable[..., Watched]
) -> None:
    script = enrolled.parent / "tags.jsonl"
    items = [
        {"tag": "ntag213", "uid": "04000000000001", "hold": 0.3, "gap": 0.3},
        {"tag": "ntag424", "hold": 0.3, "gap": 0.7, "act": "kom"},
        {"tag": "ntag213", "uid": "04A1B2C3D4E580", "hold": 0.3, "gap": 0.3},
        {"tag": "ntag213", "uid": "04000000000001", "hold": 0.3, "gap": 0.3},
        {"tag": "ntag424", "hold": 0.3, "gap": 0.3, "act": "gick"},
    ]
    script.write_text("\n".join(map(json.dumps, items)))
    done = start("simulate", "--data", str(enrolled), "--tags", str(script), "--act", "keys",
                 "--badge", "04000000000001=s_anna", "--lang", "en", *QUICK)  # fmt: skip
    assert done.process.wait(60) == 0
    done.end()
    assert [line.split()[0] for line in done.lines] == ["ready", "badge", "green", "red", "badge", "green"]
    assert [(said["act"], said["staff"], said["staff_by"]) for said in server.taps()] == [
        ("KOM", "s_anna", "badge"), ("GICK", "s_anna", "badge"),
    ]  # fmt: skip


def test_two_agents_on_one_folder_are_refused(enrolled: Path, start: Callable[..., Watched]) -> None:
    run = ["run", "--data", str(enrolled), "--reader", f"udp:127.0.0.1:{free_udp_port()}", "--staff", "s_1"]
    start(*run).line("ready")
    second = call(*run)
    assert second.exit_code == 1
    assert second.stderr.startswith("already_running")


def test_a_revoked_device_shows_red_and_signs_nothing(
    enrolled: Path, server: TapServer, outbox: Outbox, start: Callable[..., Watched]
) -> None:
    server.revoked = True
    outbox.set_revoked(revoked=True)
    outbox.close()
    port = free_udp_port()
    agent = start(
        "run", "--data", str(enrolled), "--reader", f"udp:127.0.0.1:{port}", "--staff", "s_1", "--lang", "en", *QUICK
    )
    agent.line("ready")
    start("simulate", "--udp", str(port))
    assert agent.line("red").startswith("red device_revoked Not saved")
    assert agent.end() == 0
    assert server.held == {}


def test_systemds_watchdog_is_fed_while_every_reader_is_looked_at(
    enrolled: Path, tmp_path: Path, start: Callable[..., Watched]
) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        systemd.settimeout(15)
        env = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "600000"}
        agent = start(
            "run", "--data", str(enrolled), "--reader", f"udp:127.0.0.1:{free_udp_port()}", "--staff", "s_1", env=env
        )
        agent.line("ready")
        said = {systemd.recv(100) for _ in range(4)}
        agent.end()
        while b"STOPPING=1" not in said:
            said.add(systemd.recv(100))
    assert said == {b"READY=1", b"WATCHDOG=1", b"STOPPING=1"}


def test_queue_shows_what_waits_and_selftest_says_what_to_do(enrolled: Path, outbox: Outbox, server: TapServer) -> None:
    tap(outbox)
    outbox.park(tap(outbox), "422")
    outbox.close()
    shown = json.loads(call("queue", "--data", str(enrolled), "--format", "json").stdout)
    assert [(row["seq"], row["state"]) for row in shown] == [(2, "parked"), (1, "waiting")]
    assert "väntar 1, undanlagda 1" in call("queue", "--data", str(enrolled)).stdout
    assert call("queue", "--data", str(enrolled), "--release").exit_code == 0
    tested = call("selftest", "--data", str(enrolled), "--reader", "udp:127.0.0.1:9", "--lang", "en")
    lines = tested.stdout.splitlines()
    assert tested.exit_code == 0, tested.stdout
    assert [line.split()[1].rstrip(":") for line in lines] == ["reader", "clock", "server", "outbox"]
    assert sorted(server.held) == [1, 2]
    server.always = 401
    tested = call("selftest", "--data", str(enrolled), "--reader", "usb-port:9-9")
    assert tested.exit_code == 1
    assert "kontakta chefen" in tested.stdout
    assert "udev" in tested.stdout


def test_a_reader_of_the_queue_who_has_seen_enough_is_no_trouble_of_the_disk(enrolled: Path, outbox: Outbox) -> None:
    for _ in range(3):
        tap(outbox)
    outbox.close()
    shown = subprocess.Popen(
        [sys.executable, "-m", AGENT, "queue", "--data", str(enrolled)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert shown.stdout is not None
    assert shown.stderr is not None
    shown.stdout.close()
    with shown:
        assert shown.stderr.read() == ""


def test_a_disk_that_fills_while_a_loss_is_stated_is_one_line_and_no_traceback(
    enrolled: Path, key: DeviceKey, outbox: Outbox, tmp_path: Path
) -> None:
    tap(outbox)
    outbox.close()
    MarkFile(enrolled / MARK_NAME).write(Mark(3, NOTHING_BEFORE))  # two green taps more than the file holds
    full = [
        size for size in range(32, 80_000, PAGE_SIZE) if isinstance(opened(enrolled, tmp_path, key, size), NotStored)
    ]
    assert full, "the disk never filled while the void was written"
    with small_disk(enrolled, tmp_path / "again", full[0]) as place:
        done = call("run", "--data", str(place), "--reader", "udp:127.0.0.1:9", "--lang", "en")
    assert (done.exit_code, done.stderr.count("\n"), done.stderr[:14]) == (1, 1, "disk_trouble: "), done.stderr
    healed = reopen(place, key).outbox
    assert tap(healed) == 4, "no number is given twice; the server asks for the lost ones, and gets the void"
    healed.close()


def test_wrong_usage_is_status_2_and_a_refusal_status_1(tmp_path: Path, enrolled: Path) -> None:
    data = ["--data", str(tmp_path)]
    cases = {
        ("run", *data, "--reader", "usb"): (1, "not_enrolled"),
        ("run", "--data", str(enrolled)): (2, "no_reader"),
        ("run", "--data", str(enrolled), "--reader", "udp:10.0.0.1:5"): (2, "udp_loopback"),
        ("run", "--data", str(enrolled), "--reader", "usb", "--act", "perhaps"): (2, "bad_option"),
        ("enrol", *data, "--server", "http://elsewhere.example", "--token", "x"): (2, "needs_https"),
        ("enrol", "--data", str(enrolled), "--server", "https://elsewhere.example", "--token", "x"): (
            1,
            "already_enrolled",
        ),
        ("write-tag", "https://a.example/t?x=1", *data, "--reader", "udp:127.0.0.1:9"): (2, "url_form"),
        ("write-tag", "https://a.example/t#1", *data, "--reader", "udp:127.0.0.1:9", "--seconds", "0.2"): (1, "no_tag"),
    }
    for arguments, (status, code) in cases.items():
        done = call(*arguments)
        assert (done.exit_code, code in done.stderr) == (status, True), (arguments, done.stderr)


def test_write_tag_writes_to_a_sticker_held_to_the_reader(tmp_path: Path, start: Callable[..., Watched]) -> None:
    port = free_udp_port()
    start("simulate", "--udp", str(port), "--tag", "ntag213", "--hold", "20")
    done = call(
        "write-tag", "https://a.example/t#x1", "--data", str(tmp_path), "--reader", f"udp:127.0.0.1:{port}", "--lock"
    )
    assert done.exit_code == 0, done.stderr
    assert done.stdout.strip() == "04A1B2C3D4E580"
    again = call("write-tag", "https://a.example/t#x2", "--data", str(tmp_path), "--reader", f"udp:127.0.0.1:{port}")
    assert again.exit_code == 1, "it was locked"


def test_write_tag_without_an_address_writes_the_servers_page_for_stickers_with_the_tags_own_number(
    tmp_path: Path,
) -> None:
    tag, field = make_tag("ntag213", {"uid": "04AABBCCDDEE80", "url": "https://old.example/t#x"}), Field()
    field.put(tag)
    simulate("sticker", field)
    (tmp_path / "agent.toml").write_text('server = "https://komgick.example"\nreaders = ["sim:sticker"]\n')
    done = call("write-tag", "--data", str(tmp_path))
    assert done.exit_code == 0, done.stderr
    reader = NfcpyReader("sim:sticker")
    assert reader.sense() == "04AABBCCDDEE80"
    assert reader.read().iri == "https://komgick.example/t#04AABBCCDDEE80"
    reader.close()
    simulate("sticker", None)


def test_the_configuration_file_sets_up_readers_and_badges(tmp_path: Path) -> None:
    from device_agent.setup import read_setup

    (tmp_path / "agent.toml").write_text(
        'lang = "en"\n[badges]\n"04:aa:bb" = "s_1"\n'
        '[[reader]]\npath = "usb-port:1-1.2"\nact = "kom"\n'
        '[[reader]]\npath = "usb-port:1-1.3"\nact = "gick"\n'
    )
    setup = read_setup(tmp_path, None, {"lang": None, "readers": None})
    assert [(reader.path, reader.rules.act) for reader in setup.readers] == [
        ("usb-port:1-1.2", "KOM"),
        ("usb-port:1-1.3", "GICK"),
    ]
    assert setup.readers[0].rules.badges == {"04AABB": "s_1"}
    assert setup.lang == "en"


def test_a_refused_enrolment_leaves_no_identity(tmp_path: Path) -> None:
    server = TapServer()
    try:
        done = call("enrol", "--server", server.url, "--data", str(tmp_path), "--token", "used up")
        assert done.exit_code == 1
        assert "enrol_refused" in done.stderr
        with pytest.raises(Exception, match="not_enrolled"):
            Identity.load(tmp_path)
    finally:
        server.close()
