"""The tap door's group commit: waiting uploads share one transaction (PERFORMANCE.md section 3).

A bounded queue, one thread that drains whatever waits, no timer: an idle system adds no delay, a busy one commits once
for many. The answer is given **after** commit. A flush that fails is done again upload by upload, so that one bad row
fails alone; a database that is away fails all of them at once, and the devices come back.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from prometheus_client import Counter, Gauge, Histogram
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.api.problems import Unavailable, without_values
from app.evidence.flow import Answer, Upload
from app.refusals import Busy

log = structlog.get_logger()

MOST_WAITING = 1000
MOST_WAITING_BYTES = 64 * 1024 * 1024
MOST_UPLOADS = 200
MOST_TAPS = 2000

UPLOADS = Counter("komgick_uploads_total", "Uploads of devices by answer", ["status"])
TAPS = Counter("komgick_taps_total", "Taps newly stored by grade", ["grade"])
FLUSH = Histogram("komgick_flush_seconds", "Time of one transaction of the tap door")
WAITING = Gauge("komgick_uploads_waiting", "Uploads waiting for a transaction")

Receive = Callable[[Sequence[Upload]], list[Answer]]


@dataclass(frozen=True, slots=True)
class _Waiting:
    upload: Upload
    size: int
    future: asyncio.Future[Answer]
    loop: asyncio.AbstractEventLoop


class TapDoor:
    """`receive` is called by one thread with one or more uploads, and returns when they are committed."""

    def __init__(self, receive: Receive, most_waiting: int = MOST_WAITING) -> None:
        self._receive = receive
        self._most_waiting = most_waiting
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._bytes = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="tap-door", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether the door still carries uploads through."""
        return self._thread.is_alive()

    @property
    def full(self) -> bool:
        """Whether another upload would be sent away."""
        return self._queue.qsize() >= self._most_waiting or self._bytes >= MOST_WAITING_BYTES

    def start(self) -> None:
        """Open the door."""
        self._thread.start()

    def stop(self) -> None:
        """Carry through what waits, then close."""
        self._queue.put(None)
        self._thread.join(60)

    async def carry(self, upload: Upload, size: int) -> Answer:
        """The answer, after commit. Busy when too much waits; Unavailable, or what the database raised."""
        if self.full:
            raise Busy
        loop = asyncio.get_running_loop()
        waiting = _Waiting(upload, size, loop.create_future(), loop)
        with self._lock:
            self._bytes += size
        self._queue.put(waiting)
        return await waiting.future

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            batch, go_on = self._drain(first)
            WAITING.set(self._queue.qsize())
            try:
                with FLUSH.time():
                    self._flush(batch)
            except Exception as error:  # noqa: BLE001 -- the door outlives every bug: whoever waits gets a 500
                log.error("tap door", **without_values(error))
                _resolve([(waiting, error) for waiting in batch])
            with self._lock:
                self._bytes -= sum(waiting.size for waiting in batch)
            if not go_on:
                return

    def _drain(self, first: _Waiting) -> tuple[list[_Waiting], bool]:
        """Whatever waits now, within one transaction's measure; False when the door is closing."""
        batch, taps = [first], len(first.upload.taps)
        while len(batch) < MOST_UPLOADS and taps < MOST_TAPS:
            try:
                waiting = self._queue.get_nowait()
            except queue.Empty:
                break
            if waiting is None:
                return batch, False
            batch.append(waiting)
            taps += len(waiting.upload.taps)
        return batch, True

    def _flush(self, batch: list[_Waiting]) -> None:
        try:
            answers = self._receive([waiting.upload for waiting in batch])
        except Exception as error:  # noqa: BLE001 -- any fault of one upload must not be every upload's
            log.warning("flush failed", uploads=len(batch), **without_values(error))
            self._one_by_one(batch, error)
        else:
            _resolve(list(zip(batch, answers, strict=True)))

    def _one_by_one(self, batch: list[_Waiting], error: Exception) -> None:
        if len(batch) == 1 and not _connection_lost(error):
            _resolve([(batch[0], error)])
            return
        for index, waiting in enumerate(batch):
            try:
                outcome: Answer | Exception = self._receive([waiting.upload])[0]
            except Exception as again:  # noqa: BLE001 -- given to the one who waits
                if _connection_lost(again):
                    _resolve([(left, Unavailable()) for left in batch[index:]])
                    return
                outcome = again
            _resolve([(waiting, outcome)])


def _connection_lost(error: Exception) -> bool:
    """Whether the database is away, rather than displeased with what it was given."""
    if isinstance(error, PoolTimeoutError):
        return True
    return isinstance(error, DBAPIError) and (error.connection_invalidated or isinstance(error, OperationalError))


def _resolve(outcomes: list[tuple[_Waiting, Answer | Exception]]) -> None:
    """Wake the requests, one call into each event loop however many wait."""
    loops = {waiting.loop for waiting, _ in outcomes}
    for loop in loops:
        mine = [(waiting.future, outcome) for waiting, outcome in outcomes if waiting.loop is loop]
        if not loop.is_closed():
            loop.call_soon_threadsafe(_wake, mine)


def _wake(outcomes: list[tuple[asyncio.Future[Answer], Answer | Exception]]) -> None:
    for future, outcome in outcomes:
        if future.done():  # the client went away
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
