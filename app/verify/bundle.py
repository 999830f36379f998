"""Reads an export, folder or .zip, line by line, and names what cannot be read."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

_LONGEST_CELL = 1 << 25


@dataclass(frozen=True, slots=True, order=True)
class Wrong:
    """One thing that is not as it must be. `line` counts from 1 (the header); 0 where no line can be named."""

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: {self.what}" if self.line else f"{self.file}: {self.what}"


class NotABundle(Exception):  # noqa: N818 -- named for what it says
    """There is nothing to check: no folder and no .zip."""


@dataclass(slots=True)
class Bundle:
    """An opened export. `wrong` collects what could not be read."""

    names: tuple[str, ...]
    _members: dict[str, Path | str]
    _archive: zipfile.ZipFile | None
    wrong: list[Wrong] = field(default_factory=list)

    def open(self, name: str) -> IO[bytes]:
        """The bytes of a file. Raises KeyError."""
        member = self._members[name]
        return Path(member).open("rb") if self._archive is None else self._archive.open(str(member))

    def rows(self, name: str) -> Iterator[tuple[int, dict[str, str]]]:
        """(line, cells by column) of a CSV file; nothing where there is no such file. Unreadable lines are noted."""
        if name not in self.names:
            return
        csv.field_size_limit(_LONGEST_CELL)
        with self.open(name) as file:
            reader = csv.reader(io.TextIOWrapper(file, "utf-8-sig", newline=""), strict=True)
            line, header = 1, None
            try:
                for cells in reader:
                    at, line = line, reader.line_num + 1
                    if header is None:
                        header = cells
                    elif len(cells) == len(header):
                        yield at, dict(zip(header, cells, strict=True))
                    elif cells:
                        self.wrong.append(Wrong(name, at, f"{len(cells)} cells, the header has {len(header)}"))
            except (csv.Error, UnicodeDecodeError) as error:
                self.wrong.append(Wrong(name, line, f"not CSV in UTF-8 ({error})"))
            except (OSError, zipfile.BadZipFile, EOFError) as error:
                self.wrong.append(Wrong(name, line, f"cannot be read ({error})"))

    def objects(self, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """(line, object) of a file with one JSON object a line."""
        if name not in self.names:
            return
        with self.open(name) as file:
            try:
                for number, line in enumerate(file, 1):
                    if not line.strip():
                        continue
                    try:
                        content = json.loads(line)
                    except (ValueError, RecursionError):
                        content = None
                    if isinstance(content, dict):
                        yield number, content
                    else:
                        self.wrong.append(Wrong(name, number, "not a JSON object"))
            except (OSError, zipfile.BadZipFile, EOFError) as error:
                self.wrong.append(Wrong(name, 0, f"cannot be read ({error})"))

    def text(self, name: str) -> str | None:
        """A small file as text; None (and noted) where it is none."""
        if name not in self.names:
            return None
        try:
            with self.open(name) as file:
                return file.read().decode("utf-8-sig")
        except (OSError, zipfile.BadZipFile, EOFError, UnicodeDecodeError) as error:
            self.wrong.append(Wrong(name, 0, f"not text in UTF-8 ({error})"))
            return None


@contextmanager
def open_export(path: Path) -> Iterator[Bundle]:
    """The export at `path`. NotABundle where there is none or the archive is broken."""
    if path.is_dir():
        files: dict[str, Path | str] = {item.name: item for item in sorted(path.iterdir()) if item.is_file()}
        yield Bundle(tuple(files), files, None)
        return
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise NotABundle(f"{path} is neither a folder nor a .zip ({error})") from error
    with archive:
        members: dict[str, Path | str] = {
            PurePosixPath(name).name: name for name in archive.namelist() if not name.endswith("/")
        }
        yield Bundle(tuple(sorted(members)), members, archive)
