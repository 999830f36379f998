"""What only the whole bundle shows: rules between cells, keys given twice, references, overlapping periods.

Runs on the staged rows and the stored ones together, before anything is stored, so that every error has its line.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Table, text

from app.registry.bundle.columns import BY_NAME, Column, File, Period
from app.registry.bundle.staging import Run, stage_name

_SEEN = dict.fromkeys(("units.csv", "staff.csv", "orders.csv", "devices.csv"), " AND r.provider_id = :own") | {
    "clients.csv": " AND r.client_id IN (SELECT client_id FROM orders WHERE provider_id = :own UNION SELECT client_id"
    " FROM visits WHERE provider_id = :own AND at >= now() - interval '90 days')",
}  # fmt: skip
"""Which stored rows of a file a provider's bundle may refer to: those its login sees."""


def check(run: Run, file: File, tables: Mapping[str, Table], own: str | None = None) -> None:
    """Every check of one staged file. `tables` are the tables by name; `own` the provider whose bundle it is."""
    _check_rules(run, file)
    if file.kind != "tap":
        _check_keys_once(run, file)
    for column in file.columns:
        if column.references:
            _check_reference(run, file, column, own)
    if file.period is not None:
        _check_period(run, file, file.period, tables[file.table])


def _note(run: Run, file: File, column: str, expected: str, sql: str, **values: str) -> None:
    """Note an error for each row (line, value[, more]) of `sql`; `expected` may hold {more}."""
    if run.errors.full:
        return
    rows = run.connection.execute(text(f"{sql} ORDER BY 1 LIMIT {run.errors.room}"), values)  # names from columns.py
    for row in rows:
        more = row[2] if len(row) > 2 else ""
        run.errors.add(file.name, row[0], column, row[1], expected.format(more=more))


def _check_rules(run: Run, file: File) -> None:
    for rule in file.rules:
        sql = f'SELECT line, "{rule.column}" FROM {stage_name(file)} WHERE {rule.wrong}'  # noqa: S608 -- from columns.py
        _note(run, file, rule.column, rule.expected, sql)


def _check_keys_once(run: Run, file: File) -> None:
    keys = ", ".join(f'"{key}"' for key in file.identity)
    window = f'count(*) OVER w AS seen, first_value(line) OVER w AS first_line, "{file.keys[0]}" AS value, line'
    sql = (
        f"SELECT line, value, first_line FROM (SELECT {window} FROM {stage_name(file)} "  # noqa: S608 -- from columns.py
        f"WINDOW w AS (PARTITION BY {keys} ORDER BY line)) k WHERE seen > 1"
    )
    _note(run, file, file.keys[0], "each key once (" + ", ".join(file.identity) + "), first on line {more}", sql)


def _check_reference(run: Run, file: File, column: Column, own: str | None) -> None:
    """What is referred to exists; to a provider what it may not see does not (EVIDENCE.md section 4)."""
    target = BY_NAME[column.references]
    if target.name in run.broken:
        return
    key = target.keys[0]
    staged = (
        f'AND NOT EXISTS (SELECT 1 FROM {stage_name(target)} t WHERE t."{key}" = s."{column.name}") '  # noqa: S608 -- from columns.py
        if target.name in run.staged
        else ""
    )
    seen = "" if own is None else _SEEN.get(target.name, "")
    sql = (
        f'SELECT s.line, s."{column.name}" FROM {stage_name(file)} s WHERE s."{column.name}" <> \'\' '  # noqa: S608 -- from columns.py
        f'{staged}AND NOT EXISTS (SELECT 1 FROM {target.table} r WHERE r."{key}" = s."{column.name}"{seen}) '
        f"AND NOT EXISTS (SELECT 1 FROM stage_bad_keys b "
        f"WHERE b.file = '{target.name}' AND b.value = s.\"{column.name}\")"
    )
    bound = {} if own is None or not seen else {"own": own}
    _note(run, file, column.name, f"a {key} of {target.name} or stored before", sql, **bound)


