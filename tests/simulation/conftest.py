"""One simulated month of 300 clients, read back as text, shared by the tests that only look at it."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.core.month import Month
from app.simulation import BUNDLE_COLUMNS, Town, town_of, write_month

OCTOBER = Month(2026, 10)
"""Has a night of the clock change."""


@dataclass(frozen=True)
class Written:
    """A bundle on disk and its rows by file."""

    town: Town
    folder: Path
    rows: dict[str, list[dict[str, str]]]

    def __getitem__(self, file: str) -> list[dict[str, str]]:
        return self.rows[file]


def written(folder: Path, clients: int, month: Month, seed: int = 1) -> Written:
    """Writes a month and reads it back."""
    town = town_of(clients, seed)
    write_month(town, month, folder)
    rows = {}
    for file in BUNDLE_COLUMNS:
        with (folder / f"{file}.csv").open(encoding="utf-8", newline="") as handle:
            rows[file] = list(csv.DictReader(handle))
    return Written(town, folder, rows)


@pytest.fixture(scope="session")
def october(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return written(tmp_path_factory.mktemp("october"), 300, OCTOBER)


@pytest.fixture(scope="session")
def november(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return written(tmp_path_factory.mktemp("november"), 300, OCTOBER.next)
