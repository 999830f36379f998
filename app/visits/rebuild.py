"""Derive everything again: the same rules, read once in order, in several processes (ARCHITECTURE.md "Re-deriving").

    1  persons, some at a time: taps -> stays -> visits, manual visits, overlaps      spilled into files by bucket
    2  clients, a bucket at a time: plans, declines, holds                            what differs into staging tables
    3  one transaction: what differs replaces what is stored, and is listed

Memory holds one part at a time, whatever the size of the city; of the registry each process holds one reading.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, exists, select, text

from app.db.callers import Caller
from app.db.engine import Database
from app.db.processes import Processes
from app.evidence import store as evidence
from app.facts import Finding
from app.registry.store import load_directory, load_employments
from app.registry.tables import clients
from app.visits.rebuild_groups import TAPS_AT_ONCE, groups_of_staff, tap_counts, users_of_device
from app.visits.rebuild_parts import ProviderMonth, Round, Slice, TapKey, load_world, pair_persons, settle_clients
from app.visits.rules.corrections import Corrections, without_effect
from app.visits.staging import Difference, Staging, merge
from app.visits.tables import visits

Progress = Callable[[str, int, int], None]
"""Told (phase, done, of how many)."""


def no_progress(_phase: str, _done: int, _total: int) -> None:
    """Tell nobody."""


def rebuild(database: Database, now: datetime, processes: Processes, *, progress: Progress = no_progress) -> Difference:
    """Derive all visits, findings about them and decline outcomes again; what differed from what was stored.

    The caller holds the derivation lock. Afterwards the stored derivation is the new one.
    """
    folder = Path(tempfile.mkdtemp(prefix="komgick-rebuild-"))
    staging = Staging(database)
    progress("read", 0, 1)
    staging.create()
    try:
        with database.transaction(Caller.batch()) as connection:
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
            tapped = tap_counts(connection)
            told = _round(connection, folder, 1 + sum(tapped.values()) // TAPS_AT_ONCE)
            corrections = Corrections.of(evidence.load_corrections(connection))
            groups = groups_of_staff(connection, load_employments(connection), corrections, tapped)
            progress("read", 1, 1)
            named, slices = _first_phase(told, groups, processes, progress)
            derived = _second_phase(told, slices, processes, progress)
            processes.end()  # their memory is wanted for the merge
            lost = list(_lost_corrections(connection, named, corrections))
        with staging.writer() as out:
            for finding in lost:
                out.finding("correction", finding)
        progress("merge", 0, 1)
        with database.transaction(Caller.batch()) as connection:
            difference = merge(connection, now, derived_visits=derived)
        progress("merge", 1, 1)
        return difference
    finally:
        staging.drop()
        shutil.rmtree(folder, ignore_errors=True)


def _round(connection: Connection, folder: Path, buckets: int) -> Round:
    stored = select(visits.c.client_id).distinct().subquery()
    strangers = select(stored.c.client_id).where(~exists().where(clients.c.client_id == stored.c.client_id))
    return Round(
        snapshot=connection.execute(text("SELECT pg_export_snapshot()")).scalar_one(),
        folder=folder,
        buckets=buckets,
        strangers=tuple(connection.execute(strangers).scalars()),
    )


def _first_phase(
    told: Round, groups: Sequence[Sequence[str]], processes: Processes, progress: Progress
) -> tuple[set[TapKey], dict[int, list[Slice]]]:
    """All persons. Which taps named by corrections are an end of a visit, and where each bucket's visits lie."""
    living: Counter[ProviderMonth] = Counter()
    in_share: Counter[ProviderMonth] = Counter()
    named: set[TapKey] = set()
    slices: dict[int, list[Slice]] = defaultdict(list)
    parts = processes.spread_prepared(load_world, pair_persons, told, list(enumerate(groups)))
    for done, paired in enumerate(parts, 1):
        living.update(paired.living)
        in_share.update(paired.in_share)
        named |= paired.named
        for bucket, one in paired.slices.items():
            slices[bucket].append(one)
        progress("pair", done, len(groups))
    told.shares = {month: (count, living[month]) for month, count in in_share.items()}
    return named, slices


def _second_phase(told: Round, slices: dict[int, list[Slice]], processes: Processes, progress: Progress) -> int:
    """All clients; how many visits there are."""
    parts = [(bucket, sorted(slices.get(bucket, ()))) for bucket in range(told.buckets)]
    derived = 0
    for done, count in enumerate(processes.spread_prepared(load_world, settle_clients, told, parts), 1):
        derived += count
        progress("settle", done, len(parts))
    return derived


def _lost_corrections(connection: Connection, named: Collection[TapKey], corrections: Corrections) -> Iterator[Finding]:
    """DOMAIN.md 2.2 row 34: corrections that name no visit."""
    lost = list(corrections.nowhere)
    lost += [row for key, rows in corrections.by_tap.items() if key not in named for row in rows]
    manual_ids = {row.manual_id for row in evidence.load_manual_visits(connection, manual_ids=corrections.by_manual)}
    lost += [row for key, rows in corrections.by_manual.items() if key not in manual_ids for row in rows]
    for rows in corrections.by_device.values():
        lost += [row for row in rows if not users_of_device(connection, row.device_id, row.from_at, row.to_at)]
    directory = load_directory(connection, devices={row.kom_device_id or row.device_id for row in lost})
    for row in lost:
        yield without_effect(row, directory)
