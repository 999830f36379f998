"""Derive everything again: the same rules, read once in order, in several processes (ARCHITECTURE.md "Re-deriving").

    1  persons, some at a time: taps -> stays -> visits, manual visits, overlaps      spilled into files by client
    2  clients, a file at a time: plans, declines, holds                              copied into staging tables
    3  one transaction: what differs replaces what is stored, and is listed

Memory holds one part at a time, whatever the size of the city.
"""

from __future__ import annotations

import multiprocessing
import pickle
import shutil
import signal
import tempfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, select, text

from app.db.callers import Caller
from app.db.engine import Database
from app.evidence import store as evidence
from app.evidence.store import Wanted
from app.evidence.tables import taps
from app.facts import Directory, Finding, Share, TapRef, Visit
from app.policies import PolicyBook
from app.registry.store import load_directory, load_policy_book
from app.visits.pairing_flow import TapReader
from app.visits.rules.accepted import judged
from app.visits.rules.clients import ClientEvents, settle_client
from app.visits.rules.corrections import Corrections, without_effect
from app.visits.rules.manual_share import in_exceeded_share, unconfirmed_finding
from app.visits.rules.overlap import overlap_findings
from app.visits.rules.pairing import pair_taps
from app.visits.rules.visits import visits_of_manual, visits_of_stay
from app.visits.staging import Difference, Staging, merge
from app.visits.store import month_on
from app.visits.stretch import Span

ProviderMonth = tuple[str, date]
Progress = Callable[[str, int, int], None]
"""Told (phase, done, of how many)."""
BUCKETS = 96
STAFF_AT_ONCE = 40


class Spilled(NamedTuple):
    """A visit on its way from its person to its client."""

    visit: Visit
    paired_staff_id: str
    findings: tuple[tuple[str, Finding], ...]


@dataclass(slots=True)
class _World:
    """What every worker shares: read before the processes part, never changed."""

    database: Database
    snapshot: str
    directory: Directory
    book: PolicyBook
    corrections: Corrections
    resolved: frozenset[str]
    folder: Path
    now: datetime
    shares: dict[ProviderMonth, tuple[int, int]] = field(default_factory=dict)


_WORLD: list[_World] = []


def no_progress(_phase: str, _done: int, _total: int) -> None:
    """Tell nobody."""


def rebuild(database: Database, now: datetime, *, processes: int = 2, progress: Progress = no_progress) -> Difference:
    """Derive all visits, findings about them and decline outcomes again; what differed from what was stored.

    The caller holds the derivation lock. Afterwards the stored derivation is the new one.
    """
    folder = Path(tempfile.mkdtemp(prefix="komgick-rebuild-"))
    staging = Staging(database)
    staging.create()
    try:
        with database.transaction(Caller.batch()) as connection:
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
            world = _world(connection, database, folder, now)
            chunks = _chunks(connection, world)
            _WORLD[:] = [world]
            shares = _first_phase(chunks, processes, progress)
            world.shares = shares
            _second_phase(processes, progress)
            with database.transaction(Caller.batch()) as later:
                lost = list(_lost_corrections(connection, _keys_of_visits(later), world))
        with staging.writer() as out:
            for finding in lost:
                out.finding("correction", finding)
        progress("merge", 0, 1)
        with database.transaction(Caller.batch()) as connection:
            difference = merge(connection, now)
        progress("merge", 1, 1)
        return difference
    finally:
        _WORLD.clear()
        staging.drop()
        shutil.rmtree(folder, ignore_errors=True)


def _world(connection: Connection, database: Database, folder: Path, now: datetime) -> _World:
    snapshot = connection.execute(text("SELECT pg_export_snapshot()")).scalar_one()
    return _World(
        database=database,
        snapshot=snapshot,
        directory=load_directory(connection),
        book=load_policy_book(connection),
        corrections=Corrections.of(evidence.load_corrections(connection)),
        resolved=frozenset(row.finding_id for row in evidence.load_resolutions(connection)),
        folder=folder,
        now=now,
    )


