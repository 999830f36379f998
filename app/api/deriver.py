"""The river flows by itself: what is said at the doors is derived in the background, at once and once a second.

One thread in the served application. Whoever taps alone is derived at once; while many tap, what comes within a
second is derived together, because a derivation's own questions cost more than a tap. Several servers on one
database take turns (the derivation's own lock), so it does no harm that each has one. A fault in a rule is logged and
tried again: no tap is refused for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog
from prometheus_client import Counter
from sqlalchemy.exc import SQLAlchemyError

from app.api.problems import without_values

log = structlog.get_logger()

EVERY_S = 1.0
TOGETHER_S = 1.0
MOST_PATIENCE_S = 60.0
DATABASE_PATIENCE_S = 5.0

DERIVED = Counter("komgick_derived_total", "Changes derived in the background")
FAULTS = Counter("komgick_derive_faults_total", "Derivations that failed and are tried again")


class Deriver:
    """`catch_up` derives whatever waits and tells how much that was; it is called by one thread only."""

    def __init__(self, catch_up: Callable[[], int]) -> None:
        self._catch_up = catch_up
        self._wanted = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; the first look is taken at once."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="deriver", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Something was said: look now rather than within a second."""
        self._wanted.set()

    def stop(self) -> None:
        """End after what is being derived; the rest waits in the database for the next one."""
        self._stopping.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(60)

    def _run(self) -> None:
        patience = EVERY_S
        while not self._stopping.is_set():
            self._wanted.clear()
            begun = time.monotonic()
            try:
                DERIVED.inc(self._catch_up())
            except Exception as error:  # noqa: BLE001 -- the deriver outlives every bug; what failed still waits
                if self._stopping.is_set():
                    return
                FAULTS.inc()
                passing = isinstance(error, SQLAlchemyError)  # the database is away, or a rebuild holds the lock
                if passing:
                    log.warning("derivation waits", again_in_s=patience, error=type(error).__name__)
                else:
                    log.error("derivation failed", again_in_s=patience, **without_values(error))
                self._wanted.wait(patience)
                patience = min(patience * 2, DATABASE_PATIENCE_S if passing else MOST_PATIENCE_S)
            else:
                patience = EVERY_S
                self._wanted.wait(EVERY_S)
                self._stopping.wait(begun + TOGETHER_S - time.monotonic())
