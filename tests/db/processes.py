"""Processes that open the embedded server, for the tests that kill them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

OPEN = """
import sys, time
from pathlib import Path
from app.db.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1])).start()
print("owned" if server.owned else "shared", flush=True)
sys.stdin.readline()
server.start()
print("owned" if server.owned else "shared", flush=True)
sys.stdin.readline()
"""


class Opener:
    """A process that starts or shares the server of `folder`; `said` is "owned" or "shared"."""

    def __init__(self, folder: Path, script: str = OPEN) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )

    def said(self) -> str:
        """The next line the process writes."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def go_on(self) -> None:
        """Let the process take its next step."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self) -> None:
        """Kill it if it lives."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def server_pids(cluster: Path) -> set[int]:
    """Every process that works in the cluster's folder."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if Path(os.readlink(entry / "cwd")) == cluster:  # noqa: PTH115 -- a link into /proc may vanish
                found.add(int(entry.name))
        except OSError:
            continue
    return found


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Until true, or the test fails."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
