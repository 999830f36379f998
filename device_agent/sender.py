"""Carries the outbox to the server, for as long as it takes. Nothing here ever drops a statement.

`verdict` decides what an answer means; the table is EVIDENCE.md section 1. Whatever is not known to be good is tried
again.
"""

import json
import logging
import sqlite3
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from time import monotonic

import httpx
from tenacity import RetryCallState, Retrying, wait_random_exponential

from device_agent.clock import Clock
from device_agent.keys import NOTHING_BEFORE, BadSignature, DeviceKey
from device_agent.outbox import NotStored, Outbox, Stored
from device_agent.receipts import Receipt, read_receipt
from device_agent.statements import head_payload

log = logging.getLogger(__name__)

PATH = "/api/v1/device/taps"
MAX_TAPS = 100
MAX_BYTES = 240 * 1024
"""The server takes 256 KiB; the head and the JSON around it need some."""
MAX_WAIT_S = 300.0
JUMP = 1000
"""How far behind the highest number known to be missing an old copy of the disk goes on."""


class Verdict(StrEnum):
    """What to do after an answer."""

    DELIVERED = "delivered"
    RETRY = "retry"
    PARK = "park"


def verdict(outcome: int | Exception) -> Verdict:
    """What an HTTP status or a transport error means for the statements sent.

    200: DELIVERED, if the receipt in it is genuine. 413, 422: PARK - halve the batch, and set a single poison item
    aside. Everything else, known or not, is RETRY: a redirect, a captive portal's 204, a 401 and any error of the
    transport leave all statements where they are.
    """
    match outcome:
        case 200:
            return Verdict.DELIVERED
        case 413 | 422:
            return Verdict.PARK
        case _:
            return Verdict.RETRY


@dataclass(frozen=True, slots=True)
class Contact:
    """The sender's state, for people. code: a text of messages.py (`online`, `no_answer`, `contact_manager`, `revoked`,
    ...).
    """

    code: str
    detail: str = ""
    server_minus_device_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """Where to send and whose signature to believe. http: a client whose base_url is the server."""

    http: httpx.Client
    jwk: Mapping[str, str]


