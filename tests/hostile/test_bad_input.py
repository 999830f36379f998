"""Whatever is sent: no 5xx, nothing accepted that must not be, nothing stored that cannot be derived, memory flat."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import pytest

from app.db.engine import Database
from app.evidence.keys import SUN_KEYS, write_secret
from tests.evidence.devices import Device, register
from tests.hostile.attacks import KEYS, BadBundles, ForgedStatements, FromTheDocument, SpoiltRequests
from tests.hostile.crowd import Crowd, crowd, left_behind
from tests.walls.world import World, build

SHORT, LONG = (2, 12), (30, 4)
"""(rounds, every how many-th route is asked in a round)"""
MOST_WARMING_KIB = 64 * 1024
"""What a server may grow from its first round on: every route's code and statements are cached once."""
MOST_GROWTH_KIB = 8 * 1024
"""What it may grow in ten rounds (7,000 requests) once it is warm: 1.2 KiB a request would be a leak."""
WARM = 10


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
        for number in range(rounds):
            _one_round(asking, number, stride, (document, requests, forged, bundles))
            memory.append(asking.memory_kib())
        asked = asking.answers.total()
        print(f"{asked} requests: {dict(sorted(asking.answers.items()))}; server {memory} KiB")
        wrong = [f"{what}\n    {example}" for what, example in sorted(asking.wrong.items())]
        wrong += forged.accepted_wrongly() + bundles.failed() + left_behind(world)
    assert not wrong, "\n".join(wrong)
    assert memory[-1] - memory[0] < MOST_WARMING_KIB, memory
    assert _growth_kib(memory[WARM:]) < MOST_GROWTH_KIB, memory
    assert asked >= (20_000 if rounds == LONG[0] else 350)


def _growth_kib(memory: Sequence[int]) -> float:
    """How much more the later half of the rounds holds than the earlier one; 0 where there are too few to tell."""
    half = len(memory) // 2
    return median(memory[half:]) - median(memory[:half]) if half else 0.0


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
