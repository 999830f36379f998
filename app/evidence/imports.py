"""A bundle into the database: all or nothing, idempotent, every error of a run at once (CONTRACT.md section 2)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from app.db.base import metadata
from app.evidence.receipt_lines import stage_receipts, store_receipts
from app.evidence.sun_import import SunCounter, stage_sun_counters, store_sun_reads
from app.evidence.tap_import import check_taps, store_taps
from app.policies import DatedValue, PolicyBook, read_policies
from app.refusals import BundleRefused, Refused
from app.registry.bundle.checks import check, check_owner
from app.registry.bundle.columns import (
    BY_NAME,
    DESCRIPTION,
    FILES,
    POLICIES,
    RECEIPTS,
    REGISTRY_FILES,
    STATEMENT_FILES,
    TAPS_FILE,
    File,
)
from app.registry.bundle.errors import BundleError
from app.registry.bundle.keys import keep_proved
from app.registry.bundle.reasons import name_reasons
from app.registry.bundle.source import Source, open_bundle
from app.registry.bundle.staging import Progress, Run, bad_keys_table, no_progress, stage
from app.registry.bundle.storing import Counts, store_registry, store_statements, touched_rows
from app.registry.store import load_policies, store_policies

# Per file: the columns whose values, new and old, tell whom a changed row touches; `:month` is its local month as text.
TOUCHES: Mapping[str, tuple[str, ...]] = {
    "providers.csv": ("provider_id",),
    "units.csv": ("unit_id", "provider_id"),
    "staff.csv": ("staff_id", "person_key"),
    "clients.csv": ("client_id",),
    "contacts.csv": ("client_id", "provider_id", "staff_id"),
    "tag_refusals.csv": ("client_id",),
    "tags.csv": ("tag_uid", "client_id"),
    "orders.csv": ("client_id", "provider_id", "order_id"),
    "order_services.csv": ("order_id",),
    "devices.csv": ("device_id",),
    "absences.csv": ("client_id",),
    "outages.csv": ("provider_id", "from_at", "to_at"),
    "staff_hours.csv": ("staff_id",),
    "services_done.csv": ("client_id",),
    "prices.csv": ("operation", "service", "valid_from"),
    "catalogue.csv": ("unit_id",),
    "external_indicators.csv": ("unit_id",),
    "planned_visits.csv": ("client_id", "provider_id", "start_at:month"),
    "declines.csv": ("client_id", "provider_id", "planned_start_at"),
    "manual_visits.csv": ("client_id", "provider_id", "staff_id", "start_at", "end_at", "manual_id"),
    "corrections.csv": ("correction_id",),
    "disputes.csv": ("client_id", "on_date"),
    "excess_reasons.csv": ("client_id", "provider_id", "month"),
    "resolutions.csv": ("finding_id",),
    "attests.csv": ("provider_id", "month"),
    "closes.csv": ("month",),
}


@dataclass(slots=True)
class Touched:
    """What an import changed, so that what follows from it can be derived again.

    `rows`: per file the distinct values of TOUCHES[file] of added and changed rows, as they are and as they were.
    `taps`: per staff_id the first and last stamp of new taps. `devices`: those made known by a tap.
    """

    rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    taps: dict[str, tuple[datetime, datetime]] = field(default_factory=dict)
    devices: tuple[str, ...] = ()
    policies: bool = False

    def values(self, file: str, column: str) -> set[Any]:
        """The distinct values of one column of TOUCHES[file], without None."""
        position = TOUCHES[file].index(column)
        return {row[position] for row in self.rows.get(file, ()) if row[position] is not None}


@dataclass(slots=True)
class ImportReport:
    """What an import did: per file its counts; where there are errors, nothing."""

    counts: dict[str, Counts] = field(default_factory=dict)
    errors: list[BundleError] = field(default_factory=list)
    touched: Touched = field(default_factory=Touched)


Extra = Callable[[Run, Source], Counts]
"""Reads one more file of an export (frozen accounts, lines); notes errors in the run."""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How a bundle is read.

    `dry_run`: everything is done and taken back. `provider_id`: the bundle of one provider, who may only bring what
    is its own. `trusted`: receipts.jsonl is believed (an export of our own). `extra`: further files by name.
    `sun_counter`: checks SUN values; None where this installation has no keys.
    """

    dry_run: bool = False
    provider_id: str | None = None
    trusted: bool = True
    extra: Mapping[str, Extra] = field(default_factory=dict)
    sun_counter: SunCounter | None = None
    progress: Progress = no_progress


# What a provider's own systems may bring.
PROVIDER_FILES: Collection[str] = frozenset(
    {
        "units.csv",
        "staff.csv",
        "contacts.csv",
        "staff_hours.csv",
        "services_done.csv",
        "planned_visits.csv",
        "declines.csv",
        "manual_visits.csv",
    }
)


def import_bundle(
    connection: Connection, path: Path, *, now: datetime, options: ImportOptions | None = None
) -> ImportReport:
    """Read the bundle at `path` into the database inside the caller's transaction.

    With errors, or as a dry run, everything is taken back (a savepoint) and the report tells. `now` is when
    statements are stored. BundleRefused where there is no bundle to read. Needs the owner's connection: COPY does not
    work under row-level security.
    """
    options = options or ImportOptions()
    with open_bundle(path) as source:
        savepoint = connection.begin_nested()
        run = Run(connection, progress=options.progress)
        try:
            connection.execute(text("SET LOCAL work_mem = '96MB'"))
            report = _import(run, source, now, options)
        except BaseException:
            savepoint.rollback()
            raise
        if options.dry_run or report.errors:
            savepoint.rollback()
        else:
            savepoint.commit()
    return report


