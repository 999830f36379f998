"""Type 2 tags: NTAG213/215/216 after NXP's data sheet, and a MIFARE Classic as staff cards often are."""

import struct

from device_agent.simulated.tag import SimulatedTag, url_message

_NAK = b"\x00"
_NAK_PASSWORD = b"\x04"
_ACK = b"\x0a"
_MODELS = {213: (45, 0x0F, 0x12), 215: (135, 0x11, 0x3E), 216: (231, 0x13, 0x6D)}


class Ntag21x(SimulatedTag):
    """NTAG213 (45 pages of 4 bytes), 215 (135), 216 (231): lock bits, one-time bits, password, NAK then silence on
    errors.
    """

    sens_res, sel_res = b"\x44\x00", b"\x00"

    def __init__(self, uid: bytes, url: str | None = None, model: int = 213) -> None:
        if len(uid) != 7:
            raise ValueError("an NTAG has a uid of 7 bytes")
        super().__init__(uid)
        self.pages, self._storage, ndef_size = _MODELS[model]
        self._config = self.pages - 4
        first_check, second_check = 0x88 ^ uid[0] ^ uid[1] ^ uid[2], uid[3] ^ uid[4] ^ uid[5] ^ uid[6]
        self.memory = bytearray(self.pages * 4)
        self.memory[:12] = bytes([*uid[:3], first_check, *uid[3:], second_check, 0x48, 0, 0])
        self.memory[12:16] = bytes([0xE1, 0x10, ndef_size, 0])
        self.memory[self._config * 4 :] = bytes.fromhex("040000FF00000000FFFFFFFF00000000")
        message = b"" if url is None else url_message(url)
        size = bytes([len(message)]) if len(message) < 255 else b"\xff" + struct.pack(">H", len(message))
        tlv = b"\x03" + size + message + b"\xfe"
        if len(tlv) > (self._config - 5) * 4:
            raise ValueError("the address is too long for this tag")
        self.memory[16 : 16 + len(tlv)] = tlv
        self.reset()

    def reset(self) -> None:
        """Selected afresh: password forgotten, protection latched."""
        self._idle = self._authenticated = False
        self._protected_from = self.memory[self._config * 4 + 3]
        self._access = self.memory[self._config * 4 + 4]

    def command(self, command: bytes) -> bytes | None:  # noqa: PLR0911 - one return per command
        """READ, FAST_READ, WRITE, GET_VERSION, READ_SIG, READ_CNT, PWD_AUTH; anything else gets NAK."""
        if self._idle or not command:
            return None
        match command[0], len(command):
            case 0x30, 2:
                return self._read(command[1])
            case 0x3A, 3 if command[1] <= command[2] < self.pages:
                return b"".join(self._page(page) for page in range(command[1], command[2] + 1))
            case 0xA2, 6:
                return self._write(command[1], command[2:])
            case 0x1B, 5:
                return self._authenticate(command[1:])
            case 0x60, 1:
                return bytes([0, 4, 4, 2, 1, 0, self._storage, 3])
            case 0x3C, 2:
                return bytes(32)
            case 0x39, 2:
                return bytes(3)
        return self._nak()

    def _read(self, page: int) -> bytes:
        if page >= self.pages or (self._access & 0x80 and self._needs_password(page)):
            return self._nak()
        return b"".join(self._page((page + offset) % self.pages) for offset in range(4))

    def _page(self, page: int) -> bytes:
        if page >= self._config + 2:  # the password reads as nothing
            return bytes(4)
        return bytes(self.memory[page * 4 : page * 4 + 4])

    def _write(self, page: int, data: bytes) -> bytes:
        if not 2 <= page < self.pages or self._needs_password(page) or self._locked(page):
            return self._nak()
        at = page * 4
        if page in (2, 3, self._config - 1):  # lock bits and capability container: a bit once set stays set
            kept = 2 if page == 2 else 0  # the first half of page 2 belongs to the serial number
            for index in range(kept, 4):
                self.memory[at + index] |= data[index]
        else:
            self.memory[at : at + 4] = data
        return _ACK

    def _locked(self, page: int) -> bool:
        static = self.memory[10] | self.memory[11] << 8
        if 3 <= page <= 15:
            return bool(static >> page & 1)
        if 16 <= page < self._config - 1:
            at = (self._config - 1) * 4
            dynamic = int.from_bytes(self.memory[at : at + 2], "little")
            return bool(dynamic >> ((page - 16) // (2 if self.pages == 45 else 16)) & 1)
        return page in (self._config, self._config + 1) and bool(self._access & 0x40)

    def _needs_password(self, page: int) -> bool:
        return page >= self._protected_from and not self._authenticated

    def _authenticate(self, password: bytes) -> bytes:
        at = (self._config + 2) * 4
        if password != self.memory[at : at + 4]:
            return self._nak(_NAK_PASSWORD)
        self._authenticated = True
        return bytes(self.memory[at + 4 : at + 6])

    def _nak(self, code: bytes = _NAK) -> bytes:
        self._idle = True
        return code


class MifareClassic(SimulatedTag):
    """A card with 4 bytes of uid and nothing that can be read without keys."""

    sens_res, sel_res = b"\x04\x00", b"\x08"

    def __init__(self, uid: bytes) -> None:
        super().__init__(uid)
        self._idle = False

    def reset(self) -> None:
        """Selected afresh."""
        self._idle = False

    def command(self, command: bytes) -> bytes | None:
        """NAK once, then silence."""
        if self._idle or not command:
            return None
        self._idle = True
        return _NAK_PASSWORD
