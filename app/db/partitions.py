"""Monthly partitions of the derived tables, made by the owner as they are needed.

Each partitioned table has a DEFAULT partition, so that nothing is ever without a place; a month that already has rows
there gets its own partition by moving them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date

from sqlalchemy import Connection, text

from app.core.month import Month


def ensure_month(connection: Connection, table: str, month: Month) -> bool:
    """Give `table` (partitioned by RANGE over month_on) its own partition for a month; False when it has one.

    The caller is the owner. Rows of that month move out of the DEFAULT partition in the same transaction.
    """
    name = _partition(table, month)
    if not _exists(connection, name):
        _make(connection, table, month, name)
        _attach(connection, table, month, name)
        return True
    return False


def fill_month(connection: Connection, table: str, month: Month, fill: Callable[[str], None]) -> bool:
    """Give `table` a month's partition that `fill` (told its name) has filled; False when there is one with rows.

    Rows come before indexes, which is a third of the cost. Whoever reads `table` meanwhile waits only for its exchange
    against an empty one, until the transaction ends: indexes are built beside.
    """
    name, beside = _partition(table, month), f"{_partition(table, month)}_whole"
    there = _exists(connection, name)
    if there and connection.execute(text(f"SELECT 1 FROM {name} LIMIT 1")).first() is not None:  # noqa: S608 - names of our own tables
        return False
    _make(connection, table, month, beside)
    fill(beside)
    # Attached to a table like the real one it gets the very indexes that the real one will ask for.
    connection.execute(text(f"CREATE TABLE {table}_like (LIKE {table} INCLUDING ALL) PARTITION BY RANGE (month_on)"))
    _attach(connection, f"{table}_like", month, beside)
    connection.execute(text(f"ALTER TABLE {table}_like DETACH PARTITION {beside}"))
    connection.execute(text(f"DROP TABLE {table}_like"))
    if there:
        connection.execute(text(f"DROP TABLE {name}"))
    connection.execute(text(f"ALTER TABLE {beside} RENAME TO {name}"))
    _attach(connection, table, month, name)
    return True


def _partition(table: str, month: Month) -> str:
    return f"{table}_{month.year:04d}_{month.number:02d}"


def _exists(connection: Connection, name: str) -> bool:
    return connection.execute(text("SELECT to_regclass(:name)"), {"name": name}).scalar() is not None


def _make(connection: Connection, table: str, month: Month, name: str) -> None:
    """A table of its own with the rows of the month that lay in the DEFAULT partition."""
    bounds = {"first": month.first_on, "after": month.next.first_on}
    connection.execute(text(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"))
    connection.execute(text(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY"))
    taken = f"DELETE FROM {table}_default WHERE month_on >= :first AND month_on < :after RETURNING *"  # noqa: S608 - names of our own tables
    connection.execute(text(f"WITH moved AS ({taken}) INSERT INTO {name} SELECT * FROM moved"), bounds)  # noqa: S608 - likewise


def _attach(connection: Connection, table: str, month: Month, name: str) -> None:
    values = f"FROM ('{month.first_on}') TO ('{month.next.first_on}')"
    connection.execute(text(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES {values}"))


def ensure_months(connection: Connection, tables: Iterable[str], first_on: date, last_on: date) -> int:
    """Partitions for every month from one local date to another; at most 600 months. Returns how many were made."""
    month, last, made = Month.of(first_on), Month.of(last_on), 0
    names = list(tables)
    for _ in range(600):
        if month > last:
            break
        made += sum(ensure_month(connection, table, month) for table in names)
        month = month.next
    return made
