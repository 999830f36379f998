"""Deriving what a change touches gives what deriving everything gives (ARCHITECTURE.md "Re-deriving")."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from app.db.callers import Caller
from app.db.engine import Database
from app.registry.store import load_directory, load_policy_book
from app.visits.rules.derive import DerivationInput, derive
from app.visits.store import outcome_from_row
from app.visits.tables import decline_outcomes
from tests.flows.stored_world import drain, findings_of, learn, store_registry, store_statement, store_taps, visits_of
from tests.rules.test_properties import BOOK, STORIES, TOWN

# What the registry may learn after the taps (DOMAIN.md 2.1 rows 15, 17).
LATE = ("employments", "tags", "orders", "devices", "absences", "outages")
SOME = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@SOME
@given(story=STORIES, seed=st.integers(0, 10_000), size=st.integers(1, 5))
def test_any_order_of_arrival_ends_as_one_derivation_of_everything(
    make_database: Callable[..., Database], story: DerivationInput, seed: int, size: int
) -> None:
    database = make_database()
    rows = TOWN.registry
    chance = random.Random(seed)
    late = [one for name in LATE for one in getattr(rows, name) if chance.random() < 0.3]
    said: list[Any] = [
        *story.taps, *story.plans, *story.declines, *story.manual_visits, *story.corrections, *story.disputes, *late
    ]  # fmt: skip
    chance.shuffle(said)
    with database.transaction(Caller.batch()) as connection:
        store_registry(connection, rows, BOOK, late)
        for start in range(0, len(said), size):
            changes = []
            for one in said[start : start + size]:
                if one in late:
                    changes += learn(connection, rows, one)
                else:
                    changes += store_taps(connection, [one]) if one in story.taps else store_statement(connection, one)
            drain(connection, changes)
        directory, book = load_directory(connection), load_policy_book(connection)
        expected = derive(story, directory, book)
        assert visits_of(connection) == set(expected.visits)
        assert findings_of(connection) == set(expected.findings)
        outcomes = {outcome_from_row(row) for row in connection.execute(select(decline_outcomes))}
        assert outcomes == set(expected.outcomes)
    database.close()
