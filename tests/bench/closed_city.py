"""A city's October is closed, then late taps and corrections come, then November is closed (DOMAIN.md 3).

    python -m tests.bench.closed_city --clients 16000 --late-taps 5000 --corrections 300 --folder FOLDER

October's export must be the same bytes before, between and after; November's adjustments must be the difference of a
fresh computation of all that was said, in a database of its own, to the minute and account by account; lines sum to
accounts. Real commands, real bundles; exit 1 where anything differs. `tests/flows/test_closed_city.py` runs it small.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

OCTOBER, NOVEMBER = "2026-10", "2026-11"
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found; `wrong` is empty when all is as it must be."""

    taps: int
    late_taps: int
    corrections: int
    accounts: int
    changed_accounts: int
    adjustment_minutes: int
    carried_in_minutes: int
    wrong: tuple[str, ...]


class Town:
    """An installation with a database of its own."""

    def __init__(self, environment: Mapping[str, str], folder: Path | None = None) -> None:
        self.environment = dict(environment)
        self.where = ["--data", str(folder)] if folder is not None else []

    def __call__(self, *arguments: str) -> bytes:
        command = [sys.executable, "-m", "app.cli", *arguments, *self.where]
        done = subprocess.run(command, env=self.environment, capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(f"komgick {' '.join(arguments)}: {done.returncode}\n{done.stderr.decode()}")
        return done.stdout

    def accounts(self, month: str) -> dict[Key, dict[str, Any]]:
        rows = json.loads(self("month", "show", month, "--format", "json"))
        return {(row["client_id"], row["provider_id"]): row for row in rows}

    def lines(self, month: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self("billing", "export", month, "--format", "json"))
        return found[1:]

    def export(self, month: str) -> bytes:
        """Everything an outsider pulls of a month."""
        return self("billing", "export", month) + self("fees", "export", month)


def check(closed: Town, fresh: Town, folder: Path, *, clients: int, late: int, corrections: int) -> Outcome:
    """The whole story; both towns are empty at first."""
    whole = folder / "whole"
    closed("simulate", "--clients", str(clients), "--month", OCTOBER, "--seed", "3", "--out", str(whole))
    taps, withheld = _divide(whole, folder / "before", folder / "after", late)
    made = _correct(whole, folder / "after", corrections, withheld)
    _say(f"{taps} taps, {len(withheld)} of them late, {made} corrections")
    closed("import", str(folder / "before"))
    closed("month", "close", OCTOBER, "--on", "2026-11-06")
    exports = [closed.export(OCTOBER)]
    then = closed.accounts(OCTOBER)
    _say(f"October closed: {len(then)} accounts")
    closed("import", str(folder / "after"))
    exports.append(closed.export(OCTOBER))
    closed("month", "close", NOVEMBER, "--on", "2026-12-06")
    exports.append(closed.export(OCTOBER))
    november, lines = closed.accounts(NOVEMBER), closed.lines(NOVEMBER)
    _say("November closed")
    shutil.copytree(folder / "before", folder / "both")
    _join(folder)
    fresh("import", str(folder / "both"))
    now = fresh.accounts(OCTOBER)
    _say("computed afresh")
    wrong = [] if len(set(exports)) == 1 else ["October's export changed after its run"]
    wrong += _differences(then, november, now, lines)
    for accounts, its in ((then, closed.lines(OCTOBER)), (november, lines)):
        wrong += _unlike(accounts, its)
    return Outcome(
        taps, len(withheld), made, len(then),
        sum(1 for one in november.values() if one["adjustment_minutes"]),
        sum(one["adjustment_minutes"] for one in november.values()),
        sum(one["carried_in_minutes"] for one in november.values()),
        tuple(wrong),
    )  # fmt: skip


def _differences(
    then: Mapping[Key, dict[str, Any]],
    november: Mapping[Key, dict[str, Any]],
    now: Mapping[Key, dict[str, Any]],
    lines: list[dict[str, Any]],
) -> Iterator[str]:
    """Where November does not settle exactly what October owes by now, account by account."""
    settled: dict[tuple[Key, str], int] = defaultdict(int)
    for line in lines:
        if line["origin_month"] == OCTOBER:
            settled[(line["client_id"], line["provider_id"]), line["kind"]] += line["minutes"]
    for key in sorted(then.keys() | november.keys() | now.keys()):
        owed = _of(now, key, "free_minutes") - _of(then, key, "free_minutes")
        approved = _of(now, key, "excess_approved_minutes")
        booked = _of(november, key, "adjustment_minutes"), _of(november, key, "carried_in_minutes")
        billed = settled[key, "adjustment"], settled[key, "carried_in"]
        if not booked == billed == (owed, approved):
            yield f"{key}: owed {owed} and {approved}, booked {booked}, billed {billed}"


def _unlike(accounts: Mapping[Key, dict[str, Any]], lines: list[dict[str, Any]]) -> Iterator[str]:
    """Accounts whose lines do not sum to what they settle."""
    billed: dict[Key, int] = defaultdict(int)
    for line in lines:
        billed[line["client_id"], line["provider_id"]] += line["minutes"]
    for key in sorted(accounts.keys() | billed.keys()):
        if billed[key] != _of(accounts, key, "settled_minutes"):
            yield f"{key}: settled {_of(accounts, key, 'settled_minutes')}, lines sum to {billed[key]}"


def _of(accounts: Mapping[Key, dict[str, Any]], key: Key, name: str) -> int:
    return int(accounts[key][name]) if key in accounts else 0


def _divide(whole: Path, before: Path, after: Path, late: int) -> tuple[int, set[int]]:
    """`before` has the bundle without some taps, `after` these; how many taps there are, and which rows come late.
    Half of them are a KOM with its GICK, half single ones."""
    shutil.copytree(whole, before)
    after.mkdir()
    with (whole / "taps.csv").open(encoding="utf-8") as rows:
        count = sum(1 for _ in rows) - 1
    chance, withheld = Random(17), set[int]()
    while len(withheld) < late:
        row = chance.randrange(count)
        withheld |= {row, row + 1} if chance.random() < 0.33 and row + 1 < count else {row}
    with (
        (whole / "taps.csv").open(encoding="utf-8") as rows,
        (before / "taps.csv").open("w", encoding="utf-8") as kept,
        (after / "taps.csv").open("w", encoding="utf-8") as held,
    ):
        header = next(rows)
        kept.write(header)
        held.write(header)
        for number, tap in enumerate(rows):
            (held if number in withheld else kept).write(tap)
    return count, withheld


def _correct(whole: Path, after: Path, count: int, withheld: set[int]) -> int:
    """`after` gets corrections of visits that were known at the run: other ends, cancelled, another client's."""
    chance = Random(18)
    with (whole / "clients.csv").open(encoding="utf-8", newline="") as file:
        clients = [row["client_id"] for row in csv.DictReader(file)]
    with (whole / "corrections.csv").open(encoding="utf-8", newline="") as file:
        columns = list(csv.DictReader(file).fieldnames or ())
    with (whole / "taps.csv").open(encoding="utf-8", newline="") as file:
        known = [(row, one) for row, one in enumerate(csv.DictReader(file)) if one["act"] == "KOM"]
        chosen = [one for row, one in chance.sample(known, min(len(known), 2 * count)) if row not in withheld][:count]
    with (after / "corrections.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for number, tap in enumerate(chosen):
            row = dict.fromkeys(columns, "") | {
                "correction_id": f"late-{number}", "made_at": f"2026-11-10T08:{number % 60:02d}:00+01:00",
                "kom_device_id": tap["device_id"], "kom_seq": tap["seq"], "made_by": "maker",
                "approved_by": "confirmer",
            }  # fmt: skip
            writer.writerow(row | _what(number, tap, chance.choice(clients)))
    return len(chosen)


def _what(number: int, tap: Mapping[str, str], client_id: str) -> dict[str, str]:
    if number % 3 == 0:
        return {"kind": "cancel_visit", "reason": "not_carried_out"}
    if number % 3 == 1:
        return {"kind": "set_client", "new_client_id": client_id, "reason": "wrong_client"}
    return {"kind": "set_times", "new_end_at": tap["tapped_at"][:11] + "22:30:00Z", "reason": "wrong_time"}


def _join(folder: Path) -> None:
    """Everything that was said, in one bundle."""
    for name in ("taps.csv", "corrections.csv"):
        with (
            (folder / "both" / name).open("a", encoding="utf-8") as out,
            (folder / "after" / name).open(encoding="utf-8") as more,
        ):
            next(more)
            shutil.copyfileobj(more, out)


def _say(text: str) -> None:
    cpu = resource.getrusage(resource.RUSAGE_CHILDREN)
    sys.stderr.write(f"{text} ({cpu.ru_utime + cpu.ru_stime:.0f} CPU s so far)\n")


def main() -> None:
    """The command line above."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("clients", 16000), ("late-taps", 5000), ("corrections", 300)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--folder", type=Path, required=True, help="an empty or new folder for bundles and databases")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    towns = [Town(os.environ, given.folder / name) for name in ("closed", "fresh")]
    found = check(
        towns[0], towns[1], given.folder, clients=given.clients, late=given.late_taps, corrections=given.corrections
    )
    sys.stdout.write(f"{found}\n")
    sys.exit(1 if found.wrong else 0)


if __name__ == "__main__":
    main()
