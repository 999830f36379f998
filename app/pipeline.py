"""THE TABLE OF CONTENTS: one function per thing that can happen, one transaction each. Doors write only through here.

Every function commits before it returns: a door that answers afterwards never promises what is not stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, text

from app.billing import frozen_files
from app.core.localtime import local_date
from app.core.month import Month
from app.db.callers import Caller
from app.db.engine import Database
from app.evidence import enrolment, exports, flow, imports
from app.evidence.enrolment import Enrolled, Invitation, NewDevice
from app.evidence.exports import ExportOptions
from app.evidence.flow import Answer, Upload
from app.evidence.imports import ImportOptions, ImportReport, refuse_errors
from app.evidence.keys import open_keyring
from app.evidence.sun_import import counter_by
from app.months.loading import closed_months
from app.pipeline_derive import catch_up, queue_answers, queue_import, rebuild
from app.policies import Policy, PolicyBook
from app.registry.bundle.staging import Progress, no_progress
from app.registry.store import load_policies
from app.visits.queue import Change, enqueue
from app.visits.rebuild import Progress as DerivationProgress
from app.visits.rebuild import no_progress as no_derivation_progress


def receive_taps(database: Database, uploads: Sequence[Upload], now: datetime) -> list[Answer]:
    """Devices uploaded statements: stored, timed, receipted. One transaction for all; answers in their order."""
    keyring = open_keyring(database.settings.data)
    with database.transaction(Caller.ingest()) as connection:
        answers = flow.receive_taps(connection, uploads, now, keyring, _policy(connection, now))
        queue_answers(connection, answers, now)
        return answers


def create_device(database: Database, wanted: NewDevice, now: datetime) -> Invitation:
    """A manager makes a device; the token in the answer is shown once and stored nowhere."""
    with database.transaction(Caller.batch()) as connection:
        return enrolment.create_device(connection, wanted, now)


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What a device sends to enrol: the one-use token, its public key as JWK, and the signed proof."""

    token: str
    public_jwk: Mapping[str, str]
    proof: str
    agent_version: str = ""


def enrol_device(database: Database, wish: Enrolment, now: datetime) -> tuple[Enrolled, Mapping[str, str]]:
    """A device proves its key; with the answer goes the server's public key. TokenRefused, ProofRefused."""
    keyring = open_keyring(database.settings.data)
    with database.transaction(Caller.ingest()) as connection:
        enrolled = enrolment.enrol(
            connection, wish.token, dict(wish.public_jwk), wish.proof, now, agent_version=wish.agent_version
        )
    return enrolled, keyring.public_jwk


def confirm_device(database: Database, device_id: str, thumbprint: str, now: datetime, by: str = "") -> None:
    """A manager has compared the six characters: what the device said comes out of quarantine."""
    with database.transaction(Caller.batch()) as connection:
        enrolment.confirm(connection, device_id, thumbprint, now, by)
        enqueue(connection, [Change("device", device_id)])
    catch_up(database, now)


def revoke_device(database: Database, device_id: str, reason: str, now: datetime, by: str = "") -> None:
    """What the device uploads from now on is quarantined."""
    with database.transaction(Caller.batch()) as connection:
        enrolment.revoke(connection, device_id, reason, now, by)
        enqueue(connection, [Change("device", device_id)])
    catch_up(database, now)


def _policy(connection: Connection, now: datetime) -> Policy:
    """The municipality's policy of the day; the book is made anew only when its own values have changed."""
    own = load_policies(connection)
    version = repr(own)
    book = _BOOKS.get(version)
    if book is None:
        _BOOKS.clear()
        book = _BOOKS[version] = PolicyBook.built_in().with_overrides(own)
    return book.on(local_date(now))


_BOOKS: dict[str, PolicyBook] = {}


def import_bundle(
    database: Database,
    path: Path,
    *,
    now: datetime,
    dry_run: bool = False,
    progress: Progress = no_progress,
    derivation: DerivationProgress = no_derivation_progress,
) -> ImportReport:
    """The city's bundle goes in, all or nothing, and what follows from it is derived: what it touches, or everything.

    BundleRefused with up to 100 errors; a dry run stores nothing. `derivation` is told (phase, done, of how many).
    """
    keyring = open_keyring(database.settings.data)
    options = ImportOptions(
        dry_run=dry_run, progress=progress, sun_counter=counter_by(keyring.sun), extra=frozen_files.readers()
    )
    with database.transaction(Caller.batch()) as connection:
        report = imports.import_bundle(connection, path, now=now, options=options)
        refuse_errors(report)
        everything = not dry_run and not queue_import(connection, report)
    if dry_run:
        return report
    derivation("derive", 0, 1)
    if everything:
        rebuild(database, now, progress=derivation)
    else:
        catch_up(database, now, progress=derivation)
    return report


def export_bundle(
    database: Database, out: Path, *, month: Month | None = None, progress: Progress = no_progress
) -> dict[str, int]:
    """The bundle comes out: everything, or what recomputes a month. Rows per file."""
    with database.transaction(Caller.batch()) as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        frozen = frozen_files.queries(month) if closed_months(connection) else {}
        keyring = open_keyring(database.settings.data)
        options = ExportOptions(month=month, extra=frozen, keyring=keyring, progress=progress)
        return exports.export_bundle(connection, out, options)
