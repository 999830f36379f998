"""The rows of one bundle file as lines of COPY's text: the hot loop of an import."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from app.registry.bundle.cells import Convert, converter, empty_value, fast_converter
from app.registry.bundle.columns import Column, File

if TYPE_CHECKING:
    from app.registry.bundle.staging import Run

# Rows that go to COPY at once; progress is reported as often.
_CHUNK = 1000
# Stands where a required cell is empty.
_MISSING = "\x02R\x02"
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


class CsvReader(Protocol):
    """What `csv.reader` gives; typeshed hides its class."""

    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...
    def __next__(self) -> list[str]: ...


class Rows:
    """The rows of one file as lines for COPY."""

    def __init__(self, run: Run, file: File, columns: Sequence[Column], reader: CsvReader) -> None:
        self.count = 0
        self.bad_keys: list[str] = []
        self._run, self._file, self._columns, self._reader = run, file, columns, reader
        self._header: list[str] = []
        self._known: list[str] = []
        self._missing_defaults: list[str] = []
        self._default_cells: list[tuple[str, int]] = []

    def read_header(self) -> list[str] | None:
        """The columns COPY gets, or None where the header is wrong."""
        errors, name = self._run.errors, self._file.name
        try:
            self._header = next(self._reader, [])
        except csv.Error as error:
            errors.add(name, 1, "", "", f"CSV ({error})")
            return None
        known = {column.name: column for column in self._columns}
        before = len(errors.found)
        for position, cell in enumerate(self._header):
            if cell not in known and not self._file.open_columns:
                errors.add(name, 1, cell, cell, "a column of this file: " + ", ".join(known))
            elif cell in self._header[:position] or not cell:
                errors.add(name, 1, cell, cell, "each column once, with a name")
        for column in self._columns:
            if column.required and column.name not in self._header:
                errors.add(name, 1, column.name, "", "this column")
        self._known = [cell for cell in self._header if cell in known]
        self._missing_defaults = [name for name in self._file.defaults if name not in self._header]
        self._default_cells = [(cell, i) for i, cell in enumerate(self._header) if cell in self._file.defaults]
        missing = [column.name for column in self._columns if column.name not in self._header]
        more = ["details"] if self._file.open_columns else ["defaulted"] if self._file.defaults else []
        return None if len(errors.found) > before else [*self._known, *more, *missing]

    def chunks(self) -> Iterator[bytes]:
        """COPY's text, in pieces. The hot loop of an import: 3 million rows pass here."""
        reader, run, name, width = self._reader, self._run, self._file.name, len(self._header)
        checks, tail, at = self._checks(), self._tail(), self._reader.line_num + 1
        arrange = self._arrange()
        buffer: list[str] = []
        try:
            for row in reader:
                line, at = at, reader.line_num + 1
                if len(row) != width:
                    if row:
                        run.errors.add(name, line, "", ",".join(row), f"{width} cells, not {len(row)}")
                    if run.errors.full:
                        return
                    continue
                self.count += 1
                cells = row.copy()
                try:
                    for index, convert, empty in checks:
                        cell = cells[index]
                        cells[index] = convert(cell) if cell else empty
                    buffer.append(f"{line}\t{_joined(arrange(cells, row) if arrange else cells)}{tail}\n")
                except (ValueError, KeyError):
                    self._note(line, row)
                    if run.errors.full:
                        return
                    continue
                if not self.count % _CHUNK:
                    run.progress(name, self.count)
                    yield "".join(buffer).encode()
                    buffer = []
        except csv.Error as error:
            run.errors.add(name, at, "", "", f"CSV with balanced quotes ({error})")
        yield "".join(buffer).encode()

    def _arrange(self) -> Callable[[list[str], list[str]], list[str]] | None:
        """What puts the cells (as converted, as given) into COPY's order; None: they are."""
        if self._file.open_columns:
            return self._with_details
        return self._with_defaulted if self._file.defaults else None

    def _checks(self) -> list[tuple[int, Convert, str]]:
        """(position, what a non-empty cell goes through, what an empty one becomes) of the columns that need it."""
        checks: list[tuple[int, Convert, str]] = []
        by_name = {column.name: column for column in self._columns}
        for index, cell in enumerate(self._header):
            column = by_name.get(cell)
            if column is None:
                continue
            convert = fast_converter(column)
            empty = _MISSING if column.required else empty_value(column)
            if convert is not None or empty:
                checks.append((index, convert or str, empty))
        return checks

    def _tail(self) -> str:
        """What every line ends with: the empty values of columns the file does not have."""
        missing = [column for column in self._columns if column.name not in self._header]
        return "".join("\t" + empty_value(column) for column in missing)

    def _with_defaulted(self, cells: list[str], row: list[str]) -> list[str]:
        """The cells, then the names of the columns that were empty and took their default."""
        names = list(self._missing_defaults)
        names += [name for name, index in self._default_cells if not row[index]]
        cells.append("{" + ",".join(sorted(names)) + "}")
        return cells

    def _with_details(self, cells: list[str], _row: list[str]) -> list[str]:
        """Known cells, then the others as one JSON object."""
        known = [cell for name, cell in zip(self._header, cells, strict=True) if name in self._known]
        details = {name: cell for name, cell in zip(self._header, cells, strict=True) if name not in self._known}
        return [*known, json.dumps(details, ensure_ascii=False, sort_keys=True)]

    def _note(self, line: int, row: list[str]) -> None:
        """What is wrong with a row, cell by cell; its key is remembered."""
        errors, by_name = self._run.errors, {column.name: column for column in self._columns}
        for name, cell in zip(self._header, row, strict=True):
            column = by_name.get(name)
            try:
                _plain_text(cell)
                if column is not None and column.required and not cell:
                    raise ValueError("a value")
                convert = converter(column) if column is not None else None
                if cell and convert is not None:
                    convert(cell)
            except ValueError as error:
                shown = cell.encode("utf-8", "replace").decode().replace("\0", "")
                errors.add(self._file.name, line, name, shown, str(error))
            if name == self._file.keys[0] and cell and _is_plain(cell):
                self.bad_keys.append(cell)


def _joined(cells: list[str]) -> str:
    """The cells as COPY's text. ValueError where a required one is empty or a text is none."""
    joined = "\t".join(cells)
    if _MISSING in joined:
        raise ValueError
    if not joined.isascii() or "\0" in joined:
        _plain_text(joined)
    if "\\" in joined or "\n" in joined or "\r" in joined or joined.count("\t") != len(cells) - 1:
        return "\t".join(cell.translate(_ESCAPES) for cell in cells)
    return joined


def _is_plain(text: str) -> bool:
    """Whether the text can be stored; what cannot is no key that another row could name."""
    try:
        _plain_text(text)
    except ValueError:
        return False
    return True


def _plain_text(text: str) -> None:
    """ValueError where the text holds NUL or bytes that were not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("text in UTF-8") from None
    if "\0" in text:
        raise ValueError("text without NUL")
