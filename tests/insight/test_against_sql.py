"""An independent computation of continuity: SQL in DuckDB, written from DOMAIN.md 6 alone, over exported visits."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from app.core.localtime import instant_of
from app.core.month import Month
from app.facts import Visit
from app.insight.continuity import measured_object
from app.insight.measure import compute
from app.insight.measures import measure_named
from app.insight.windows import Window
from tests.insight.world import Town, visit

MEETINGS = """
CREATE TABLE chosen AS
  SELECT client_id, person, start_at AS s, coalesce(end_at, start_at) AS e,
         start_at = coalesce(end_at, start_at) AS point
  FROM (SELECT client_id, person, coalesce(start_at, end_at) AS start_at, coalesce(end_at, start_at) AS end_at
        FROM visits WHERE role = 'carer' AND service IN ('care', 'night_patrol') AND status <> 'cancelled')
  WHERE start_at >= $from AND start_at < $to AND (NOT $by_day OR hour(start_at) BETWEEN 7 AND 21);
CREATE TABLE marked AS
  SELECT *, row_number() OVER w AS n,
         coalesce(s < max(e) OVER before OR s <= max(CASE WHEN point THEN s END) OVER before, false) AS joined
  FROM chosen WINDOW w AS (PARTITION BY client_id ORDER BY s, point, person),
       before AS (PARTITION BY client_id ORDER BY s, point, person ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING);
CREATE TABLE met AS
  SELECT client_id, meeting, person, min(s) OVER (PARTITION BY client_id, meeting) AS s
  FROM (SELECT *, sum(CASE WHEN joined THEN 0 ELSE 1 END) OVER (PARTITION BY client_id ORDER BY n) AS meeting
        FROM marked);
CREATE TABLE pm AS SELECT DISTINCT client_id, meeting, person, s FROM met;
"""
PER_CLIENT = """
WITH m AS (SELECT client_id, count(DISTINCT meeting) AS meetings, count(DISTINCT person) AS distinct_staff,
                  count(*) AS n FROM pm GROUP BY 1),
     ni AS (SELECT client_id, person, count(*) AS k FROM pm GROUP BY 1, 2),
     agg AS (SELECT client_id, max(k) AS most, sum(k * k) AS squares FROM ni GROUP BY 1),
     ent AS (SELECT client_id, -sum(k / n * log2(k / n)) AS bits FROM ni JOIN m USING (client_id) GROUP BY 1),
     pairs AS (SELECT a.client_id, a.meeting AS one, b.meeting AS other FROM pm a JOIN pm b
               ON a.client_id = b.client_id AND a.person = b.person AND a.meeting < b.meeting GROUP BY ALL),
     sharing AS (SELECT client_id, count(*) AS shared, count(*) FILTER (other = one + 1) AS next FROM pairs GROUP BY 1)
SELECT client_id, distinct_staff, meetings, most / meetings AS upc,
       CASE WHEN meetings > 1 THEN 2 * coalesce(shared, 0) / (meetings * (meetings - 1)) END AS coc,
       squares / (n * n) AS hi, CASE WHEN meetings > 1 THEN coalesce(next, 0) / (meetings - 1) END AS secon,
       CASE WHEN n > 1 THEN (n - distinct_staff) / (n - 1) END AS k,
       CASE WHEN n > 1 THEN (1 - distinct_staff / (n + 0.1)) / (1 - 1 / (n + 0.1)) END AS mmci, bits
