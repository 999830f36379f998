"""`komgick demo [--port]`: one command, and a town of invented people lives on this machine until Ctrl-C."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from app.cli.context import DataOption, opened
from app.refusals import Refused

if TYPE_CHECKING:
    from app.db.engine import Database
    from app.demo.stock import Stock

DEFAULT_FOLDER = Path("var/demo")
_LOCK = "demo.lock"


class NotADemo(Refused):
    """This database holds something else than a demo: use another --data."""

    code = "not_a_demo"


class DemoRuns(Refused):
    """A demo runs in this folder already."""

    code = "demo_runs"


class DemoOver(Refused):
    """The month of the demo in this database is over: drop its schema, or use an embedded one."""

    code = "demo_over"


def demo(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine; 0 takes a free one.")] = 8000,
    data: DataOption = None,
) -> None:
    """A fictional town with last month and this month until now, and a live day: readers tap, visits begin and end.

    Only this machine reaches it. A second demo in the same folder goes on where the first one ended. Ctrl-C ends the
    server, the devices and the database.
    """
    folder = (data or Path(os.environ.get("KOMGICK_DATA") or DEFAULT_FOLDER)).resolve()
    signal.signal(signal.SIGTERM, _ended)
    with _only_demo(folder):
        _say("The town is being built ...")
        stock = _usable_stock(folder)
        try:
            with opened(folder) as database:
                _run(database, folder, stock, port)
        except KeyboardInterrupt:
            _say("\nThe demo has ended; nothing of it is running. `komgick demo` goes on where it was.")


def _run(database: Database, folder: Path, stock: Stock, port: int) -> None:
    from app import pipeline  # noqa: PLC0415 -- `--help` needs none of these
    from app.cli.serve import run  # noqa: PLC0415 -- likewise
    from app.core.clock import utc_now  # noqa: PLC0415 -- likewise
    from app.db.mark import mark_demo  # noqa: PLC0415 -- likewise
    from app.demo.live import Live  # noqa: PLC0415 -- likewise
    from app.demo.stock import demo_town, write_running_month, write_today  # noqa: PLC0415 -- likewise
    from app.pipeline_access.demo import make_people  # noqa: PLC0415 -- likewise

    _refuse_foreign(database)
    mark_demo(database)
    stock.save(folder)
    town, now = demo_town(), utc_now()
    running = write_running_month(folder, town, now, stock)
    pipeline.import_bundle(database, write_today(folder, running, now), now=utc_now())
    make_people(database, utc_now())
    live = Live(database, folder, town, stock, running)
    try:
        run(database, "127.0.0.1", port, live.start)
    finally:
        live.stop()


def _usable_stock(folder: Path) -> Stock:
    """The stock to go on with; a demo whose month is over is thrown away first."""
    from app.core.clock import utc_now  # noqa: PLC0415 -- likewise
    from app.core.localtime import local_date  # noqa: PLC0415 -- likewise
    from app.core.month import Month  # noqa: PLC0415 -- likewise
    from app.demo.stock import Stock  # noqa: PLC0415 -- likewise

    month = str(Month.of(local_date(utc_now())))
    stock = Stock.load(folder)
    if stock is None:
        return Stock(month)
    if stock.month != month:
        if os.environ.get("KOMGICK_DATABASE_URL"):
            raise DemoOver
        _say(f"The demo of {stock.month} is over: a new one begins.")
        for old in folder.iterdir():
            if old.is_dir():
                shutil.rmtree(old)
            elif old.name != _LOCK:
                old.unlink()
        return Stock(month)
    return stock


def _refuse_foreign(database: Database) -> None:
    """Invented people are never mixed with others."""
    from sqlalchemy import text  # noqa: PLC0415 -- likewise

    from app.db.callers import Caller  # noqa: PLC0415 -- likewise
    from app.db.mark import is_demo  # noqa: PLC0415 -- likewise

    if is_demo(database):
        return
    with database.transaction(Caller.batch(), read_only=True) as connection:
        for table in ("providers", "clients", "taps"):
            if connection.execute(text(f"SELECT 1 FROM {table} LIMIT 1")).first() is not None:  # noqa: S608 -- ours
                raise NotADemo


@contextmanager
def _only_demo(folder: Path) -> Iterator[None]:
    """The folder is ours while the lock is held."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoRuns from None
        yield


def _ended(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
