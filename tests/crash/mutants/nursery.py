"""Forks commands out of a process that has imported everything: a server stands in a second, with or without a fault.

`python -m tests.crash.mutants.nursery` reads one JSON order a line and answers with the child's process id. A child is
the real command with the real arguments; `fault` is switched on in it before it begins. It dies with the nursery.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1


class Child:
    """A command that the nursery forked; what it wrote to stdout lies in `out`."""

    def __init__(self, pid: int, out: Path) -> None:
        self.pid, self.out = pid, out

    def lines(self) -> list[str]:
        """What it has said so far."""
        return self.out.read_text().splitlines() if self.out.exists() else []

    def line(self, beginning: str, seconds: float = 60.0) -> str:
        """The first line that begins so; empty when it ended, or in so many seconds, without."""
        until = time.monotonic() + seconds
        while True:
            running = self.running
            found = next((line for line in self.lines() if line.startswith(beginning)), "")
            if found or not running or time.monotonic() > until:
                return found
            time.sleep(0.02)

    @property
    def running(self) -> bool:
        """Whether it lives; the nursery buries its dead at once."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, 0)
            return True
        return False

    def wait(self, seconds: float = 60.0) -> bool:
        """Whether it has ended within that time."""
        until = time.monotonic() + seconds
        while self.running and time.monotonic() < until:
            time.sleep(0.02)
        return not self.running

    def kill(self) -> None:
        """SIGKILL."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.wait()


class Nursery:
    """The nursery's process; safe for several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._born, self._guard = folder, 0, threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.mutants.nursery"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, cwd=Path(__file__).parents[3],
        )  # fmt: skip

    def fork(
        self, module: str, *arguments: str, fault: str = "", environment: Mapping[str, str] | None = None
    ) -> Child:
        """Start `python -m module arguments` with a fault (or none)."""
        with self._guard:
            self._born += 1
            out = self._folder / f"child_{self._born}"
            order = {"module": module, "arguments": arguments, "fault": fault, "out": str(out),
                     "environment": dict(environment or {})}  # fmt: skip
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            return Child(int(self._process.stdout.readline()), out)

    def close(self) -> None:
        """End it and everything it started."""
        self._process.kill()
        self._process.communicate()


def main() -> None:
    """Fork on order until stdin ends."""
    import tests.crash.mutants  # noqa: F401 -- likewise

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    parent = os.getpid()
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _become(json.loads(line), parent)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


def _become(order: Mapping[str, Any], parent: int) -> None:
    """This child is the command from here on; never returns."""
    status = 1
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            return
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.environ.update(order["environment"])
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(os.open(order["out"], os.O_WRONLY | os.O_CREAT, 0o600), 1)
        if order["fault"]:
            from tests.crash.mutants import switch_on

            switch_on(order["fault"])
        sys.argv = [order["module"], *order["arguments"]]
        _COMMANDS[order["module"]]()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os._exit(status)


def _komgick() -> None:
    from app.cli import main as command

    command()


def _agent() -> None:
    from device_agent.cli import main as command

    command()


def _settings() -> None:
    """Not a command of the product: the settings under which its outbox writes, as the device's own code opens it."""
    from device_agent.outbox import Outbox
    from device_agent.setup import Identity, load_key

    folder = Path(sys.argv[1])
    db = Outbox(folder, load_key(folder), Identity.load(folder).device_id).connection()
    found = [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    sys.stdout.write(json.dumps(found) + "\n")


_COMMANDS = {"app.cli": _komgick, "device_agent": _agent, "outbox settings": _settings}


if __name__ == "__main__":
    main()
