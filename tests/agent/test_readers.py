"""Simulated tags under nfcpy's real reader and tag code: one physical touch is one tap, whatever lies on the reader or
happens to it.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import ndef
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from device_agent import reader
from device_agent.loop import ReaderWorker, Timing
from device_agent.simulated.field import Field, UdpField
from device_agent.simulated.script import make_tag
from device_agent.simulated.tag import SimulatedTag
from device_agent.simulated.type4 import Ntag424
from device_agent.touches import Touch, sun_of
from tests.agent.conftest import wait_for

QUICK = Timing(poll=0.01, holdoff=0.25, reopen=(0.05,))
A, B = "04A1B2C3D4E580", "04A1B2C3D4E581"


class Watched(Field):
    """A field that counts how often a reader looked."""

    looks = 0

    def activate(self, technology: str) -> dict[str, bytes] | None:
        answer = super().activate(technology)
        self.looks += 1
        return answer


class Rig:
    """A reader worker on a simulated field."""

    def __init__(self, timing: Timing = QUICK) -> None:
        self.field = Watched()
        self.touches: list[Touch] = []
        self.states: list[str] = []
        reader.simulate("rig", self.field)
        self.worker = ReaderWorker("sim:rig", self._touched, lambda state, _detail: self.states.append(state), timing)
        self.worker.start()

    def _touched(self, touch: Touch) -> bool:
        self.touches.append(touch)
        return True

    def lay(self, tag: SimulatedTag, seconds: float = 0.15) -> None:
        self.field.put(tag)
        self.pause(seconds)

    def away(self, seconds: float = 0.35) -> None:
        self.field.take()
        self.pause(seconds)

    def pause(self, seconds: float) -> None:
        """So long, and on a busy machine until the reader has looked some times."""
        before = self.field.looks
        self.worker.join(seconds)
        assert self.worker.is_alive()
        if self.worker.state == "online":
            wait_for(lambda: self.field.looks > before + 8)

    def uids(self) -> list[str]:
        return [touch.uid for touch in self.touches]


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.worker.stop()
    made.worker.join(3)
    assert made.worker.state == "stopped"
    reader.simulate("rig", None)


def collector(touches: list[Touch]) -> Callable[[Touch], bool]:
    def collect(touch: Touch) -> bool:
        touches.append(touch)
        return True

    return collect


def ntag(uid: str) -> SimulatedTag:
    return make_tag("ntag213", {"uid": uid})


@pytest.mark.parametrize("kind", ["ntag213", "ntag215", "ntag216", "ntag424", "felica", "classic"])
def test_a_card_left_lying_is_one_touch(rig: Rig, kind: str) -> None:
    tag = make_tag(kind, {})
    rig.lay(tag, 0.8)
    assert rig.uids() == [tag.uid.hex().upper()]
    assert (rig.touches[0].iri is not None) == (kind != "classic")
    assert rig.field.signals == ["good"]


def test_looking_whether_a_card_still_lies_there_spends_no_counter(rig: Rig) -> None:
    tag = make_tag("ntag424", {"counter": 10})
    assert isinstance(tag, Ntag424)
    rig.lay(tag, 0.6)
    assert tag.counter == 11
    assert rig.touches[0].iri is not None


def test_the_address_of_an_ntag_424_holds_its_live_counter(rig: Rig) -> None:
    tag = make_tag("ntag424", {"counter": 60, "uid": "04DE5F1EACC040"})
    rig.lay(tag)
    rig.away()
    rig.lay(tag)
    counters = []
    for touch in rig.touches:
        picc = bytes.fromhex((sun_of(touch.iri) or "").partition(".")[0])
        decryptor = Cipher(algorithms.AES(bytes(16)), modes.CBC(bytes(16))).decryptor()
        plain = decryptor.update(picc) + decryptor.finalize()
        assert plain[:8] == b"\xc7" + tag.uid
        counters.append(int.from_bytes(plain[8:11], "little"))
    assert counters == [61, 62]


def test_swapped_and_repeated_cards_are_a_touch_each_time(rig: Rig) -> None:
    for _ in range(3):
        rig.lay(ntag(A))
        rig.lay(ntag(B))
        rig.away()
    assert rig.uids() == [A, B] * 3


def test_a_card_trembling_at_the_edge_of_the_field_is_one_touch() -> None:
    rig = Rig(Timing(poll=0.01, holdoff=5.0))
    for _ in range(6):
        rig.lay(ntag(A), 0.05)
        rig.away(0.06)
    assert rig.uids() == [A]
    rig.worker.stop()
    rig.worker.join(3)
    reader.simulate("rig", None)


class Odd(Ntag424):
    """Answers its selection with an ATS that nfcpy cannot read."""

    ats = b"\x01"


def test_an_odd_card_gives_its_number_and_the_next_card_is_read(rig: Rig) -> None:
    rig.lay(Odd(bytes.fromhex("04DE5F1EACC040"), "https://a.example/#1"))
    assert rig.uids() == ["04DE5F1EACC040"]
    assert "IndexError" in (rig.touches[0].error or "")
    rig.away()
    rig.lay(ntag(A))
    assert rig.uids()[1:] == [A]
    assert rig.states == ["online"]


class Shy(Ntag424):
    """Half read the first time, as at the edge of the field."""

    def __init__(self, uid: bytes, url: str) -> None:
        self.tries = 0
        super().__init__(uid, url)

    def apdu(self, apdu: bytes) -> bytes:
        self.tries += 1
        return b"" if self.tries < 3 else super().apdu(apdu)


def test_a_cryptographic_tag_half_read_is_read_again_before_its_bare_number_counts(rig: Rig) -> None:
    rig.lay(Shy(bytes.fromhex("04DE5F1EACC040"), "https://a.example/#e={e}&c={c}"), 2.0)
    assert len(rig.touches) == 1
    assert sun_of(rig.touches[0].iri) is not None


def test_an_unplugged_reader_is_found_again(rig: Rig) -> None:
    rig.lay(ntag(A))
    reader.simulate("rig", None)
    wait_for(lambda: rig.worker.state == "offline")
    rig.pause(0.3)
    reader.simulate("rig", rig.field)
    wait_for(lambda: rig.worker.state == "online")
    rig.lay(ntag(B))
    wait_for(lambda: rig.uids() == [A, B])
    assert rig.states == ["online", "offline", "online"]


class Treacherous(Watched):
    """A driver that fails the way nfcpy's do: with anything at all."""

    errors = [TypeError("format() argument"), ValueError("x"), IndexError("y"), OSError(5, "io")]  # noqa: RUF012 - consumed

    def activate(self, technology: str) -> dict[str, bytes] | None:
        if self.errors:
            raise self.errors.pop()
        return super().activate(technology)


