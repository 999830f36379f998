"""Objects of a quick constructor are the frozen class's own."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, fields, replace

import pytest

from app.core.quick import quick
from app.facts import Visit
from app.visits.rules.changed import changed
from tests.diary import derived

(VISIT,) = derived("2026-01-05 08:00 KOM anna bo").visits
VALUES = {entry.name: getattr(VISIT, entry.name) for entry in fields(Visit)}


def test_it_is_equal_frozen_and_of_the_same_class() -> None:
    made = quick(Visit)(**VALUES)
    assert type(made) is Visit
    assert (made, hash(made), repr(made)) == (Visit(**VALUES), hash(Visit(**VALUES)), repr(Visit(**VALUES)))
    with pytest.raises(FrozenInstanceError):
        made.visit_id = "other"  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(made)) == made  # noqa: S301 -- what this test wrote itself; rebuild uses processes
    assert replace(made, grade="B").grade == "B"


def test_defaults_stay_and_a_missing_field_is_an_error() -> None:
    bare = {entry.name: VALUES[entry.name] for entry in fields(Visit)[:14]}
    assert quick(Visit)(**bare) == Visit(**bare)
    with pytest.raises(TypeError):
        quick(Visit)(visit_id="alone")  # type: ignore[call-arg]


def test_changed_is_replace() -> None:
    assert changed(VISIT, grade="B", planned_id="p") == replace(VISIT, grade="B", planned_id="p")
    with pytest.raises(KeyError):
        changed(VISIT, colour="red")
