"""The table of contents, continued: bundles over HTTP, alerts to units, questions and answers, shifts."""

from __future__ import annotations

import smtplib
import zipfile
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import structlog
from sqlalchemy import Row, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from app.access.logs import note_change
from app.access.principals import caller_of
from app.core.localtime import format_instant
from app.db.callers import Caller
from app.db.engine import Database
from app.evidence import imports
from app.evidence.grants import Grant, issue_grant
from app.evidence.imports import ImportOptions, ImportReport
from app.evidence.keys import open_keyring
from app.evidence.sun_import import counter_by
from app.office import store
from app.office.alerting import alerts_now, text_of
from app.office.delivery import Message, NotDeliverable, deliver
from app.office.tables import answers, questions
from app.pipeline_derive import catch_up, queue_import, rebuild
from app.pipeline_statements import Speaker
from app.refusals import BundleRefused, Conflict
from app.registry.store import load_policy_book
from app.registry.tables import units

log = structlog.get_logger()

LARGEST_UNPACKED = 2 * 1024**3
RETRY_AFTER = timedelta(minutes=5)
MOST_ATTEMPTS = 12
_AT_ONCE = 20


def submit_import(database: Database, speaker: Speaker, job: dict[str, Any], now: datetime) -> None:
    """A bundle waits to be read; its file lies at `bundle_path`."""
    with database.transaction(caller_of(speaker.principal)) as connection:
        store.add_job(connection, job)
        note_change(
            connection, speaker.principal, "import.submit", job["import_id"], now,
            facts={"dry_run": job["dry_run"]}, request_id=speaker.asked.request_id,
        )  # fmt: skip


def bundle_path(database: Database, import_id: str) -> Path:
    """Where the bundle of a job lies until it has been read."""
    return database.settings.data / "imports" / f"{import_id}.zip"


def resume_imports(database: Database) -> None:
    """At start: what was being read when the process ended is read again."""
    with database.transaction(Caller.batch()) as connection:
        store.wait_again(connection)


def run_next_import(database: Database, now: datetime) -> bool:
    """Read the oldest waiting bundle; False when none waits. Never raises for what is in the bundle."""
    with database.transaction(Caller.batch()) as connection:
        job = store.take_job(connection)
    if job is None:
        return False
    path = bundle_path(database, job.import_id)
    try:
        outcome = _run(database, job, path, now)
    except BundleRefused as refused:
        outcome = {"state": "refused", "errors": [{"file": "", "line": 0, "column": "", "expected": refused.detail}]}
    except Exception as error:  # noqa: BLE001 -- whatever it is, the job ends and says so
        log.error("import", error=type(error).__name__, import_id=job.import_id)
        outcome = {"state": "failed"}
    with database.transaction(Caller.batch()) as connection:
        store.finish_job(connection, job.import_id, {**outcome, "finished_at": now})
    path.unlink(missing_ok=True)
    return True


def _run(database: Database, job: Row[Any], path: Path, now: datetime) -> dict[str, Any]:
    _refuse_bombs(path)
    keyring = open_keyring(database.settings.data)
    options = ImportOptions(
        dry_run=job.dry_run, provider_id=job.provider_id or None, trusted=False, sun_counter=counter_by(keyring.sun)
    )
    with database.transaction(Caller.batch()) as connection:
        report = imports.import_bundle(connection, path, now=now, options=options)
        stored = not job.dry_run and not report.errors
        everything = stored and not queue_import(connection, report)
    if everything:
        rebuild(database, now)
    elif stored:
        catch_up(database, now)
    return _outcome(report)


def _outcome(report: ImportReport) -> dict[str, Any]:
    counts = [{"file": name, **asdict(counts)} for name, counts in report.counts.items()]
    if report.errors:
        return {"state": "refused", "errors": [asdict(error) for error in report.errors]}
    return {"state": "done", "counts": counts}


def _refuse_bombs(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
        raise BundleRefused("a .zip of a bundle") from error
    if size > LARGEST_UNPACKED:
        raise BundleRefused("at most 2 GiB unpacked")


def raise_alerts(database: Database, now: datetime) -> int:
    """Note what units must be told; how many alerts are new."""
    with database.transaction(Caller.ingest()) as connection:
        book = load_policy_book(connection)
        return store.add_alerts(connection, list(alerts_now(connection, now, book)))


def deliver_alerts(database: Database, now: datetime) -> int:
    """Send what is due; how many went out. What fails is tried again for an hour, outside any transaction."""
    with database.transaction(Caller.ingest()) as connection:
        due = store.take_alerts(connection, now, now + RETRY_AFTER, _AT_ONCE)
        wanted = select(units.c.unit_id, units.c.alert_to).where(units.c.unit_id.in_([one.unit_id for one in due]))
        addresses = {row.unit_id: row.alert_to for row in connection.execute(wanted)}
    sent = 0
    for alert in due:
        delivered_at, try_at = _send(database, alert, addresses.get(alert.unit_id, ""), now)
        sent += delivered_at is not None
        with database.transaction(Caller.ingest()) as connection:
            store.note_sent(connection, alert.alert_id, delivered_at=delivered_at, try_at=try_at)
    return sent


def _send(database: Database, alert: Row[Any], alert_to: str, now: datetime) -> tuple[datetime | None, datetime | None]:
    """(delivered_at, try_at)."""
    text = text_of(alert.kind, alert.at, alert.about)
    message = Message(alert.alert_id, alert.kind, format_instant(alert.at), alert.unit_id, text)
    try:
        deliver(message, alert_to, database.settings)
    except NotDeliverable:
        return None, None
    except (httpx.HTTPError, smtplib.SMTPException, OSError, ValueError) as error:
        log.warning("alert", error=type(error).__name__, alert_id=alert.alert_id, attempts=alert.attempts)
        return None, now + RETRY_AFTER if alert.attempts < MOST_ATTEMPTS else None
    return now, None


def ask(database: Database, speaker: Speaker, question: dict[str, Any], now: datetime) -> None:
    """A question about what was paid or is to be paid."""
    with database.transaction(caller_of(speaker.principal)) as connection:
        connection.execute(insert(questions), question)
        note_change(connection, speaker.principal, "question.ask", question["question_id"], now)


def answer(database: Database, speaker: Speaker, said: dict[str, Any], now: datetime) -> None:
    """The other side answers, once. Conflict when it has."""
    with database.transaction(caller_of(speaker.principal)) as connection:
        given = connection.execute(upsert(answers).values(**said).on_conflict_do_nothing()).rowcount
        if not given:
            raise Conflict
        note_change(connection, speaker.principal, "question.answer", said["question_id"], now)


def start_shift(database: Database, speaker: Speaker, device_id: str, lasts: timedelta, now: datetime) -> Grant:
    """A carer begins a shift on a device of her own provider: the grant with which it taps for her, offline too."""
    keyring, who = open_keyring(database.settings.data), speaker.principal
    with database.transaction(Caller.auth()) as connection:
        grant = issue_grant(connection, keyring, (who.staff_id, device_id, who.provider_id), now, lasts)
        note_change(connection, who, "shift.start", grant.grant_id, now, facts={"device_id": device_id})
    return grant
