"""Where a rebuild writes: unlogged tables beside the derived ones, then one transaction lets differences replace.

Of visits only those are written here that are not stored as they were derived, line for line; and `rebuild_unmet` has
the ids of stored visits that were not derived where they are stored. Findings and outcomes are few: all are written.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any

import psycopg
from sqlalchemy import Connection, Table, text

from app.core.month import Month
from app.db.callers import Login
from app.db.copy_text import raw_connection
from app.db.engine import Database
from app.db.partitions import ensure_months, fill_month
from app.facts import DeclineOutcome, Finding
from app.findings import store as finding_store
from app.findings.tables import findings
from app.visits import store
from app.visits.lines import LINE_COLUMNS
from app.visits.tables import decline_outcomes, visits

MOST_NAMED = 100
_MOVES_AT_ONCE = 1000
# Staged visits of a month from which on its indexes are built once, at the end.
_LARGE = 50_000
_STAGED: tuple[tuple[Table, tuple[str, ...]], ...] = (
    (visits, ("visit_id",)),
    (findings, ("finding_id",)),
    (decline_outcomes, ("provider_id", "decline_id")),
)
_COPIED: Mapping[str, Sequence[str]] = {
    "visits": LINE_COLUMNS,
    "findings": tuple(column.name for column in findings.columns),
    "decline_outcomes": tuple(column.name for column in decline_outcomes.columns),
    "unmet": ("visit_id",),
}
_UNCOMPARED = ("changed_at",)
# The rest of `findings` (accounts and their orders, devices) is made elsewhere: a rebuild of visits must not
# touch it, nor call it gone.
_STEPS_HERE = ("tap", "visit", "manual", "person", "client", "share", "correction")


@dataclass(slots=True)
class Difference:
    """How a new derivation differs from the stored one: per table counts, and the first ids of each kind."""

    new: dict[str, int] = field(default_factory=dict)
    changed: dict[str, int] = field(default_factory=dict)
    gone: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    named: list[dict[str, str]] = field(default_factory=list)

    @property
    def total(self) -> int:
        """How many rows differed in any way."""
        return sum(self.new.values()) + sum(self.changed.values()) + sum(self.gone.values())


class Writer:
    """Open COPYs into the staging tables."""

    def __init__(self, copies: dict[str, psycopg.Copy]) -> None:
        self._copies = copies
        self._names = {table.name: [column.name for column in table.columns] for table, _ in _STAGED}

    def visits(self, lines: Iterable[bytes]) -> None:
        """Visits, as `visit_line` has them."""
        self._copies["visits"].write(b"".join(lines))

    def unmet(self, visit_ids: Iterable[str]) -> None:
        """Stored visits that the derivation no longer has where they are stored."""
        for visit_id in visit_ids:
            self._copies["unmet"].write_row([visit_id])

    def finding(self, step: str, finding: Finding) -> None:
        """One finding."""
        row = finding_store.to_row(finding, step, finding.at)
        for name in ("taps", "facts", "proposal"):
            row[name] = json.dumps(row[name], ensure_ascii=False)
        self._write("findings", row)

    def outcome(self, outcome: DeclineOutcome) -> None:
        """What became of one decline."""
        self._write("decline_outcomes", {**asdict(outcome), "visit_ids": list(outcome.visit_ids)})

    def _write(self, table: str, row: dict[str, Any]) -> None:
        self._copies[table].write_row([row[name] for name in self._names[table]])


class Staging:
    """The staging tables of one rebuild at a time; writers may be in several processes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self) -> None:
        """Empty staging tables; those of a rebuild that died are dropped."""
        self.drop()
        with self._database.engine(Login.BATCH).begin() as connection:
            for table, _ in _STAGED:
                connection.execute(text(f"CREATE UNLOGGED TABLE rebuild_{table.name} (LIKE {table.name})"))
            connection.execute(text("ALTER TABLE rebuild_visits ALTER COLUMN changed_at DROP NOT NULL"))
            connection.execute(text("CREATE UNLOGGED TABLE rebuild_unmet (visit_id text NOT NULL)"))
            for name in _COPIED:
                # Nobody but the owner has rights on it; walled all the same, as every table with people in it.
                connection.execute(text(f"ALTER TABLE rebuild_{name} ENABLE ROW LEVEL SECURITY"))

    def drop(self) -> None:
        """No staging tables."""
        with self._database.engine(Login.BATCH).begin() as connection:
            for name in _COPIED:
                connection.execute(text(f"DROP TABLE IF EXISTS rebuild_{name}"))

    @contextmanager
    def writer(self) -> Iterator[Writer]:
        """COPY into each staging table; what was written is there when the block ends."""
        with ExitStack() as stack:
            copies: dict[str, psycopg.Copy] = {}
            for name, columns in _COPIED.items():
                connection = stack.enter_context(self._database.engine(Login.BATCH).begin())
                cursor = stack.enter_context(raw_connection(connection).cursor())
                statement = f"COPY rebuild_{name} ({', '.join(columns)}) FROM STDIN"
                copies[name] = stack.enter_context(cursor.copy(statement.encode()))
            yield Writer(copies)