def _chunks(connection: Connection, world: _World) -> list[list[str]]:
    """All staff_ids that tapped or stand in the registry, those that may be one person or swap visits together."""
    tapped = set(connection.execute(select(taps.c.staff_id).distinct()).scalars())
    people = _Together()
    for staff_id in sorted(tapped | set(world.directory.staff_ids())):
        people.add(staff_id)
        for employment in world.directory.employments(staff_id):
            people.join(staff_id, employment.person)
    named = [row for rows in world.corrections.by_tap.values() for row in rows if row.new_staff_id]
    named += [row for rows in world.corrections.by_manual.values() for row in rows if row.new_staff_id]
    by_key = _staff_of_taps(connection, [(row.kom_device_id, row.kom_seq) for row in named if row.kom_seq is not None])
    for row in named:
        people.join(row.new_staff_id, by_key.get((row.kom_device_id, row.kom_seq or 0), row.new_staff_id))
    for row in evidence.load_corrections(connection, kind="set_staff_of_device"):
        for staff_id in _users(connection, row.device_id, row.from_at, row.to_at):
            people.join(row.new_staff_id, staff_id)
    manual = {row.manual_id: row.staff_id for row in evidence.load_manual_visits(connection)}
    for manual_id, rows in world.corrections.by_manual.items():
        for row in rows:
            if row.new_staff_id and manual_id in manual:
                people.join(row.new_staff_id, manual[manual_id])
    for staff_id in manual.values():
        people.add(staff_id)
    return list(_packed(people.groups()))


def _packed(groups: Iterable[list[str]]) -> Iterator[list[str]]:
    chunk: list[str] = []
    for group in groups:
        chunk += group
        if len(chunk) >= STAFF_AT_ONCE:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _staff_of_taps(connection: Connection, keys: Sequence[tuple[str, int]]) -> dict[tuple[str, int], str]:
    rows = connection.execute(
        text(
            "SELECT t.device_id, t.seq, t.staff_id FROM taps t JOIN unnest(CAST(:devices AS text[]), "
            "CAST(:seqs AS bigint[])) AS k (device_id, seq) USING (device_id, seq)"
        ),
        {"devices": [key[0] for key in keys], "seqs": [key[1] for key in keys]},
    )
    return {(row.device_id, row.seq): row.staff_id for row in rows}


def _users(connection: Connection, device_id: str, from_at: datetime | None, to_at: datetime | None) -> Sequence[str]:
    query = select(taps.c.staff_id).where(taps.c.device_id == device_id).distinct()
    if from_at is not None:
        query = query.where(taps.c.at >= from_at)
    if to_at is not None:
        query = query.where(taps.c.at < to_at)
    return connection.execute(query).scalars().all()


class _Together:
    """Which names belong together (union-find)."""

    def __init__(self) -> None:
        self._above: dict[str, str] = {}
        self._staff: set[str] = set()

    def add(self, staff_id: str) -> None:
        self._staff.add(staff_id)
        self._above.setdefault(staff_id, staff_id)

    def join(self, staff_id: str, other: str) -> None:
        self.add(staff_id)
        self._above.setdefault(other, other)
        self._above[self._top(staff_id)] = self._top(other)

    def groups(self) -> list[list[str]]:
        groups: dict[str, list[str]] = defaultdict(list)
        for staff_id in sorted(self._staff):
            groups[self._top(staff_id)].append(staff_id)
        return [groups[key] for key in sorted(groups)]

    def _top(self, name: str) -> str:
        while self._above[name] != name:
            self._above[name] = self._above[self._above[name]]
            name = self._above[name]
        return name


# -- first phase: persons


def _first_phase(
    chunks: Sequence[list[str]], processes: int, progress: Progress
) -> dict[ProviderMonth, tuple[int, int]]:
    living: Counter[ProviderMonth] = Counter()
    in_share: Counter[ProviderMonth] = Counter()
    for done, (its_living, its_share) in enumerate(_spread(_persons, list(enumerate(chunks)), processes), 1):
        living.update(its_living)
        in_share.update(its_share)
        progress("pair", done, len(chunks))
    return {month: (count, living[month]) for month, count in in_share.items()}


def _spread(work: Callable[[Any], Any], parts: Sequence[Any], processes: int) -> Iterator[Any]:
    """Results of the parts, done by processes that share what was read before they parted."""
    if processes < 2 or len(parts) < 2:
        yield from map(work, parts)
        return
    # Until a newborn process has forgotten the handlers, a signal to end it waits: it would be taken note of, and lost.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        pool = multiprocessing.get_context("fork").Pool(processes, initializer=_forget_handlers)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    with pool:
        yield from pool.imap_unordered(work, parts)
        pool.close()
        pool.join()


