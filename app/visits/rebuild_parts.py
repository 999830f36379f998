"""What the processes of a rebuild do: first some persons, then the clients of one bucket (see `rebuild`)."""

from __future__ import annotations

import pickle
import zlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from app.core.quick import quick
from app.db.callers import Caller
from app.db.engine import Database
from app.evidence import store as evidence
from app.evidence.store import Wanted
from app.facts import Directory, Finding, Share, TapRef, Visit
from app.policies import PolicyBook
from app.registry.store import load_directory, load_policy_book
from app.visits.lines import visit_line
from app.visits.pairing_flow import TapReader
from app.visits.rules.accepted import judged
from app.visits.rules.changed import new_visit
from app.visits.rules.clients import ClientEvents, settle_client
from app.visits.rules.corrections import Corrections
from app.visits.rules.manual_share import in_exceeded_share, unconfirmed_finding
from app.visits.rules.overlap import overlap_findings
from app.visits.rules.pairing import pair_taps
from app.visits.rules.visits import visits_of_manual, visits_of_stay
from app.visits.staging import Staging, Writer, stored_lines
from app.visits.store import month_on
from app.visits.stretch import Span

ProviderMonth = tuple[str, date]
Steps = tuple[tuple[str, Finding], ...]
"""(step that made it, finding)."""
TapKey = tuple[str, int]


