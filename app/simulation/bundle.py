"""Writes a simulated month as a bundle, row by row, to a folder or a .zip: the same arguments give the same bytes."""

from __future__ import annotations

import csv
import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from app.core.month import Month
from app.simulation.columns import BUNDLE_COLUMNS, datapackage
from app.simulation.month import month_of
from app.simulation.town import Town

_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
"""A fixed time in the archive, so that its bytes do not depend on when it was written."""


def write_month(
    town: Town,
    month: Month,
    out: Path,
    until: datetime | None = None,
    advance: Callable[[], None] = lambda: None,
) -> dict[str, int]:
    """Writes the bundle of a month; returns the number of rows per file.

    `out` is a folder (made when missing, its files of the same names replaced) or a path that ends in .zip.
    `advance` is called once per part, `len(town.units) + 2` times. `until`: see `month_of`.
    """
    if out.suffix.lower() != ".zip":
        out.mkdir(parents=True, exist_ok=True)
        return _write_folder(town, month, out, until, advance)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".komgick-") as folder:
        counts = _write_folder(town, month, Path(folder), until, advance)
        packed = Path(folder) / "bundle.packed"
        _pack(Path(folder), packed)
        packed.replace(out)
    return counts


def _write_folder(
    town: Town, month: Month, folder: Path, until: datetime | None, advance: Callable[[], None]
) -> dict[str, int]:
    counts = dict.fromkeys(BUNDLE_COLUMNS, 0)
    with ExitStack() as open_files:
        writers = {}
        for file, columns in BUNDLE_COLUMNS.items():
            handle = (folder / f"{file}.csv").open("w", encoding="utf-8", newline="")
            writers[file] = csv.writer(open_files.enter_context(handle), lineterminator="\n")
            writers[file].writerow(columns)
        for part in month_of(town, month, until):
            for file, rows in part.items():
                writers[file].writerows(rows)
                counts[file] += len(rows)
            advance()
    package = datapackage(f"komgick-{town.clients}-{town.seed}-{month}")
    (folder / "datapackage.json").write_text(
        json.dumps(package, ensure_ascii=False, indent=1) + "\n", encoding="utf-8", newline="\n"
    )
    return counts


def _pack(folder: Path, packed: Path) -> None:
    names = ["datapackage.json", *(f"{file}.csv" for file in BUNDLE_COLUMNS)]
    with zipfile.ZipFile(packed, "w") as archive:
        for name in names:
            entry = zipfile.ZipInfo(name, _ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            # Level 1: a city's month is 400 MB, and the tight levels take longer than making it.
            entry._compresslevel = 1  # type: ignore[attr-defined]  # ZipInfo has no public way for streamed members
            with (folder / name).open("rb") as source, archive.open(entry, "w") as target:
                shutil.copyfileobj(source, target, 1 << 20)
