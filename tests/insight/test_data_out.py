"""Open data, studies and cases as an operator takes them out: what leaves, under which names, and what is noted."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import insert, select, update

from app.access.tables import audit_event, reading
from app.cli import COMMANDS
from app.cli.registry import run
from app.core.localtime import instant_of
from app.db.callers import Caller
from app.db.engine import Database
from app.evidence.store import append
from app.facts import PlannedVisit
from app.registry.tables import clients, employments
from app.visits.store import to_row
from app.visits.tables import visits
from tests.contract.commands import Komgick
from tests.insight.test_store import NOW, put, some_visits
from tests.insight.world import visit

CHOSEN = ("visits.client,visits.staff,visits.month,visits.minutes", "--variable", "continuity.client,continuity.upc")


@pytest.fixture
def town(
    database: Database, cli_environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> tuple[Komgick, Database]:
    for name, value in cli_environment.items():
        monkeypatch.setenv(name, value)
    with database.transaction(Caller.batch()) as connection:
        put(connection, some_visits())
    return Komgick(), database


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8") as content:
        return list(csv.DictReader(content))


def _log(database: Database) -> list[tuple[str, str, dict[str, Any]]]:
    with database.transaction(Caller.batch(), read_only=True) as connection:
        return [(row.action, row.subject, row.facts) for row in connection.execute(select(audit_event))]


def _study(komgick: Komgick, name: str, place: Path, *also: str) -> list[dict[str, str]]:
    komgick("export", "--study", name, "--month", "2026-10", "--out", str(place), "--variable", *CHOSEN, *also)
    return _rows(place / "visits.csv")


def test_open_data_are_written_as_csv_and_parquet_and_noted(town: tuple[Komgick, Database], tmp_path: Path) -> None:
    komgick, database = town
    komgick("export", "--open", "--month", "2026-10", "--out", str(tmp_path / "open"), "--by", "Eva")
    shown = {(row["level"], row["id"]): row for row in _rows(tmp_path / "open" / "quality.csv")}
    whole = shown["municipality", ""]
    assert (whole["clients"], whole["executed_minutes"], whole["suppressed"]) == ("", "", "true"), "only four carers"
    assert len(pq.read_table(tmp_path / "open" / "quality.parquet").to_pylist()) == len(shown)
    assert ("open_data.export", "2026-10", {"quality": len(shown)}) in _log(database)


def test_a_studys_pseudonyms_are_the_same_in_every_delivery_and_others_in_another_study(
    town: tuple[Komgick, Database], tmp_path: Path
) -> None:
    komgick, database = town
    first = _study(komgick, "balans", tmp_path / "a")
    again = _study(komgick, "balans", tmp_path / "b", "--to-month", "2026-11")
    other = _study(komgick, "sova", tmp_path / "c")
    assert [row for row in again if row["month"] == "2026-10"] == first
    people = {name: ({row["client"] for row in rows}, {row["staff"] for row in rows})
              for name, rows in (("first", first), ("other", other))}  # fmt: skip
    assert [len(found) for found in people["first"]] == [5, 4], "persons are counted, not employments"
    assert people["first"][0].isdisjoint(people["other"][0])
    assert {row["client"] for row in _rows(tmp_path / "a" / "continuity.csv")} == people["first"][0]
    assert sum(int(row["minutes"]) for row in first) == sum(int(row["minutes"]) for row in other) > 0
    text = "".join(file.read_text("utf-8") for file in (tmp_path / "a").iterdir() if file.suffix != ".parquet")
    # Whole cells: a pseudonym may end in any two characters.
    assert not {"c1", "s2", "k1", "p0", "u0"} & set(re.split(r"[^A-Za-z0-9_-]+", text))
    delivered = [facts for action, subject, facts in _log(database) if (action, subject) == ("study.deliver", "balans")]
    assert [facts["months"] for facts in delivered] == [["2026-10"], ["2026-10", "2026-11"]]
    assert delivered[0]["variables"][0] == "visits.client"
    with database.transaction(Caller.batch(), read_only=True) as connection:
        reads = connection.execute(select(reading.c.what, reading.c.count)).all()
    assert [tuple(row) for row in reads] == [("study", 5)] * 3


def test_a_destroyed_key_ends_the_study_for_ever(town: tuple[Komgick, Database], tmp_path: Path) -> None:
    komgick, database = town
    _study(komgick, "balans", tmp_path / "a")
    (key,) = (database.settings.data / "secrets" / "studies").iterdir()
    assert (key.stat().st_mode & 0o777, len(key.read_bytes())) == (0o600, 32)
    komgick("study", "destroy-key", "balans", "--by", "Eva")
    assert not key.exists()
    again = ("export", "--study", "balans", "--month", "2026-10", "--variable", "visits.client", "--out")
    assert run(COMMANDS, (*again, str(tmp_path / "b"))) == 1
    assert not (tmp_path / "b").exists()
    (row,) = komgick.json("study", "list")
    assert (row["study"], row["deliveries"], row["has_key"]) == ("balans", 1, False)
    assert row["key_destroyed_at"]


def test_a_key_that_was_lost_is_not_replaced_silently(town: tuple[Komgick, Database], tmp_path: Path) -> None:
    komgick, database = town
    _study(komgick, "balans", tmp_path / "a")
    (database.settings.data / "secrets" / "studies" / "balans.key").unlink()
    again = ("export", "--study", "balans", "--month", "2026-10", "--variable", "visits.client", "--out")
    assert run(COMMANDS, (*again, str(tmp_path / "b"))) == 1


def test_clients_with_protected_identity_are_left_out_and_only_listed_variables_leave(
    town: tuple[Komgick, Database], tmp_path: Path
) -> None:
    komgick, database = town
    with database.transaction(Caller.batch()) as connection:
        connection.execute(update(clients).where(clients.c.client_id == "c1").values(protected_identity=True))
    assert len({row["client"] for row in _study(komgick, "balans", tmp_path / "a")}) == 4
    (facts,) = [facts for action, _, facts in _log(database) if action == "study.deliver"]
    assert facts["clients_left_out"] == 1
    offered = {row["variable"] for row in komgick.json("study", "variables")}
    assert offered >= {"visits.start_at", "accounts.ordered_minutes", "continuity.coc_bice_boxerman"}
    words = ("name", "address", "birth", "_id", "tag", "device", "note", "site", "key")
    assert not [name for name in offered for word in words if word in name.partition(".")[2] and "target" not in name]
    for asked in ("visits.client_id", "clients.name", ""):
        command = ("export", "--study", "x", "--month", "2026-10", "--out", str(tmp_path / "b"), "--variable", asked)
        assert run(COMMANDS, command) == 1, asked


def test_a_case_is_opened_under_a_reference_and_noted_before_a_name_is_shown(town: tuple[Komgick, Database]) -> None:
    komgick, database = town
    days = [date(2026, 10, day) for day in range(1, 13)]
    plans = [PlannedVisit(f"v{on.day}", "c1", "p0", "s9", *_clock(on), "care", 1) for on in days]
    made = [
        visit("c1", "s9", plan.start_at, plan.end_at, provider_id="p0", unit_id="u0", planned_id=plan.planned_id)
        for plan in plans
    ]
    with database.transaction(Caller.batch()) as connection:
        employed = {"staff_id": "s9", "name": "Eva Ek", "unit_id": "u0", "provider_id": "p0", "role": "carer"}
        connection.execute(insert(employments), [{**employed, "valid_from": "2020-01-01"}])
        append(connection, plans, NOW)
        connection.execute(insert(visits), [to_row(one, one.staff_id, NOW) for one in made])
    closed = komgick.json("irregularities", "2026-10")["irregularities"]
    (case,) = [row for row in closed if row["rule"] == "ends_as_planned"]
    assert (case["about"], case["about_id"], case["staff_name"], case["visits"]) == ("staff", None, None, 12)
    assert "s9" not in str(closed)
    opening = ("irregularities", "2026-10", "--case", case["case_id"])
    assert run(COMMANDS, opening) == 2, "a reference is asked for"
    assert run(COMMANDS, ("irregularities", "2026-10", "--case", "no", "--reference", "SN 7")) == 1
    assert _log(database) == []
    opened = komgick.json(*opening, "--reference", "SN 2026/7", "--by", "Kim")["irregularities"]
    (shown,) = [row for row in opened if row["case_id"] == case["case_id"]]
    assert (shown["about_id"], shown["staff_name"]) == ("s9", "Eva Ek")
    assert shown["visits"] == sorted(one.visit_id for one in made)
    facts = {"month": "2026-10", "rule": "ends_as_planned", "reference": "SN 2026/7"}
    assert _log(database) == [("case.open", case["case_id"], facts)]
    with database.transaction(Caller.batch(), read_only=True) as connection:
        assert connection.execute(select(reading.c.actor, reading.c.subjects)).all() == [("cli:Kim", ["s9"])]


def _clock(on: date) -> tuple[datetime, datetime]:
    return instant_of(on, time(8)), instant_of(on, time(8, 30))
