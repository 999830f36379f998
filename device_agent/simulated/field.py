"""What lies on a simulated reader, and the server that lets another process's nfcpy reach it over UDP."""

import functools
import operator
import select
import socket
import threading

from device_agent.simulated.tag import SimulatedTag


class Field:
    """A reader's field: one tag or none. Safe for several threads (reader.SimulatedField)."""

    def __init__(self) -> None:
        self._tag: SimulatedTag | None = None
        self._lock = threading.RLock()
        self.signals: list[str] = []

    def put(self, tag: SimulatedTag) -> None:
        """Lays a tag on the reader, in place of what lay there."""
        with self._lock:
            tag.reset()
            self._tag = tag

    def take(self) -> None:
        """Takes it away."""
        with self._lock:
            self._tag = None

    def activate(self, technology: str) -> dict[str, bytes] | None:
        """Answers to being sensed; None when nothing of this technology lies there."""
        with self._lock:
            tag = self._tag
            if tag is None or tag.brty != technology:
                return None
            tag.reset()
            if technology == "212F":
                return {"sensf_res": tag.sensf_res}
            return {"sens_res": tag.sens_res, "sel_res": tag.sel_res, "sdd_res": tag.uid}

    def exchange(self, command: bytes) -> bytes | None:
        """The tag's answer; None for silence or an empty field."""
        with self._lock:
            return self._tag.command(command) if self._tag else None

    def field_off(self) -> None:
        """The radio field was switched off."""
        with self._lock:
            if self._tag:
                self._tag.reset()

    def signal(self, what: str) -> None:
        """The lamp: `good` or `bad`, remembered."""
        self.signals.append(what)

    def over_the_air(self, technology: str, frame: bytes) -> bytes | None:
        """The answer to one frame of nfcpy's UDP driver, selection included."""
        with self._lock:
            tag = self._tag
            if tag is None or tag.brty != technology or not frame:
                return None
            if technology == "106A" and frame == b"\x26":
                tag.reset()
                return tag.sens_res
            if technology == "106A" and frame[0] in (0x93, 0x95) and frame[1:2] in (b"\x20", b"\x70"):
                return _selected(tag, frame)
            return tag.command(frame)


def _selected(tag: SimulatedTag, frame: bytes) -> bytes | None:
    """One level of the anticollision of ISO 14443-3: 4 bytes of uid with a check byte, then their selection."""
    uid = tag.uid if len(tag.uid) == 4 else b"\x88" + tag.uid
    at = (frame[0] - 0x93) // 2 * 4
    part = uid[at : at + 4]
    part += bytes([functools.reduce(operator.xor, part, 0)])
    if frame[1] == 0x20:
        return part
    more = 0x04 if len(uid) > at + 4 else 0
    return bytes([tag.sel_res[0] | more]) if frame[2:] == part else None


class UdpField(threading.Thread):
    """Answers nfcpy's UDP driver for a field, on 127.0.0.1 only. One socket for its whole life: an empty field is
    silence.
    """

    def __init__(self, field: Field, port: int = 0) -> None:
        super().__init__(daemon=True, name="udp-field")
        self._field = field
        self._stopping = threading.Event()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]
        self.asked = 0
        """Datagrams received: whether a reader is there at all."""

    def stop(self) -> None:
        """Ends the thread and closes the socket."""
        self._stopping.set()
        self.join(2)
        self._socket.close()

    def run(self) -> None:
        """Until stopped."""
        while not self._stopping.is_set():
            if not select.select([self._socket], [], [], 0.1)[0]:
                continue
            data, sender = self._socket.recvfrom(2048)
            self.asked += 1
            technology, _, frame = data.partition(b" ")
            if technology == b"RFOFF":
                self._field.field_off()
                continue
            answer = self._field.over_the_air(technology.decode("ascii", "replace"), _unhex(frame))
            if answer is not None:
                self._socket.sendto(technology + b" " + answer.hex().encode("ascii"), sender)


def _unhex(frame: bytes) -> bytes:
    try:
        return bytes.fromhex(frame.decode("ascii"))
    except ValueError:
        return b""
