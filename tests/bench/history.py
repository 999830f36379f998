"""Months that are stored already: one derived month, copied row by row to other months.

Deriving a year of a city takes an hour and shows nothing that one month did not. So what one month left (statements and
what was derived from them) is copied by the owner, a month at a time: instants and dates moved by whole local days, ids
and sequence numbers made the copy's own. Days that the other month does not have are left out. What lies inside JSON
columns is not moved: no question of the bench looks there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta

from sqlalchemy import BigInteger, Column, Connection, Date, DateTime, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY

from app.billing.tables import billing_lines
from app.core.month import Month
from app.db.engine import Database
from app.evidence import tables as said
from app.findings.tables import findings
from app.months.tables import month_accounts
from app.registry.tables import employments, orders, services_done, staff_hours, tags
from app.visits.tables import decline_outcomes, visits
from tests.bench.import_derive import MONTH, bundle_of, simulate
from tests.bench.machine import Spent
from tests.bench.world import World

LOCAL = "Europe/Stockholm"
# Each table with the local day of a row.
TABLES: Mapping[Table, str] = {
    said.taps: f"(at AT TIME ZONE '{LOCAL}')::date",
    said.planned_visits: f"(start_at AT TIME ZONE '{LOCAL}')::date",
    said.declines: f"(planned_start_at AT TIME ZONE '{LOCAL}')::date",
    said.manual_visits: f"(coalesce(start_at, end_at) AT TIME ZONE '{LOCAL}')::date",
    said.corrections: f"(made_at AT TIME ZONE '{LOCAL}')::date",
    said.disputes: "on_date",
    said.excess_reasons: "to_date(month || '-01', 'YYYY-MM-DD')",
    services_done: f"(done_at AT TIME ZONE '{LOCAL}')::date",
    staff_hours: "worked_on",
    visits: f"(at AT TIME ZONE '{LOCAL}')::date",
    findings: f"(at AT TIME ZONE '{LOCAL}')::date",
    decline_outcomes: f"(planned_start_at AT TIME ZONE '{LOCAL}')::date",
    month_accounts: "month_on",
    billing_lines: "month_on",
}
# Who was there from the first day of a bundle was there before it: the first row of each that lasts, by its key.
LASTING: Mapping[Table, tuple[str, ...]] = {
    orders: ("client_id", "provider_id", "service"),
    employments: ("staff_id",),
    tags: ("tag_uid", "client_id"),
}
DERIVED = (visits, findings, decline_outcomes, month_accounts, billing_lines)
IDS = frozenset(
    ("visit_id", "manual_id", "planned_id", "decline_id", "finding_id", "line_id", "dispute_id", "reason_id",
     "correction_id", "replaced_by", "visit_ids")
)  # fmt: skip
SEQS = frozenset(("seq", "kom_seq", "gick_seq"))
SEQS_A_MONTH = 10**9


def imported(world: World, clients: int) -> str:
    """The data of a town of so many clients with one month; what its import cost is then in `world.found`."""
    data = f"town-{clients}"
    if not (world.folder / data).exists():
        simulate(world, clients, MONTH)
        world.found[data] = world.komgick(data, "import", str(bundle_of(world, clients, MONTH))).cpu_s
    return data


def grown(world: World, data: str, months: int, today: date) -> list[Month]:
    """Let a town have so many whole months before today, and today's until yesterday; the whole ones that it has."""
    begun = Month.of(today)
    with world.database(data) as database:
        stored = _stored(database)
        wanted = [begun, *(begun.plus(-back) for back in range(1, months + 1))]
        if missing := [month for month in wanted if month not in stored]:
            copy_months(database, stored[-1], missing, today)
            world.derived.discard(data)
        return [month for month in _stored(database) if month < begun]


def derived_anew(world: World, data: str) -> Spent:
    """Let a grown town's visits and accounts be those that its taps give: copies have ids that no derivation makes.

    The cost is that of deriving all its months from nothing.
    """
    with world.database(data) as database, database.owner.begin() as connection:
        connection.execute(text(f"TRUNCATE {', '.join(table.name for table in DERIVED)}"))
    # Exit status 1: nothing of it was there.
    spent = world.komgick(data, "rebuild", good=(0, 1))
    with world.database(data) as database:
        _analyze(database)
    world.derived.add(data)
    return spent


