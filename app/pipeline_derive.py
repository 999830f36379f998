"""What follows from what was said: derived after every change, and everything again on demand.

One derivation at a time in an installation (an advisory lock). A statement queues what it touches in its own
transaction; deriving is a transaction of its own, so that a fault in a rule never refuses a tap.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

import structlog
from sqlalchemy import Connection, select, text, union
from sqlalchemy.exc import OperationalError

from app.billing.flow import write_lines
from app.core.month import Month
from app.db.callers import Caller
from app.db.engine import Database
from app.db.partitions import ensure_months
from app.db.processes import Processes
from app.evidence.flow import Answer
from app.evidence.imports import ImportReport
from app.evidence.store import append, count_taps
from app.evidence.tables import declines, excess_reasons
from app.facts import Decline, MonthAccount
from app.months import flow as months_flow
from app.months.flow import CLIENTS_AT_ONCE, Kind
from app.months.loading import Key
from app.months.tables import month_accounts
from app.registry.store import DirectoryReader
from app.registry.tables import devices
from app.visits import queue
from app.visits.device_flow import rebuild_devices
from app.visits.draft import AccountSpan
from app.visits.flow import derive
from app.visits.imported import changes_of
from app.visits.queue import Change
from app.visits.rebuild import Progress, no_progress
from app.visits.rebuild import rebuild as rebuild_visits
from app.visits.staging import MOST_NAMED, Difference
from app.visits.stated import changes_of_statement
from app.visits.stretch import MARGIN, Span, merged
from app.visits.tables import visits

log = structlog.get_logger()
_ALWAYS = (Month(1900, 1), Month(2999, 12))
# The schema's own: municipalities that share a database do not wait for each other's rebuilds.
_LOCK_NAME = "CAST(:key AS bigint) + hashtext(current_schema())"
_LOCK_KEY = {"key": 0x4B4F4D4B4F4D}
_LOCK = text(f"SELECT pg_advisory_xact_lock({_LOCK_NAME})")
_TRY_LOCK = text(f"SELECT pg_try_advisory_xact_lock({_LOCK_NAME})")
_LOCK_SESSION = text(f"SELECT pg_advisory_lock({_LOCK_NAME})")
_UNLOCK_SESSION = text(f"SELECT pg_advisory_unlock({_LOCK_NAME})")
_NO_LIMITS = text(
    "SELECT set_config('statement_timeout', '0', true), set_config('idle_in_transaction_session_timeout', '0', true)"
)
_AT_ONCE = 500
_OTHER, _EVERYTHING = -1, -2
MANY_TAPS = 5000
"""Up to so many new taps what they touch is derived, however little is stored besides."""
DEARER = 8
"""Deriving what a new tap touches costs so many times what a rebuild spends on every stored one (measured)."""


def catch_up(database: Database, now: datetime, *, patience_s: float = 10, progress: Progress | None = None) -> int:
    """Derive whatever waits in the queue; how many changes were taken. Returns at once when nothing waits.

    Safe to call from any number of processes: they take turns. While another one derives, this one waits at most
    `patience_s` seconds; what still waits then is derived by the other. A change that cannot be derived is set aside,
    logged and counted (`queue.failed`): the others go on, and a rebuild tries again.
    """
    taken, patience = 0, time.monotonic() + patience_s
    while True:
        try:
            done = _drain_once(database, now)
        except OperationalError:
            raise
        except Exception:
            log.exception("deriving together failed; one by one")
            done = _drain_singly(database, now)
        if done == _OTHER:
            if time.monotonic() > patience:
                return taken
            time.sleep(0.05)
        elif done == _EVERYTHING:
            rebuild(database, now, progress=progress or no_progress, if_wished=True)
        else:
            taken += done
            if progress is not None and done:
                progress("derive", taken, taken + _waiting(database))
            if done < _AT_ONCE:
                return taken


def _drain_once(database: Database, now: datetime) -> int:
    with database.transaction(Caller.ingest()) as connection:
        if not queue.is_waiting(connection):
            return 0
        if not _try_lock(connection):
            return _OTHER
        waiting = queue.look(connection, _AT_ONCE)
        if any(one.change.kind == "all" for one in waiting):
            return _EVERYTHING
        _derive(connection, waiting, now)
        return len(waiting)


def _waiting(database: Database) -> int:
    with database.transaction(Caller.ingest()) as connection:
        return queue.count(connection)


def _drain_singly(database: Database, now: datetime) -> int:
    with database.transaction(Caller.ingest()) as connection:
        waiting = queue.look(connection, _AT_ONCE)
    for one in waiting:
        try:
            with database.transaction(Caller.ingest()) as connection:
                lock(connection)
                _derive(connection, [one], now)
        except OperationalError:
            raise
        except Exception as error:
            log.exception("a change cannot be derived", kind=one.change.kind, queue_id=one.queue_id)
            with database.transaction(Caller.ingest()) as connection:
                queue.set_aside(connection, one, type(error).__name__)
    return len(waiting)


def _derive(connection: Connection, waiting: Sequence[queue.Waiting], now: datetime) -> None:
    """Derive changes with what follows, however long it takes."""
    connection.execute(_NO_LIMITS)
    queue.remove(connection, waiting)
    derived = derive(connection, [one.change for one in waiting], now)
    follow(connection, derived.accounts, now, derived.registry)


def _try_lock(connection: Connection) -> bool:
    found = connection.execute(_TRY_LOCK, _LOCK_KEY)
    return bool(found.scalar_one())


def rebuild(
    database: Database, now: datetime, *, progress: Progress = no_progress, if_wished: bool = False
) -> Difference:
    """Derive everything again from statements and registry; what differed from what was stored.

    Nobody else derives meanwhile; taps are received as ever and wait in the queue. `if_wished`: not when another
    process has done meanwhile what waited in the queue.
    """
    # What an import has read stays with PostgreSQL's side of its connection, some 130 MiB of a city.
    database.owner.dispose()
    with database.owner.connect() as connection:
        connection.execute(_LOCK_SESSION, _LOCK_KEY)
        connection.commit()
        try:
            if if_wished and connection.execute(text("SELECT 1 FROM derive_queue WHERE kind = 'all'")).first() is None:
                return Difference()
            # What waits now is stored already, so the rebuild sees it.
            waiting = connection.execute(text("SELECT max(queue_id) FROM derive_queue")).scalar()
            connection.commit()
            with Processes(database, 2) as processes:
                difference = rebuild_visits(database, now, processes, progress=progress)
                with database.transaction(Caller.batch()) as writing:
                    rebuild_devices(writing, now)
                _add_accounts(difference, refresh_all(database, now, processes, progress))
            # Only now: a rebuild that dies half way is asked for again by what waited.
            with database.transaction(Caller.batch()) as writing:
                writing.execute(text("DELETE FROM derive_queue WHERE queue_id <= :waiting"), {"waiting": waiting or 0})
        finally:
            connection.rollback()
            connection.execute(_UNLOCK_SESSION, _LOCK_KEY)
            connection.commit()
    return difference


def lock(connection: Connection) -> None:
    """Be the only one that derives until the transaction ends; waits its turn."""
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(_LOCK, _LOCK_KEY)


def follow(
    connection: Connection, spans: set[AccountSpan], now: datetime, registry: DirectoryReader | None = None
) -> list[tuple[Kind, MonthAccount]]:
    """Accounts and provisional lines that may differ after a derivation, in its transaction; which accounts did.

    `registry`: as the derivation has read it.
    """
    altered: list[tuple[Kind, MonthAccount]] = []
    for computed in months_flow.refresh(connection, spans, now, registry):
        corrected = write_lines(connection, computed, now)
        months_flow.shut_again(connection, computed, corrected)
        altered += computed.altered
    return altered


def _add_accounts(difference: Difference, altered: Sequence[tuple[Kind, MonthAccount]]) -> None:
    """What a rebuild found of accounts, beside what it found of visits and findings."""
    for number, (kind, account) in enumerate(altered):
        counts = getattr(difference, kind)
        counts["month_accounts"] = counts.get("month_accounts", 0) + 1
        if number < MOST_NAMED:
            ident = f"{account.month}/{account.client_id}/{account.provider_id}"
            row = {"table": "month_accounts", "kind": kind, "id": ident, "month": str(account.month)}
            difference.named.append(row)


def refresh_all(
    database: Database, now: datetime, processes: Processes, progress: Progress
) -> list[tuple[Kind, MonthAccount]]:
    """Every account of every client that has any, some clients a transaction; which were stored otherwise."""
    altered: list[tuple[Kind, MonthAccount]] = []
    with database.transaction(Caller.batch()) as connection:
        span = connection.execute(text("SELECT min(month_on), max(month_on) FROM visits")).one()
        if span[0] is not None:
            ensure_months(connection, ("month_accounts", "billing_lines"), span[0], span[1])
        keys = _all_keys(connection)
    parts = [keys[start : start + CLIENTS_AT_ONCE] for start in range(0, len(keys), CLIENTS_AT_ONCE)]
    for done, found in enumerate(processes.spread(_refresh_some, now, parts), 1):
        altered += found
        progress("accounts", min(done * CLIENTS_AT_ONCE, len(keys)), len(keys))
    return altered


def _refresh_some(database: Database, now: datetime, keys: Sequence[Key]) -> list[tuple[Kind, MonthAccount]]:
    with database.transaction(Caller.batch()) as connection:
        return follow(connection, {AccountSpan(*key, *_ALWAYS) for key in keys}, now)


def _all_keys(connection: Connection) -> list[Key]:
    sources = (visits, month_accounts, declines, excess_reasons)
    query = union(*(select(table.c.client_id, table.c.provider_id) for table in sources))
    return sorted((row.client_id, row.provider_id) for row in connection.execute(query) if row.provider_id)


def queue_answers(connection: Connection, answers: Iterable[Answer], now: datetime) -> None:
    """Queue what received uploads touch: pairing of whoever tapped, and what devices said besides."""
    changes: list[Change] = []
    tapped: dict[str, list[Span]] = defaultdict(list)
    for answer in answers:
        changes += _declined(connection, answer, now)
        changes += _doubted(connection, answer)
        for tap in answer.stamped:
            tapped[tap.staff_id].append(Span(tap.at, tap.at))
        if answer.chain_changed:
            changes.append(Change("chain", answer.device_id))
    for staff_id, spans in tapped.items():
        # As near as this they would be derived together anyway; so a device's hundred taps wait as one change.
        changes += [Change("staff", staff_id, span.from_at, span.to_at) for span in merged(spans, MARGIN)]
    queue.enqueue(connection, changes)


def queue_import(connection: Connection, report: ImportReport) -> bool:
    """Queue what an import touches; False when so much changed that a rebuild, once in order, is quicker.

    The wish for a rebuild waits in the queue as well: whoever drains next does it if this process dies before.
    """
    added = report.counts["taps.csv"].added if "taps.csv" in report.counts else 0
    quicker = added > MANY_TAPS and added * DEARER > count_taps(connection)
    changes = None if quicker else changes_of(connection, report.touched)
    queue.enqueue(connection, [Change("all")] if changes is None else changes)
    return changes is not None


def _declined(connection: Connection, answer: Answer, now: datetime) -> list[Change]:
    """Declines that a device said become people's statements like those of the office."""
    changes: list[Change] = []
    if not answer.declines:
        return changes
    of_device = select(devices.c.provider_id).where(devices.c.device_id == answer.device_id)
    provider_id = str(connection.execute(of_device).scalar() or "")
    for said in answer.declines:
        decline = Decline(
            decline_id=said.decline_id,
            client_id=said.client,
            provider_id=provider_id,
            planned_start_at=said.planned_start,
            planned_end_at=said.planned_end,
            staff_count=said.staff_count,
            notice=said.notice,
            noticed_at=said.t,
        )
        append(connection, [decline], now)
        changes += changes_of_statement(connection, decline)
    return changes


def _doubted(connection: Connection, answer: Answer) -> list[Change]:
    """Older taps that are doubted only now (a tag's counter)."""
    if not answer.touched:
        return []
    keys = {(one.device_id, one.seq) for one in answer.touched}
    rows = connection.execute(
        text(
            "SELECT t.staff_id, t.at FROM taps t JOIN unnest(CAST(:devices AS text[]), CAST(:seqs AS bigint[])) "
            "AS k (device_id, seq) USING (device_id, seq)"
        ),
        {"devices": [key[0] for key in keys], "seqs": [key[1] for key in keys]},
    )
    return [Change("staff", row.staff_id, row.at, row.at) for row in rows]
