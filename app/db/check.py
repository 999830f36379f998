"""`komgick db check`: is this database one in which nothing is lost and no provider sees another's?

Also run at every start: a database that fails is refused, never used with a warning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
from sqlalchemy import Connection, Row, text
from sqlalchemy.exc import OperationalError

from app.db.callers import DOOR_LOGINS, Caller, Login
from app.db.engine import Database
from app.db.walls import OPEN_TABLES, PERSONAL_COLUMNS
from app.db.walls_record import changed_walls
from app.refusals import DatabaseUnfit

OLDEST_POSTGRESQL = 150000
_EVER_GRANTED = {"SELECT", "INSERT", "UPDATE", "DELETE"}
_DURABLE = ("fsync", "full_page_writes", "synchronous_commit")


def check(db: Database) -> list[str]:
    """Everything that is wrong, one line each with what to do; empty when fit."""
    problems = _undurable(db)
    with db.transaction(Caller.batch(), read_only=True) as connection:
        problems += _wrong_logins(connection, db)
        if not problems:
            problems += _wrong_walls(connection, db)
    return problems + _closed_doors(db, problems)


def require_durable(db: Database) -> None:
    """DatabaseUnfit when the server may lose what it has committed."""
    _refuse(_undurable(db))


def require_fit(db: Database, *, only_logins: bool = False) -> None:
    """DatabaseUnfit when the logins are wrong or, unless `only_logins`, when grants or row-level security are."""
    with db.transaction(Caller.batch(), read_only=True) as connection:
        problems = list(_wrong_logins(connection, db))
        if not problems and not only_logins:
            problems = _wrong_walls(connection, db)
    _refuse(problems)


def lacks_logins(db: Database) -> bool:
    """Whether `prepare` has work to do for the logins."""
    with db.transaction(Caller.batch(), read_only=True) as connection:
        return bool(_wrong_logins(connection, db))


def _refuse(problems: list[str]) -> None:
    if problems:
        raise DatabaseUnfit("; ".join(problems), problems=problems)


def _undurable(db: Database) -> list[str]:
    """The settings without which a commit is no promise (EVIDENCE.md section 6)."""
    try:
        with db.transaction(Caller.batch(), read_only=True) as connection:
            values = connection.execute(
                text("SELECT name, setting FROM pg_settings WHERE name = ANY(:names)"), {"names": list(_DURABLE)}
            ).all()
            overridden = connection.execute(
                text(
                    "SELECT coalesce(r.rolname, 'everybody') FROM pg_db_role_setting s LEFT JOIN pg_roles r"
                    " ON r.oid = s.setrole, unnest(s.setconfig) c WHERE c = 'synchronous_commit=off'"
                    " AND (s.setdatabase = 0 OR s.setdatabase ="
                    " (SELECT oid FROM pg_database WHERE datname = current_database()))"
                    " AND (s.setrole = 0 OR r.rolname = ANY(:names))"
                ),
                {"names": [db.login_name(login) for login in Login]},
            ).scalars()
            problems = [
                f"{row.name} is off: turn it on, or committed taps can be lost"
                for row in values
                if row.setting == "off"
            ]
            problems += [
                f"synchronous_commit is off for {who}: ALTER ROLE ... RESET synchronous_commit" for who in overridden
            ]
            version, encoding = connection.execute(
                text("SELECT current_setting('server_version_num')::int, current_setting('server_encoding')")
            ).one()
    except OperationalError as error:
        raise DatabaseUnfit(f"the database does not answer: {str(error.orig).strip()}") from error
    if version < OLDEST_POSTGRESQL:
        problems.append(f"PostgreSQL {version // 10000} is too old: 15 or later is needed")
    if encoding != "UTF8":
        problems.append(f"the database's encoding is {encoding}: create it with ENCODING 'UTF8'")
    return problems


def _wrong_logins(connection: Connection, db: Database) -> list[str]:
    names = {db.login_name(login): login for login in DOOR_LOGINS}
    rows = connection.execute(
        text(
            "SELECT rolname, rolcanlogin, rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication"
            " OR EXISTS (SELECT FROM pg_auth_members m WHERE m.member = r.oid) AS mighty,"
            " has_schema_privilege(oid, n.nsp, 'USAGE') AS enters,"
            " has_schema_privilege(oid, n.nsp, 'CREATE') AS creates"
            " FROM pg_roles r, (SELECT to_regnamespace(:schema)::oid AS nsp) n WHERE rolname = ANY(:names)"
        ),
        {"names": list(names), "schema": db.schema},
    ).all()
    missing = sorted(set(names) - {row.rolname for row in rows})
    problems = [f"login {name} is missing: run `komgick db prepare`" for name in missing]
    for row in rows:
        if not row.rolcanlogin:
            problems.append(f"login {row.rolname} may not log in: run `komgick db prepare`")
        if row.mighty:
            problems.append(
                f"login {row.rolname} has rights beyond a login's own (superuser, BYPASSRLS, member of a role)"
            )
        if row.creates:
            problems.append(f"login {row.rolname} may create tables in the schema {db.schema}")
        if not row.enters:
            problems.append(f"login {row.rolname} may not enter the schema {db.schema}: run `komgick db prepare`")
    return problems


_TABLES = """
SELECT c.relname, c.relkind, c.relispartition, c.relrowsecurity,
    coalesce(c.reloptions && '{security_invoker=true,security_invoker=on}', false) AS invoker,
    EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        AND a.attname = ANY(:personal)) AS personal,
    EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = 'refuse_change'
        AND t.tgenabled IN ('O', 'A')) AS statement,
    EXISTS (SELECT FROM pg_proc p JOIN pg_trigger t ON t.tgfoid = p.oid WHERE t.tgrelid = c.oid
        AND p.proname = 'refuse_change') AS meant_as_statement,
    EXISTS (SELECT FROM aclexplode(c.relacl) x WHERE x.grantee = 0) AS public_may
