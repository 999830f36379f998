"""Type 3 tag: a FeliCa with an NDEF file of blocks of 16 bytes."""

import struct

from device_agent.simulated.tag import SimulatedTag, url_message

_BLOCKS = 13
_NDEF_SYSTEM = b"\x12\xfc"


class FelicaNdef(SimulatedTag):
    """Answers POLLING and READ WITHOUT ENCRYPTION. Its identifier must not begin 01FE, which means a phone."""

    brty = "212F"

    def __init__(self, uid: bytes, url: str) -> None:
        if len(uid) != 8:
            raise ValueError("a FeliCa has an identifier of 8 bytes")
        super().__init__(uid)
        self.sensf_res = b"\x01" + uid + b"\xff" * 8 + _NDEF_SYSTEM
        message = url_message(url)
        attributes = struct.pack(">BBBHxxxxBBxH", 0x10, 4, 1, _BLOCKS, 0, 1, len(message))
        if len(message) > _BLOCKS * 16:
            raise ValueError("the address is too long for this tag")
        self._memory = attributes + struct.pack(">H", sum(attributes)) + message.ljust(_BLOCKS * 16, b"\0")

    def command(self, command: bytes) -> bytes | None:
        """A frame with its length in the first byte."""
        if len(command) < 2 or command[0] != len(command):
            return None
        if command[1] == 0x00:
            wanted = command[2:4]
            fits = all(asked in (0xFF, own) for asked, own in zip(wanted, _NDEF_SYSTEM, strict=True))
            return self._frame(self.sensf_res[: 19 if command[4] == 1 else 17]) if fits else None
        if command[1] == 0x06 and command[2:10] == self.uid:
            return self._frame(b"\x07" + self.uid + self._read(command[10:]))
        return None

    def _read(self, body: bytes) -> bytes:
        """Status flags, number of blocks, blocks; services are not told apart (both of NDEF's are readable)."""
        elements = body[1 + 2 * body[0] :]
        count, elements, data = elements[0], elements[1:], b""
        for _ in range(count):
            short = elements[0] & 0x80
            number = elements[1] if short else int.from_bytes(elements[1:3], "little")
            elements = elements[2 if short else 3 :]
            if (number + 1) * 16 > len(self._memory):
                return b"\xff\xa2"
            data += self._memory[number * 16 : number * 16 + 16]
        return bytes([0, 0, count]) + data

    @staticmethod
    def _frame(body: bytes) -> bytes:
        return bytes([len(body) + 1]) + body
