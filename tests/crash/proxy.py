"""An unkind network on loopback: one proxy per device between its agent and the server.

It carries whole HTTP requests and mistreats them by a schedule of its own: delays, cuts before, in and after the
request, an answer lost after the server has committed, a half-open connection that never answers, a request that
arrives twice, and an old request that arrives again much later.
"""

from __future__ import annotations

import contextlib
import random
import socket
import socketserver
import threading
from collections import Counter
from dataclasses import dataclass
from typing import BinaryIO

KIND = "pass"
UNKIND = {
    KIND: 52, "delay": 12, "cut_before": 7, "cut_request": 6, "lose_answer": 9, "cut_answer": 4, "half_open": 1,
    "repeat": 6, "stale": 3,
}  # fmt: skip
CUTS = {"cut_before", "cut_request", "lose_answer", "cut_answer", "half_open"}
HALF_OPEN_S = 12.0
"""Longer than an agent waits for an answer."""


@dataclass(frozen=True, slots=True)
class Message:
    """One HTTP message as bytes."""

    head: bytes
    body: bytes

    @property
    def raw(self) -> bytes:
        return self.head + self.body


class Proxy(socketserver.ThreadingTCPServer):
    """Listens on a port of its own until closed. `upstream`: the server's port, None while there is none."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, seed: str, upstream: int | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.upstream = upstream
        self.kind = False
        self.counts: Counter[str] = Counter()
        self.under_way = threading.Event()
        """Set whenever a request goes on to the server: a moment to aim at."""
        self._chance = random.Random(seed)
        self._old: list[Message] = []
        self._guard = threading.Lock()
        self.ended = threading.Event()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True, name="proxy").start()

    @property
    def url(self) -> str:
        """What the device takes for the server."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def cuts(self) -> int:
        """How many requests were cut, lost their answer or never got one."""
        return sum(self.counts[name] for name in CUTS)

    def close(self) -> None:
        """No more connections; those that hang are let go."""
        self.ended.set()
        self.shutdown()
        self.server_close()

    def fate(self, request: Message) -> tuple[str, float, Message]:
        """What becomes of a request, a fraction to cut it at, and an earlier request."""
        with self._guard:
            fate = KIND if self.kind else self._chance.choices(list(UNKIND), list(UNKIND.values()))[0]
            self.counts[fate] += 1
            self._old = [*self._old[-20:], request]
            return fate, self._chance.random(), self._chance.choice(self._old)

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that breaks is what this is for."""
        del request, client_address


class _Connection(socketserver.BaseRequestHandler):
    """One connection of a device, kept open between requests as HTTP does."""

    server: Proxy
    request: socket.socket

    def handle(self) -> None:
        with contextlib.suppress(OSError), self.request.makefile("rb") as stream:
            while (message := read_message(stream)) is not None and self._carry(message):
                pass

    def _carry(self, request: Message) -> bool:
        """False when the connection is to be closed."""
        fate, share, old = self.server.fate(request)
        match fate:
            case "cut_before":
                return False
            case "half_open":
                self.server.ended.wait(HALF_OPEN_S)
                return False
            case "cut_request":
                self._send_part(request, share)
                return False
            case "delay":
                self.server.ended.wait(0.05 + share * 0.8)
            case "repeat":
                self._ask(request)
            case "stale":
                self._ask(old)
        answer = self._ask(request)
        if answer is None or fate == "lose_answer":
            return False
        if fate == "cut_answer":
            self.request.sendall(answer.raw[: int(len(answer.raw) * share)])
            return False
        self.request.sendall(answer.raw)
        return True

    def _ask(self, request: Message) -> Message | None:
        """The server's whole answer; None when it gives none."""
        try:
            with self._connection() as server, server.makefile("rb") as stream:
                server.sendall(request.raw)
                self.server.under_way.set()
                return read_message(stream)
        except OSError:
            return None

    def _send_part(self, request: Message, share: float) -> None:
        with contextlib.suppress(OSError), self._connection() as server:
            server.sendall(request.raw[: max(1, int(len(request.raw) * share))])

    def _connection(self) -> socket.socket:
        if self.server.upstream is None:
            raise ConnectionRefusedError
        return socket.create_connection(("127.0.0.1", self.server.upstream), timeout=15)


def read_message(stream: BinaryIO) -> Message | None:
    """The next HTTP message with a Content-Length; None at the end of the stream. OSError for half a one."""
    lines: list[bytes] = []
    length = 0
    while True:
        line = stream.readline(65536)
        if not line:
            if lines:
                raise ConnectionResetError("half a head")
            return None
        lines.append(line)
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            length = int(value)
        if line in (b"\r\n", b"\n"):
            break
    body = stream.read(length)
    if len(body) < length:
        raise ConnectionResetError("half a body")
    return Message(b"".join(lines), body)