def stored_lines(connection: Connection, client_ids: Collection[str]) -> dict[bytes, bytes]:
    """The living visits of these clients as they are stored: visit_id -> line, as `visit_line` has it."""
    statement = (
        f"COPY (SELECT {', '.join(LINE_COLUMNS)} FROM visits WHERE NOT ceased "  # noqa: S608 -- from the table
        "AND client_id = ANY(%s)) TO STDOUT"
    )
    with raw_connection(connection).cursor() as cursor, cursor.copy(statement.encode(), [list(client_ids)]) as copy:
        lines = [bytes(line) for line in copy]
    return {line[: line.index(b"\t")]: line for line in lines}


def merge(connection: Connection, now: datetime, *, derived_visits: int) -> Difference:
    """Let what was staged replace what is stored; only rows that differ are written."""
    difference = Difference()
    for table, key in _STAGED:
        connection.execute(text(f"CREATE INDEX ON rebuild_{table.name} ({', '.join(key)})"))
        connection.execute(text(f"ANALYZE rebuild_{table.name}"))
        _merge_table(connection, table, key, difference, now)
    difference.rows["visits"] = derived_visits  # most of them were not even staged
    return difference


def _merge_table(
    connection: Connection, table: Table, key: tuple[str, ...], difference: Difference, now: datetime
) -> None:
    name = table.name
    columns = [column.name for column in table.columns]
    same = " AND ".join(f"o.{one} = n.{one}" for one in key)
    living = {"visits": "NOT o.ceased AND ", "findings": f"o.step IN {_STEPS_HERE} AND "}.get(name, "")
    compared = [one for one in columns if one not in _UNCOMPARED]
    equal = f"ROW({', '.join(f'o.{one}' for one in compared)}) IS NOT DISTINCT FROM ROW({', '.join(f'n.{one}' for one in compared)})"  # noqa: E501
    listed = ", ".join(columns)
    chosen = ", ".join(":now" if one == "changed_at" else f"n.{one}" for one in columns)
    stored = f"{name} o JOIN rebuild_unmet u USING (visit_id)" if table is visits else f"{name} o"
    queries = {
        "gone": f"SELECT {_named('o', key)} FROM {stored} WHERE {living} NOT EXISTS (SELECT FROM rebuild_{name} n WHERE {same})",  # noqa: S608, E501 - names of our own tables
        "changed": f"SELECT {_named('n', key)} FROM rebuild_{name} n JOIN {name} o ON {same} WHERE {living} NOT ({equal})",  # noqa: S608, E501 - likewise
        "new": f"SELECT {_named('n', key)} FROM rebuild_{name} n WHERE NOT EXISTS (SELECT FROM {name} o WHERE {living} {same})",  # noqa: S608, E501 - likewise
    }
    difference.rows[name] = connection.execute(text(f"SELECT count(*) FROM rebuild_{name}")).scalar_one()  # noqa: S608 - likewise
    empty = connection.execute(text(f"SELECT 1 FROM {name} LIMIT 1")).first() is None  # noqa: S608 - likewise
    for kind, query in queries.items():
        if empty and kind != "new":
            continue
        connection.execute(text(f"CREATE TEMP TABLE rebuild_{kind} ON COMMIT DROP AS {query}"))
        count = connection.execute(text(f"SELECT count(*) FROM rebuild_{kind}")).scalar_one()  # noqa: S608 - likewise
        getattr(difference, kind)[name] = count
        rows = connection.execute(text(f"SELECT named FROM rebuild_{kind} ORDER BY 1 LIMIT {MOST_NAMED}"))  # noqa: S608 - likewise
        difference.named += [{"table": name, "kind": kind, "id": row.named} for row in rows]
    if not empty:
        _take_away(connection, name, key, now)
    source = f"rebuild_{name} n"
    if not empty:
        source += f" JOIN (TABLE rebuild_changed UNION ALL TABLE rebuild_new) g ON {_match('n', 'g', key)}"
    insert = f"INSERT INTO {{}} ({listed}) SELECT {chosen} FROM {source}"  # noqa: S608 - likewise
    if table is visits:
        _insert_visits(connection, insert, now)
    else:
        connection.execute(text(insert.format(name)), {"now": now})
    for kind in queries:
        connection.execute(text(f"DROP TABLE IF EXISTS rebuild_{kind}"))


