"""What open data asks the database. Reads only."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from app.core.month import Month
from app.insight.continuity import by_code, by_group, by_label, measured_object
from app.insight.figures_store import load_quality
from app.insight.measure import Grouping, compute
from app.insight.measures import measure_named
from app.insight.open_data import Key, open_rows
from app.insight.quality import quality_object
from app.insight.store import DatabaseSource, load_districts, load_operations
from app.insight.windows import Window

_MEASURE = "stockholm_month"


def load_open(connection: Connection, month: Month) -> list[dict[str, Any]]:
    """The month's rows that may be published."""
    return open_rows(quality_object(load_quality(connection, month)), _continuity(connection, month))


def _continuity(connection: Connection, month: Month) -> dict[Key, dict[str, Any]]:
    measure, source, window = measure_named(_MEASURE), DatabaseSource(connection), Window.of_month(month)
    operations, districts = load_operations(connection), load_districts(connection, window)
    groupings: dict[str, Grouping] = {
        "provider": lambda stays: by_code("provider", stays),
        "operation": lambda stays: by_label("provider", operations, stays),
        "district": lambda stays: by_label("client", districts, stays),
    }
    found: dict[Key, dict[str, Any]] = {("municipality", ""): measured_object(compute(measure, source, window))}
    for level, grouping in groupings.items():
        for row in by_group(measure, source, window, frozenset(), grouping):
            found[level, row["group"]] = row
    return found
