"""A visit lies in the partition of one month only, whatever a later derivation makes of its start."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from app.core.month import Month
from app.db.callers import Caller
from app.db.engine import Database
from app.visits import store
from app.visits.rules.changed import changed
from app.visits.tables import visits
from tests.flows.stored_world import NOW
from tests.insight.world import visit

OCTOBER = datetime(2026, 10, 9, 8, 0, tzinfo=UTC)
AN_HOUR = timedelta(hours=1)


def test_a_visit_corrected_into_another_month_leaves_no_row_where_it_was(database: Database) -> None:
    before = visit("c1", "s1", OCTOBER, OCTOBER + AN_HOUR)
    august = OCTOBER - timedelta(days=60)
    after = changed(before, start_at=august, end_at=august + AN_HOUR)
    longer = changed(after, end_at=august + 2 * AN_HOUR)
    with database.transaction(Caller.batch()) as connection:
        store.put(connection, [(before, "s1")], {}, NOW)
        store.put(connection, [(after, "s1")], {before.visit_id: before}, NOW)
        store.put(connection, [(longer, "s1")], {after.visit_id: after}, NOW)
        found = connection.execute(select(visits.c.month_on, visits.c.end_at)).all()
    assert [tuple(row) for row in found] == [(Month(2026, 8).first_on, longer.end_at)]
