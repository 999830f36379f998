"""From the staged rows into the tables: what was added, changed, unchanged, and whom it touches.

Registry rows are brought up to date. Statements are never changed: a changed one becomes a new version.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Table, text

from app.core.localtime import STOCKHOLM
from app.registry.bundle.columns import File
from app.registry.bundle.staging import Run, stage_name

# Rows from which on a first load builds the table's indexes at the end.
_LARGE = 50_000


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the rows of one table."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0


def store_registry(run: Run, file: File, table: Table) -> Counts:
    """Insert and update the staged rows of a registry file; leaves `diff_<stage>` for `touched_rows`."""
    counts = _compare(run, file, table, current=table.name)
    columns = _stored_columns(file, table)
    names = ", ".join(f'"{name}"' for name in columns)
    updates = ", ".join(f'"{name}" = EXCLUDED."{name}"' for name in columns if name not in file.keys)
    keys = ", ".join(f'"{key}"' for key in file.keys)
    action = f"DO UPDATE SET {updates}" if updates else "DO NOTHING"
    run.connection.execute(text("SET CONSTRAINTS ALL DEFERRED"))
    run.connection.execute(
        text(
            f"INSERT INTO {table.name} ({names}) SELECT {_values(file, columns)} FROM {stage_name(file)} s "  # noqa: S608 -- from columns.py
            f"JOIN {diff_name(file)} d USING (line) WHERE d.change <> 'unchanged' ON CONFLICT ({keys}) {action}"
        ),
        _zone(file),
    )
    _analyze(run, table, counts)
    return counts


def store_statements(run: Run, file: File, table: Table, now: datetime, *, may_move: bool) -> Counts:
    """Append the staged statements that are new or differ from their current version.

    `may_move`: the whole city's bundle, where an id that is stored under another provider has moved to this one.
    """
    newer = " AND ".join(f'n."{key}" = t."{key}"' for key in file.identity)
    current = (
        f"(SELECT t.* FROM {table.name} t "  # noqa: S608 -- from columns.py
        f"WHERE NOT EXISTS (SELECT 1 FROM {table.name} n WHERE {newer} AND n.version > t.version))"
    )
    counts = _compare(run, file, table, current=current)
    if may_move and file.identity != file.keys:
        moved = _end_moved(run, file, table, current, now)
        counts = replace(counts, added=counts.added - moved, changed=counts.changed + moved)
    columns = _stored_columns(file, table)
    names = ", ".join(f'"{name}"' for name in columns)
    indexes = drop_indexes_for_first_load(run, file, table.name)
    run.connection.execute(
        text(
            f"INSERT INTO {table.name} ({names}, version, stored_at) "  # noqa: S608 -- from columns.py
            f"SELECT {_values(file, columns)}, coalesce(d.version, 0) + 1, :now FROM {stage_name(file)} s "
            f"JOIN {diff_name(file)} d USING (line) WHERE d.change <> 'unchanged'"
        ),
        {"now": now, **_zone(file)},
    )
    for definition in indexes:
        run.connection.execute(text(definition))
    _analyze(run, table, counts)
    return counts


def _analyze(run: Run, table: Table, counts: Counts) -> None:
    """Let the planner know what came: later steps of the same transaction read it."""
    if counts.added + counts.changed:
        run.connection.execute(text(f"ANALYZE {table.name}"))


def _end_moved(run: Run, file: File, table: Table, current: str, now: datetime) -> int:
    """Append the version that ends a statement at the provider it was stored under before; how many."""
    key = file.keys[0]
    kept = ", ".join(f'"{column.name}"' for column in file.columns)
    return run.connection.execute(
        text(
            f"INSERT INTO {table.name} ({kept}, version, moved, stored_at) "  # noqa: S608 -- from columns.py
            f"SELECT {kept}, version + 1, true, :now FROM {current} t WHERE NOT t.moved "
            f'AND t."{key}" IN (SELECT s."{key}" FROM {stage_name(file)} s) AND (t."{key}", t.provider_id) NOT IN '
            f'(SELECT s."{key}", s.provider_id FROM {stage_name(file)} s)'
        ),
        {"now": now},
    ).rowcount


def drop_indexes_for_first_load(run: Run, file: File, table: str) -> list[str]:
    """Before a large load into an empty table: the SQL that makes the dropped indexes again.

    Building an index once is cheaper than row by row. Unique ones stay. Others wait for the end of the import.
    """
    if run.staged[file.name] < _LARGE:
        return []
    if run.connection.execute(text(f"SELECT EXISTS (SELECT 1 FROM {table})")).scalar_one():  # noqa: S608 -- from columns.py
        return []
    found = run.connection.execute(
        text(
            "SELECT c.relname, pg_get_indexdef(i.indexrelid) AS definition FROM pg_index i "
            "JOIN pg_class c ON c.oid = i.indexrelid "
            "WHERE i.indrelid = CAST(:table AS regclass) AND NOT i.indisunique AND NOT i.indisexclusion"
        ),
        {"table": table},
    ).all()
    for row in found:
        run.connection.execute(text(f'DROP INDEX "{row.relname}"'))
    return [row.definition for row in found]


def diff_name(file: File) -> str:
    """The temporary table (line, change, old_* of `columns` that tell whom a change touches)."""
    return "diff_" + file.name.removesuffix(".csv")


def touched_rows(run: Run, file: File, columns: Iterable[str]) -> Iterable[Row[Any]]:
    """The distinct values of `columns` in rows that were added or changed, and in the rows as they were before.

    "start_at:month" is the local month of an instant, as text.
    """
    listed = tuple(columns)
    now = ", ".join(_touch("s", "", name) for name in listed)
    before = ", ".join(_touch("d", "old_", name) for name in listed)
    return run.connection.execute(
        text(
            f"SELECT {now} FROM {stage_name(file)} s JOIN {diff_name(file)} d USING (line) "  # noqa: S608 -- from columns.py
            f"WHERE d.change <> 'unchanged' UNION "
            f"SELECT {before} FROM {diff_name(file)} d WHERE d.change = 'changed'"
        )
    )


def _touch(alias: str, prefix: str, column: str) -> str:
    name, _, unit = column.partition(":")
    value = f'{alias}."{prefix}{name}"'
    return f"to_char({value} AT TIME ZONE '{STOCKHOLM.key}', 'YYYY-MM')" if unit == "month" else value


def _compare(run: Run, file: File, table: Table, *, current: str) -> Counts:
    names = [name for name in (*(column.name for column in file.columns), *_more(file)) if name not in file.identity]
    same_key = " AND ".join(f't."{key}" = s."{key}"' for key in file.identity)
    new = ", ".join(f's."{name}"' for name in names)
    old = ", ".join(f't."{name}"' for name in names)
    differ = f"(ROW({new}) IS DISTINCT FROM ROW({old}))" if names else "false"
    if "moved" in table.c:
        differ = f"(t.moved OR {differ})"
    everything = [*file.identity, *names]
    olds = ", ".join(f't."{name}" AS "old_{name}"' for name in everything)
    version = "t.version, " if "version" in table.c else ""
    run.connection.execute(
        text(
            f"CREATE TEMP TABLE {diff_name(file)} ON COMMIT DROP AS SELECT s.line, {version}{olds}, "  # noqa: S608 -- from columns.py
            f"CASE WHEN t.\"{file.keys[0]}\" IS NULL THEN 'added' WHEN {differ} THEN 'changed' ELSE 'unchanged' END "
            f"AS change FROM {stage_name(file)} s LEFT JOIN {current} t ON {same_key}"
        )
    )
    found: Mapping[str, int] = {
        row.change: row.rows
        for row in run.connection.execute(
            text(f"SELECT change, count(*) AS rows FROM {diff_name(file)} GROUP BY change")  # noqa: S608 -- as above
        )
    }
    return Counts(found.get("added", 0), found.get("changed", 0), found.get("unchanged", 0))


def _stored_columns(file: File, table: Table) -> list[str]:
    copied = [name for name, _ in file.copied]
    return [name for name in (*(column.name for column in file.columns), *_more(file), *copied) if name in table.c]


def _values(file: File, columns: Iterable[str]) -> str:
    copied = dict(file.copied)
    return ", ".join(copied.get(name, f's."{name}"') for name in columns)


def _more(file: File) -> tuple[str, ...]:
    return ("details",) if file.open_columns else ("defaulted",) if file.defaults else ()


def _zone(file: File) -> dict[str, str]:
    return {"zone": STOCKHOLM.key} if any(":zone" in sql for _, sql in file.copied) else {}
