"""A simulated town's month, computed a second time: SQL in DuckDB over `komgick visits` and the bundle's own files.

Written from DOMAIN.md 6 alone; nothing of app.insight is used. The wall clock is made here, with zoneinfo.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time
from pathlib import Path
from statistics import fmean, median
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pytest

from tests.contract.commands import Komgick

MONTH = "2026-10"
CLIENTS = "60"
LOCAL = ZoneInfo("Europe/Stockholm")
INDICES = ("upc", "coc_bice_boxerman", "hi", "secon", "k", "mmci", "visit_entropy_bits", "contact_share")

REGISTRY = """
CREATE TABLE staff AS SELECT *, CASE WHEN person_key <> '' THEN 'P' || person_key ELSE 'S' || staff_id END AS person,
       CAST(valid_from AS DATE) AS since, coalesce(try_cast(valid_to AS DATE), DATE '9999-01-01') AS until
  FROM staff_csv;
CREATE TABLE born AS SELECT client_id, try_cast(birth_date AS DATE) AS birth FROM clients_csv;
CREATE TABLE away AS SELECT DISTINCT client_id FROM absences_csv WHERE CAST(from_on AS DATE) <= DATE '2026-10-25'
       AND (kind = 'dead' OR coalesce(try_cast(to_on AS DATE), DATE '9999-01-01') >= DATE '2026-10-12');
CREATE TABLE contact AS SELECT c.client_id, c.provider_id, s.person, CAST(c.valid_from AS DATE) AS since,
       coalesce(try_cast(c.valid_to AS DATE), DATE '9999-01-01') AS until
  FROM contacts_csv c JOIN (SELECT DISTINCT staff_id, person FROM staff) s USING (staff_id) WHERE c.kind = 'contact';
CREATE TABLE visit AS SELECT v.*, s.person FROM seen v JOIN staff s
       ON s.staff_id = v.staff_id AND v.start_day BETWEEN s.since AND s.until
 WHERE s.role = 'carer' AND v.service IN ('care', 'night_patrol')
   AND v.status IN ('complete', 'incomplete', 'declined');
"""
# Of the chosen visits those that share more than an instant are one meeting; a point belongs to what it lies in.
MEETINGS = """
CREATE OR REPLACE TABLE edge AS SELECT a.visit_id AS one, b.visit_id AS other FROM chosen a JOIN chosen b
    ON a.client_id = b.client_id AND a.visit_id <> b.visit_id AND (
       (a.s < b.e AND b.s < a.e) OR (a.s = a.e AND a.s >= b.s AND a.s < b.e) OR (b.s = b.e AND b.s >= a.s AND b.s < a.e)
       OR (a.s = a.e AND b.s = b.e AND a.s = b.s));
CREATE OR REPLACE TABLE grouped AS
  WITH RECURSIVE reach(visit_id, root) AS (SELECT visit_id, visit_id FROM chosen
       UNION SELECT edge.other, reach.root FROM reach JOIN edge ON edge.one = reach.visit_id)
  SELECT visit_id, min(root) AS root FROM reach GROUP BY 1;
CREATE OR REPLACE TABLE meeting AS
  SELECT client_id, root, min(s) AS s, min(start_day) AS day,
         dense_rank() OVER (PARTITION BY client_id ORDER BY min(s), root) AS n
  FROM chosen JOIN grouped USING (visit_id) GROUP BY client_id, root;
CREATE OR REPLACE TABLE met AS SELECT DISTINCT m.client_id, m.n, c.person
  FROM chosen c JOIN grouped USING (visit_id) JOIN meeting m USING (client_id, root);
"""
PER_CLIENT = """
WITH m AS (SELECT client_id, count(DISTINCT n) AS visits, count(DISTINCT person) AS distinct_staff, count(*) AS big
             FROM met GROUP BY 1),
     ni AS (SELECT client_id, person, count(*) AS k FROM met GROUP BY 1, 2),
     per AS (SELECT client_id, max(k) AS most, sum(k * k) AS squares, -sum(k / big * log2(k / big)) AS bits
               FROM ni JOIN m USING (client_id) GROUP BY 1),
     pair AS (SELECT DISTINCT a.client_id, a.n, b.n AS later FROM met a JOIN met b USING (client_id, person)
               WHERE a.n < b.n),
     sharing AS (SELECT client_id, count(*) AS pairs, count(*) FILTER (later = n + 1) AS next FROM pair GROUP BY 1),
     minutes AS (SELECT v.client_id, sum(v.minutes) AS whole, sum(v.minutes) FILTER (EXISTS (SELECT 1 FROM contact c
                   WHERE c.client_id = v.client_id AND c.provider_id = v.provider_id AND c.person = v.person
                     AND v.start_day BETWEEN c.since AND c.until)) AS part FROM chosen v GROUP BY 1),
     has AS (SELECT DISTINCT client_id FROM contact, period WHERE since <= period.last AND until >= period.first)
SELECT m.client_id, distinct_staff, visits, most / visits,
       CASE WHEN visits > 1 THEN coalesce(pairs, 0) / (visits * (visits - 1) / 2) END, squares / (big * big),
       CASE WHEN visits > 1 THEN coalesce(next, 0) / (visits - 1) END,
       CASE WHEN big > 1 THEN (big - distinct_staff) / (big - 1) END,
       CASE WHEN big > 1 THEN (1 - distinct_staff / (big + 0.1)) / (1 - 1 / (big + 0.1)) END, bits,
       CASE WHEN h.client_id IS NOT NULL AND whole > 0 THEN coalesce(part, 0) / whole END
