"""The walls between providers, in one place: what a migration calls for each table it creates.

Every table of the schema is created with one of these calls, in the migration that creates it:

    walls.statement("taps", ...)    append-only: a trigger refuses UPDATE, DELETE and TRUNCATE for everybody
    walls.registry("clients", ...)  dated truth of the city and the providers
    walls.derived("visits", ...)    droppable, rebuilt identically
    walls.account("sessions")       people, sessions, factors: the `auth` login's own
    walls.audit("audit_event")      insert-only log that every login writes

`sees` is the SQL condition for the rows that the `provider` login sees and may write, in terms of the table's
columns; `own()` is "the column provider_id is mine". A table without `sees` is not granted to that login at all.
Conditions that look into another table read `IN (SELECT ...)`, never a correlated EXISTS (66 ms against 15).
`komgick db check` refuses tables with a column of PERSONAL_COLUMNS and no row-level security.
"""

from __future__ import annotations

from collections.abc import Mapping

from app.db.callers import DOOR_LOGINS, Login

# A table with one of these columns holds data about clients, staff or money.
PERSONAL_COLUMNS = frozenset({"client_id", "staff_id", "provider_id", "person_key", "person_id"})

# Tables that have such a column and are open to every provider all the same, with the reason.
OPEN_TABLES: Mapping[str, str] = {
    "providers": "names of companies are public: clients choose among them",
}

# The calling provider; in a sub-select so that it is computed once a statement. Unset: NULL, so nothing is seen.
CURRENT_PROVIDER = "(SELECT nullif(current_setting('app.provider', true), ''))"

_REFUSE_CHANGE = """
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'statements are never changed: % on % refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END
$$
"""

_READ = "SELECT"
_APPEND = "SELECT, INSERT"
_KEEP = "SELECT, INSERT, UPDATE"
_ALL = "SELECT, INSERT, UPDATE, DELETE"


def own(column: str = "provider_id") -> str:
    """The condition "this row is the calling provider's own"."""
    return f"{column} = {CURRENT_PROVIDER}"


def statement(table: str, *, sees: str | None = None, grants: Mapping[Login, str] | None = None) -> None:
    """Append-only: SELECT and INSERT for provider, city, ingest; UPDATE, DELETE, TRUNCATE refused even to the owner."""
    refuse_change(table)
    _wall(table, sees, {Login.PROVIDER: _APPEND, Login.CITY: _APPEND, Login.INGEST: _APPEND, **(grants or {})})


def registry(table: str, *, sees: str | None = None, grants: Mapping[Login, str] | None = None) -> None:
    """Dated truth: provider and city keep it, the tap door reads it."""
    _wall(table, sees, {Login.PROVIDER: _KEEP, Login.CITY: _KEEP, Login.INGEST: _READ, **(grants or {})})


def derived(table: str, *, sees: str | None = None, grants: Mapping[Login, str] | None = None) -> None:
    """A function of the others: whoever may state something may have its consequences derived."""
    _wall(table, sees, {Login.PROVIDER: _ALL, Login.CITY: _ALL, Login.INGEST: _ALL, **(grants or {})})


def account(table: str, *, grants: Mapping[Login, str] | None = None) -> None:
    """People, sessions, factors, grants: only the `auth` login, unless `grants` says more."""
    _wall(table, None, {Login.AUTH: _ALL, **(grants or {})})


def audit(table: str, *, sees: str | None = None, grants: Mapping[Login, str] | None = None) -> None:
    """Insert-only log: every login appends, the city and the office of access read it."""
    refuse_change(table)
    default = dict.fromkeys(DOOR_LOGINS, "INSERT") | {Login.CITY: _APPEND, Login.AUTH: _APPEND}
    _wall(table, sees or "true", {**default, **(grants or {})})


def refuse_change(table: str) -> None:
    """Put the statement triggers on a table: no UPDATE, DELETE or TRUNCATE by anybody, the owner included."""
    _execute(_REFUSE_CHANGE)
    _execute(
        f"CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def _wall(table: str, sees: str | None, grants: Mapping[Login, str]) -> None:
    """Grants per login, and row-level security: the provider by `sees`, every other granted login all rows."""
    names = _login_names()
    _execute(f"REVOKE ALL ON {table} FROM PUBLIC")
    _execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    for login, privileges in grants.items():
        condition = sees if login is Login.PROVIDER else "true"
        if condition is None or not privileges:
            continue
        _execute(f'GRANT {privileges} ON {table} TO "{names[login]}"')
        _execute(
            f'CREATE POLICY {table}_{login.value} ON {table} TO "{names[login]}" '
            f"USING ({condition}) WITH CHECK ({condition})"
        )


def _execute(statement: str) -> None:
    from alembic import op  # noqa: PLC0415 -- every command reads this module's lists, only migrations need Alembic

    op.execute(statement)


def login_name(login: Login) -> str:
    """The name of a login in this installation: for grants on single columns, which the calls above do not make."""
    return _login_names()[login]


def _login_names() -> Mapping[Login, str]:
    """The names of the logins in this installation (`KOMGICK_LOGIN_PREFIX`), handed over by migrations/env.py."""
    from alembic import op  # noqa: PLC0415 -- as above

    config = op.get_context().config
    prefix = config.attributes.get("login_prefix", "") if config is not None else ""
    return {login: f"{prefix}{login.value}" for login in DOOR_LOGINS}
