"""TimeTagger in the same harness: one check-in a request, everything on this machine.

It is installed from the Python package index into an environment of the bench's own. Where that cannot be, the bench
says so and gives no figures.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.figures import Figure
from tests.bench.load import Senders
from tests.bench.machine import cpu_seconds
from tests.bench.world import World

_API = "/timetagger/api/v2/"


def measure(world: World) -> Iterator[Figure]:
    """CPU of a check-in there, beside ours of this run."""
    if not world.sizes.peers:
        return
    try:
        python = _installed(world.folder / "timetagger")
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        world.notes.append(f"TimeTagger could not be installed from the Python package index, so not measured: {error}")
        return
    requests = 2000 // world.sizes.divisor
    with _served(python, world.folder / "timetagger-data") as (pid, port):
        token = _token(port)
        bodies = [json.dumps([_check_in()]).encode() for _ in range(requests)]
        senders = Senders("127.0.0.1", port, world.sizes.connections)
        before = cpu_seconds(pid)
        senders.put(f"{_API}records", bodies, {"authtoken": token})
        cost = 1000 * (cpu_seconds(pid) - before) / requests
        senders.close().require_ok()
    note = f"{requests} check-ins, one a request: authenticated, stored (SQLite); no signature, no pairing"
    yield Figure("timetagger_check_in", cost, "CPU-ms", None, None, note)


def _installed(folder: Path) -> Path:
    """The Python of an environment with TimeTagger."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True, timeout=120)
    python = folder / "bin" / "python"
    subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "timetagger"],
        check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    return python


@contextmanager
def _served(python: Path, data: Path) -> Iterator[tuple[int, int]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    environment = {**os.environ, "TIMETAGGER_BIND": f"127.0.0.1:{port}", "TIMETAGGER_DATADIR": str(data)}
    environment.pop("PYTHONPATH", None)
    process = subprocess.Popen(
        [str(python), "-m", "timetagger"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(400):
            with socket.socket() as trying:
                if trying.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield process.pid, port
    finally:
        process.terminate()
        process.wait(30)


def _token(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    asked = base64.b64encode(json.dumps({"method": "localhost", "username": "defaultuser"}).encode())
    connection.request("POST", f"{_API}bootstrap_authentication", asked)
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return str(answer["token"])


def _check_in() -> dict[str, object]:
    now = int(time.monotonic()) + 1_790_000_000
    return {"key": secrets.token_hex(4), "mt": now, "t1": now, "t2": now, "ds": "KOM 04DE5F1EACC040"}