FROM m JOIN per USING (client_id) JOIN minutes USING (client_id) LEFT JOIN sharing USING (client_id)
LEFT JOIN has h USING (client_id) ORDER BY 1
"""
OLD = "SELECT client_id FROM born WHERE birth <= DATE '1961-10-12' AND client_id NOT IN (SELECT client_id FROM away)"
TWICE = """SELECT client_id FROM (SELECT client_id, day, count(*) AS c FROM ({}) GROUP BY ALL HAVING c >= 2)
           GROUP BY 1 HAVING count(DISTINCT day) = 14"""
PLANNED_DAYS = """SELECT client_id, start_day AS day FROM planned WHERE withdrawn_at = ''
                  AND service IN ('care', 'night_patrol') AND start_hour BETWEEN 7 AND 21
                  AND start_day BETWEEN DATE '2026-10-12' AND DATE '2026-10-25'"""


@pytest.fixture
def komgick(cli_environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Komgick:
    for name, value in cli_environment.items():
        monkeypatch.setenv(name, value)
    return Komgick()


def _local(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(LOCAL)


def _times(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Instants as seconds (their order survives the clock change), days and hours of the wall clock."""
    spans = [(_local(row["start_at"] or row["end_at"]), _local(row["end_at"] or row["start_at"])) for row in rows]
    return {
        "s": [start.timestamp() for start, _ in spans],
        "e": [end.timestamp() for _, end in spans],
        "start_day": pa.array([start.date() for start, _ in spans], pa.date32()),
        "start_hour": [start.hour for start, _ in spans],
        "by_day": [
            start.hour in range(7, 22) or (end.hour in range(7, 22) and end.time() != time(7)) for start, end in spans
        ],
    }


def _second_opinion(bundle: Path, visits: list[dict[str, Any]]) -> duckdb.DuckDBPyConnection:
    """The exported visits and the bundle's registry and plan as tables."""
    sql = duckdb.connect()
    for name in ("staff", "clients", "absences", "contacts", "planned_visits"):
        files = f"read_csv('{bundle / name}.csv', all_varchar = true)"
        sql.execute(f"CREATE TABLE {name}_csv AS SELECT coalesce(COLUMNS(*), '') FROM {files}")
    names = ("visit_id", "client_id", "provider_id", "staff_id", "status", "service", "minutes")
    sql.register("seen", pa.table({**{name: [row[name] for row in visits] for name in names}, **_times(visits)}))
    plans = sql.sql("SELECT * FROM planned_visits_csv").to_arrow_table().to_pylist()
    chosen = ("client_id", "service", "withdrawn_at")
    sql.register("planned", pa.table({**{name: [row[name] for row in plans] for name in chosen}, **_times(plans)}))
    sql.execute(REGISTRY)
    return sql


def _choose(sql: duckdb.DuckDBPyConnection, first: str, last: str, also: str = "true") -> None:
    """The visits of a period (and of its hours), and their meetings."""
    period = f"DATE '{first}' AS first, DATE '{last}' AS last"
    sql.execute(f"CREATE OR REPLACE TABLE period AS SELECT {period}")
    where = f"start_day BETWEEN DATE '{first}' AND DATE '{last}' AND {also}"
    sql.execute(f"CREATE OR REPLACE TABLE chosen AS SELECT * FROM visit WHERE {where}")
    sql.execute(MEETINGS)


def _per_client(found: dict[str, Any]) -> list[list[Any]]:
    columns = ("client_id", "distinct_staff", "visits", *INDICES)
    return [[row[name] for name in columns] for row in found["per_client"]]


def _close(rows: list[tuple[Any, ...]]) -> list[list[Any]]:
    return [[pytest.approx(cell, abs=1e-9) if isinstance(cell, float) else cell for cell in row] for row in rows]


def test_both_measures_of_a_simulated_town_agree_with_a_second_computation(tmp_path: Path, komgick: Komgick) -> None:
    bundle = tmp_path / "bundle"
    komgick("simulate", "--clients", CLIENTS, "--month", MONTH, "--seed", "3", "--out", str(bundle))
    komgick("import", str(bundle))
    sql = _second_opinion(bundle, komgick.json("visits", "--month", MONTH))

    _choose(sql, "2026-10-01", "2026-10-31")
    expected = sql.execute(PER_CLIENT).fetchall()
    found = komgick.json("continuity", "--measure", "stockholm_month", "--month", MONTH)
    assert len(expected) > 50
    assert _per_client(found) == _close(expected)
    assert found["mean"] == pytest.approx(fmean(row[1] for row in expected), abs=1e-9)
    assert found["median"] == median(row[1] for row in expected)
    assert found["share_over_20_percent"] == pytest.approx(
        100 * sum(row[1] > 20 for row in expected) / len(expected), abs=1e-9
    )

    for variants, hours, twice in (
        ((), "start_hour BETWEEN 7 AND 21", "SELECT client_id, day FROM meeting"),
        (("hours_by_overlap",), "by_day", "SELECT client_id, day FROM meeting"),
        (("two_by_plan",), "start_hour BETWEEN 7 AND 21", PLANNED_DAYS),
    ):
        _choose(sql, "2026-10-12", "2026-10-25", hours)
        counted = sql.execute(f"{OLD} INTERSECT {TWICE.format(twice)}").fetchall()
        words = [word for name in variants for word in ("--variant", name)]
        found = komgick.json("continuity", "--measure", "kolada_14d", "--month", MONTH, *words)
        assert (found["from_on"], found["to_on"], found["official"]) == ("2026-10-12", "2026-10-25", True)
        included = sorted(client for (client,) in counted)
        expected = [row for row in sql.execute(PER_CLIENT).fetchall() if row[0] in included]
        assert 5 < len(included) < 50, variants
        assert _per_client(found) == _close(expected), variants
        assert {row["client_id"] for row in found["clients_excluded"]}.isdisjoint(included)
