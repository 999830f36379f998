"""Errors of a bundle: collected, at most 100 of a run, each with where it is and what was expected."""

from __future__ import annotations

from dataclasses import dataclass, field

LIMIT = 100


@dataclass(frozen=True, slots=True, order=True)
class BundleError:
    """One wrong thing. `line` counts from 1 (the header); 0 where no line can be named."""

    file: str
    line: int
    column: str
    value: str
    expected: str

    def __str__(self) -> str:
        where = self.file + (f", line {self.line}" if self.line else "") + (f", {self.column}" if self.column else "")
        if not self.line and not self.value:  # a file as a whole: `expected` says what is wrong with it
            return f"{where}: {self.expected}"
        return f"{where}: got {self.value!r}, expected {self.expected}"


@dataclass(slots=True)
class Errors:
    """Collects up to LIMIT errors; what comes after is not looked for."""

    found: list[BundleError] = field(default_factory=list)

    @property
    def full(self) -> bool:
        return len(self.found) >= LIMIT

    @property
    def room(self) -> int:
        return LIMIT - len(self.found)

    def add(self, file: str, line: int, column: str, value: object, expected: str) -> None:
        """Note an error; a value longer than 80 characters is cut."""
        if not self.full:
            text = "" if value is None else str(value)
            self.found.append(BundleError(file, line, column, text if len(text) <= 80 else text[:77] + "...", expected))
