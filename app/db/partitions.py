"""Monthly partitions of the derived tables, made by the owner as they are needed.

Each partitioned table has a DEFAULT partition, so that nothing is ever without a place; a month that already has rows
there gets its own partition by moving them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date

from sqlalchemy import Connection, text

from app.core.month import Month


def ensure_month(connection: Connection, table: str, month: Month, fill: Callable[[str], None] | None = None) -> bool:
    """Give `table` (partitioned by RANGE over month_on) its own partition for a month; False when it has one.

    The caller is the owner. Rows of that month move out of the DEFAULT partition in the same transaction. `fill` may
    put more rows of the month into the new table, told its name: before it has any index, which is a third of the cost.
    """
    name = f"{table}_{month.year:04d}_{month.number:02d}"
    if connection.execute(text("SELECT to_regclass(:name)"), {"name": name}).scalar() is not None:
        return False
    bounds = {"first": month.first_on, "after": month.next.first_on}
    connection.execute(text(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"))
    taken = f"DELETE FROM {table}_default WHERE month_on >= :first AND month_on < :after RETURNING *"  # noqa: S608 - names of our own tables
    connection.execute(text(f"WITH moved AS ({taken}) INSERT INTO {name} SELECT * FROM moved"), bounds)  # noqa: S608 - likewise
    if fill is not None:
        fill(name)
    values = f"FROM ('{month.first_on}') TO ('{month.next.first_on}')"
    connection.execute(text(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES {values}"))
    connection.execute(text(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY"))
    return True


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