def refuse_errors(report: ImportReport) -> None:
    """Raise BundleRefused with every error of the report, one a line; nothing where there are none."""
    if report.errors:
        raise BundleRefused("\n".join(["nothing was imported:", *(str(error) for error in report.errors)]))


def _import(run: Run, source: Source, now: datetime, options: ImportOptions) -> ImportReport:
    _check_names(run, source, options)
    own = _read_own_policies(run, source)
    _extend_lists(run, own)
    bad_keys_table(run)
    staged = [file for file in FILES if file.name in source.names and _may(file.name, options)]
    for file in staged:
        if run.errors.full:
            break
        stage(run, source, file)
    _check(run, source, staged, options)
    if run.errors.found:
        return ImportReport(errors=sorted(run.errors.found))
    report = ImportReport()
    _store(run, staged, now, options, report)
    _store_beside(run, source, own, options, report)
    run.connection.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
    _drop_stages(run)
    report.errors = sorted(run.errors.found)
    return report


def _may(name: str, options: ImportOptions) -> bool:
    return options.provider_id is None or name in PROVIDER_FILES


def _check_names(run: Run, source: Source, options: ImportOptions) -> None:
    known = {*BY_NAME, DESCRIPTION, POLICIES, RECEIPTS, *options.extra}
    for name in source.names:
        if name not in known:
            run.errors.add(name, 0, "", name, "a file of the bundle: " + ", ".join(sorted(BY_NAME)))
        elif name != DESCRIPTION and not _may(name, options):
            run.errors.add(name, 0, "", name, "a file that a provider may bring: " + ", ".join(sorted(PROVIDER_FILES)))


def _read_own_policies(run: Run, source: Source) -> list[DatedValue]:
    if POLICIES not in source.names:
        return []
    try:
        return read_policies(source.text(POLICIES))
    except Refused as refused:
        run.errors.add(POLICIES, 0, "", "", refused.detail)
    except UnicodeDecodeError:
        run.errors.add(POLICIES, 0, "", "", "it is not text in UTF-8")
    return []


def _extend_lists(run: Run, own: list[DatedValue]) -> None:
    """Reasons a municipality added by policy, at any date: none is removed while used (CONTRACT.md section 6)."""
    book = PolicyBook.built_in().with_overrides([*load_policies(run.connection), *own])
    for key, file in (
        ("extra_manual_reasons", "manual_visits.csv"),
        ("extra_correction_reasons", "corrections.csv"),
        ("extra_excess_reasons", "excess_reasons.csv"),
    ):
        values = [row["value"] for row in book.rows() if row["key"] == key]
        run.choices[file, "reason"] = tuple(dict.fromkeys(reason for value in values for reason in value))


def _check(run: Run, source: Source, staged: list[File], options: ImportOptions) -> None:
    run.progress("checks", 0)
    for file in staged:
        if file.name in run.broken or run.errors.full:
            continue
        if file.name == "excess_reasons.csv":
            name_reasons(run, file)
        if file.name == "devices.csv":
            keep_proved(run, file)
        check(run, file, metadata.tables, options.provider_id)
        if options.provider_id is not None:
            check_owner(run, file, options.provider_id)
        if file is TAPS_FILE:
            check_taps(run)
    trusted = source if RECEIPTS in source.names and options.trusted and options.provider_id is None else None
    stage_receipts(run, trusted)


def _store(run: Run, staged: list[File], now: datetime, options: ImportOptions, report: ImportReport) -> None:
    for file in staged:
        run.progress(f"storing {file.name}", 0)
        table = metadata.tables[file.table]
        if file in REGISTRY_FILES:
            report.counts[file.name] = store_registry(run, file, table)
        elif file in STATEMENT_FILES:
            report.counts[file.name] = store_statements(run, file, table, now, may_move=options.provider_id is None)
        else:
            _store_taps(run, file, options, report)
            continue
        report.touched.rows[file.name] = [tuple(row) for row in touched_rows(run, file, TOUCHES[file.name])]


def _store_taps(run: Run, file: File, options: ImportOptions, report: ImportReport) -> None:
    stage_sun_counters(run, options.sun_counter if file is TAPS_FILE else None)
    stored = store_taps(run, file)
    if file is TAPS_FILE:
        store_sun_reads(run)
    report.counts[file.name] = stored.counts
    report.touched.devices = tuple(sorted({*report.touched.devices, *stored.new_devices}))
    for staff_id, (first_at, last_at) in stored.touched.items():
        known = report.touched.taps.get(staff_id, (first_at, last_at))
        report.touched.taps[staff_id] = (min(known[0], first_at), max(known[1], last_at))


def _store_beside(
    run: Run, source: Source, own: list[DatedValue], options: ImportOptions, report: ImportReport
) -> None:
    """Policies, what receipts.jsonl holds, and the files others read."""
    if POLICIES in source.names:
        report.counts[POLICIES] = Counts(*store_policies(run.connection, own))
        report.touched.policies = report.counts[POLICIES].added + report.counts[POLICIES].changed > 0
    for table, counts in store_receipts(run).items():
        report.counts[f"{RECEIPTS}: {table}"] = counts
    for name, read in options.extra.items():
        if name in source.names:
            report.counts[name] = read(run, source)


def _drop_stages(run: Run) -> None:
    """Free the disk before the caller goes on in the same transaction."""
    names = run.connection.execute(
        text("SELECT relname FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relkind = 'r'")
    ).all()
    for row in names:
        run.connection.execute(text(f'DROP TABLE pg_temp."{row.relname}"'))
