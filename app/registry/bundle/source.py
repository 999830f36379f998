"""Opens a bundle, folder or .zip, and hands out its files; knows which names belong into one."""

from __future__ import annotations

import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from app.refusals import BundleRefused

# What operating systems leave in folders and archives.
_DEBRIS = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})

LONGEST_LINE = 8 * 1024 * 1024
"""A file without line ends must not fill the memory."""


@dataclass(slots=True)
class Source:
    """An opened bundle. `names` are file names without folder; `open` gives one file's bytes."""

    names: tuple[str, ...]
    _members: dict[str, Path | str]
    _archive: zipfile.ZipFile | None

    def open(self, name: str) -> IO[bytes]:
        """The bytes of a file. Raises KeyError for a name that is not there."""
        member = self._members[name]
        if self._archive is None:
            return Path(member).open("rb")
        with _refusing(name):
            return self._archive.open(str(member))

    def text(self, name: str) -> str:
        """A small file as text, without byte order mark. Raises UnicodeDecodeError."""
        with self.open(name) as file, _refusing(name):
            return file.read().decode("utf-8-sig")

    def lines(self, name: str) -> io.TextIOWrapper:
        """A file as a stream of text; bytes that are not UTF-8 come as lone surrogates, so that their line is known."""
        return io.TextIOWrapper(
            io.BufferedReader(_Raw(self.open(name)), 1 << 18), "utf-8-sig", errors="surrogateescape", newline=""
        )

    def size(self, name: str) -> int:
        """Bytes of a file, unpacked."""
        member = self._members[name]
        return Path(member).stat().st_size if self._archive is None else self._archive.getinfo(str(member)).file_size


@contextmanager
def _refusing(name: str) -> Iterator[None]:
    """What zipfile raises for a damaged, encrypted or oddly packed member is the bundle's fault, not ours."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError) as error:
        raise BundleRefused(f"{name} cannot be unpacked: {error}") from error


class _Raw(io.RawIOBase):
    """A file of a folder or archive as a raw stream, whatever its own class is."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._since_newline = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed knows only its Buffer
        name = str(getattr(self._file, "name", ""))
        with _refusing(name):
            chunk = self._file.read(len(buffer))
        newline = chunk.rfind(b"\n")
        self._since_newline = len(chunk) - newline - 1 if newline >= 0 else self._since_newline + len(chunk)
        if self._since_newline > LONGEST_LINE:
            raise BundleRefused(f"{Path(name).name} holds a line of more than {LONGEST_LINE} bytes")
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        self._file.close()
        super().close()


@contextmanager
def open_bundle(path: Path) -> Iterator[Source]:
    """The bundle at `path`. BundleRefused where there is none, or a broken archive."""
    if path.is_dir():
        files = {item.name: item for item in sorted(path.iterdir()) if _counts(item.name)}
        yield Source(tuple(files), dict(files), None)
        return
    if not path.exists():
        raise BundleRefused(f"there is no bundle at {path}")
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
        raise BundleRefused(f"{path.name} is neither a folder nor a .zip: {error}") from error
    with archive:
        inside = [PurePosixPath(name) for name in archive.namelist() if not name.endswith("/")]
        members = {item.name: str(item) for item in inside if all(_counts(part) for part in item.parts)}
        yield Source(tuple(sorted(members)), dict(members), archive)


def _counts(name: str) -> bool:
    return not name.startswith(".") and name not in _DEBRIS