_ENDING = (signal.SIGTERM, signal.SIGINT)


def _forget_handlers() -> None:
    """A process born of a server has inherited its handlers, which only take note: it could not be ended."""
    for number in _ENDING:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)


def _connected(world: _World) -> Database:
    """A database handle of this process's own."""
    return Database(world.database.url, world.database.settings, passwordless=world.database.passwordless)


def _persons(part: tuple[int, list[str]]) -> tuple[Counter[ProviderMonth], Counter[ProviderMonth]]:
    """Everything that follows from the taps and manual visits of some persons alone."""
    number, staff_ids = part
    world = _WORLD[0]
    own = _connected(world)
    try:
        with own.transaction(Caller.batch()) as connection:
            _same_snapshot(connection, world)
            reader = TapReader(connection)
            taps_of = reader.taps_of(dict.fromkeys(staff_ids, Span()))
            manuals = evidence.load_manual_visits(connection, Wanted(staff=staff_ids))
        found: list[tuple[Visit, str]] = []
        about: list[tuple[str, Finding]] = []
        for staff_id, its_taps in taps_of.items():
            pairing = pair_taps(its_taps, world.directory, world.book)
            about += [("tap", finding) for finding in pairing.findings]
            for stay in pairing.stays:
                visits, findings = visits_of_stay(stay, world.corrections, world.directory, world.book)
                found += [(visit, staff_id) for visit in visits]
                about += [("visit", finding) for finding in findings]
        for manual in manuals:
            visits, findings = visits_of_manual(manual, world.corrections, world.directory, world.book)
            found += [(visit, "") for visit in visits]
            about += [("visit" if finding.visit_id else "manual", finding) for finding in findings]
        of_person: dict[str, list[Visit]] = defaultdict(list)
        for visit, _ in found:
            of_person[visit.person].append(visit)
        about += [("person", finding) for its in of_person.values() for finding in overlap_findings(its)]
        _spill(world, number, found, about, own)
    finally:
        own.close()
    living = [visit for visit, _ in found if visit.status != "cancelled"]
    return (
        Counter((visit.provider_id, month_on(visit)) for visit in living),
        Counter((visit.provider_id, month_on(visit)) for visit in living if "in_share" in visit.marks),
    )


def _same_snapshot(connection: Connection, world: _World) -> None:
    connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
    connection.execute(text(f"SET TRANSACTION SNAPSHOT '{world.snapshot}'"))


def _spill(
    world: _World,
    number: int,
    found: Sequence[tuple[Visit, str]],
    about: Sequence[tuple[str, Finding]],
    own: Database,
) -> None:
    """Visits with their findings into files by client; findings about no visit are done."""
    of_visit: dict[str, list[tuple[str, Finding]]] = defaultdict(list)
    with Staging(own).writer() as out:
        for step, finding in about:
            if finding.visit_id:
                of_visit[finding.visit_id].append((step, finding))
            else:
                out.finding(step, finding)
    buckets: dict[int, list[Spilled]] = defaultdict(list)
    for visit, paired in found:
        bucket = zlib.crc32(visit.client_id.encode()) % BUCKETS
        buckets[bucket].append(Spilled(visit, paired, tuple(of_visit.get(visit.visit_id, ()))))
    for bucket, rows in buckets.items():
        with (world.folder / f"{bucket:03d}-{number:06d}").open("wb") as file:
            pickler = pickle.Pickler(file, protocol=pickle.HIGHEST_PROTOCOL)
            pickler.dispatch_table = _REDUCED
            pickler.dump(rows)


def _reduced(fact: type[Any]) -> Callable[[Any], tuple[type[Any], tuple[Any, ...]]]:
    """How a frozen fact is pickled: as a call with its values. What dataclasses do by themselves takes much longer."""
    values = attrgetter(*(field.name for field in fields(fact)))
    return lambda one: (fact, values(one))


_REDUCED: dict[type, Callable[[Any], Any]] = {fact: _reduced(fact) for fact in (Visit, Finding, TapRef, Share)}


# -- second phase: clients


def _second_phase(processes: int, progress: Progress) -> None:
    for done, _ in enumerate(_spread(_clients, range(BUCKETS), processes), 1):
        progress("settle", done, BUCKETS)