FROM m JOIN agg USING (client_id) JOIN ent USING (client_id) LEFT JOIN sharing USING (client_id) ORDER BY 1
"""


def _random_visits(seed: int, count: int, days: int) -> list[Visit]:
    chance = random.Random(seed)
    first = instant_of(date(2026, 10, 12))
    visits = []
    for _ in range(count):
        start = first + timedelta(days=chance.randrange(-1, days), minutes=5 * chance.randrange(288))
        length = chance.choice((0, 5, 10, 25, 60))
        gone = chance.random()
        status = "complete" if 0.05 <= gone <= 0.9 else "incomplete"
        client, person = chance.randrange(12), chance.randrange(9)
        visits.append(
            visit(
                f"c{client:02}",
                f"s{person}{chance.randrange(2)}",
                None if gone < 0.05 else start,
                None if gone > 0.9 else start + timedelta(minutes=length),
                person=f"person:p{person}",
                role=chance.choice(("carer",) * 9 + ("trainee",)),
                service=chance.choice(("care",) * 8 + ("night_patrol", "meal")),
                status=status if chance.random() < 0.97 else "cancelled",
            )
        )
    return visits


def _by_sql(visits: list[Visit], window: Window, *, by_day: bool) -> tuple[Any, list[Any]]:
    connection = duckdb.connect()
    columns = {
        "client_id": [v.client_id for v in visits],
        "person": [v.person for v in visits],
        "role": [v.role for v in visits],
        "service": [v.service for v in visits],
        "status": [v.status for v in visits],
        "start_at": pa.array([_local(v.start_at) for v in visits], pa.timestamp("us")),
        "end_at": pa.array([_local(v.end_at) for v in visits], pa.timestamp("us")),
    }
    connection.register("visits", pa.table(columns))
    values = {"from": window.from_on, "to": window.to_on + timedelta(days=1), "by_day": by_day}
    for statement in MEETINGS.strip().rstrip(";").split(";"):
        named = {name: value for name, value in values.items() if f"${name}" in statement}
        connection.execute(statement, named)
    return connection, connection.execute(PER_CLIENT).fetchall()


def _local(instant: datetime | None) -> datetime | None:
    """Wall clock of October before the change: UTC + 2 h (the visits lie before the 25th)."""
    return None if instant is None else instant.replace(tzinfo=None) + timedelta(hours=2)


@pytest.mark.parametrize("seed", range(3))
def test_stockholm_month_agrees_with_sql_on_random_visits(seed: int) -> None:
    visits = _random_visits(seed, 700, 12)
    window = Window.of_month(Month(2026, 10))
    _, expected = _by_sql(visits, window, by_day=False)
    shown = measured_object(compute(measure_named("stockholm_month"), Town(visits), window))
    names = ("client_id", "distinct_staff", "visits", "upc", "coc_bice_boxerman", "hi", "secon", "k", "mmci")
    assert len(expected) == len(shown["per_client"]) == 12
    for row, client in zip(expected, shown["per_client"], strict=True):
        assert [client[name] for name in (*names, "visit_entropy_bits")] == [
            pytest.approx(value, abs=1e-9) if isinstance(value, float) else value for value in row
        ]


@pytest.mark.parametrize("seed", range(2))
def test_kolada_agrees_with_sql_on_random_visits(seed: int) -> None:
    # dense enough that some clients have two meetings every day of the first 12 days; the last two are given to all
    window = Window.of_days(date(2026, 10, 11), 14)
    visits = _random_visits(seed, 1400, 13)
    connection, expected = _by_sql(visits, window, by_day=True)
    enough = connection.execute(
        "SELECT client_id FROM (SELECT client_id, CAST(s AS DATE) AS on_day, count(DISTINCT meeting) AS c FROM pm "
        "GROUP BY ALL HAVING c >= 2) GROUP BY 1 HAVING count(*) = 14 ORDER BY 1"
    ).fetchall()
    born = {f"c{client:02}": date(1940, 1, 1) for client in range(12)}
    measured = compute(measure_named("kolada_14d"), Town(visits, born), window)
    assert [client.client_id for client in measured.clients] == [row[0] for row in enough]
    assert 0 < len(enough) < 12
    counts = {row[0]: row[1] for row in expected}
    assert all(client.indices.distinct_staff == counts[client.client_id] for client in measured.clients)
