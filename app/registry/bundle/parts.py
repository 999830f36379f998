"""What a file of the bundle is made of: columns, rules between cells, periods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.facts.statements import VISIT_CLASSES

Kind = Literal["text", "int", "decimal", "date", "instant", "month", "flag"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column. An empty cell becomes `default`; without default empty text, or NULL for other kinds.

    `choices` is a closed list. `references` is the file of a registry row that must exist ("clients.csv"); a reference
    that is empty is NULL when `null` is set. `positive`: an int that may not be negative.
    """

    name: str
    kind: Kind = "text"
    key: bool = False
    required: bool = False
    choices: tuple[str, ...] = ()
    default: str = ""
    references: str = ""
    null: bool = False
    positive: bool = True


@dataclass(frozen=True, slots=True)
class Rule:
    """What several cells of a row must satisfy together: `wrong` is SQL over the staged row, true for an error."""

    column: str
    wrong: str
    expected: str


@dataclass(frozen=True, slots=True)
class Period:
    """Rows with the same `same` may not overlap: an exclusion constraint of the table, reported here with its line."""

    same: tuple[str, ...]
    start: str
    end: str
    kind: Literal["daterange", "tstzrange"]


@dataclass(frozen=True, slots=True)
class File:
    """One file: what it is called, where it is stored, its columns and the rules between them.

    `kind`: registry rows are brought up to date; statements get a new version when they change; taps are only added.
    `copied`: columns of the table that are not in the file, as SQL over the staged row `s`. `open_columns`: columns
    that are not listed are kept as text in `details`.
    """

    name: str
    table: str
    kind: Literal["registry", "statement", "tap"]
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...] = ()
    period: Period | None = None
    copied: tuple[tuple[str, str], ...] = ()
    open_columns: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the key's columns."""
        return tuple(column.name for column in self.columns if column.key)

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells two rows apart: the key, and for what providers name themselves the provider (EVIDENCE.md 4)."""
        named_by_providers = self.kind == "statement" and any(
            column.name == "provider_id" and column.required and not column.key for column in self.columns
        )
        return (*self.keys, "provider_id") if named_by_providers else self.keys

    @property
    def defaults(self) -> tuple[str, ...]:
        """Columns that take a default when empty; `defaulted` of a stored row names those that did."""
        return tuple(column.name for column in self.columns if column.default)

    def column(self, name: str) -> Column:
        """The column of that name. Raises KeyError."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


def key_column(name: str, kind: Kind = "text", references: str = "", choices: tuple[str, ...] = ()) -> Column:
    return Column(name, kind, key=True, required=True, references=references, choices=choices)


def needed(name: str, kind: Kind = "text", references: str = "", choices: tuple[str, ...] = ()) -> Column:
    return Column(name, kind, required=True, references=references, choices=choices)


def texts(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name) for name in names)


def visit_class(default: str = "") -> Column:
    return Column("service", choices=VISIT_CLASSES, default=default, null=not default)


VALID = (key_column("valid_from", "date"), Column("valid_to", "date"))
VALID_RULE = (Rule("valid_to", "valid_to < valid_from", "a date not before valid_from"),)
CLIENT = needed("client_id", references="clients.csv")
PROVIDER = needed("provider_id", references="providers.csv")
STAFF_PROVIDER = (
    "coalesce((SELECT e.provider_id FROM employments e WHERE e.staff_id = s.staff_id AND e.valid_from <= {on} "
    "AND (e.valid_to IS NULL OR {on} <= e.valid_to) ORDER BY e.valid_from DESC LIMIT 1), '')"
)


def other_needs_note(column: str = "reason") -> Rule:
    return Rule("note", f"{column} = 'other' AND btrim(note) = ''", f"a note, because {column} is other")


def no_random_uid(column: str) -> Rule:
    """EVIDENCE.md section 2: four bytes that begin with 08 are drawn anew at every reading, by phones mostly."""
    return Rule(
        column, f"upper(translate({column}, ': -', '')) ~ '^08[0-9A-F]{{6}}$'",
        "a UID that stays (4 bytes that begin with 08 are random)",
    )  # fmt: skip
