"""Work spread over processes of its own, each with a database handle: Python computes on one core a process.

The processes are started afresh (`spawn`), never forked: whoever asks may be a server with threads and locks. They end
with the block, and when whoever started them dies: the pipe they read from ends then. One that dies itself (killed for
its memory) is noticed at once and raised, where the library's pools would wait for its answer for ever.
"""

from __future__ import annotations

import gc
import multiprocessing
import pickle
import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Any, TypeVar, cast

from sqlalchemy.engine import URL

from app.core.settings import Settings
from app.db.engine import Database

Told = TypeVar("Told")
Common = TypeVar("Common")
Part = TypeVar("Part")
Result = TypeVar("Result")
Work = Callable[[Database, Common, Part], Result]
"""A function of a module: (database handle, what all parts have in common, one part) -> result."""
Prepare = Callable[[Database, Told], Common]
"""A function of a module: (database handle, what this process sends) -> what all parts have in common."""


class ProcessError(RuntimeError):
    """A process ended without an answer: killed, or out of memory. What it did in a transaction is taken back."""


class Processes:
    """At most `count` processes, started when there is more than one part to do; with fewer the work is done here."""

    def __init__(self, database: Database, count: int) -> None:
        self._database, self._count = database, count
        self._started: list[tuple[SpawnProcess, Connection]] = []

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _value: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """End them, so that nobody holds what the parts had in common; the next `spread` starts others."""
        for process, pipe in self._started:
            pipe.close()
            process.terminate()
        for process, _ in self._started:
            process.join()
        self._started = []

    def spread(self, work: Work[Common, Part, Result], common: Common, parts: Sequence[Part]) -> Iterator[Result]:
        """The results of the parts as they come. A fault in one is raised here; the block must be left then."""
        return self.spread_prepared(_as_sent, work, common, parts)

    def spread_prepared(
        self, prepare: Prepare[Told, Common], work: Work[Common, Part, Result], told: Told, parts: Sequence[Part]
    ) -> Iterator[Result]:
        """As `spread`, where what the parts have in common is made in each process, once: what is big is not sent."""
        if self._count < 2 or len(parts) < 2:
            common = prepare(self._database, told) if parts else None
            for part in parts:
                yield work(self._database, cast("Common", common), part)
            return
        left, pipes = deque(parts), self._pipes()
        message = pickle.dumps((prepare, work, told), pickle.HIGHEST_PROTOCOL)
        busy: list[Any] = []
        for pipe in pipes[: len(parts)]:
            pipe.send((message, left.popleft()))
            busy.append(pipe)
        del message
        while busy:
            for ready in wait(busy):
                pipe = cast("Connection", ready)
                answer = _answer(pipe)
                if left:
                    pipe.send((b"", left.popleft()))
                else:
                    busy.remove(pipe)
                yield answer

    def _pipes(self) -> list[Connection]:
        context = multiprocessing.get_context("spawn")
        while len(self._started) < self._count:
            ours, theirs = context.Pipe()
            given = (theirs, self._database.url, self._database.settings, self._database.passwordless)
            process = context.Process(target=_serve, args=given, daemon=True)
            process.start()
            theirs.close()
            self._started.append((process, ours))
        return [pipe for _, pipe in self._started]


def _as_sent(_database: Database, told: Common) -> Common:
    return told


def _answer(pipe: Connection) -> Any:
    try:
        fault, result = pipe.recv()
    except EOFError as ended:
        raise ProcessError("a process ended before it answered") from ended
    if fault is not None:
        raise fault
    return result


def _serve(pipe: Connection, url: URL, settings: Settings, passwordless: bool) -> None:
    """The life of a process: parts come in, results go out, until there is nobody to read them."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    # Millions of small objects in no cycles: looking for cycles among them all the time costs a tenth of it. What parts
    # have in common is never looked at (frozen), the rest after each part.
    gc.disable()
    database = Database(url, settings, passwordless=passwordless)
    work: Work[Any, Any, Any] | None = None
    common: Any = None
    while True:
        try:
            told, part = pipe.recv()
        except EOFError:
            return
        try:
            if told:
                work = common = None  # before the next: two at once are too much memory
                gc.unfreeze()
                gc.collect()
                prepare, work, sent = pickle.loads(told)  # noqa: S301 -- from the process that started this one
                common = prepare(database, sent)
                del sent
                gc.collect()
                gc.freeze()
            assert work is not None  # noqa: S101 -- for the type checker: the first message tells
            pipe.send((None, work(database, common, part)))
        except Exception as fault:  # noqa: BLE001 -- it is raised by whoever reads the answer
            fault.add_note("".join(traceback.format_exception(fault)))
            pipe.send((_portable(fault), None))
        del told, part
        gc.collect()


def _portable(fault: Exception) -> Exception:
    """The fault, or where it cannot be pickled one that says the same."""
    try:
        pickle.loads(pickle.dumps(fault))  # noqa: S301 -- our own
    except Exception:  # noqa: BLE001 -- whatever an exception's own class does
        return RuntimeError("\n".join([repr(fault), *fault.__notes__]))
    return fault
