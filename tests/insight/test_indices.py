"""The indices of continuity against published and hand-made values, and against counting pairs one by one."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import combinations, pairwise
from math import log2
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.insight.indices import EXACT_INDICES, ExactIndex, Indices, indices_of

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "continuity.json").read_text(encoding="utf-8")
)
INDEX_VECTORS = VECTORS["index_vectors"]


def _fraction(value: dict[str, Any] | None) -> Fraction | None:
    return None if value is None else Fraction(value["frac"])


@pytest.mark.parametrize("vector", INDEX_VECTORS, ids=[v["name"] for v in INDEX_VECTORS])
def test_index_vectors_hold_exactly(vector: dict[str, Any]) -> None:
    indices = indices_of([[person] for person in vector["visits"]])
    expected = vector["expected"]
    if indices is None:
        assert vector["N"] == 0
        assert all(value is None for value in expected.values())
        return
    assert (indices.meetings, indices.distinct_staff) == (vector["N"], vector["M_different_staff"])
    named: dict[str, ExactIndex] = {"UPC": "upc", "HI": "hi", "COC": "coc", "SECON": "secon", "K": "k", "MMCI": "mmci"}
    for name, attribute in named.items():
        assert indices.exact(attribute) == _fraction(expected[name]), name
    assert indices.entropy_bits == pytest.approx(expected["VE_bits"], abs=1e-9)


@pytest.mark.parametrize("vector", VECTORS["aggregation_vectors"], ids=lambda v: str(v["name"]))
def test_aggregation_vectors_hold_exactly(vector: dict[str, Any]) -> None:
    cocs = [
        found.exact("coc")
        for visits in vector["clients"]
        if (found := indices_of([[who] for who in visits])) is not None
    ]
    assert sum((coc for coc in cocs if coc is not None), Fraction(0)) / len(cocs) == _fraction(
        vector["expected"]["mean_COC"]
    )


@pytest.mark.parametrize("vector", VECTORS["double_staffing_vectors"], ids=lambda v: str(v["name"]))
def test_double_staffing_vectors_hold_exactly(vector: dict[str, Any]) -> None:
    indices = indices_of(vector["visits"])
    expected = vector["expected"]
    assert indices is not None
    assert (indices.meetings, indices.person_meetings) == (expected["visits"], expected["contacts"])
    assert indices.distinct_staff == expected["distinct_staff"]
    assert indices.exact("upc") == _fraction(expected["UPC_visit_share"])
    assert indices.exact("coc") == _fraction(expected["visitpair_COC_any_shared"])
    assert indices.exact("secon") == _fraction(expected["SECON_any_shared"])


def test_one_meeting_with_two_persons_has_k_but_no_coc() -> None:
    indices = indices_of([["A", "B"]])
    assert indices is not None
    assert (indices.exact("upc"), indices.exact("coc"), indices.exact("secon")) == (Fraction(1), None, None)
    assert (indices.exact("hi"), indices.exact("k"), indices.exact("mmci")) == (
        Fraction(1, 2),
        Fraction(0),
        Fraction(1, 11),
    )


def _pair_by_pair(meetings: list[list[str]]) -> Indices:
    """The same whole numbers, counted without any shortcut."""
    casts = [set(persons) for persons in meetings]
    everyone = [person for cast in casts for person in cast]
    counts = [everyone.count(person) for person in sorted(set(everyone))]
    return Indices(
        len(casts), len(counts), len(everyone), max(counts), sum(n * n for n in counts),
        sum(1 for one, other in combinations(casts, 2) if one & other),
        sum(1 for one, other in pairwise(casts) if one & other),
        sum(n * log2(n) for n in counts),
    )  # fmt: skip


@given(st.lists(st.lists(st.sampled_from("ABCDEF"), min_size=1, max_size=5), min_size=1, max_size=12))
def test_any_sequence_equals_counting_pair_by_pair(meetings: list[list[str]]) -> None:
    found, expected = indices_of(meetings), _pair_by_pair(meetings)
    assert found is not None
    for name in EXACT_INDICES:
        assert found.exact(name) == expected.exact(name), name
    assert found.entropy_bits == pytest.approx(expected.entropy_bits, abs=1e-9)