def _check_period(run: Run, file: File, period: Period, table: Table) -> None:
    """Rows of the same key parts whose periods overlap: with an earlier line, or with a stored row not in the file."""
    keys, name = file.keys, stage_name(file)
    bounds = "[]" if period.kind == "daterange" else "[)"
    wanted = ", ".join(f'"{c}"' for c in dict.fromkeys((*keys, *period.same, period.start, period.end)))
    same_key = " AND ".join(f'a."{key}" = b."{key}"' for key in keys)
    same = " AND ".join(f'a."{part}" = b."{part}"' for part in period.same)

    def whole(alias: str) -> str:
        return f'{period.kind}({alias}."{period.start}", {alias}."{period.end}", \'{bounds}\')'

    stored = (
        f"SELECT 0 AS line, {wanted} FROM {table.name} b "  # noqa: S608 -- from columns.py
        f"WHERE NOT EXISTS (SELECT 1 FROM {name} a WHERE {same_key})"
    )
    sql = (
        f'SELECT DISTINCT ON (a.line) a.line, a."{period.start}"::text, '  # noqa: S608 -- from columns.py
        f"CASE WHEN b.line = 0 THEN 'a stored row' ELSE 'line ' || b.line END "
        f"FROM {name} a JOIN (SELECT line, {wanted} FROM {name} UNION ALL {stored}) b ON {same} "
        f"WHERE b.line < a.line AND NOT ({same_key}) "
        f"AND CASE WHEN {_ordered('a', period)} AND {_ordered('b', period)} THEN {whole('a')} && {whole('b')} END"
    )
    expected = "no overlap of the periods of one " + ", ".join(period.same) + " (it overlaps {more})"
    _note(run, file, period.start, expected, sql)


def _ordered(alias: str, period: Period) -> str:
    """A range is only made of bounds in order; PostgreSQL refuses the others, and they are errors of their own."""
    return f'({alias}."{period.end}" IS NULL OR {alias}."{period.end}" >= {alias}."{period.start}")'


def check_owner(run: Run, file: File, provider_id: str) -> None:
    """A provider's bundle holds only what is its own: note rows of others, and ids that are another's."""
    stage = stage_name(file)
    mine = {
        "staff.csv": ("unit_id", "s.unit_id IN (SELECT unit_id FROM units WHERE provider_id = :own)"),
        "staff_hours.csv": ("staff_id", _EMPLOYED),
        "services_done.csv": ("staff_id", _EMPLOYED),
    }.get(file.name, ("provider_id", "s.provider_id = :own"))
    column, condition = mine
    if file.name == "staff.csv" and "units.csv" in run.staged:
        condition = f"({condition} OR s.unit_id IN (SELECT unit_id FROM stage_units WHERE provider_id = :own))"  # noqa: S608 -- our own SQL
    if file.name in ("staff_hours.csv", "services_done.csv") and "staff.csv" in run.staged:
        condition = f"({condition} OR s.staff_id IN (SELECT staff_id FROM stage_staff))"  # noqa: S608 -- our own SQL
    if file.name in ("units.csv", "staff.csv"):
        key = file.keys[0]
        condition += f" AND NOT EXISTS (SELECT 1 FROM {file.table} t WHERE t.{key} = s.{key} AND t.provider_id <> :own)"  # noqa: S608 -- from columns.py
    rows = run.connection.execute(
        text(f'SELECT line, "{column}" FROM {stage} s WHERE NOT ({condition}) ORDER BY line LIMIT :room'),  # noqa: S608 -- as above
        {"own": provider_id, "room": run.errors.room},
    )
    for row in rows:
        run.errors.add(file.name, row[0], column, row[1], "what is the provider's own")


_EMPLOYED = "s.staff_id IN (SELECT staff_id FROM employments WHERE provider_id = :own)"
