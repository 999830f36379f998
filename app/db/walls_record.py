"""What the walls were when the last migration had run, so that `komgick db check` names what was taken down since.

`migrate` writes it beside the schema's version, as the comment on alembic_version: policies, grants, triggers and
functions by name, each with a hash of its definition as this server writes it. Whoever owns the database can forge it:
it finds mistakes and half-restored copies, not the owner's intent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, text

_HERE = "to_regnamespace(:schema)"
_ITEMS = f"""
SELECT c.relname AS about, 'policy ' || p.polname || ' of ' || c.relname AS item,
    concat_ws('|', p.polcmd, p.polpermissive, (SELECT array_agg(r.rolname ORDER BY 1) FROM pg_roles r
        WHERE r.oid = ANY(p.polroles)), pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)
    ) AS built
FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE c.relnamespace = {_HERE}
UNION ALL
SELECT relname, 'row-level security of ' || relname, '' FROM pg_class
WHERE relnamespace = {_HERE} AND relrowsecurity AND NOT relispartition
UNION ALL
SELECT c.relname, 'trigger ' || t.tgname || ' of ' || c.relname, concat_ws(' ', t.tgenabled, pg_get_triggerdef(t.oid))
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE c.relnamespace = {_HERE} AND NOT t.tgisinternal AND NOT c.relispartition
UNION ALL
SELECT c.relname, 'rights of ' || coalesce(r.rolname, 'everybody') || ' on ' || c.relname,
    string_agg(concat_ws(' ', x.privilege_type, x.is_grantable, x.attname), ', ' ORDER BY x.privilege_type, x.attname)
FROM pg_class c CROSS JOIN LATERAL (
    SELECT grantee, privilege_type, is_grantable, NULL AS attname FROM aclexplode(c.relacl)
    UNION ALL
    SELECT e.grantee, e.privilege_type, e.is_grantable, a.attname FROM pg_attribute a, aclexplode(a.attacl) e
    WHERE a.attrelid = c.oid AND NOT a.attisdropped
) x LEFT JOIN pg_roles r ON r.oid = x.grantee
WHERE c.relnamespace = {_HERE} AND NOT c.relispartition AND x.grantee <> c.relowner
GROUP BY c.relname, r.rolname
UNION ALL
SELECT p.proname, 'function ' || p.proname || CASE WHEN p.prosecdef THEN ' with its owner''s rights' ELSE '' END,
    p.prosrc
FROM pg_proc p WHERE p.pronamespace = {_HERE}
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
"""  # noqa: S608 -- no value in it but the fixed expression above
_RECORD = "SELECT obj_description(to_regclass('alembic_version'), 'pg_class')"
_MAJOR = "SELECT current_setting('server_version_num')::int / 10000"


@dataclass(frozen=True, slots=True)
class _Walls:
    """Hashes by what is hashed, the tables they are about, and the server whose spelling was hashed."""

    items: dict[str, str]
    about: dict[str, str]
    major: int


def record_walls(connection: Connection, schema: str) -> None:
    """Keep what the walls are now. The owner's connection; after a migration only, or mistakes would be blessed."""
    walls = _walls(connection, schema)
    kept = {"walls": walls.items, "about": walls.about, "major": walls.major}
    written = connection.execute(
        text("SELECT format('COMMENT ON TABLE alembic_version IS %L', CAST(:kept AS text))"),
        {"kept": json.dumps(kept, sort_keys=True)},
    ).scalar_one()
    connection.exec_driver_sql(written)


def walls_recorded(connection: Connection) -> bool:
    """Whether a migration has left its record."""
    return _recorded(connection) is not None


def changed_walls(connection: Connection, schema: str) -> Iterator[str]:
    """One line for each policy, right, trigger or function that is not what the last migration left."""
    built = _recorded(connection)
    if built is None:
        yield "nobody knows what the walls were built like: run `komgick db migrate`"
        return
    now = _walls(connection, schema)
    for item, definition in built.items.items():
        if item not in now.items:
            yield f"{item} is gone since the last migration: put it back as migrations/ makes it"
        elif now.items[item] != definition and now.major == built.major:
            yield f"{item} was changed since the last migration: put it back as migrations/ makes it"
    known = set(built.about.values())
    for item in sorted(set(now.items) - set(built.items)):
        if now.about[item] in known or item.startswith("function "):
            yield f"{item} was added since the last migration: take it away, or add it in a migration"


def _recorded(connection: Connection) -> _Walls | None:
    written = connection.execute(text(_RECORD)).scalar_one()
    if written is None:
        return None
    kept = json.loads(written)
    return _Walls(kept["walls"], kept["about"], kept["major"])


def _walls(connection: Connection, schema: str) -> _Walls:
    rows = connection.execute(text(_ITEMS), {"schema": schema}).all()
    return _Walls(
        {row.item: hashlib.sha256((row.built or "").encode()).hexdigest()[:16] for row in rows},
        {row.item: row.about for row in rows},
        connection.execute(text(_MAJOR)).scalar_one(),
    )
