"""The agent at work: one thread per reader, one that sends, and the main thread that watches over them.

A reader's thread outlives unplugging, odd cards and driver faults. systemd's watchdog is fed only while every reader's
loop is fresh: a USB driver that hangs in the kernel can only be cured by ending the process.
"""

import contextlib
import fcntl
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import httpx

from device_agent.clock import Clock
from device_agent.feedback import Feedback
from device_agent.outbox import NotStored, Outbox
from device_agent.recovery import open_outbox
from device_agent.sender import Sender, Server
from device_agent.setup import Identity, Setup, Wrong, is_loopback, load_key
from device_agent.touches import BadgeSeen, Choices, Desk, NotMeant, Reader, Touch

log = logging.getLogger(__name__)

HTTP_TIMEOUT_S = 10.0
STUMBLE_S = 60.0
"""A card that lies on a reader that was gone for longer is a new touch."""
STALE_S = 30.0
"""A reader's loop that has not come round for so long hangs."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. poll: between two looks, so the longest that a tag waits to be seen: half of the 60 ms that may pass
    until green light beside the reader's own time. holdoff: the same card again so soon is the same touch.
    gone_after: empty looks in a row.

    again: how often a card that could not be read whole is read again while it lies there. reopen: waits after a reader
    was lost.
    """

    poll: float = 0.03
    holdoff: float = 3.0
    gone_after: int = 2
    again: int = 2
    reopen: tuple[float, ...] = (0.5, 1.0, 2.0, 5.0, 10.0)


def open_reader(path: str) -> Reader:
    """The reader behind a path, by the backend that drives it. Loads a backend only when it is used."""
    if path.startswith("pcsc:"):
        from device_agent.pcsc import PcscReader  # noqa: PLC0415 - pyscard is optional

        return PcscReader(path.partition(":")[2])
    from device_agent.reader import NfcpyReader  # noqa: PLC0415 - needs libusb, which a PC/SC host need not have

    reader: Reader = NfcpyReader(path)
    return reader


class ReaderWorker(threading.Thread):
    """Turns what lies on one reader into one `on_touch` per physical touch, whatever happens to the reader."""

    def __init__(
        self, path: str, on_touch: Callable[[Touch], bool], on_state: Callable[[str, str], None], timing: Timing,
    ) -> None:  # fmt: skip
        super().__init__(daemon=True, name=f"reader {path}")
        self.path, self._on_touch, self._on_state, self._timing = path, on_touch, on_state, timing
        self._stopping = threading.Event()
        self._present: str | None = None
        self._seen: dict[str, float] = {}
        self.state = "new"
        self.last_loop = monotonic()

    def stop(self) -> None:
        """Ends the thread at its next look."""
        self._stopping.set()

    def run(self) -> None:
        """Open, serve, and after any fault close, wait and open again."""
        failures = 0
        while not self._stopping.is_set():
            reader: Reader | None = None
            try:
                self.last_loop = monotonic()
                reader = open_reader(self.path)
                failures = 0
                self._become("online", "")
                self._serve(reader)
            except (
                Exception
            ) as error:  # OSError, usb1's own, TypeError out of drivers: the reader is gone, the thread is not
                self._become("offline", f"{type(error).__name__}: {error}")
                log.debug("reader %s", self.path, exc_info=True)
                self._stopping.wait(self._timing.reopen[min(failures, len(self._timing.reopen) - 1)])
                failures += 1
            finally:
                if reader is not None:
                    reader.close()
        self.state = "stopped"

    def _become(self, state: str, detail: str) -> None:
        if state != self.state:
            self.state = state
            self._on_state(state, detail)

    def _serve(self, reader: Reader) -> None:
        # A card that lay there when a driver stumbled is the same touch when the reader is back - if it is back soon.
        if self._present and monotonic() - self._seen.get(self._present, float("-inf")) > STUMBLE_S:
            self._present = None
        misses = 0
        while not self._stopping.is_set():
            self.last_loop = now = monotonic()
            uid = reader.sense()
            if uid is None:
                misses += 1
                self._present = None if misses >= self._timing.gone_after else self._present
            else:
                misses = 0
                self._looked_at(reader, uid, now)
            self._stopping.wait(self._timing.poll)

    def _looked_at(self, reader: Reader, uid: str, now: float) -> None:
        """A card lies there: a touch, unless it lay there before or a moment ago."""
        fresh = uid != self._present and now - self._seen.get(uid, float("-inf")) >= self._timing.holdoff
        self._present = uid
        self._seen = {card: at for card, at in self._seen.items() if now - at < self._timing.holdoff}
        self._seen[uid] = now
        if fresh:
            self._touched(reader, uid)
            self._seen[uid] = monotonic()

    def _touched(self, reader: Reader, uid: str) -> None:
        touch = reader.read()
        for _ in range(self._timing.again):
            # Half read at the edge of the field: a cryptographic tag deserves another try before its bare number
            # counts.
            if touch.error is None or reader.sense() != uid:
                break
            touch = reader.read()
        reader.signal(good=self._on_touch(touch))