def test_whatever_a_driver_raises_the_thread_lives(rig: Rig) -> None:
    rig.field = Treacherous()
    reader.simulate("rig", rig.field)
    wait_for(lambda: not Treacherous.errors and rig.worker.state == "online")
    rig.lay(ntag(A))
    wait_for(lambda: rig.uids() == [A])


def test_a_usb_socket_is_looked_up_at_every_opening(tmp_path: Path) -> None:
    socket = tmp_path / "1-1.2"
    socket.mkdir()
    (socket / "busnum").write_text("1\n")
    (socket / "devnum").write_text("14\n")
    assert reader.usb_port_path("1-1.2", tmp_path) == "usb:001:014"
    (socket / "devnum").write_text("15\n")
    assert reader.usb_port_path("1-1.2", tmp_path) == "usb:001:015"
    with pytest.raises(OSError, match="9-9"):
        reader.usb_port_path("9-9", tmp_path)


def test_tags_of_another_process_are_read_through_nfcpys_udp_driver() -> None:
    command = [sys.executable, "-m", "device_agent", "simulate", "--udp", "0", "--tag", "ntag424", "--hold", "20"]
    presenter = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert presenter.stdout is not None
    port = int(presenter.stdout.readline().split()[1])
    touches: list[Touch] = []
    worker = ReaderWorker(f"udp:127.0.0.1:{port}", collector(touches), lambda *_: None, QUICK)
    worker.start()
    try:
        wait_for(lambda: touches, 10)
        assert presenter.stdout.readline() == f"present {touches[0].uid}\n"
        assert sun_of(touches[0].iri) is not None
    finally:
        presenter.kill()
        presenter.wait()
        presenter.stdout.close()
        worker.stop()
        worker.join(3)


