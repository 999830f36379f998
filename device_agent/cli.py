"""`komgick-agent`: run, enrol, queue, selftest, simulate, write-tag. Exit status 0 done, 1 refused or not well, 2 wrong
usage.
"""

import json
import logging
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Annotated, Any

import typer

from device_agent import __version__
from device_agent.clock import SystemClock
from device_agent.keys import payload_of
from device_agent.messages import Lang, text
from device_agent.outbox import FILE_NAME, NotStored, Outbox
from device_agent.setup import Identity, Wrong, load_key, read_setup
from device_agent.simulated.field import Field, UdpField
from device_agent.simulated.script import Presentation, make_tag, play, read_script

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

Data = Annotated[Path, typer.Option("--data", envvar="KOMGICK_AGENT_DATA", help="Folder of key, identity and outbox")]
Config = Annotated[Path | None, typer.Option(help="TOML file; default agent.toml in the data folder")]
ServerUrl = Annotated[str | None, typer.Option("--server", help="Server address; default from enrolment")]
Readers = Annotated[
    list[str] | None,
    typer.Option("--reader", help="usb, usb-port:1-1.2, tty:USB0:pn532, pcsc:NAME, udp:127.0.0.1:PORT"),
]
ActName = Annotated[str | None, typer.Option("--act", help="kom, gick, auto or keys")]
Staff = Annotated[str | None, typer.Option(help="staff_id, when this is one person's device")]
Grant = Annotated[str | None, typer.Option(help="Shift grant in force")]
Service = Annotated[str | None, typer.Option(help="Visit class, when it is not care")]
Badges = Annotated[
    list[str] | None, typer.Option("--badge", help="UID=STAFF, a badge of a shared reader; may be repeated")
]
LangName = Annotated[str | None, typer.Option("--lang", help="sv or en")]
Heartbeat = Annotated[float | None, typer.Option(help="Seconds between signs of life")]
MaxWait = Annotated[float | None, typer.Option(help="Longest back-off, seconds")]
Holdoff = Annotated[float | None, typer.Option(help="The same card again within so many seconds is the same touch")]

DEFAULT_DATA = Path("agent-data")


