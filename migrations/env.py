"""Alembic's environment: one connection, the schema of the settings by search_path, all stages' tables.

Called by the program (`app.db.migrate`, which hands over its connection) or by the `alembic` command in a checkout.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from alembic import context
from sqlalchemy import Connection, text

from app.core.settings import read_settings
from app.db.base import metadata

STAGES = ("registry", "evidence", "findings", "visits", "office", "months", "billing", "access")

for _stage in STAGES:
    for _module in (f"app.{_stage}.tables", f"app.{_stage}.device_tables"):
        if importlib.util.find_spec(f"app.{_stage}") and importlib.util.find_spec(_module):
            importlib.import_module(_module)


def _partitions(connection: Connection) -> set[str]:
    rows = connection.execute(
        text("SELECT relname FROM pg_class WHERE relispartition AND relnamespace = current_schema()::regnamespace")
    )
    names = {str(row[0]) for row in rows}
    connection.rollback()
    return names


def _run(connection: Connection) -> None:
    partitions = _partitions(connection)

    def include_name(name: str | None, kind: str, _parents: Any) -> bool:
        """Partitions are made as months come; the model knows the parent only."""
        return not (kind == "table" and name in partitions)

    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_name=include_name,
        compare_type=True,
        compare_server_default=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def _main() -> None:
    given = context.config.attributes.get("connection")
    if given is not None:
        _run(given)
        return
    from app.db.opening import open_unmigrated  # noqa: PLC0415 -- only the alembic command opens a database itself

    db = open_unmigrated(read_settings())
    context.config.attributes["login_prefix"] = db.settings.login_prefix
    try:
        with db.owner.connect() as connection:
            _run(connection)
    finally:
        db.close()


_main()