class Sender:
    """One device's uploads. `step` is one upload; `run` repeats it until stopped."""

    def __init__(
        self, outbox: Outbox, key: DeviceKey, server: Server, clock: Clock, *,
        heartbeat_s: float = 120.0, max_wait_s: float = MAX_WAIT_S, on_contact: Callable[[Contact], None] | None = None,
    ) -> None:  # fmt: skip
        self._outbox, self._key, self._server, self._clock = outbox, key, server, clock
        self._heartbeat_s, self._max_wait_s, self._on_contact = heartbeat_s, max_wait_s, on_contact
        self._backoff = wait_random_exponential(multiplier=1, max=max_wait_s, min=min(0.2, max_wait_s))
        self._limit = MAX_TAPS
        self._failures = 0
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self.contact = Contact("starting")
        self.last_loop = monotonic()

    def wake(self) -> None:
        """Something new lies in the outbox. Does not cut a back-off short: the network is no better for a new tap."""
        self._wake.set()

    def stop(self) -> None:
        """Ends `run` at its next step."""
        self._stopping.set()
        self._wake.set()

    def run(self) -> None:
        """Uploads until stopped: at once when there is something, an empty head as heartbeat otherwise."""
        while not self._stopping.is_set():
            self._wake.clear()
            self.last_loop = monotonic()
            wait = self._safe_step()
            if self._failures:
                self._stopping.wait(wait)
            else:
                self._wake.wait(wait)

    def _safe_step(self) -> float:
        try:
            return self.step()
        except (sqlite3.Error, NotStored, OSError) as error:
            # A full disk also keeps receipts from being written: the statements stay and are sent again.
            return self._failed(Contact("disk_trouble", str(error)))
        except Exception as error:  # the sender outlives every bug; nothing is lost by trying again
            log.exception("sender")
            return self._failed(Contact("sender_error", repr(error)))

    def step(self) -> float:
        """One upload and what follows from its answer; the seconds to wait before the next one."""
        head = self._outbox.head()
        batch = self._outbox.waiting(head[0], self._limit, MAX_BYTES)
        answer = self._post(head, batch)
        match verdict(answer if isinstance(answer, Exception) else answer.status_code):
            case Verdict.DELIVERED if isinstance(answer, _Answer):
                return self._delivered(answer, head, batch)
            case Verdict.PARK if isinstance(answer, _Answer):
                return self._refused(answer.status_code, head, batch)
            case _:
                return self._failed(_contact_after(answer), _retry_after(answer))

    def _post(self, head: tuple[int, str], batch: list[Stored]) -> "_Answer | Exception":
        payload = head_payload(self._outbox.device_id, head, self._clock.now())
        body = json.dumps({"head": self._key.sign("head+jws", payload), "taps": [item.jws for item in batch]})
        try:
            response = self._server.http.post(PATH, content=body, headers={"Content-Type": "application/json"})
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
            return error
        return _Answer(response.status_code, response.content, response.headers, payload["nonce"])

    def _delivered(self, answer: "_Answer", head: tuple[int, str], batch: list[Stored]) -> float:
        try:
            receipt = read_receipt(answer.content, answer.nonce, self._outbox.device_id, self._server.jwk)
        except BadSignature as error:
            return self._failed(Contact("false_receipt", str(error)))
        self._take(receipt, head, batch)
        self._failures = 0
        self._limit = min(MAX_TAPS, self._limit * 2)
        offset = receipt.received_ms - int(self._clock.now().at.timestamp() * 1000)
        self._tell(Contact("revoked" if receipt.revoked else "online", server_minus_device_ms=offset))
        more = bool(self._outbox.waiting(self._outbox.head()[0], 1, MAX_BYTES))
        if not more:
            return self._heartbeat_s
        # A server that keeps calling missing what it was just sent must not be asked without end.
        stuck = bool(batch) and all(item.seq in receipt.missing for item in batch)
        return self._failed(Contact("not_taken")) if stuck else 0.0

    def _take(self, receipt: Receipt, head: tuple[int, str], batch: list[Stored]) -> None:
        """Writes down what the receipt says: received, un-received, lost here, lost there, revoked."""
        outbox = self._outbox
        outbox.acknowledge(receipt.r, receipt.received_ms, head[0], receipt.missing, (item.seq for item in batch))
        if receipt.results:
            outbox.note_results(receipt.results)
        if receipt.revoked != outbox.revoked:
            outbox.set_revoked(revoked=receipt.revoked)
        if receipt.upto > head[0]:
            # Without a hash (two contents are held there, or none) the chain visibly begins anew: better than a fork.
            log.warning(
                "the server holds statements to %s, this outbox to %s: going on behind them", receipt.upto, head[0]
            )
            outbox.skip_to(receipt.upto, receipt.upto_hash or NOTHING_BEFORE)
        beyond = max((seq for seq in receipt.missing if seq > head[0]), default=0)
        if beyond:
            # This disk is an old copy and even its mark is: the server holds numbers of which only the gaps are told.
            # Going on well behind them gives none twice; the numbers jumped over become a void.
            log.warning("the server knows numbers to beyond %s: going on far behind them", beyond)
            outbox.skip_to(beyond + JUMP, receipt.upto_hash or NOTHING_BEFORE)
            return
        for first, last in outbox.not_producible(receipt.missing):
            outbox.void(first, last, "storage_lost", self._clock.now())

    def _refused(self, status: int, head: tuple[int, str], batch: list[Stored]) -> float:
        """413 or 422: half of the batch next time; a single item is poison only if the server takes an upload without
        it.
        """
        if len(batch) > 1:
            self._limit = max(1, len(batch) // 2)
            return 0.0
        if batch:
            probe = self._post(head, [])
            if isinstance(probe, _Answer) and verdict(probe.status_code) is Verdict.DELIVERED:
                self._outbox.park(batch[0].seq, str(status))
                self._tell(Contact("parked", str(batch[0].seq)))
                return self._delivered(probe, head, [])
        return self._failed(Contact("refused", str(status)))

    def _failed(self, contact: Contact, at_least: float = 0.0) -> float:
        self._failures += 1
        self._tell(contact)
        attempt = RetryCallState(Retrying(), None, (), {})
        attempt.attempt_number = self._failures
        return min(self._max_wait_s, max(at_least, self._backoff(attempt)))

    def _tell(self, contact: Contact) -> None:
        self.contact = contact
        if self._on_contact is not None:
            self._on_contact(contact)


@dataclass(frozen=True, slots=True)
class _Answer:
    status_code: int
    content: bytes
    headers: httpx.Headers
    nonce: str


def _contact_after(answer: _Answer | Exception) -> Contact:
    if isinstance(answer, Exception):
        return Contact("no_answer", type(answer).__name__)
    return Contact("contact_manager" if answer.status_code == 401 else "server_trouble", str(answer.status_code))


def _retry_after(answer: _Answer | Exception) -> float:
    """Seconds the server asks for (429, 503); 0 when it does not."""
    text = "" if isinstance(answer, Exception) else answer.headers.get("retry-after", "")
    return float(text) if text.isdecimal() and len(text) < 6 else 0.0
