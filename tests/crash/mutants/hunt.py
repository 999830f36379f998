"""Every scenario without a fault must find nothing; with each of its faults it must find something."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.crash.mutants import FAULTS
from tests.crash.mutants.agent import AGENT_FAULTS
from tests.crash.mutants.at_the_door import AT_THE_DOOR, House, undurable
from tests.crash.mutants.nursery import Nursery
from tests.crash.mutants.on_the_device import ON_THE_DEVICE, Bench
from tests.crash.mutants.server import SERVER_FAULTS
from tests.crash.result import Result, say

AT_ONCE = 4


def hunt(folder: Path, result: Result, names: Collection[str] = tuple(FAULTS)) -> None:
    """Look for these faults; `folder` must be passable for the database's user. Counts into `result`."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o711)
    nursery = Nursery(folder)
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            benches = {
                (name, fault): pool.submit(_on_a_bench, folder, nursery, name, fault)
                for name, fault in _tries(names, AGENT_FAULTS)
            }
            found = _at_doors(folder, nursery, _tries(names, SERVER_FAULTS))
            found |= {key: future.result() for key, future in benches.items()}
    finally:
        nursery.close()
    for (scenario, fault), complaints in found.items():
        _judge(result, scenario, fault, complaints)
    say(f"{result.mutants_caught} of {result.mutants} mutants caught")


def _tries(names: Collection[str], faults: Mapping[str, tuple[str, object]]) -> list[tuple[str, str]]:
    """(scenario, fault): each scenario first without one."""
    wanted = {name: faults[name][0] for name in names if name in faults}
    return [(scenario, "") for scenario in dict.fromkeys(wanted.values())] + [
        (scenario, name) for name, scenario in wanted.items()
    ]


def _judge(result: Result, scenario: str, fault: str, complaints: list[str]) -> None:
    if not fault:
        if complaints:
            result.problem(f"{scenario}, without a fault: {'; '.join(complaints)}")
        return
    result.mutants += 1
    if complaints:
        result.mutants_caught += 1
        say(f"{fault} caught: {'; '.join(complaints)}")
    else:
        result.problem(f"{fault} was not noticed by {scenario}")


def _on_a_bench(folder: Path, nursery: Nursery, scenario: str, fault: str) -> list[str]:
    bench = Bench(folder / f"bench {scenario} {fault}", nursery, fault)
    try:
        return list(ON_THE_DEVICE[scenario](bench))
    finally:
        bench.close()


def _at_doors(folder: Path, nursery: Nursery, tries: list[tuple[str, str]]) -> dict[tuple[str, str], list[str]]:
    """One honest server for all scenarios, one server for each fault."""
    found: dict[tuple[str, str], list[str]] = {}
    if not tries:
        return found
    house = House(folder / "house", nursery)
    try:
        for fault in dict.fromkeys(fault for _, fault in tries):
            at_door = [name for name, own in tries if own == fault and name in AT_THE_DOOR]
            if at_door:
                with house.door(fault) as door:
                    found |= {(name, fault): list(AT_THE_DOOR[name](door)) for name in at_door}
            if ("undurable", fault) in tries:
                found["undurable", fault] = list(undurable(house, fault))
    finally:
        house.close()
    return found
