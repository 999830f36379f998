"""What the demo keeps in its folder: the town's bundles, and when devices tapped live.

    demo.json     month, seed, and the stretches of time in which taps came from live devices instead of a bundle
    bundles/      the months as `komgick simulate` writes them, the running one until the moment it was written
    agents/       one folder per device

A second demo on the same folder goes on where the first one ended: the running month is read in again until now,
without the taps that live devices have said already.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from app.core.localtime import local_date
from app.core.month import Month
from app.simulation import Town, town_of, write_month

CLIENTS, SEED = 120, 1
_STATE = "demo.json"


@dataclass(slots=True)
class Stock:
    """The demo's own memory; `save` after a change. Instants are ISO texts in UTC."""

    month: str
    has_history: bool = False
    live: list[list[str]] = field(default_factory=list)

    @classmethod
    def load(cls, folder: Path) -> Stock | None:
        """What an earlier demo left in the folder; None where there was none, or nothing that can be used."""
        try:
            known = json.loads((folder / _STATE).read_text(encoding="utf-8"))
            return cls(str(known["month"]), bool(known["has_history"]), [list(map(str, one)) for one in known["live"]])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def save(self, folder: Path) -> None:
        """Whole or not at all."""
        partly = folder / f".{_STATE}"
        partly.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")
        partly.replace(folder / _STATE)

    def begin_live(self, now: datetime) -> None:
        """From now on devices tap."""
        self.live.append([now.isoformat(), now.isoformat()])

    def still_live(self, now: datetime) -> None:
        """They still do."""
        self.live[-1][1] = now.isoformat()

    def was_live(self, at: datetime) -> bool:
        """Whether a tap of this instant came, or will come, from a live device."""
        return any(datetime.fromisoformat(start) <= at <= datetime.fromisoformat(end) for start, end in self.live)


def demo_town() -> Town:
    """The town of every demo."""
    return town_of(CLIENTS, SEED)


def write_running_month(folder: Path, town: Town, now: datetime, stock: Stock) -> Path:
    """The running month until now, without what live devices said."""
    bundle = folder / "bundles" / str(Month.of(local_date(now)))
    write_month(town, Month.of(local_date(now)), bundle, until=now)
    _keep_taps(bundle, bundle, lambda at: not stock.was_live(at))
    return bundle


def write_today(folder: Path, running: Path, now: datetime) -> Path:
    """The same month with today's taps only: read in a moment, so that the live day can begin."""
    bundle = folder / "bundles" / "today"
    shutil.rmtree(bundle, ignore_errors=True)
    shutil.copytree(running, bundle)
    _keep_taps(running, bundle, lambda at: local_date(at) == local_date(now))
    return bundle


def write_last_month(folder: Path, town: Town, now: datetime) -> Path:
    """The month before, whole."""
    month = Month.of(local_date(now)).previous
    bundle = folder / "bundles" / str(month)
    write_month(town, month, bundle)
    return bundle


def _keep_taps(source: Path, target: Path, wanted: Callable[[datetime], bool]) -> None:
    with (source / "taps.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    at = header.index("tapped_at")
    _write(target / "taps.csv", [header, *(row for row in rows if wanted(datetime.fromisoformat(row[at])))])


def _write(path: Path, rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
