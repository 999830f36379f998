"""What a serving process does besides answering: reads bundles handed in, tells units what has happened."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from app import pipeline_office
from app.api.problems import without_values
from app.core.clock import utc_now
from app.db.engine import Database

log = structlog.get_logger()

EVERY_S = 20.0
ALERTS_EVERY_S = 60.0


class Backstage:
    """One thread. `wake()` makes it look at once. Several processes may each have one: they take turns by row locks."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._wake = threading.Event()
        self._end = threading.Event()
        self._alerted = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="backstage", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """There is something to do."""
        self._wake.set()

    def stop(self) -> None:
        """End after what is being done."""
        self._end.set()
        self._wake.set()
        self._thread.join(60)

    def _run(self) -> None:
        self._do(lambda: pipeline_office.resume_imports(self._database))
        while not self._end.is_set():
            self._wake.wait(EVERY_S)
            self._wake.clear()
            while not self._end.is_set() and self._do(
                lambda: pipeline_office.run_next_import(self._database, utc_now())
            ):
                pass
            if time.monotonic() - self._alerted >= ALERTS_EVERY_S:
                self._alerted = time.monotonic()
                self._do(lambda: pipeline_office.raise_alerts(self._database, utc_now()))
                self._do(lambda: pipeline_office.deliver_alerts(self._database, utc_now()))

    def _do(self, what: Callable[[], object]) -> object:
        """The thread outlives every fault; the next round tries again."""
        try:
            return what()
        except Exception as error:  # noqa: BLE001 -- as said
            log.error("backstage", **without_values(error))
            return False