def main() -> None:
    """Entry point of `komgick-agent`."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    app()


@app.callback(invoke_without_command=True)
def _version(
    *, version: Annotated[bool, typer.Option("--version", is_eager=True, help="Print the version")] = False
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@contextmanager
def _refusals(lang: str | None) -> Iterator[None]:
    """Turns what cannot go on into one line on stderr and an exit status."""
    spoken: Lang = "en" if lang == "en" else "sv"
    try:
        yield
    except Wrong as wrong:
        typer.echo(f"{wrong.code}: {text(wrong.code, spoken, **wrong.values)}", err=True)
        raise typer.Exit(wrong.status) from None
    except BrokenPipeError:
        raise  # whoever reads our output has seen enough: click ends quietly
    except (sqlite3.Error, OSError, NotStored) as error:
        typer.echo(f"disk_trouble: {text('disk_trouble', spoken, detail=error)}", err=True)
        raise typer.Exit(1) from None


def _given(context: typer.Context) -> dict[str, Any]:
    """The options of this call, by the names that the configuration file uses."""
    given = dict(context.params)
    badges: dict[str, str] = {}
    for pair in given.pop("badge", None) or ():
        uid, equals, staff = pair.partition("=")
        if not equals:
            raise Wrong("bad_option", 2, name="--badge", detail=pair)
        badges[uid] = staff
    names = {"reader": "readers", "heartbeat": "heartbeat_s", "max_wait": "max_wait_s", "holdoff": "holdoff_s"}
    known = {"server", "readers", "act", "staff", "grant", "service", "lang", *names.values()}
    renamed = {names.get(name, name): value for name, value in given.items()}
    return {name: value for name, value in renamed.items() if name in known} | ({"badges": badges} if badges else {})


@app.command()
def run(
    context: typer.Context, *, data: Data = DEFAULT_DATA, config: Config = None,
    server: ServerUrl = None, reader: Readers = None,
    act: ActName = None, staff: Staff = None, grant: Grant = None, service: Service = None, badge: Badges = None,
    lang: LangName = None, heartbeat: Heartbeat = None, max_wait: MaxWait = None, holdoff: Holdoff = None,
) -> None:  # fmt: skip
    """Read tags, sign and keep taps, send them. Prints `ready` when every reader is open; ends cleanly on SIGTERM."""
    del server, reader, act, staff, grant, service, badge, heartbeat, max_wait, holdoff  # read from the context
    with _refusals(lang):
        from device_agent.working import work  # noqa: PLC0415 - httpx and nfcpy cost a second that `queue` need not wait

        work(read_setup(data, config, _given(context)))


@app.command("enrol")
def enrol_command(
    *, server: Annotated[str, typer.Option(help="Server address")], data: Data = DEFAULT_DATA, lang: LangName = None,
    token: Annotated[str, typer.Option(help="One-use code; asked for when left out", prompt=True, hide_input=True)],
) -> None:  # fmt: skip
    """Make this device's key and introduce it to the server; compare the six characters with the manager's screen."""
    from device_agent.enrolment import enrol  # noqa: PLC0415 - keeps `run` small

    spoken: Lang = "en" if lang == "en" else "sv"
    with _refusals(lang):
        identity, state = enrol(data, server, token.strip(), SystemClock())
        typer.echo(text("enrolled", spoken, device=identity.device_id), err=True)
        typer.echo(identity.thumbprint)
        if state == "pending":
            typer.echo(text("pending", spoken), err=True)


@app.command()
def queue(
    *, data: Data = DEFAULT_DATA, lang: LangName = None,
    limit: Annotated[int, typer.Option(help="How many lines")] = 20,
    release: Annotated[bool, typer.Option("--release", help="Send parked statements again")] = False,
    seq: Annotated[int | None, typer.Option(help="Only this one, with --release")] = None,
    output: Annotated[str, typer.Option("--format", help="table or json")] = "table",
) -> None:  # fmt: skip
    """What waits for the server, what is parked as undeliverable, what was received."""
    spoken: Lang = "en" if lang == "en" else "sv"
    with _refusals(lang):
        identity = Identity.load(data)
        outbox = Outbox(data, load_key(data), identity.device_id)
        if not (data / FILE_NAME).exists():
            typer.echo(
                "[]" if output == "json" else text("queue_counts", spoken, waiting=0, parked=0, received=0, last_seq=0)
            )
            return
        try:
            if release:
                typer.echo(text("released", spoken, count=outbox.release(seq)), err=True)
            _show_queue(outbox, spoken, limit, output)
        except sqlite3.DatabaseError as error:
            raise Wrong("corrupt_queue") from error


def _show_queue(outbox: Outbox, lang: Lang, limit: int, output: str) -> None:
    rows = []
    for seq, kind, receipt, parked, result, jws in outbox.rows(limit):
        said = payload_of(jws)
        state = "parked" if parked else "received" if receipt else "waiting"
        uid = said.get("tag", {}).get("uid")
        rows.append({"seq": seq, "state": state, "kind": kind, "act": said.get("act"), "uid": uid, "t": said["t"],
                     "receipt": receipt, "parked": parked, "result": result})  # fmt: skip
    if output == "json":
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    counts = outbox.counts()
    typer.echo(
        text(
            "queue_counts",
            lang,
            waiting=counts.waiting,
            parked=counts.parked,
            received=counts.received,
            last_seq=counts.last_seq,
        )
    )
    for row in rows:
        typer.echo("  ".join(str(value) for value in row.values() if value is not None))


@app.command()
def selftest(
    context: typer.Context, *, data: Data = DEFAULT_DATA, config: Config = None,
    server: ServerUrl = None, reader: Readers = None,
    lang: LangName = None,
) -> None:  # fmt: skip
    """Reader, clock, server, outbox: one line each with what to do. Exit status 1 when something is wrong."""
    from device_agent.selftest import selftest as checks  # noqa: PLC0415 - keeps `run` small

    del server, reader
    with _refusals(lang):
        good = True
        for line in checks(read_setup(data, config, _given(context)), SystemClock()):
            good = good and line.good
            typer.echo(f"{'OK ' if line.good else 'FEL' if lang != 'en' else 'BAD'}  {line.part}: {line.says}")
        if not good:
            raise typer.Exit(1)


@app.command()
def simulate(
    context: typer.Context, *, data: Data = DEFAULT_DATA, config: Config = None, server: ServerUrl = None,
    tags: Annotated[Path | None, typer.Option(help="Presentations: a JSON array, or one object a line")] = None,
    pace: Annotated[float, typer.Option(help="Multiplies every hold and gap")] = 1.0,
    drain: Annotated[float, typer.Option(help="Seconds to wait for the server's receipts at the end")] = 30.0,
    udp: Annotated[int | None, typer.Option(help="Present to another process's reader udp:127.0.0.1:PORT")] = None,
    tag: Annotated[str, typer.Option(help="ntag213, ntag215, ntag216, ntag424, felica, classic")] = "ntag213",
    uid: Annotated[str | None, typer.Option(help="Its uid, hex")] = None,
    url: Annotated[str | None, typer.Option(help="Its address; {e} and {c} for an ntag424")] = None,
    meta_key: Annotated[str | None, typer.Option(help="SDM meta read key, hex")] = None,
    file_key: Annotated[str | None, typer.Option(help="SDM file read key, hex")] = None,
    counter: Annotated[int, typer.Option(help="An ntag424's counter before the first tap")] = 0,
    taps: Annotated[int, typer.Option(help="How often it is laid on the reader")] = 1,
    hold: Annotated[float, typer.Option(help="Seconds it lies there")] = 1.0,
    gap: Annotated[float, typer.Option(help="Seconds until the next one")] = 3.5,
    wait: Annotated[float, typer.Option(help="With --udp: seconds to wait for a reader")] = 60.0,
    act: ActName = None, staff: Staff = None, grant: Grant = None, service: Service = None, badge: Badges = None,
    lang: LangName = None, heartbeat: Heartbeat = None, max_wait: MaxWait = None, holdoff: Holdoff = None,
) -> None:  # fmt: skip
    """Present simulated tags to the real reader code: in this process (a whole agent), or with --udp to an agent in
    another one.
    """
    del server, grant, service, badge, heartbeat, max_wait, holdoff, staff, act
    with _refusals(lang):
        try:
            single = {"uid": uid, "url": url, "meta_key": meta_key, "file_key": file_key, "counter": counter}
            script = read_script(tags) if tags else [Presentation(make_tag(tag, single), hold=hold, gap=gap)] * taps
        except (ValueError, KeyError, OSError) as error:
            raise Wrong("bad_option", 2, name="--tags" if tags else "--tag", detail=repr(error)) from error
        if udp is not None:
            _present_over_udp(script, udp, pace, wait)
        else:
            from device_agent.working import simulate_here  # noqa: PLC0415 - as in `run`

            fields = {name: Field() for name in {item.reader for item in script}}
            given = _given(context) | {"readers": [f"sim:{name}" for name in sorted(fields)]}
            simulate_here(read_setup(data, config, given), script, fields, pace, drain)


def _present_over_udp(script: list[Presentation], port: int, pace: float, wait: float) -> None:
    """Exit status 1 when no reader ever asked."""
    field = Field()
    server = UdpField(field, port)
    server.start()
    typer.echo(f"udp {server.port}")
    until = monotonic() + wait
    stopping = threading.Event()
    while not server.asked and monotonic() < until:
        stopping.wait(0.05)
    everywhere = {item.reader: field for item in script}
    play(script, everywhere, stopping, lambda item: typer.echo(f"present {item.tag.uid.hex().upper()}"), pace)
    asked = server.asked
    server.stop()
    if not asked:
        raise Wrong("no_tag_reader", port=port)


@app.command("write-tag")
def write_tag(
    context: typer.Context,
    url: Annotated[
        str, typer.Argument(help="https address, its data after #; {uid} is the tag's. Default: SERVER/t#{uid}")
    ] = "", *,
    data: Data = DEFAULT_DATA, config: Config = None, reader: Readers = None, lang: LangName = None,
    lock: Annotated[bool, typer.Option("--lock", help="Make it read-only FOR EVER after reading it back")] = False,
    seconds: Annotated[float, typer.Option(help="How long to wait for a tag")] = 30.0,
) -> None:  # fmt: skip
    """Write an address to an NTAG213/215/216, read it back, and lock it on request. Prints the tag's uid."""
    from device_agent.loop import only_one  # noqa: PLC0415 - as in `run`
    from device_agent.writing import write_to_tag  # noqa: PLC0415 - needs libusb

    del reader
    spoken: Lang = "en" if lang == "en" else "sv"
    with _refusals(lang):
        setup = read_setup(data, config, _given(context))
        if not setup.readers:
            raise Wrong("no_reader", 2)
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        with only_one(data):
            typer.echo(text("hold_tag", spoken), err=True)
            address = url or f"{setup.server or Identity.load(data).server}/t#{{uid}}"
            uid = write_to_tag(setup.readers[0].path, address, lock=lock, seconds=seconds)
        typer.echo(text("written", spoken, uid=uid), err=True)
        if lock:
            typer.echo(text("locked", spoken), err=True)
        typer.echo(uid)
