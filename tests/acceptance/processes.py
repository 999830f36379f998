"""Commands as processes: run to their end, or watched line by line."""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

KOMGICK, AGENT = "app.cli", "device_agent"
_ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("KOMGICK_")}
if "KOMGICK_PG_BINDIR" in os.environ:
    _ENVIRONMENT["KOMGICK_PG_BINDIR"] = os.environ["KOMGICK_PG_BINDIR"]


class Watched:
    """A running command. Its lines are kept, and can be waited for."""

    def __init__(
        self, module: str, *arguments: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**_ENVIRONMENT, **(env or {})}, cwd=cwd, start_new_session=True,
        )  # fmt: skip
        self.lines: list[str] = []
        self._fresh: queue.Queue[str] = queue.Queue()
        assert self.process.stdout is not None
        self._reading = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self._reading.start()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            self.lines.append(line.rstrip())
            self._fresh.put(line.rstrip())

    def line(self, beginning: str, seconds: float = 60.0) -> str:
        """The next line that begins so."""
        while True:
            try:
                line = self._fresh.get(timeout=seconds)
            except queue.Empty:
                raise AssertionError(f"no {beginning!r} in {seconds} s; so far: {self.lines}") from None
            if line.startswith(beginning):
                return line

    def type(self, keys: str) -> None:
        """Press keys, and Enter."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{keys}\n")
        self.process.stdin.flush()

    def end(self, number: int = signal.SIGTERM, seconds: float = 30) -> int:
        """Send a signal unless it has ended; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(seconds)
        self._reading.join(5)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()
        return status


def run(module: str, *arguments: str) -> str:
    """A command run to its good end: what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True, text=True, env=_ENVIRONMENT, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{module} {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def rows(module: str, *arguments: str) -> Any:
    """A command's `--format json`."""
    return json.loads(run(module, *arguments, "--format", "json"))


def free_udp_port() -> int:
    """A port nobody listens on at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
