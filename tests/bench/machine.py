"""What is measured with: CPU-seconds and memory of trees of processes, out of /proc; the machine and the commit.

On a shared machine wall time tells of the neighbours as well; CPU-seconds tell of the program.
"""

from __future__ import annotations

import os
import platform
import subprocess
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
TICK_S = 1 / _TICKS
"""The kernel counts CPU time of others in these: what took less is said to have taken one."""


def tree(pid: int) -> Iterator[int]:
    """A process and all that descend from it."""
    yield pid
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:  # ended a moment ago
        return
    for task in tasks:
        try:
            children = (task / "children").read_text("ascii").split()
        except OSError:
            continue
        for child in children:
            yield from tree(int(child))


def cpu_seconds(pid: int) -> float:
    """User and system time of a tree of processes so far, those that ended and were waited for included."""
    return sum(_cpu_of(one) for one in tree(pid))


def _cpu_of(pid: int) -> float:
    try:
        # The name in parentheses may hold anything; utime, stime, cutime and cstime are the 12th to 15th after it.
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / _TICKS


def memory_mib(pid: int) -> float:
    """Memory of a tree of processes now, pages that several share counted once (PSS), MiB."""
    return sum(_pss(one) for one in tree(pid)) / 1024


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


@dataclass(frozen=True, slots=True)
class Spent:
    """What a command took: seconds of wall and of CPU (its whole tree), and the most memory of its tree, MiB."""

    wall_s: float
    cpu_s: float
    memory_mib: float
    stdout: bytes


def run(command: Sequence[str], environment: dict[str, str] | None = None, good: Collection[int] = (0,)) -> Spent:
    """Run a command to its end. CalledProcessError with what it said when its exit status is not a good one."""
    begun = time.monotonic()
    before = os.times()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    peak = [0.0]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.25):
            peak[0] = max(peak[0], memory_mib(process.pid))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    out, err = process.communicate()
    wall = time.monotonic() - begun
    after = os.times()
    ended.set()
    watcher.join()
    if process.returncode not in good:
        failed = subprocess.CalledProcessError(process.returncode, command, out, err)
        failed.add_note(err.decode(errors="replace"))
        raise failed
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Spent(wall, cpu, peak[0], out)


def describe() -> str:
    """The machine in one line."""
    model = next(
        (line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines()
         if line.startswith("model name")),
        platform.machine(),
    )  # fmt: skip
    memory = next(
        line.split()[1] for line in Path("/proc/meminfo").read_text("ascii").splitlines() if "MemTotal" in line
    )
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    return f"{os.cpu_count()} x {model}, {int(memory) >> 20} GiB, load {load}, Python {platform.python_version()}"


def file_system(folder: Path) -> str:
    """The type of the file system that a folder lies on, as the kernel names it."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text("utf-8").splitlines()]
    around = [(len(place), kind) for place, kind in mounts if folder.resolve().is_relative_to(place)]
    return max(around)[1]


def commit() -> str:
    """The commit that is measured; with + when files differ from it."""
    root = Path(__file__).parents[2]
    said = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"], cwd=root, capture_output=True, text=True, check=False
    )
    return said.stdout.strip() or "unknown"