FROM pg_class c WHERE c.relnamespace = to_regnamespace(:schema) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
"""

_GRANTS = """
SELECT c.relname, r.rolname, array_agg(x.privilege_type::text) AS privileges
FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) x JOIN pg_roles r ON r.oid = x.grantee
WHERE c.relnamespace = to_regnamespace(:schema) AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND r.rolname = ANY(:names)
GROUP BY c.relname, r.rolname
"""

_POLICIES = """
SELECT tablename, roles::text[] AS roles, coalesce(qual, 'true') AS qual, coalesce(with_check, qual, 'true') AS writes
FROM pg_policies WHERE schemaname = :schema
"""


def _wrong_walls(connection: Connection, db: Database) -> list[str]:
    """Tables of client data without row-level security, and grants that go past or short of the walls."""
    values = {"schema": db.schema, "personal": sorted(PERSONAL_COLUMNS)}
    names = {db.login_name(login): login for login in DOOR_LOGINS}
    tables = {row.relname: row for row in connection.execute(text(_TABLES), values)}
    grants = {
        (row.relname, names[row.rolname]): set(row.privileges)
        for row in connection.execute(text(_GRANTS), {"schema": db.schema, "names": list(names)})
    }
    policies = connection.execute(text(_POLICIES), {"schema": db.schema}).all()
    problems = [line for table in tables.values() for line in _wrong_table(table)]
    for (table, login), privileges in grants.items():
        problems += _wrong_grant(tables[table], login, privileges)
    for policy in policies:
        problems += _wrong_policy(policy, tables, names, grants)
    return sorted(problems) + list(changed_walls(connection, db.schema))


def _wrong_table(table: Row[Any]) -> Iterator[str]:
    name = table.relname
    if table.public_may:
        yield f"everybody has rights on {name}: REVOKE ALL ON {name} FROM PUBLIC"
    if table.relkind in "vm" and not table.invoker:
        yield f"view {name} runs as its owner and goes past the walls: create it WITH (security_invoker = true)"
    whole = table.relkind in "rp" and not table.relispartition
    if whole and table.personal and not table.relrowsecurity and name not in OPEN_TABLES:
        yield f"{name} holds data about people without row-level security: see app/db/walls.py"
    if table.meant_as_statement and not table.statement:
        yield f"the trigger refuse_change of {name} is switched off: ALTER TABLE {name} ENABLE TRIGGER refuse_change"


def _wrong_grant(table: Row[Any], login: Login, privileges: set[str]) -> Iterator[str]:
    name, beyond = table.relname, privileges - _EVER_GRANTED
    if table.statement:
        beyond |= privileges & {"UPDATE", "DELETE"}
    if beyond:
        yield f"login {login.value} has {', '.join(sorted(beyond))} on {name}: REVOKE it"
    if login is Login.PROVIDER and table.relkind in "rp" and not table.relrowsecurity and name not in OPEN_TABLES:
        yield f"login provider reads {name}, which has no row-level security: see app/db/walls.py"


def _wrong_policy(
    policy: Row[Any],
    tables: Mapping[str, Row[Any]],
    names: Mapping[str, Login],
    grants: Mapping[tuple[str, Login], set[str]],
) -> Iterator[str]:
    name = policy.tablename
    for role in policy.roles:
        login = names.get(role)
        if role == "public":
            yield f"a policy of {name} is for everybody: name the login"
        elif login is not None and (name, login) not in grants:
            yield f"login {login.value} has a policy but no rights on {name}: GRANT them, or migrate again"
        walled = tables[name].personal and name not in OPEN_TABLES
        reads_all = policy.qual == "true" and "SELECT" in grants.get((name, Login.PROVIDER), set())
        if login is Login.PROVIDER and walled and reads_all:
            yield f"every provider sees all of {name}, which holds data about people: see app/db/walls.py"


def _closed_doors(db: Database, problems: list[str]) -> list[str]:
    """Logins whose password does not fit; asked only when everything else is right."""
    if problems:
        return []
    closed = []
    for login in DOOR_LOGINS:
        try:
            with db.engine(login).connect():
                pass
        except (OperationalError, DatabaseUnfit, psycopg.OperationalError) as error:
            reason = getattr(error, "orig", error)
            closed.append(f"login {login.value} cannot log in: {str(reason).strip()}: run `komgick db prepare`")
    return closed
