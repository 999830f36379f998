"""The PC/SC backend through a real pcscd and the virtual reader of vsmartcard-vpcd; `deploy/run test --all` sees that
they and pyscard are there. A machine's own pcscd that runs already is used.
"""

import contextlib
import socket
import subprocess
import threading
from collections.abc import Iterator
from time import sleep

import pytest

from device_agent.loop import ReaderWorker, Timing
from device_agent.simulated.script import make_tag
from device_agent.simulated.tag import SimulatedTag
from device_agent.simulated.type2 import Ntag21x
from device_agent.simulated.type4 import IsoDepTag
from device_agent.touches import Touch, sun_of
from tests.agent.conftest import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("pcscd")]

VPCD_PORT = 35963  # fixed by Debian's /etc/reader.conf.d/vpcd
ATR = bytes.fromhex("3B8180018080")


class VirtualCard(threading.Thread):
    """A simulated tag on the virtual reader: length-prefixed messages, one byte is a control command."""

    def __init__(self, tag: SimulatedTag) -> None:
        super().__init__(daemon=True)
        self._tag = tag
        self._channel = socket.create_connection(("127.0.0.1", VPCD_PORT))

    def _receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._channel.recv(size - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def run(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                message = self._receive(int.from_bytes(self._receive(2)))
                if message in (b"\x00", b"\x01", b"\x02"):
                    self._tag.reset()
                    continue
                answer = ATR if message == b"\x04" else self._answer(message)
                self._channel.sendall(len(answer).to_bytes(2) + answer)

    def _answer(self, apdu: bytes) -> bytes:
        if apdu[:2] == b"\xff\xca":
            return self._tag.uid + b"\x90\x00"
        if apdu[:2] == b"\xff\xb0":
            pages = self._tag.command(bytes([0x30, apdu[3]])) if isinstance(self._tag, Ntag21x) else None
            return pages + b"\x90\x00" if pages and len(pages) == 16 else b"\x63\x00"
        return self._tag.apdu(apdu) if isinstance(self._tag, IsoDepTag) else b"\x6d\x00"

    def away(self) -> None:
        self._channel.shutdown(socket.SHUT_RDWR)
        self._channel.close()


def _serves() -> bool:
    with socket.socket(socket.AF_UNIX) as channel, contextlib.suppress(OSError):
        channel.connect("/run/pcscd/pcscd.comm")
        return True
    return False


@pytest.fixture(scope="module")
def pcscd() -> Iterator[None]:
    if _serves():
        yield
        return
    daemon = subprocess.Popen(
        ["pcscd", "--foreground", "--disable-polkit"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    sleep(0.5)
    if daemon.poll() is not None:  # an older pcscd without that option
        daemon = subprocess.Popen(["pcscd", "--foreground"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(_serves, 10)
    sleep(0.5)
    yield
    daemon.terminate()
    daemon.wait(10)


def test_tags_on_a_pcsc_reader_are_one_touch_each_with_their_address() -> None:
    touches: list[Touch] = []
    states: list[str] = []

    def touched(touch: Touch) -> bool:
        touches.append(touch)
        return True

    timing = Timing(poll=0.05, holdoff=0.3, reopen=(0.2,))
    worker = ReaderWorker(
        "pcsc:Virtual PCD 00 00", touched, lambda state, detail: states.append(f"{state} {detail}"), timing
    )
    worker.start()
    wait_for(lambda: worker.state == "online", 10)
    for count, kind in enumerate(["ntag424", "ntag213", "ntag215"], start=1):
        tag = make_tag(kind, {})
        card = VirtualCard(tag)
        card.start()
        wait_for(lambda count=count: len(touches) == count, 20)  # type: ignore[misc] # mypy cannot infer lambdas with defaults
        sleep(1.0)
        assert len(touches) == count, (touches, states)
        assert touches[-1].uid == tag.uid.hex().upper()
        assert touches[-1].iri is not None, touches
        card.away()
        sleep(2.0)
    assert sun_of(touches[0].iri) is not None
    worker.stop()
    worker.join(10)
    assert worker.state == "stopped"


def test_without_such_a_reader_the_worker_waits_for_it() -> None:
    states: list[str] = []
    worker = ReaderWorker("pcsc:No Such", lambda _: True, lambda state, _: states.append(state), Timing(reopen=(0.1,)))
    worker.start()
    wait_for(lambda: states == ["offline"], 10)
    worker.stop()
    worker.join(5)


def test_a_message_is_found_in_a_type_2_tags_memory() -> None:
    from device_agent.pcsc import ndef_tlv

    assert ndef_tlv(b"\x00\x01\x03\xa0\x0c\x34\x03\x02ab\xfe") == b"ab"
    assert ndef_tlv(b"\x03\xff\x01\x00" + bytes(256) + b"\xfe") == bytes(256)
    assert ndef_tlv(b"\x00\x00\xfe\x03\x01a") is None
    with pytest.raises(IndexError):
        ndef_tlv(b"\x03\x05ab")
