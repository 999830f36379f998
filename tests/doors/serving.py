"""A real uvicorn around the real application: in a thread of the test, or as a process of its own."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx
import uvicorn

from app.db.engine import Database
from app.main import create_app


@contextmanager
def served(database: Database) -> Iterator[httpx.Client]:
    """An HTTP client of the application on `database`, over a real socket on loopback."""
    config = uvicorn.Config(create_app(database), host="127.0.0.1", port=0, log_level="error", lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    limits = httpx.Limits(max_connections=64)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, limits=limits) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(20)


@contextmanager
def serving(environment: Mapping[str, str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A `komgick serve` process and its address; killed at the end."""
    command = [sys.executable, "-m", "app.cli", "serve", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(environment))
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("KomGick: http://127.0.0.1:"), line
        yield process, line.split()[1]
    finally:
        process.kill()
        process.wait(20)
        if process.stdout is not None:
            process.stdout.close()
