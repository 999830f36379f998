"""The demo's clockwork beside the server: enrols devices and keeps them going, reads the history in, tells the news."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from app.core.clock import utc_now
from app.core.localtime import local_date
from app.core.month import Month
from app.db.engine import Database
from app.demo.crew import Crew, devices_of, enrol, make_sun_keys, send_out, sun_tags
from app.demo.screen import LiveVisits, headline
from app.demo.stock import CLIENTS, SEED, Stock
from app.simulation import Town, plan_of_day

EVERY_S = 1.0
_REMEMBER = timedelta(seconds=10)


class Live:
    """Start with the server's address when its door is open; stop before the database is closed."""

    def __init__(self, database: Database, data: Path, town: Town, stock: Stock, running_month: Path) -> None:
        self._database, self._data, self._town, self._stock = database, data, town, stock
        self._crew = Crew(data)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._address = ""
        self._history: list[tuple[str, tuple[str, ...]]] = [("running", ("import", str(running_month)))]
        if not stock.has_history:
            last = Month.of(local_date(utc_now())).previous
            bundle = str(data / "bundles" / str(last))
            written = (
                "simulate",
                "--clients",
                str(CLIENTS),
                "--month",
                str(last),
                "--seed",
                str(SEED),
                "--out",
                bundle,
            )
            self._history += [("simulate", written), ("history", ("import", bundle))]

    def start(self, address: str) -> None:
        """Begin the live day."""
        self._address = address
        self._thread = threading.Thread(target=self._guarded, name="demo", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the devices and whatever else was started, and remember until when they tapped."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(60)
        self._crew.stop()

    def _guarded(self) -> None:
        try:
            self._live()
        except Exception:  # noqa: BLE001 -- a thread's end must end the demo, with its reason on the screen
            traceback.print_exc()
            os.kill(os.getpid(), signal.SIGINT)

    def _live(self) -> None:
        begun = utc_now()
        sun = sun_tags(self._database, make_sun_keys(self._data), begun)
        devices = devices_of(self._data, self._town)
        _say(headline(self._address, str(self._data), Month.of(local_date(begun)), *self._example()))
        self._stock.begin_live(utc_now())
        for first, device in enumerate(devices):
            enrol(self._database, self._crew, device, self._address, utc_now())
            send_out(self._crew, device, self._address, self._town, now=utc_now(), sun=sun, first=first == 0)
        screen = LiveVisits(self._database, [device.device_id for device in devices], begun)
        remembered = begun
        while not self._stopping.wait(EVERY_S):
            now = utc_now()
            self._tell(screen, now)
            self._read_history()
            if now - remembered > _REMEMBER:
                remembered = now
                self._stock.still_live(now)
                self._stock.save(self._data)
                for device in devices:
                    if self._crew.ended(device.name):
                        send_out(self._crew, device, self._address, self._town, now=now, sun=sun, first=False)
        self._stock.still_live(utc_now())
        self._stock.save(self._data)

    def _example(self) -> tuple[str, str]:
        """A client and the provider, for the commands to try."""
        stop = plan_of_day(self._town, local_date(utc_now()))[0]
        return stop.client_ids[0], stop.provider_id

    def _tell(self, screen: LiveVisits, now: datetime) -> None:
        try:
            for line in screen.news(now):
                _say(line)
        except SQLAlchemyError as error:  # a rebuild locks for a moment: the same lines come a second later
            if self._stopping.is_set():
                return
            _say(f"(no news this second: {type(error).__name__})")

    def _read_history(self) -> None:
        """One command after the other, in processes of their own, as an operator would."""
        if not self._history:
            return
        name, arguments = self._history[0]
        if name not in self._crew.running:
            data = () if arguments[0] == "simulate" else ("--data", str(self._data))
            self._crew.start(name, "app.cli", *arguments, *data)
        elif self._crew.ended(name):
            if self._crew.running[name].returncode != 0:
                raise RuntimeError(f"komgick {' '.join(arguments)} failed: see {self._data}/logs/{name}.log")
            self._history.pop(0)
            if not self._history:
                self._stock.has_history = True
                self._stock.save(self._data)
                _say("(history read in: two months of visits, accounts and billing lines are there)")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
