"""Whatever is sent: no 5xx, nothing accepted that must not be, nothing stored that cannot be derived, memory flat."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from app.db.engine import Database
from app.evidence.keys import SUN_KEYS, write_secret
from tests.evidence.devices import Device, register
from tests.hostile.attacks import KEYS, BadBundles, ForgedStatements, FromTheDocument, SpoiltRequests
from tests.hostile.crowd import Crowd, crowd, left_behind
from tests.walls.world import World, build

SHORT, LONG = (2, 12), (30, 4)
"""(rounds, every how many-th route is asked in a round)"""
MOST_GROWTH_KIB = 96 * 1024
"""What a server may grow from its first round on: every route's code, and the statements that all combinations of its
filters compile to, are cached up to a bound (`query_cache_size`)."""
REPEATED = 3
"""So many rounds of the long form are the same as those before them: nothing is new, so nothing more is cached."""
MOST_LEAKED_KIB = 3 * 1024
"""What the least of them may hold above the least of those before: less than 1.5 KiB a request. (The least, because a
round that happens to end in the middle of a garbage collection shows a few MiB more, and the next one does not.)"""


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    return build(database, tmp_path)


@pytest.mark.timeout(2400)
@pytest.mark.parametrize(
    ("rounds", "stride"),
    [
        pytest.param(*SHORT, id="short"),
        pytest.param(*LONG, id="20000", marks=pytest.mark.slow),
    ],
)
def test_no_bad_input_breaks_the_server_or_gets_in(
    rounds: int, stride: int, world: World, cli_environment: Mapping[str, str], tmp_path: Path
) -> None:
    keys = {"1": {"meta_key": KEYS.meta_key.hex(), "master_key": KEYS.master_key.hex()}}
    write_secret(world.database.settings.data / "secrets" / SUN_KEYS, json.dumps(keys))
    with crowd(world, cli_environment) as asking:
        document, requests = FromTheDocument(asking), SpoiltRequests(asking)
        forged = ForgedStatements(asking, register(world.database, Device("d_hostile"), provider_id="P1"))
        bundles = BadBundles(asking, tmp_path / "bad")
        memory = []
        for number in _seeds(rounds):
            _one_round(asking, number, stride, (document, requests, forged, bundles))
            memory.append(asking.memory_kib())
            print(f"round {len(memory)}, seed {number}: {asking.answers.total()} requests, server {memory[-1]} KiB")
        asked = asking.answers.total()
        print(f"{asked} requests: {dict(sorted(asking.answers.items()))}; server {memory[0]} .. {memory[-1]} KiB")
        wrong = [f"{what}\n    {example}" for what, example in sorted(asking.wrong.items())]
        wrong += forged.accepted_wrongly() + bundles.failed() + left_behind(world)
    assert not wrong, "\n".join(wrong)
    assert memory[-1] - memory[0] < MOST_GROWTH_KIB, memory
    if rounds == LONG[0]:
        assert min(memory[-REPEATED:]) - min(memory[-2 * REPEATED : -REPEATED]) < MOST_LEAKED_KIB, memory
        assert asked >= 20_000
    assert asked >= 350


def _seeds(rounds: int) -> list[int]:
    """One a round; the last ones again."""
    if rounds < LONG[0]:
        return list(range(rounds))
    new = list(range(rounds - REPEATED))
    return new + new[-REPEATED:]


def _one_round(
    asking: Crowd, number: int, stride: int, who: tuple[FromTheDocument, SpoiltRequests, ForgedStatements, BadBundles]
) -> None:
    document, requests, forged, bundles = who
    dice = random.Random(number)
    asking.forget()
    for operation in document.operations[number % stride :: stride]:
        document.attack(operation, 5, number)
    scale = 4 if stride == LONG[1] else 1
    for call in requests.calls[number % 2 :: 2] if scale == 1 else requests.calls * 2:
        requests.attack(call, dice)
    for _ in range(30 * scale):
        forged.upload(dice)
        forged.sun(dice)
    for _ in range(6 * scale):
        forged.enrol(dice)
    for _ in range(3 * scale):
        bundles.wrong_cell(dice)
        bundles.damaged(dice)
    bundles.over_http(dice)