@dataclass(slots=True)
class Round:
    """What one rebuild tells its processes. `shares`: known when the first phase is over."""

    snapshot: str
    folder: Path
    buckets: int
    strangers: tuple[str, ...]
    """Clients of stored visits that the registry does not have."""
    shares: dict[ProviderMonth, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class World:
    """What every part needs and none changes: each process reads it for itself, so that no third one holds it."""

    round: Round
    directory: Directory
    book: PolicyBook
    corrections: Corrections
    resolved: frozenset[str]


class Slice(NamedTuple):
    """Where some visits lie: a file, from a byte on, so many."""

    file: str
    start: int
    length: int


@dataclass(slots=True)
class Paired:
    """What the first phase says of some persons."""

    living: Counter[ProviderMonth]
    in_share: Counter[ProviderMonth]
    named: set[TapKey]
    """The taps that corrections name and that are an end of a visit."""
    slices: dict[int, Slice]


def bucket_of(client_id: str, buckets: int) -> int:
    """Where the second phase settles a client."""
    return zlib.crc32(client_id.encode()) % buckets


def load_world(database: Database, told: Round) -> World:
    """The registry, the policies and what was said of visits, as the rebuild's snapshot has them."""
    with database.transaction(Caller.batch()) as connection:
        _same_snapshot(connection, told)
        return World(
            round=told,
            directory=load_directory(connection),
            book=load_policy_book(connection),
            corrections=Corrections.of(evidence.load_corrections(connection)),
            resolved=frozenset(row.finding_id for row in evidence.load_resolutions(connection)),
        )


def pair_persons(database: Database, world: World, part: tuple[int, Sequence[str]]) -> Paired:
    """Everything that follows from the taps and manual visits of some persons alone."""
    number, staff_ids = part
    with database.transaction(Caller.batch()) as connection:
        _same_snapshot(connection, world.round)
        taps_of = TapReader(connection).taps_of(dict.fromkeys(staff_ids, Span()))
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
    living = [visit for visit, _ in found if visit.status != "cancelled"]
    ends = (end for visit, _ in found for end in (visit.kom, visit.gick) if end is not None)
    return Paired(
        Counter((visit.provider_id, month_on(visit)) for visit in living),
        Counter((visit.provider_id, month_on(visit)) for visit in living if "in_share" in visit.marks),
        {key for end in ends if (key := (end.device_id, end.seq)) in world.corrections.by_tap},
        _spill(database, world.round, number, found, about),
    )


def _same_snapshot(connection: Connection, told: Round) -> None:
    connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
    connection.execute(text(f"SET TRANSACTION SNAPSHOT '{told.snapshot}'"))


# -- between the phases

_VALUES = attrgetter(*(entry.name for entry in fields(Visit)))
_REF = attrgetter(*(entry.name for entry in fields(TapRef)))
_PLACES = tuple(place for place, entry in enumerate(fields(Visit)) if entry.name in ("kom", "gick"))
_SHARE = next(place for place, entry in enumerate(fields(Visit)) if entry.name == "share")
_new_ref = quick(TapRef)


def _spill(
    database: Database,
    told: Round,
    number: int,
    found: Sequence[tuple[Visit, str]],
    about: Sequence[tuple[str, Finding]],
) -> dict[int, Slice]:
    """Visits with their findings into a file, by bucket; findings about no visit are done."""
    of_visit: dict[str, list[tuple[str, Finding]]] = defaultdict(list)
    with Staging(database).writer() as out:
        for step, finding in about:
            if finding.visit_id:
                of_visit[finding.visit_id].append((step, finding))
            else:
                out.finding(step, finding)
    rows_of: dict[int, list[Any]] = defaultdict(list)
    for visit, paired in found:
        row = (_plain(visit), paired, tuple(of_visit.get(visit.visit_id, ())))
        rows_of[bucket_of(visit.client_id, told.buckets)].append(row)
    slices: dict[int, Slice] = {}
    name = f"{number:06d}"
    with (told.folder / name).open("wb") as file:
        for bucket, rows in rows_of.items():
            start = file.tell()
            length = file.write(pickle.dumps(rows, pickle.HIGHEST_PROTOCOL))
            slices[bucket] = Slice(name, start, length)
    return slices


def _plain(visit: Visit) -> list[Any]:
    """The values of a visit in tuples: what dataclasses do by themselves when pickled takes several times longer."""
    values = list(_VALUES(visit))
    for place in _PLACES:
        values[place] = None if values[place] is None else _REF(values[place])
    if values[_SHARE] is not None:
        values[_SHARE] = (values[_SHARE].position, values[_SHARE].weights)
    return values


def _visit(values: list[Any]) -> Visit:
    for place in _PLACES:
        values[place] = None if values[place] is None else _new_ref(*values[place])
    if values[_SHARE] is not None:
        values[_SHARE] = Share(*values[_SHARE])
    return new_visit(*values)


def _spilled(told: Round, slices: Sequence[Slice]) -> list[tuple[Visit, str, Steps]]:
    rows: list[tuple[Visit, str, Steps]] = []
    for name, start, length in slices:
        with (told.folder / name).open("rb") as file:
            file.seek(start)
            read = pickle.loads(file.read(length))  # noqa: S301 -- written by this very run
        rows += [(_visit(values), paired, about) for values, paired, about in read]
    return rows


# -- second phase


def settle_clients(database: Database, world: World, part: tuple[int, Sequence[Slice]]) -> int:
    """Everything that follows at the clients of one bucket, with visits or without; how many visits there are.

    What is stored of their visits already is not written again.
    """
    bucket, slices = part
    told = world.round
    known = (*world.directory.clients, *told.strangers)
    clients = {client_id for client_id in known if bucket_of(client_id, told.buckets) == bucket}
    visits_of: dict[str, list[Visit]] = defaultdict(list)
    beside: dict[str, tuple[str, Steps]] = {}
    for visit, paired, about in _spilled(told, slices):
        beside[visit.visit_id] = (paired, about)
        visits_of[visit.client_id].append(visit)
    with database.transaction(Caller.batch()) as connection:
        _same_snapshot(connection, world.round)
        events = _events(connection, clients | visits_of.keys(), visits_of)
        stored = stored_lines(connection, events.keys())
    lines: list[bytes] = []
    with Staging(database).writer() as out:
        for of_client in events.values():
            for visit in _settled(world, of_client, beside, out):
                line = visit_line(visit, beside[visit.visit_id][0])
                if stored.pop(visit.visit_id.encode(), b"") != line:
                    lines.append(line)
        out.visits(lines)
        out.unmet(visit_id.decode() for visit_id in stored)
    return len(beside)


def _events(
    connection: Connection, client_ids: set[str], visits_of: Mapping[str, Sequence[Visit]]
) -> dict[str, ClientEvents]:
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


def _settled(world: World, events: ClientEvents, beside: Mapping[str, tuple[str, Steps]], out: Writer) -> list[Visit]:
    """The client's visits as they shall be; findings and outcomes are written."""
    settled = settle_client(events, world.directory, world.book)
    of_visit: dict[str, list[Finding]] = defaultdict(list)
    for finding in settled.findings:
        out.finding("client", finding)
        if finding.visit_id:
            of_visit[finding.visit_id].append(finding)
    for outcome in settled.outcomes:
        out.outcome(outcome)
    found: list[Visit] = []
    for visit in settled.visits:
        about = of_visit.get(visit.visit_id, [])
        for step, finding in beside[visit.visit_id][1]:
            out.finding(step, finding)
            about.append(finding)
        on = month_on(visit)
        share = world.round.shares.get((visit.provider_id, on))
        if share is not None and in_exceeded_share(visit, share, world.book.on(on)):
            finding = unconfirmed_finding(visit, share)
            out.finding("share", finding)
            about.append(finding)
        found.append(judged(visit, about, world.resolved, world.book))
    return found