def _take_away(connection: Connection, name: str, key: tuple[str, ...], now: datetime) -> None:
    """What is gone, and what is stored otherwise."""
    if name == "visits":
        connection.execute(
            text(
                "UPDATE visits o SET status = 'cancelled', stated_status = 'cancelled', ceased = true, "
                "minutes = 0, accepted = false, holds = '{}', findings = '{}', marks = '{}', "
                "planned_id = '', decline_id = '', open_until_at = NULL, changed_at = :now "
                "FROM rebuild_gone g WHERE o.visit_id = g.key1"
            ),
            {"now": now},
        )
        _note_moves(connection, now)
    else:
        connection.execute(text(f"DELETE FROM {name} o USING rebuild_gone g WHERE {_match('o', 'g', key)}"))  # noqa: S608 - names of our own tables
    connection.execute(text(f"DELETE FROM {name} o USING rebuild_changed g WHERE {_match('o', 'g', key)}"))  # noqa: S608 - likewise
    connection.execute(text(f"DELETE FROM {name} o USING rebuild_new g WHERE {_match('o', 'g', key)}"))  # noqa: S608 - likewise


def _insert_visits(connection: Connection, insert: str, now: datetime) -> None:
    """`insert` has a place for the table. A large month of which nothing was stored is filled before it has indexes."""
    months = connection.execute(
        text("SELECT month_on, count(*) AS visits FROM rebuild_visits GROUP BY 1 ORDER BY 1")
    ).all()
    filled: list[date] = []
    for row in months:
        if row.visits < _LARGE:
            continue

        def fill(partition: str, month_on: date = row.month_on) -> None:
            of_month = f"{insert.format(partition)} WHERE n.month_on = :month_on"
            connection.execute(text(of_month), {"now": now, "month_on": month_on})
            connection.execute(text(f"ANALYZE {partition}"))
            filled.append(month_on)

        fill_month(connection, "visits", Month.of(row.month_on), fill)
    if months:
        ensure_months(connection, ["visits"], months[0].month_on, months[-1].month_on)
    others = f"{insert.format('visits')} WHERE NOT n.month_on = ANY(:filled)"
    connection.execute(text(others), {"now": now, "filled": filled})


def _note_moves(connection: Connection, now: datetime) -> None:
    """Visits that are another provider's, unit's, staff member's or client's now are told to those they were with."""
    rows = connection.execute(
        text(
            "SELECT o.* FROM rebuild_changed g JOIN visits o ON o.visit_id = g.key1 AND NOT o.ceased"
            " JOIN rebuild_visits n ON n.visit_id = g.key1 WHERE (o.provider_id, o.unit_id, o.staff_id, o.client_id)"
            " <> (n.provider_id, n.unit_id, n.staff_id, n.client_id)"
        ).columns(*visits.c)
    )
    while some := rows.fetchmany(_MOVES_AT_ONCE):
        store.note_moves(connection, [(store.from_row(row), row.paired_staff_id) for row in some], now)


def _named(alias: str, key: tuple[str, ...]) -> str:
    keys = ", ".join(f"{alias}.{one} AS key{place}" for place, one in enumerate(key, 1))
    joined = " || '/' || ".join(f"{alias}.{one}" for one in key)
    return f"{keys}, {joined} AS named"


def _match(alias: str, other: str, key: tuple[str, ...]) -> str:
    return " AND ".join(f"{alias}.{one} = {other}.key{place}" for place, one in enumerate(key, 1))
