"""Work in several processes: they end, whoever started them, and one that dies is told of instead of waited for.

Each case is a process of its own, as a server is: a server derives everything again after a large import.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.core.settings import Settings
from app.db.engine import Database
from app.db.processes import Processes

ROOT = Path(__file__).parents[2]


def has_default_handlers(_database: Database, _common: str, _part: int) -> bool:
    return {signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)} == {signal.SIG_DFL}


def fail_or_wait(_database: Database, _common: str, part: int) -> int:
    if part == 0:
        raise ValueError("a rule's fault")
    time.sleep(600)
    return part


def be_killed_or_wait(_database: Database, _common: str, part: int) -> int:
    if part == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(600)
    return part


def spread_in_a_thread(work: Callable[[Database, str, int], Any]) -> list[Any]:
    """As the server's deriver does it, below handlers that only take note, as uvicorn's do."""
    found: list[Any] = []

    def spread() -> None:
        nowhere = Database("postgresql://nobody@127.0.0.1:1/none", Settings())
        try:
            with Processes(nowhere, 2) as processes:
                found.extend(processes.spread(work, f"<{os.getpid()}>", range(2)))
        except (ValueError, RuntimeError) as error:
            found.append(f"{type(error).__name__}: {error}")

    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, lambda *_: None)
    thread = threading.Thread(target=spread, daemon=True)
    thread.start()
    thread.join()
    return found


@pytest.mark.parametrize(
    ("work", "found"),
    [
        ("has_default_handlers", "[True, True]"),
        ("fail_or_wait", '["ValueError: a rule\'s fault"]'),
        ("be_killed_or_wait", "['ProcessError: a process ended before it answered']"),
    ],
)
def test_they_can_be_ended_and_a_fault_in_one_or_its_death_ends_the_others(work: str, found: str) -> None:
    told = f"from tests.db import test_processes as here; print(here.spread_in_a_thread(here.{work}))"
    done = subprocess.run(
        [sys.executable, "-c", told], capture_output=True, text=True, cwd=ROOT, timeout=60, check=True
    )
    assert done.stdout.strip() == found


def sum_with_pid(_database: Database, common: int, part: int) -> tuple[int, int]:
    return common + part, os.getpid()


def test_every_part_is_done_once_and_elsewhere_but_a_single_one_here() -> None:
    nowhere = Database("postgresql://nobody@127.0.0.1:1/none", Settings())
    with Processes(nowhere, 2) as processes:
        assert list(processes.spread(sum_with_pid, 5, [1])) == [(6, os.getpid())]
        found = list(processes.spread(sum_with_pid, 10, range(20)))
        again = list(processes.spread(sum_with_pid, 100, range(3)))
    assert sorted(number for number, _ in found) == list(range(10, 30))
    assert sorted(number for number, _ in again) == [100, 101, 102]
    pids = {pid for _, pid in (*found, *again)}
    assert os.getpid() not in pids
    assert len(pids) <= 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def make_common(_database: Database, told: int) -> tuple[int, int]:
    return told * 2, os.getpid()


def say_common(_database: Database, common: tuple[int, int], _part: int) -> tuple[int, int, int]:
    time.sleep(0.05)
    return (*common, os.getpid())


def test_what_parts_have_in_common_is_made_where_they_are_done_and_ended_processes_are_started_anew() -> None:
    nowhere = Database("postgresql://nobody@127.0.0.1:1/none", Settings())
    with Processes(nowhere, 2) as processes:
        assert list(processes.spread_prepared(make_common, say_common, 4, [0])) == [(8, os.getpid(), os.getpid())]
        found = list(processes.spread_prepared(make_common, say_common, 5, range(8)))
        processes.end()
        again = list(processes.spread_prepared(make_common, say_common, 6, range(8)))
    assert {value for value, _, _ in found} == {10}
    assert {value for value, _, _ in again} == {12}
    assert all(made_in == done_in for _, made_in, done_in in (*found, *again))
    assert {pid for _, _, pid in found}.isdisjoint({os.getpid(), *(pid for _, _, pid in again)})


def wait_for_ever(_database: Database, common: str, part: int) -> None:
    Path(common, str(os.getpid())).write_text(str(part), "ascii")
    time.sleep(1)


def spread_for_ever(folder: str) -> None:
    """Until this process is killed."""
    nowhere = Database("postgresql://nobody@127.0.0.1:1/none", Settings())
    with Processes(nowhere, 2) as processes:
        list(processes.spread(wait_for_ever, folder, range(1000)))


def test_they_end_when_whoever_started_them_is_killed(tmp_path: Path) -> None:
    told = f"from tests.db import test_processes as here; here.spread_for_ever({str(tmp_path)!r})"
    starter = subprocess.Popen([sys.executable, "-c", told], cwd=ROOT)
    try:
        _until(lambda: len(list(tmp_path.iterdir())) == 2)
    finally:
        starter.kill()
        starter.wait()
    pids = [int(file.name) for file in tmp_path.iterdir()]
    _until(lambda: not any(_runs(pid) for pid in pids))


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _until(said: Callable[[], bool]) -> None:
    for _ in range(600):
        if said():
            return
        time.sleep(0.05)
    raise AssertionError("still not after 30 s")