def _clients(bucket: int) -> int:
    """Everything that follows at the clients of one file, and of those without visits whose name falls to it."""
    world = _WORLD[0]
    visits_of: dict[str, list[Visit]] = defaultdict(list)
    spilled: dict[str, Spilled] = {}
    for file in sorted(world.folder.glob(f"{bucket:03d}-*")):
        for row in pickle.loads(file.read_bytes()):  # noqa: S301 - written by this very run
            spilled[row.visit.visit_id] = row
            visits_of[row.visit.client_id].append(row.visit)
    own = _connected(world)
    try:
        with own.transaction(Caller.batch()) as connection:
            _same_snapshot(connection, world)
            clients = {one for one in world.directory.clients if zlib.crc32(one.encode()) % BUCKETS == bucket}
            events = _events(connection, clients | visits_of.keys(), visits_of)
        with Staging(own).writer() as out:
            for client_events in events.values():
                _settle(world, client_events, spilled, out)
    finally:
        own.close()
    return len(spilled)


def _events(connection: Connection, client_ids: set[str], visits_of: dict[str, list[Visit]]) -> dict[str, ClientEvents]:
    said = Wanted(clients=client_ids)
    plans, declines, disputes = defaultdict(list), defaultdict(list), defaultdict(list)
    for plan in evidence.load_planned_visits(connection, said):
        plans[plan.client_id].append(plan)
    for decline in evidence.load_declines(connection, said):
        declines[decline.client_id].append(decline)
    for dispute in evidence.load_disputes(connection, client_ids):
        disputes[dispute.client_id].append(dispute)
    return {
        one: ClientEvents(tuple(visits_of.get(one, ())), tuple(plans[one]), tuple(declines[one]), tuple(disputes[one]))
        for one in sorted(client_ids)
    }


def _settle(world: _World, events: ClientEvents, spilled: dict[str, Spilled], out: Any) -> None:
    settled = settle_client(events, world.directory, world.book)
    of_visit: dict[str, list[Finding]] = defaultdict(list)
    for finding in settled.findings:
        out.finding("client", finding)
        if finding.visit_id:
            of_visit[finding.visit_id].append(finding)
    for outcome in settled.outcomes:
        out.outcome(outcome)
    for visit in settled.visits:
        row = spilled[visit.visit_id]
        about = of_visit[visit.visit_id]
        for step, finding in row.findings:
            out.finding(step, finding)
            about.append(finding)
        share = world.shares.get((visit.provider_id, month_on(visit)))
        if share is not None and in_exceeded_share(visit, share, world.book.on(month_on(visit))):
            finding = unconfirmed_finding(visit, share)
            out.finding("share", finding)
            about.append(finding)
        out.visit(judged(visit, about, world.resolved, world.book), row.paired_staff_id, world.now)


def _keys_of_visits(connection: Connection) -> set[tuple[str, int]]:
    """The taps that corrections name and that are an end of a staged visit."""
    rows = connection.execute(
        text(
            "WITH named AS (SELECT DISTINCT kom_device_id AS device_id, kom_seq AS seq FROM corrections) "
            "SELECT v.kom_device_id AS device_id, v.kom_seq AS seq FROM rebuild_visits v "
            "JOIN named n ON n.device_id = v.kom_device_id AND n.seq = v.kom_seq "
            "UNION SELECT v.gick_device_id, v.gick_seq FROM rebuild_visits v "
            "JOIN named n ON n.device_id = v.gick_device_id AND n.seq = v.gick_seq"
        )
    )
    return {(row.device_id, row.seq) for row in rows}


def _lost_corrections(connection: Connection, named: set[tuple[str, int]], world: _World) -> Iterator[Finding]:
    """DOMAIN.md 2.2 row 34: corrections that name no visit."""
    corrections = world.corrections
    lost = list(corrections.nowhere)
    lost += [row for key, rows in corrections.by_tap.items() if key not in named for row in rows]
    manual_ids = {row.manual_id for row in evidence.load_manual_visits(connection, manual_ids=corrections.by_manual)}
    lost += [row for key, rows in corrections.by_manual.items() if key not in manual_ids for row in rows]
    for rows in corrections.by_device.values():
        lost += [row for row in rows if not _users(connection, row.device_id, row.from_at, row.to_at)]
    for row in lost:
        yield without_effect(row, world.directory)