@pytest.mark.parametrize("kind", ["ntag213", "felica", "classic"])
def test_a_udp_reader_sees_a_tag_leave_and_come_back(kind: str) -> None:
    field = Field()
    air = UdpField(field)
    air.start()
    touches: list[Touch] = []
    worker = ReaderWorker(f"udp:127.0.0.1:{air.port}", collector(touches), lambda *_: None, QUICK)
    worker.start()
    tag = make_tag(kind, {})
    for _ in range(2):
        before = len(touches)
        field.put(tag)
        wait_for(partial(_more_than, touches, before))
        field.take()
        worker.join(1.2)
    worker.stop()
    worker.join(3)
    air.stop()
    assert [touch.uid for touch in touches] == [tag.uid.hex().upper()] * 2
    assert (touches[0].iri is None) == (kind == "classic")


def _more_than(touches: list[Touch], count: int) -> bool:
    return len(touches) > count


def _write(field: Field, url: str, *, lock: bool = False) -> None:
    reader.simulate("writer", field)
    opened = reader.NfcpyReader("sim:writer")
    try:
        assert opened.sense()
        opened.write_url(url, lock=lock)
    finally:
        opened.close()
        reader.simulate("writer", None)


@pytest.mark.parametrize("kind", ["ntag213", "ntag215", "ntag216"])
def test_a_sticker_is_written_read_back_and_locked_for_ever(kind: str) -> None:
    field = Field()
    field.put(make_tag(kind, {}))
    _write(field, "https://komgick.example/t#abc")
    _write(field, "https://komgick.example/t#def", lock=True)
    with pytest.raises(reader.NotWritten) as refused:
        _write(field, "https://komgick.example/t#ghi")
    assert refused.value.code == "not_writable_tag"
    reader.simulate("writer", field)
    opened = reader.NfcpyReader("sim:writer")
    opened.sense()
    assert opened.read().iri == "https://komgick.example/t#def"
    opened.close()
    reader.simulate("writer", None)


def test_only_ntag21x_is_written() -> None:
    for kind in ("ntag424", "felica", "classic"):
        field = Field()
        field.put(make_tag(kind, {}))
        with pytest.raises(reader.NotWritten) as refused:
            _write(field, "https://komgick.example/t#abc")
        assert refused.value.code == "wrong_tag"


class Forgetful(Field):
    """A tag that acknowledges every write and keeps none beyond its first page."""

    def exchange(self, command: bytes) -> bytes | None:
        if command[:1] == b"\xa2" and command[1] > 4:
            return b"\x0a"
        return super().exchange(command)


def test_a_tag_that_keeps_something_else_is_found_out_and_not_locked() -> None:
    field = Forgetful()
    tag = make_tag("ntag213", {})
    field.put(tag)
    with pytest.raises(reader.NotWritten) as refused:
        _write(field, "https://other.example/t#abc", lock=True)
    assert refused.value.code in ("readback", "not_writable_tag")
    assert tag.command(b"\x30\x02") is None or bytes(getattr(tag, "memory"))[10:12] == bytes(2)  # noqa: B009 - of one kind only


def test_the_simulated_message_is_what_ndeflib_reads() -> None:
    message = getattr(make_tag("felica", {"url": "https://a.example/#x"}), "_memory")[16:48]  # noqa: B009 - of one kind only
    assert next(iter(ndef.message_decoder(message.rstrip(b"\0")))).iri == "https://a.example/#x"