def _stored(database: Database) -> list[Month]:
    """The months of which a town has accounts, not only those of visits over a month's end; ascending."""
    with database.owner.connect() as connection:
        counts = connection.execute(text("SELECT month_on, count(*) FROM month_accounts GROUP BY 1 ORDER BY 1")).all()
    most = max(count for _, count in counts)
    return [Month.of(on) for on, count in counts if 2 * count >= most]


def copy_months(database: Database, given: Month, wanted: Iterable[Month], today: date) -> None:
    """What is stored of one month, once more in others that have nothing; of today's month only the days before it.

    The registry is made to reach back as far. A month is one transaction. Statistics are brought up to date at the end.
    """
    wanted = list(wanted)
    with database.owner.begin() as connection:
        days = (given.first_on - min(wanted).first_on).days
        for table, key in LASTING.items():
            _reach_back(connection, table, key, days)
    for month in wanted:
        with database.owner.begin() as connection:
            # Index builds of millions of rows stay in memory; this transaction's alone.
            connection.execute(text("SET LOCAL maintenance_work_mem = '256MB'"))
            for table in TABLES:
                _copy(connection, table, given, month, today)
    _analyze(database)


def _analyze(database: Database) -> None:
    with database.owner.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in (*TABLES, *LASTING):
            connection.execute(text(f"VACUUM (ANALYZE) {table.name}"))


def _reach_back(connection: Connection, table: Table, key: tuple[str, ...], days: int) -> None:
    since = next(column.name for column in table.columns if column.name.startswith("valid_from"))
    same = " AND ".join(f"older.{name} = one.{name}" for name in key)
    connection.execute(
        text(
            f"UPDATE {table.name} one SET {since} = {since} - make_interval(days => :days)"
            f" WHERE NOT EXISTS (SELECT FROM {table.name} older WHERE {same} AND older.{since} < one.{since})"
        ),
        {"days": max(0, days)},
    )


def _copy(connection: Connection, table: Table, given: Month, wanted: Month, today: date) -> None:
    day = TABLES[table]
    days = (given.first_on - wanted.first_on).days
    after = min(given.next.first_on, given.first_on + (wanted.next.first_on - wanted.first_on), today + timedelta(days))
    values = {"first": given.first_on, "after": after}
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    moved = ", ".join(_moved(column, days, wanted) for column in table.columns)
    rows = f"SELECT {moved} FROM {table.name} t WHERE {day} >= :first AND {day} < :after"
    if "month_on" in table.c:
        rows += " AND month_on = :first"
    partition = f"{table.name}_{wanted.year:04d}_{wanted.number:02d}"
    known = text("SELECT to_regclass(:name)")
    if "month_on" not in table.c or connection.execute(known, {"name": partition}).scalar() is not None:
        # A visit over the month's end has left an account there already.
        connection.execute(text(f"INSERT INTO {table.name} ({columns}) {rows} ON CONFLICT DO NOTHING"), values)
        return
    # Rows first, then the indexes at once, by attaching: much quicker than row by row.
    connection.execute(text(f"CREATE TABLE {partition} (LIKE {table.name} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"))
    connection.execute(text(f"INSERT INTO {partition} ({columns}) {rows}"), values)
    bounds = f"FROM ('{wanted.first_on}') TO ('{wanted.next.first_on}')"
    connection.execute(text(f"ALTER TABLE {table.name} ATTACH PARTITION {partition} FOR VALUES {bounds}"))
    connection.execute(text(f"ALTER TABLE {partition} ENABLE ROW LEVEL SECURITY"))


def _moved(column: Column[object], days: int, wanted: Month) -> str:
    """The SQL of a column's value in the other month."""
    name, kind, mark = f't."{column.name}"', column.type, f"/{wanted}"
    if isinstance(kind, ARRAY):
        if isinstance(kind.item_type, Date):
            return f"ARRAY(SELECT one - ({days}) FROM unnest({name}) one)"
        return f"ARRAY(SELECT one || '{mark}' FROM unnest({name}) one)" if column.name in IDS else name
    if isinstance(kind, DateTime):
        return f"({name} AT TIME ZONE '{LOCAL}' - interval '{days} days') AT TIME ZONE '{LOCAL}'"
    if isinstance(kind, Date):
        return f"{name} - ({days})"
    if isinstance(kind, BigInteger) and column.name in SEQS:
        return f"{name} + {SEQS_A_MONTH * (wanted.year * 12 + wanted.number)}"
    if isinstance(kind, Text) and column.name in IDS:
        return f"CASE WHEN {name} = '' THEN '' ELSE {name} || '{mark}' END"
    return f"'{wanted}'" if column.name == "month" else name
