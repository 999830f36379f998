"""The chain mark: the last statement that got green light, kept outside the database.

SQLite drops a torn end of its log without a word. With the mark the agent knows that something is gone, never gives a
number twice (which would be a fork, the sign of a copied key) and can say which numbers it lost. Two slots of fixed
size are written in turn, in place: a torn write spoils one of them, and a full disk none.
"""

import contextlib
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

_SLOT = 96


@dataclass(frozen=True, slots=True)
class Mark:
    """seq of the last statement that got green light (0: none yet) and the hash of its signing input."""

    seq: int
    hash: str


class MarkFile:
    """The file of the mark. Raises OSError when it cannot be written."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Mark | None:
        """The newest whole slot; None when there is no such file or both slots are spoilt."""
        with contextlib.suppress(OSError):
            data = self._path.read_bytes()
            marks = [mark for at in (0, _SLOT) if (mark := _parse(data[at : at + _SLOT])) is not None]
            return max(marks, key=lambda mark: mark.seq, default=None)
        return None

    def write(self, mark: Mark) -> None:
        """Durable when it returns."""
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.fstat(handle).st_size < 2 * _SLOT:
                os.pwrite(handle, bytes(2 * _SLOT), 0)
            os.pwrite(handle, _format(mark), mark.seq % 2 * _SLOT)
            os.fdatasync(handle)
        finally:
            os.close(handle)


def _format(mark: Mark) -> bytes:
    text = f"{mark.seq} {mark.hash}".encode("ascii")
    return b"%s %08x\n" % (text, zlib.crc32(text))


def _parse(slot: bytes) -> Mark | None:
    line, newline, _ = slot.partition(b"\n")
    text, _, check = line.rpartition(b" ")
    if not newline or check != b"%08x" % zlib.crc32(text):
        return None
    seq, _, statement_hash = text.decode("ascii").partition(" ")
    return Mark(int(seq), statement_hash)
