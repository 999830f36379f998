"""Faults of the device agent: each is what somebody might plausibly write."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from device_agent import recovery, sender
from device_agent.clock import Moment
from device_agent.keys import payload_of, verify
from device_agent.loop import Agent
from device_agent.mark import MarkFile
from device_agent.outbox import NotStored, Outbox, Stored
from device_agent.receipts import Receipt, _from_wire
from device_agent.sender import Sender
from device_agent.touches import Desk, Touch
from tests.crash.mutants.become import become


def green_before_write() -> None:
    honest = Agent.touched

    def hasty(self: Agent, desk: Desk, touch: Touch) -> bool:
        self._feedback.green(self.outbox.head()[0] + 1, "AUTO", touch.uid, uid_only=False)
        return honest(self, desk, touch)

    become(Agent, touched=hasty)


def not_stored_is_green() -> None:
    honest = Outbox.append

    def careless(self: Outbox, kind: str, body: Mapping[str, Any], moment: Moment) -> Stored:
        try:
            return honest(self, kind, body, moment)
        except NotStored:
            return Stored(self.head()[0] + 1, "", "")

    become(Outbox, append=careless)


def drop_on_500() -> None:
    def after(self: Sender, batch: list[Stored], answer: Any) -> None:
        if not isinstance(answer, Exception) and answer.status_code >= 500:
            _forget(self._outbox, batch)

    _after_post(after)


def delivered_without_answer() -> None:
    def after(self: Sender, batch: list[Stored], answer: Any) -> None:
        if isinstance(answer, Exception) and batch:
            seqs = [item.seq for item in batch]
            self._outbox.acknowledge("r_assumed", 0, seqs[-1], (), seqs)

    _after_post(after)


def _after_post(what: Callable[[Sender, list[Stored], Any], None]) -> None:
    honest = Sender._post

    def post(self: Sender, head: tuple[int, str], batch: list[Stored]) -> Any:
        answer = honest(self, head, batch)
        what(self, batch, answer)
        return answer

    become(Sender, _post=post)


def _forget(outbox: Outbox, batch: list[Stored]) -> None:
    with outbox._transaction() as db:
        db.executemany("DELETE FROM statements WHERE seq = ?", [(item.seq,) for item in batch])


def receipt_unverified() -> None:
    def believe(body: bytes, _nonce: str, _dev: str, _jwk: Mapping[str, str]) -> Receipt:
        return _from_wire(payload_of(_document(body)))

    become(sender, read_receipt=believe)


def nonce_unchecked() -> None:
    def believe(body: bytes, _nonce: str, _dev: str, server_jwk: Mapping[str, str]) -> Receipt:
        return _from_wire(verify(_document(body), server_jwk, "receipt+jws"))

    become(sender, read_receipt=believe)


def _document(body: bytes) -> str:
    import json

    return str(json.loads(body)["receipt"])


def unack_ignored() -> None:
    honest = Outbox.acknowledge

    def deaf(self: Outbox, receipt: str, received_ms: int, head_seq: int, _missing: Any, sent: Iterable[int]) -> None:
        honest(self, receipt, received_ms, head_seq, (), sent)

    become(Outbox, acknowledge=deaf)


def deleted_on_receipt() -> None:
    honest = Outbox.acknowledge

    def tidy(self: Outbox, *given: Any) -> None:
        honest(self, *given)
        with self._transaction() as db:
            db.execute("DELETE FROM statements WHERE receipt IS NOT NULL")

    become(Outbox, acknowledge=tidy)


def poison_dropped() -> None:
    become(Outbox, park=lambda self, seq, _reason: _forget(self, [Stored(seq, "", "")]))


def revoked_goes_on() -> None:
    become(Outbox, revoked=property(lambda _self: False))


def mark_ignored() -> None:
    become(MarkFile, read=lambda _self: None)


def nothing_salvaged() -> None:
    become(recovery, salvage=lambda *_given: {})


def older_disk_unnoticed() -> None:
    become(Outbox, skip_to=lambda *_given: None)


def log_not_synced() -> None:
    honest = Outbox.connection

    def quick(self: Outbox) -> sqlite3.Connection:
        db = honest(self)
        db.execute("PRAGMA synchronous=OFF")
        return db

    become(Outbox, connection=quick)


AGENT_FAULTS: dict[str, tuple[str, Callable[[], None]]] = {
    function.__name__: (scenario, function)
    for scenario, functions in {
        "disk_held": (green_before_write,),
        "disk_refuses": (not_stored_is_green,),
        "server_in_trouble": (drop_on_500, delivered_without_answer),
        "false_receipts": (receipt_unverified, nonce_unchecked),
        "server_forgets": (unack_ignored, deleted_on_receipt),
        "poison": (poison_dropped,),
        "device_revoked": (revoked_goes_on,),
        "disk_lost": (mark_ignored,),
        "disk_torn": (nothing_salvaged,),
        "older_disk": (older_disk_unnoticed,),
        "disk_settings": (log_not_synced,),
    }.items()
    for function in functions
}
