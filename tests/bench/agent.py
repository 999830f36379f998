"""The device agent: from a tag laid on a reader to green light, which means: durably written.

The real agent in a process of its own: nfcpy with simulated tags in memory (a reader that takes no time itself),
signature, outbox and chain mark on a real disk, feedback, and a sender that delivers to a server beside it meanwhile.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from device_agent import reader
from device_agent.clock import SystemClock
from device_agent.feedback import Feedback
from device_agent.keys import DeviceKey
from device_agent.loop import open_agent
from device_agent.setup import KEY_NAME, Identity, ReaderSetup, Setup
from device_agent.simulated.field import Field
from device_agent.simulated.script import make_tag
from device_agent.touches import Rules
from tests.agent.server import TapServer
from tests.bench.figures import Figure
from tests.bench.load import percentile
from tests.bench.machine import file_system
from tests.bench.world import World

KINDS = ("ntag213", "ntag424")


def measure(world: World) -> Iterator[Figure]:
    """Waits for green light, with the disk's own part beside them."""
    folder = world.folder / "agent"
    folder.mkdir(mode=0o700)
    touches = world.sizes.touches
    bare = [_durable_row(folder) for _ in range(2 * touches)]
    key = DeviceKey.load_or_create(folder / KEY_NAME)
    server = TapServer(key.jwk)
    try:
        Identity(server.dev, server.url, server.key.jwk, "BENCH").save(folder)
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.agent", str(folder), str(touches)],
            cwd=Path(__file__).parents[2], check=True, capture_output=True,
        )  # fmt: skip
    finally:
        server.close()
    waits = json.loads(done.stdout)
    note = f"{touches} touches of {', '.join(KINDS)}; simulated reader, outbox on {file_system(folder)}"
    disk = "limit: two bare writes with fdatasync"
    for name, share, target in (("p50", 0.5, None), ("p99", 0.99, 60)):
        limit = 2 * percentile(bare, share)
        yield Figure(
            f"agent_tag_to_green_{name}", 1000 * percentile(waits, share), "ms wall", target, 1000 * limit,
            f"{note}; {disk}" if target is None else note,
        )  # fmt: skip
    yield Figure("agent_taps_lost", touches - len(server.held), "taps", 0, None, "not held by the server in the end")


def _durable_row(folder: Path) -> float:
    """Seconds that one small durable write takes on this disk."""
    handle = os.open(folder / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        begun = time.perf_counter()
        os.write(handle, b"x" * 1000)
        os.fdatasync(handle)
        return time.perf_counter() - begun
    finally:
        os.close(handle)


class _Lines(StringIO):
    """The agent's output; notes when a line is out."""

    def __init__(self) -> None:
        super().__init__()
        self.out = threading.Event()
        self.at, self.line = 0.0, ""

    def write(self, text: str) -> int:
        self.at, self.line = time.perf_counter(), text
        self.out.set()
        return len(text)


def _work(data: Path, touches: int) -> list[float]:
    """Lay so many tags on the reader, each as soon as a person might; seconds until each was green."""
    field, lines, chance, waits = Field(), _Lines(), random.Random(1), []
    reader.simulate("door", field)
    setup = Setup(data, readers=(ReaderSetup("sim:door", Rules("AUTO", staff="s_1")),))
    stopping = threading.Event()
    with open_agent(setup, SystemClock(), Feedback("en", out=lines)) as agent:
        working = threading.Thread(target=agent.run, args=(stopping,))
        working.start()
        if not lines.out.wait(30):
            raise RuntimeError("the agent was not ready in time")
        for number in range(touches):
            tag = make_tag(KINDS[number % len(KINDS)], {"uid": f"04{number:012X}"})
            time.sleep(chance.uniform(0.05, 0.25))
            lines.out.clear()
            begun = time.perf_counter()
            field.put(tag)
            if not lines.out.wait(30) or not lines.line.startswith("green"):
                raise RuntimeError(f"no green light: {lines.line!r}")
            waits.append(lines.at - begun)
            field.take()
        until = time.monotonic() + 30
        while agent.outbox.counts().waiting and time.monotonic() < until:
            time.sleep(0.05)
        stopping.set()
        working.join()
    return waits


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_work(Path(sys.argv[1]), int(sys.argv[2]))))
