"""Whether a database holds invented people: `komgick demo` marks it, `komgick serve` refuses it.

The mark is the schema's comment, so it goes wherever the schema is copied to.
"""

from __future__ import annotations

from sqlalchemy import text

from app.db.callers import Caller
from app.db.engine import Database

_DEMO = "komgick demo: invented people"


def mark_demo(database: Database) -> None:
    """Mark the installation's schema as a demo, for good."""
    with database.transaction(Caller.batch()) as connection:
        connection.execute(text(f"COMMENT ON SCHEMA \"{database.schema}\" IS '{_DEMO}'"))


def is_demo(database: Database) -> bool:
    """Whether the schema carries the mark."""
    with database.transaction(Caller.batch(), read_only=True) as connection:
        comment = connection.execute(
            text("SELECT obj_description(to_regnamespace(:schema), 'pg_namespace')"), {"schema": database.schema}
        ).scalar()
    return comment == _DEMO
