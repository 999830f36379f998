"""Many devices at once: requests over kept connections, and how long each waited for its answer."""

from __future__ import annotations

import http.client
import queue
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

_JSON = {"Content-Type": "application/json"}


def percentile(values: Iterable[float], share: float) -> float:
    """The value that `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass
class Answers:
    """Waiting times in seconds, and how often each status came."""

    waits: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    def percentile_ms(self, share: float) -> float:
        """The waiting time that `share` of the requests did not exceed, in milliseconds."""
        return 1000 * percentile(self.waits, share)

    def require_ok(self) -> None:
        """RuntimeError when anything was answered by something else than 200."""
        if set(self.statuses) - {200}:
            raise RuntimeError(f"answers: {self.statuses}")


class Senders:
    """`connections` kept connections, each with a thread that takes the next request."""

    def __init__(self, host: str, port: int, connections: int) -> None:
        self._answers = Answers()
        self._waiting: queue.SimpleQueue[tuple[float, str, str, bytes, Mapping[str, str]] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._done = threading.Condition(self._lock)
        self._left = 0
        self._threads = [
            threading.Thread(target=self._send, args=(host, port), daemon=True) for _ in range(connections)
        ]
        for thread in self._threads:
            thread.start()

    def post(self, path: str, bodies: Sequence[bytes]) -> None:
        """Post bodies, as many at once as there are connections, and wait for all the answers."""
        self._put(("POST", path, body, _JSON) for body in bodies)
        self.wait()

    def get(self, paths: Iterable[str], headers: Mapping[str, str]) -> None:
        """Likewise for GET."""
        self._put(("GET", path, b"", headers) for path in paths)
        self.wait()

    def put(self, path: str, bodies: Sequence[bytes], headers: Mapping[str, str]) -> None:
        """Likewise for PUT."""
        self._put(("PUT", path, body, headers) for body in bodies)
        self.wait()

    def post_later(self, path: str, body: bytes) -> None:
        """Post a body by the next free connection; its waiting time counts from now."""
        self._put([("POST", path, body, _JSON)])

    def wait(self) -> None:
        """Return when everything is answered."""
        with self._done:
            while self._left:
                self._done.wait()

    def close(self) -> Answers:
        """End the threads; what they were answered."""
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()
        return self._answers

    def _put(self, requests: Iterable[tuple[str, str, bytes, Mapping[str, str]]]) -> None:
        for request in requests:
            with self._lock:
                self._left += 1
            self._waiting.put((time.monotonic(), *request))

    def _send(self, host: str, port: int) -> None:
        connection = http.client.HTTPConnection(host, port, timeout=120)
        while (request := self._waiting.get()) is not None:
            asked, method, path, body, headers = request
            taken = time.monotonic()
            try:
                connection.request(method, path, body=body or None, headers=dict(headers))
                answer = connection.getresponse()
                answer.read()
                status = answer.status
            except OSError:
                connection.close()
                status = 0
            now = time.monotonic()
            with self._done:
                # Bodies posted together wait for a connection because of us; a paced one only when the server lags.
                self._answers.waits.append(now - (asked if self.paced else taken))
                self._answers.statuses[status] = self._answers.statuses.get(status, 0) + 1
                self._left -= 1
                self._done.notify_all()
        connection.close()

    paced = False
