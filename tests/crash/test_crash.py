"""The short form of `deploy/run crash`, and that its books notice what they are kept for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.disks import try_disks
from tests.crash.kills import Run
from tests.crash.ledger import Held, Ledger, Statement
from tests.crash.mutants import FAULTS
from tests.crash.mutants.hunt import hunt
from tests.crash.result import Result
from tests.crash.torn import tear

SOME_FAULTS = ("answer_before_commit", "hash_over_signature", "gap_acknowledged", "drop_on_500", "unack_ignored")


def test_the_books_notice_what_is_lost_doubled_and_invented() -> None:
    books = Ledger()
    for uid in ("A", "B", "C"):
        books.lay(uid, "d_1")
    books.lit("A", "d_1", 1)
    books.lit("B", "d_1", 2)
    received = books.look_at("d_1", [Statement(1, "h1", "tap", "jws 1", received=True, parked=False),
                                     Statement(2, "h2", "tap", "jws 2", received=False, parked=False)])  # fmt: skip
    assert received == {("d_1", 1, "h1")}
    good = Held({("d_1", 1, "h1"): "jws 1", ("d_1", 2, "h2"): "jws 2"}, [("d_1", 1, "A"), ("d_1", 2, "B")])
    assert (books.lost(good), books.doubled(good), books.invented(good)) == ([], [], [])
    bad = Held({("d_1", 1, "h1"): "other bytes", ("d_1", 9, "h9"): "jws 9"},
               [("d_1", 1, "A"), ("d_1", 1, "A"), ("d_2", 3, "C"), ("d_1", 9, "X")])  # fmt: skip
    assert books.lost(bad) == ["B"]
    assert books.doubled(bad) == ["A"]
    assert books.invented(bad) == ["C", "X", "d_1 1", "d_1 9"]


def test_a_result_is_good_only_when_zeros_are_zeros_and_every_mutant_is_caught() -> None:
    assert Result(kills=3, cuts=4, taps=5, mutants=2, mutants_caught=2).good
    for name in ("lost", "acked_missing", "doubled", "invented"):
        result = Result()
        result.wrong(name, ["something"], "here")
        assert not result.good
    assert not Result(undrained=1).good
    assert not Result(mutants=1).good
    assert not Result(problems=["anything else"]).good


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kills", [3, pytest.param(30, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_nothing_is_lost_doubled_or_invented_when_processes_are_killed(tmp_path: Path, kills: int) -> None:
    result = Result()
    Run(tmp_path / "town", result, kills=kills, seed=7, devices=2)()
    assert result.good, result
    assert (result.kills, result.taps > kills) == (kills, True)


@pytest.mark.parametrize(
    "names", [SOME_FAULTS, pytest.param(tuple(FAULTS), marks=[pytest.mark.slow, pytest.mark.timeout(600)])],
    ids=["some", "all"],
)  # fmt: skip
def test_every_mutant_is_caught_and_the_same_scenario_finds_nothing_without_it(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    result = Result()
    hunt(tmp_path / "mutants", result, names)
    assert result.good, result
    assert result.mutants_caught == len(names)


@pytest.mark.parametrize("files", [15, pytest.param(500, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_torn_outboxes_lose_only_what_the_tear_destroyed(tmp_path: Path, files: int) -> None:
    result = Result()
    tear(tmp_path, result, files=files, seed=7)
    assert result.good, result


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_full_and_read_only_disks_cost_no_green_and_no_acknowledged_tap(tmp_path: Path) -> None:
    result = Result()
    try_disks(tmp_path / "disks", result)
    assert result.good, result
