"""`komgick serve`: migrates, serves the API, the office pages and the phone app; prints the address."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.context import DataOption, opened
from app.refusals import Refused

if TYPE_CHECKING:
    from app.db.engine import Database


class DemoDatabase(Refused):
    """This database holds a demo's invented people: use another --data, or `komgick demo`."""

    code = "demo_database"


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    data: DataOption = None,
) -> None:
    """Migrate, serve the API, the office pages and the phone app; print the address. Ends at Ctrl-C or SIGTERM."""
    from app.db.mark import is_demo  # noqa: PLC0415 -- SQLAlchemy takes longer than `--help` may

    # uvicorn answers what is under way and then raises the signal again: that is the good end, and the database is to
    # be closed on the way out.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _ended)
    with opened(data) as database:
        if is_demo(database):
            raise DemoDatabase
        run(database, host, port)


def _settle_down() -> None:
    """What one process with a door and a derivation in it needs, so that neither waits for the other.

    The derivation calculates for long stretches, a receipt asks the database a dozen questions and after each wants the
    interpreter back: at Python's usual 5 ms a turn that alone would be most of what a tap may wait. And what the
    application is made of lives for ever, so the collector of garbage need not walk through it again and again; nor
    through what a flush or a derivation holds while it works, tens of thousands of objects that end by themselves.
    """
    sys.setswitchinterval(0.0005)
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


def _ended(*_: object) -> None:
    raise SystemExit(0)


def run(database: Database, host: str, port: int, opened_at: Callable[[str], None] | None = None) -> None:
    """Serve the application on `database` until told to stop; prints `KomGick: http://...` when the door is open.

    `opened_at` is told the address then; it must return at once.

    The application stands above the doors and puts them together, so it is named, as for any ASGI server.
    """
    import uvicorn  # noqa: PLC0415 -- as above
    from uvicorn.importer import import_from_string  # noqa: PLC0415 -- as above

    application = import_from_string("app.main:create_app")(database)

    class Announced(uvicorn.Server):
        async def startup(self, sockets: list[Any] | None = None) -> None:
            await super().startup(sockets)
            for server in self.servers:
                for socket in server.sockets[:1]:
                    name, number = socket.getsockname()[:2]
                    shown = f"[{name}]" if ":" in name else name
                    address = f"http://{shown}:{number}"
                    sys.stdout.write(f"KomGick: {address}\n")
                    sys.stdout.flush()
                    if opened_at is not None:
                        opened_at(address)

    config = uvicorn.Config(
        application, host=host, port=port, log_level="warning", access_log=False, server_header=False, lifespan="on",
        timeout_graceful_shutdown=20,
        timeout_keep_alive=65,
    )  # fmt: skip
    server = Announced(config)
    _settle_down()
    server.run()
    if not server.started:
        raise typer.Exit(1)
