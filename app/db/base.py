"""The metadata every stage's `tables.py` puts its tables into, and names for constraints that migrations can rely on.

No table names a schema: the schema is a setting and comes by `search_path`.
"""

from __future__ import annotations

from sqlalchemy import MetaData

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
        "ex": "ex_%(table_name)s_%(constraint_name)s",
    }
)