class Agent:
    """Readers, outbox and sender of one device. `touched` is the whole way from a touch to green light."""

    def __init__(self, setup: Setup, outbox: Outbox, sender: Sender, clock: Clock, feedback: Feedback) -> None:
        self.outbox, self.sender, self._clock, self._feedback = outbox, sender, clock, feedback
        self.choices = Choices()
        self.ready = threading.Event()
        """Set when every reader has been open, and it was said."""
        timing = Timing(holdoff=setup.holdoff_s)
        self.workers = [
            ReaderWorker(
                reader.path, self._toucher(Desk(reader.rules, self.choices)), self._stater(reader.path), timing
            )
            for reader in setup.readers
        ]

    def _toucher(self, desk: Desk) -> Callable[[Touch], bool]:
        return lambda touch: self.touched(desk, touch)

    def _stater(self, name: str) -> Callable[[str, str], None]:
        return lambda state, detail: self._feedback.note(f"reader_{state}", name=name, detail=detail)

    def touched(self, desk: Desk, touch: Touch) -> bool:
        """Signs, stores durably, then shows green; True for green. Anything that goes wrong shows red and claims no
        tap.
        """
        try:
            if self.outbox.revoked:
                self._feedback.red("device_revoked")
                return False
            moment = self._clock.now()
            match desk.meaning(touch, moment):
                case BadgeSeen(staff):
                    self._feedback.badge(staff)
                    return True
                case NotMeant(code):
                    self._feedback.red(code)
                    return False
                case meant:
                    stored = self.outbox.append("tap", meant.body, moment)
        except NotStored as error:
            log.error("not stored: %s", error)
            self._feedback.red(error.code)
            return False
        except Exception:  # a fault must show red, not kill the reader's thread
            log.exception("touch")
            self._feedback.red("fault")
            return False
        self._feedback.green(stored.seq, meant.act, meant.uid, uid_only=touch.error is not None)
        self.sender.wake()
        return True

    def run(self, stopping: threading.Event) -> None:
        """Works until `stopping` is set; then closes the readers. Everything stored stays stored."""
        sending = threading.Thread(target=self.sender.run, daemon=True, name="sender")
        for thread in (*self.workers, sending):
            thread.start()
        notify_systemd("READY=1")  # to systemd the agent works even while a reader is unplugged
        interval, fed = _watchdog_s() / 3, float("-inf")
        while not stopping.wait(min(0.5 if self.ready.is_set() else 0.05, interval)):
            if not self.ready.is_set() and all(worker.state == "online" for worker in self.workers):
                self._feedback.ready()
                self.ready.set()
            if monotonic() - fed >= interval and self.fresh():
                fed = monotonic()
                notify_systemd("WATCHDOG=1")
        notify_systemd("STOPPING=1")
        self.sender.stop()
        for worker in self.workers:
            worker.stop()
        for thread in (*self.workers, sending):
            thread.join(3)
        self.outbox.close()

    def fresh(self) -> bool:
        """Whether every reader's loop is alive and came round lately."""
        now = monotonic()
        return all(worker.is_alive() and now - worker.last_loop < STALE_S for worker in self.workers)


@contextlib.contextmanager
def open_agent(setup: Setup, clock: Clock, feedback: Feedback) -> Iterator[Agent]:
    """The agent of an enrolled device, its outbox healed. Raises Wrong; sqlite3.Error, OSError or NotStored when
    the disk cannot be used.
    """
    if not setup.readers:
        raise Wrong("no_reader", 2)
    identity, key = Identity.load(setup.data), load_key(setup.data)
    server = setup.server or identity.server
    with only_one(setup.data), http_client(server) as http:
        recovered = open_outbox(setup.data, key, identity.device_id, clock)
        if recovered.quarantined or recovered.voided or recovered.restored:
            lost = sum(last - first + 1 for first, last in recovered.voided)
            feedback.note("recovered", place=recovered.quarantined or "-", restored=recovered.restored, lost=lost)
        sender = Sender(
            recovered.outbox, key, Server(http, identity.server_jwk), clock,
            heartbeat_s=setup.heartbeat_s, max_wait_s=setup.max_wait_s, on_contact=feedback.contact,
        )  # fmt: skip
        yield Agent(setup, recovered.outbox, sender, clock, feedback)


def http_client(server: str) -> httpx.Client:
    """A client that follows no redirect and asks no proxy on the way to this very machine."""
    return httpx.Client(
        base_url=server, timeout=HTTP_TIMEOUT_S, follow_redirects=False, trust_env=not is_loopback(server)
    )


@contextlib.contextmanager
def only_one(data: Path) -> Iterator[None]:
    """Two agents on one folder would sign the same numbers twice. Raises Wrong when another one holds it."""
    handle = os.open(data / "agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Wrong("already_running") from None
        yield
    finally:
        os.close(handle)


def notify_systemd(message: str) -> None:
    """Tells systemd, where it asked to be told (NOTIFY_SOCKET)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel,
        ):
            channel.sendto(message.encode(), "\0" + address[1:] if address.startswith("@") else address)


def _watchdog_s() -> float:
    micros = os.environ.get("WATCHDOG_USEC", "")
    return int(micros) / 1_000_000 if micros.isdecimal() and int(micros) else 30.0
