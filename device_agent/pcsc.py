"""Readers through PC/SC (pyscard), for those nfcpy cannot drive: Sony RC-S300, ACR1252U, newer ACR122U, and any reader
on Windows.

Path `pcsc:TEXT`: the first reader whose name contains TEXT. pyscard is optional: this file is imported only for such a
path. On one host either nfcpy or pcscd drives a USB reader, never both: each claims the interface for itself.
"""

import errno
from typing import Any

import ndef
from smartcard.Exceptions import CardConnectionException, NoCardException, SmartcardException
from smartcard.System import readers

from device_agent.touches import Touch

_OK = 0x9000
_READ_UID = "FFCA000000"
_SELECT_NDEF = "00A4040007D276000085010100"
_SELECT_CONTAINER = "00A4000C02E103"


class PcscReader:
    """A PC/SC reader (touches.Reader). Raises OSError or pyscard's own errors when it is gone."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._reader = self._find()
        self._connection: Any = None

    def _find(self) -> Any:
        try:
            found = next((reader for reader in readers() if self._name in str(reader)), None)
        except SmartcardException as error:
            raise OSError(errno.ENODEV, f"pcscd: {error}") from error
        if found is None:
            raise OSError(errno.ENODEV, f"no PC/SC reader named {self._name}")
        return found

    def sense(self) -> str | None:
        """The uid of what lies there now; None for an empty field. Selects the card afresh."""
        self._disconnect()
        connection = self._reader.createConnection()
        try:
            connection.connect()
            self._connection = connection
            uid, status = self._transmit(_READ_UID)
        except NoCardException:
            return None
        except CardConnectionException:
            self._disconnect()
            self._find()  # raises when it is the reader that went, and not the card
            return None
        return uid.hex().upper() if status == _OK and uid else None

    def read(self) -> Touch:
        """What was last sensed, read once."""
        uid = ""
        try:
            uid = self._transmit(_READ_UID)[0].hex().upper()
            message = self._read_type4() or self._read_type2()
            records = ndef.message_decoder(message, errors="relax") if message else ()
            iri = next((str(record.iri) for record in records if getattr(record, "iri", None)), None)
        except (SmartcardException, ndef.DecodeError, ValueError, IndexError) as error:
            return Touch(uid, "PC/SC", error=f"{type(error).__name__}: {error}")
        return Touch(uid, "PC/SC", iri)

    def signal(self, *, good: bool) -> None:
        """PC/SC has no lamp of its own; these readers blink by themselves."""

    def close(self) -> None:
        """Gives the reader back."""
        self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.disconnect()
            except SmartcardException:
                return

    def _transmit(self, command: str) -> tuple[bytes, int]:
        data, first, second = self._connection.transmit(list(bytes.fromhex(command)))
        return bytes(data), first << 8 | second

    def _read_type4(self) -> bytes | None:
        """The NDEF file by plain ISO commands; None when this is no such tag."""
        if any(self._transmit(command)[1] != _OK for command in (_SELECT_NDEF, _SELECT_CONTAINER)):
            return None
        container, status = self._transmit("00B000000F")
        if status != _OK or len(container) < 15:
            return None
        file, most = container[9:11].hex(), min(int.from_bytes(container[3:5]), 0xF0)
        if self._transmit(f"00A4000C02{file}")[1] != _OK:
            return None
        size, message = int.from_bytes(self._transmit("00B0000002")[0]), b""
        while len(message) < size:
            part, status = self._transmit(f"00B0{2 + len(message):04X}{min(most, size - len(message)):02X}")
            if status != _OK or not part:
                raise ValueError("the file ends early")
            message += part
        return message

    def _read_type2(self) -> bytes | None:
        """The NDEF message TLV of a type 2 tag; None when there is none."""
        start, status = self._transmit("FFB0000310")
        if status != _OK or len(start) < 16 or start[0] != 0xE1:
            return None
        memory, page = start[4:], 7
        while len(memory) < start[2] * 8 and page < 0x100:
            part, status = self._transmit(f"FFB000{page:02X}10")
            if status != _OK:
                break
            memory, page = memory + part, page + 4
        return ndef_tlv(memory)


def ndef_tlv(memory: bytes) -> bytes | None:
    """The first NDEF message in a type 2 tag's data area; None when there is none. Raises IndexError when it is cut."""
    at = 0
    while at < len(memory) and memory[at] != 0xFE:
        kind, at = memory[at], at + 1
        if kind == 0:
            continue
        size, at = memory[at], at + 1
        if size == 0xFF:
            size, at = int.from_bytes(memory[at : at + 2]), at + 2
        if kind == 3:
            if at + size > len(memory):
                raise IndexError("the message is cut")
            return memory[at : at + size]
        at += size
    return None
