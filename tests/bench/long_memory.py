"""What a tap costs where a year is remembered, and where only yesterday is; through the real tap door, same people."""

from __future__ import annotations

import csv
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import date, timedelta
from pathlib import Path
from statistics import median

from app.core.clock import utc_now
from app.core.localtime import local_date
from app.core.month import Month
from tests.bench.figures import Figure
from tests.bench.history import derived_anew, grown, imported
from tests.bench.import_derive import MONTH, bundle_of, simulate
from tests.bench.ingest import cost_per_tap
from tests.bench.street import CLIENTS_EACH, Round, Street
from tests.bench.world import Served, World

AT_MOST = 1.2
ROUNDS = 3
# Files of a bundle with what was said: of these only one day stays, found by this column.
DAYS = {
    "taps.csv": "tapped_at", "planned_visits.csv": "start_at", "declines.csv": "planned_start_at",
    "manual_visits.csv": "start_at", "services_done.csv": "done_at", "staff_hours.csv": "worked_on",
    "corrections.csv": "made_at", "disputes.csv": "on_date", "excess_reasons.csv": "submitted_on",
}  # fmt: skip


def measure(world: World) -> Iterator[Figure]:
    """The same carers of the same town in turn in each, so that neighbours on the machine disturb all.

    Between yesterday and a year lies the begun month: its account is made of its visits again when one is added, so a
    tap on the 28th costs more than one on the 1st. What the months before add is the second ratio.
    """
    today = local_date(utc_now())
    clients = world.sizes.clients // world.sizes.rebuild_part
    year = imported(world, clients)
    costs: dict[str, list[float]] = {"yesterday": [], year: []}
    world.komgick("yesterday", "import", str(_one_day(world, clients, today - timedelta(days=1))))
    had = {"yesterday": "yesterday", year: _closed(world, year, max(world.sizes.months), today)}
    if world.sizes.begun_town:
        world.komgick("begun", "import", str(bundle_of(world, clients, MONTH)))
        costs["begun"], had["begun"] = [], _closed(world, "begun", 1, today)
    with ExitStack() as stack:
        towns = {data: stack.enter_context(world.served(data)) for data in costs}
        for number, rounds in enumerate(_rounds(towns["yesterday"], world.sizes.devices)):
            for data, served in towns.items():
                cost = _cost(world, served, rounds, f"m{number}")
                if number:  # the first time is for caches and plans
                    costs[data].append(cost)
    names = {"yesterday": "tap_with_one_day", "begun": "tap_with_begun_month", year: "tap_with_history"}
    found = {data: median(its) for data, its in costs.items()}
    for data, cost in found.items():
        note = f"one a request, derived; the town of {clients} clients has {had[data]}"
        yield Figure(names[data], cost, "CPU-ms", None, None, note)
    for name, before, target in (
        ("history_factor", "yesterday", AT_MOST), ("history_factor_of_closed_months", "begun", None),
    ):  # fmt: skip
        if before in found:
            said = f"{found[year]:.2f} / {found[before]:.2f} CPU-ms a tap, medians of {ROUNDS}, in turn"
            yield Figure(name, found[year] / found[before], "ratio", target, None, said)


def _closed(world: World, data: str, wanted: int, today: date) -> str:
    """Let a town have so many closed months and the begun one; what it has then, in words."""
    months = grown(world, data, wanted, today)
    if data not in world.derived:
        derived_anew(world, data)
    for month in months:
        world.komgick(data, "month", "close", str(month), "--carry-open")
    return f"{len(months)} closed months and the begun one"


def _cost(world: World, served: Served, rounds: Sequence[Round], prefix: str) -> float:
    street = Street(len(rounds), utc_now(), prefix=prefix)
    with served.database() as database:
        street.employ(database, rounds)
    return cost_per_tap(served, street, world.sizes.singles, 1, world.sizes.connections)


def _rounds(served: Served, devices: int) -> list[list[Round]]:
    """The town's carers with clients of their own units, in as many parts as there are turns; nobody is in two."""
    people = served.rows(
        "SELECT e.provider_id, e.unit_id, e.staff_id FROM employments e WHERE e.valid_to IS NULL AND e.role = 'carer'"
        " ORDER BY md5(e.staff_id)"
    )
    doors = served.rows(
        "SELECT DISTINCT o.unit_id, t.tag_uid FROM tags t JOIN orders o USING (client_id)"
        " WHERE t.valid_to_at IS NULL AND (o.valid_to IS NULL OR o.valid_to > now()) AND o.unit_id <> '' AND NOT EXISTS"
        " (SELECT FROM tags other WHERE other.tag_uid = t.tag_uid AND other.client_id <> t.client_id)"
        " ORDER BY t.tag_uid"
    )
    tags: dict[str, list[str]] = {}
    for unit_id, tag_uid in doors:
        tags.setdefault(unit_id, []).append(tag_uid)
    found = []
    for provider_id, unit_id, staff_id in people:
        own = [tags[unit_id].pop() for _ in range(CLIENTS_EACH) if tags.get(unit_id)]
        if own:
            found.append(Round(provider_id, staff_id, tuple(own)))
    each = min(devices, len(found) // (ROUNDS + 1))
    if not each:
        raise RuntimeError(f"{len(found)} carers with doors are too few")
    return [found[number * each : (number + 1) * each] for number in range(ROUNDS + 1)]


def _one_day(world: World, clients: int, day: date) -> Path:
    """The town's bundle with one day of what was said, as if it had been `day`."""
    simulate(world, clients, MONTH)
    folder = world.folder / "one-day"
    given = bundle_of(world, clients, MONTH)
    if given.is_dir():
        shutil.copytree(given, folder)
    else:
        with zipfile.ZipFile(given) as archive:
            archive.extractall(folder)
    given_on = Month.parse(MONTH).first_on.replace(day=min(day.day, 28))
    known, next_day = str(given_on), timedelta(days=1)
    moved = {known: str(day), str(given_on + next_day): str(day + next_day)}
    for name, column in DAYS.items():
        with (folder / name).open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            columns = list(rows.fieldnames or ())
            kept = [row for row in rows if row[column].startswith(known)]
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows({one: _moved(text, moved) for one, text in row.items()} for row in kept)
    return folder


def _moved(text: str, moved: Mapping[str, str]) -> str:
    """A cell with its date as another: what begins on a day may end on the one after."""
    return moved.get(text[:10], text[:10]) + text[10:]
