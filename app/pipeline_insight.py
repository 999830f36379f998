"""THE TABLE OF CONTENTS, continued: data that leave for publication and research, and cases that are opened.

What is read about persons is noted in the transaction that reads it (EVIDENCE.md 5): no log row, no file and no name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from app.access.logs import Asked, note_change, note_reading
from app.access.principals import Principal
from app.access.tables import audit_event
from app.core.month import Month
from app.db.callers import Caller
from app.db.engine import Database
from app.insight import study_keys
from app.insight.irregularities import irregularities, irregularities_object
from app.insight.open_data import COLUMNS
from app.insight.open_store import load_open
from app.insight.scene_store import load_scene, staff_of_visits
from app.insight.study import chosen_variables
from app.insight.study_store import StudyRows
from app.insight.table_files import Package, TableFile, new_folder, write_tables
from app.pipeline_derive import catch_up
from app.pipeline_months import complete_month
from app.refusals import Conflict, Invalid, NotFound
from app.registry.store import load_policy_book

MADE, DELIVERED, DESTROYED = "study.make_key", "study.deliver", "study.destroy_key"


def export_open(database: Database, month: Month, place: Path, by: Principal, now: datetime) -> dict[str, int]:
    """A month as open data, in a folder that does not exist yet; rows by table. Conflict, OSError."""
    catch_up(database, now)
    with new_folder(place) as folder, database.transaction(Caller.batch()) as connection:
        rows = load_open(connection, month)
        package = Package(
            f"komgick-open-{month}", f"Hemtjänst {month}: öppna data",
            "Figures of groups, without persons. Groups of fewer than five clients or staff are suppressed, and others "
            "with them where subtraction would give them away.",
        )  # fmt: skip
        counts = write_tables(folder, package, [TableFile("quality", COLUMNS, rows, ("month", "level", "id"))])
        note_change(connection, by, "open_data.export", str(month), now, facts=dict(counts))
    return counts


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a study asks for: its name, its months, and TABLE.VARIABLE words."""

    study: str
    months: Sequence[Month]
    variables: Sequence[str]


def export_study(database: Database, wanted: Delivery, place: Path, by: Principal, now: datetime) -> Mapping[str, int]:
    """The study's data in a folder that does not exist yet; rows by table. The key is made with the first delivery.

    Invalid for an unknown variable; Conflict where the key was destroyed or is lost; OSError.
    """
    study, chosen = study_keys.checked_name(wanted.study), chosen_variables(wanted.variables)
    for month in wanted.months if "accounts" in chosen else ():
        complete_month(database, month, now)
    catch_up(database, now)
    data = database.settings.data
    with new_folder(place) as folder, database.transaction(Caller.batch()) as connection:
        _key_for(connection, data, study, by, now)
        source = StudyRows(connection, study_keys.pseudonyms(data, study), wanted.months)
        tables = [
            TableFile(name, [variable.column for variable in variables], source.rows(name, variables))
            for name, variables in chosen.items()
        ]
        months = [str(month) for month in wanted.months]
        package = Package(
            f"komgick-study-{study}", f"KomGick, studien {study}",
            "Persons, providers and units under pseudonyms that hold within this study only, the same in every "
            "delivery. Clients with protected identity are left out.",
            {"study": study, "months": months},
        )  # fmt: skip
        counts = write_tables(folder, package, tables)
        words = [f"{table}.{variable.column.name}" for table, variables in chosen.items() for variable in variables]
        facts = {"months": months, "variables": words, "rows": counts, "clients_left_out": len(source.left_out)}
        note_change(connection, by, DELIVERED, study, now, facts=facts)
        note_reading(connection, by, "study", source.seen, now, asked=Asked("komgick export --study"))
    return counts


def _key_for(connection: Connection, data: Path, study: str, by: Principal, now: datetime) -> None:
    """The study's key exists from here on, once and for ever: another one would give other pseudonyms."""
    known = set(
        connection.execute(
            select(audit_event.c.action).where(
                audit_event.c.subject == study, audit_event.c.action.in_((MADE, DESTROYED))
            )
        ).scalars()
    )
    if DESTROYED in known:
        raise Conflict(f"the key of study {study} was destroyed: choose another name")
    if study_keys.has_key(data, study):
        return
    if MADE in known:
        raise Conflict(f"the key of study {study} is not in {data}: another would give other pseudonyms")
    study_keys.make_key(data, study)
    note_change(connection, by, MADE, study, now)


def destroy_study_key(database: Database, study: str, by: Principal, now: datetime) -> None:
    """Nobody can make or follow the study's pseudonyms any more. NotFound without a key."""
    study_keys.checked_name(study)
    with database.transaction(Caller.batch()) as connection:
        if not study_keys.has_key(database.settings.data, study):
            raise NotFound(f"study {study} has no key")
        note_change(connection, by, DESTROYED, study, now)
    study_keys.destroy_key(database.settings.data, study)


def read_studies(connection: Connection, data: Path) -> list[dict[str, Any]]:
    """Every study that was ever delivered: when, how often, and whether its key still is."""
    query = select(audit_event).where(audit_event.c.action.in_((MADE, DELIVERED, DESTROYED))).order_by(audit_event.c.at)
    found: dict[str, dict[str, Any]] = {}
    for row in connection.execute(query):
        first = {"study": row.subject, "since": row.at, "deliveries": 0, "key_destroyed_at": None}
        study = found.setdefault(row.subject, first)
        study["deliveries"] += row.action == DELIVERED
        if row.action == DESTROYED:
            study["key_destroyed_at"] = row.at
    return [{**row, "has_key": study_keys.has_key(data, name)} for name, row in sorted(found.items())]


@dataclass(frozen=True, slots=True)
class Opening:
    """Cases of a month to open, under the city's own number of the matter."""

    month: Month
    cases: frozenset[str]
    reference: str


def open_cases(database: Database, wanted: Opening, by: Principal, now: datetime) -> dict[str, Any]:
    """The month's irregularities with these cases opened: who they are about, and which visits.

    Who opened what is noted before anything is shown. NotFound for a case that is not in the month; Invalid without a
    reference.
    """
    month, cases, reference = wanted.month, wanted.cases, wanted.reference.strip()
    if not reference:
        raise Invalid("a case is opened under the city's own number of it")
    catch_up(database, now)
    with database.transaction(Caller.batch()) as connection:
        scene = load_scene(connection, month)
        found = irregularities(scene, load_policy_book(connection).on(month.first_on))
        about = {row.case_id(month): row for row in found}
        if unknown := sorted(cases - about.keys()):
            raise NotFound(f"there is no case {', '.join(unknown)} in {month}")
        for case in sorted(cases):
            facts = {"month": str(month), "rule": about[case].rule, "reference": reference[:80]}
            note_change(connection, by, "case.open", case, now, facts=facts)
        subjects = {about[case].about_id for case in cases if about[case].about == "staff"}
        subjects |= staff_of_visits(connection, month, {visit for case in cases for visit in about[case].visit_ids})
        note_reading(connection, by, "irregularity", subjects, now, asked=Asked("komgick irregularities"))
        return irregularities_object(scene, found, cases)
