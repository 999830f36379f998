"""Type 4 tags: ISO 14443-4 blocks, and an NTAG 424 DNA with live SUN on top."""

import struct

from device_agent.simulated.sun import sun
from device_agent.simulated.tag import SimulatedTag, url_message

_OK, _NO_FILE, _NO_OFFSET, _NO_COMMAND = b"\x90\x00", b"\x6a\x82", b"\x6a\x86", b"\x6d\x00"
_FRAME_SIZES = (16, 24, 32, 40, 48, 64, 96, 128, 256)
_FILE_SIZE = 256


class IsoDepTag(SimulatedTag):
    """The block protocol (numbers, chaining, acknowledgements, deselect) around `apdu`."""

    sens_res, sel_res = b"\x44\x03", b"\x20"
    ats = bytes.fromhex("067777710280")  # as in the NTAG 424 DNA data sheet

    def __init__(self, uid: bytes) -> None:
        super().__init__(uid)
        self.reset()

    def reset(self) -> None:
        """Selected afresh: everything said so far is forgotten."""
        self._active = False
        self._received = b""
        self._to_send: list[bytes] = []
        self._last: bytes | None = b""
        self._block = 1
        self._frame_size = 256
        self.forget()

    def forget(self) -> None:
        """What the application on top forgets with the field."""

    def apdu(self, apdu: bytes) -> bytes:
        """Answer to a command of the application."""
        return _NO_COMMAND if apdu else b"\x67\x00"

    def command(self, command: bytes) -> bytes | None:
        """One block."""
        if not self._active:
            if command[:1] != b"\xe0" or len(command) < 2:
                return None
            self._frame_size = _FRAME_SIZES[min(command[1] >> 4, 8)]
            self._active = True
            return self.ats
        control = command[0]
        if control & 0xE2 == 0x02:
            return self._information(control, command[1:])
        if control & 0xE6 == 0xA2:
            return self._acknowledged(control)
        if control & 0xF7 == 0xC2:
            self.reset()
            return b"\xc2"
        return None

    def _information(self, control: int, data: bytes) -> bytes | None:
        self._block ^= 1
        self._received += data
        if control & 0x10:  # more to come
            return self._say(bytes([0xA2 | self._block]))
        answer, self._received = self.apdu(self._received), b""
        size = self._frame_size - 3
        self._to_send = [answer[at : at + size] for at in range(0, len(answer), size)]
        return self._next()

    def _acknowledged(self, control: int) -> bytes | None:
        same = (control & 1) == self._block
        if same:
            return self._last
        if control & 0x10:  # "are you there?"
            return bytes([0xA2 | self._block])
        self._block ^= 1
        return self._next()

    def _next(self) -> bytes | None:
        if not self._to_send:
            return None
        part = self._to_send.pop(0)
        return self._say(bytes([0x02 | (0x10 if self._to_send else 0) | self._block]) + part)

    def _say(self, block: bytes) -> bytes:
        self._last = block
        return block


class Ntag424(IsoDepTag):
    """NTAG 424 DNA whose address holds `{e}` and `{c}`. Its counter rises at the first reading after any other command
    (9.3.1).
    """

    _CONTAINER = bytes.fromhex("001720010000FF0406E104010000FF0506E10500808283")

    def __init__(
        self, uid: bytes, url: str, *, meta_key: bytes = bytes(16), file_key: bytes = bytes(16), counter: int = 0,
    ) -> None:  # fmt: skip
        if len(uid) != 7:
            raise ValueError("an NTAG has a uid of 7 bytes")
        self._url, self._meta_key, self._file_key, self.counter = url, meta_key, file_key, counter
        super().__init__(uid)

    def forget(self) -> None:
        """Nothing is selected, nothing printed."""
        self._selected: str | None = None
        self._printed: bytes | None = None

    def apdu(self, apdu: bytes) -> bytes:
        """SELECT and READ BINARY of the NDEF application."""
        if len(apdu) < 5 or apdu[0] != 0:
            return _NO_COMMAND
        if apdu[1] == 0xB0 and self._selected in ("container", "ndef"):
            return self._read(apdu[2] << 8 | apdu[3], apdu[4] or 256)
        self._printed = None
        return self._select(apdu[2], apdu[5 : 5 + apdu[4]]) if apdu[1] == 0xA4 else _NO_COMMAND

    def _select(self, how: int, name: bytes) -> bytes:
        if how == 4:
            if name != bytes.fromhex("D2760000850101"):
                return _NO_FILE
            self._selected = "application"
            return _OK
        file = {b"\xe1\x03": "container", b"\xe1\x04": "ndef"}.get(name)
        if self._selected is None or file is None:
            return _NO_FILE
        self._selected = file
        return _OK

    def _read(self, offset: int, size: int) -> bytes:
        source = self._CONTAINER if self._selected == "container" else self._ndef_file()
        return source[offset : offset + size] + _OK if offset < len(source) else _NO_OFFSET

    def _ndef_file(self) -> bytes:
        if self._printed is None:
            self.counter += 1
            picc, mac = sun(self._meta_key, self._file_key, self.uid, self.counter)
            message = url_message(self._url.format(e=picc, c=mac))
            self._printed = (struct.pack(">H", len(message)) + message).ljust(_FILE_SIZE, b"\0")
        return self._printed
