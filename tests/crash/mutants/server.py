"""Faults of the server: each is what somebody might plausibly write."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import itertools
import json
import os
import queue
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from app import pipeline
from app.db import opening
from app.db.callers import Login
from app.db.engine import Database
from app.evidence import device_store as store
from app.evidence import flow, timing
from app.evidence.flow import Answer, Upload
from app.evidence.keys import Keyring
from app.evidence.rules.chain import Progress
from app.evidence.rules.reading import Item, read_item
from app.evidence.rules.signatures import Signed, b64url, key_of_jwk, public_key, sign
from app.evidence.rules.statements import Unknown, read_head
from app.evidence.sun import counter_doubts
from app.pipeline_derive import queue_answers
from app.refusals import Conflict
from tests.crash.mutants.become import become


def answer_before_commit() -> None:
    honest = pipeline.receive_taps
    told: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def tell(connection: Any, answers: Any, now: datetime) -> None:
        queue_answers(connection, answers, now)
        told.put(answers)

    def hasty(database: Database, uploads: Sequence[Upload], now: datetime) -> list[Answer]:
        threading.Thread(target=honest, args=(database, uploads, now), daemon=True).start()
        answers: list[Answer] = told.get(timeout=30)
        return answers

    become(pipeline, queue_answers=tell, receive_taps=hasty)


def commit_error_swallowed() -> None:
    honest = pipeline.receive_taps
    made: list[list[Answer]] = []

    def remember(connection: Any, answers: list[Answer], now: datetime) -> None:
        made.append(answers)
        queue_answers(connection, answers, now)

    def careless(database: Database, uploads: Sequence[Upload], now: datetime) -> list[Answer]:
        try:
            return honest(database, uploads, now)
        except Exception:  # noqa: BLE001 -- the fault
            return made[-1]

    become(pipeline, queue_answers=remember, receive_taps=careless)


def gap_refused() -> None:
    honest = flow._sort_out

    def strict(session: Any, progress: Progress, *rest: Any) -> None:
        seqs = sorted(item.seq for item in session.items if item.seq is not None)
        if seqs and (seqs[0] > progress.upto + 1 or any(b - a > 1 for a, b in itertools.pairwise(seqs))):
            raise Conflict("out of order")
        honest(session, progress, *rest)

    become(flow, _sort_out=strict)


def missing_not_listed() -> None:
    become(Progress, missing=lambda _self, _head_seq: [])


def gap_acknowledged() -> None:
    def leap(self: Progress) -> None:
        self.upto = self.top

    become(Progress, advance=leap)


def hash_over_signature() -> None:
    become(Signed, hash=property(lambda self: hashlib.sha256(self.signing_input + b"." + self.signature).digest()))


def duplicate_stored_twice() -> None:
    become(Signed, hash=property(lambda self: hashlib.sha256(self.signing_input + os.urandom(8)).digest()))


def fork_dropped() -> None:
    honest = flow._sort_out

    def blind(session: Any, progress: Progress, old: Any, *rest: Any) -> None:
        for index, item in enumerate(session.items):
            known = progress.hashes.get(item.seq, set()) | old.get((session.device.device_id, item.seq), set())
            if item.said is not None and known:
                session.items[index] = dataclasses.replace(item, hash=next(iter(known)))
        honest(session, progress, old, *rest)

    become(flow, _sort_out=blind)


def bad_item_blocks() -> None:
    become(flow, place_unreadable=lambda claimed, _progress, _head_seq: [None for _ in claimed])


def signature_unchecked() -> None:
    become(Signed, signed_by=lambda _self, _key, _typ: True)


def header_key_trusted() -> None:
    honest = Signed.signed_by

    def trusting(self: Signed, key: ec.EllipticCurvePublicKey, typ: Any) -> bool:
        said = json.loads(self.header)
        if "jwk" not in said:
            return honest(self, key, typ)
        plain = json.dumps({"alg": "ES256", "typ": f"{typ}+jws"}, separators=(",", ":")).encode()
        return honest(dataclasses.replace(self, header=plain), key_of_jwk(said["jwk"]), typ)

    become(Signed, signed_by=trusting)


def void_ignored() -> None:
    honest, load = flow._row_of, store.load_progress

    def row_of(session: Any, item: Item, progress: Progress, *rest: Any) -> None:
        honest(session, item, progress, *rest)
        progress.voided.clear()

    def load_progress(*given: Any) -> dict[str, Progress]:
        found = load(*given)
        for one in found.values():
            one.voided.clear()
        return found

    become(flow, _row_of=row_of)
    become(store, load_progress=load_progress)


def receipt_unsigned() -> None:
    honest, stranger = Keyring.sign, ec.generate_private_key(ec.SECP256R1())

    def forge(self: Keyring, typ: Any, payload: Any) -> str:
        return sign(stranger, typ, payload) if typ == "receipt" else honest(self, typ, payload)

    become(Keyring, sign=forge)


def equal_counter_accepted() -> None:

    def lenient(reads: Any) -> dict[Any, Any]:
        found = {key: codes - {"tag_counter_replay"} for key, codes in counter_doubts(reads).items()}
        return {key: codes for key, codes in found.items() if codes}

    become(timing, counter_doubts=lenient)


def prev_unchecked() -> None:
    become(flow, _check_chain=lambda *_given: None)


def claim_forgotten() -> None:
    become(flow, _remember_claim=lambda *_given: None)


def revocation_ignored() -> None:
    become(store.KnownDevice, revoked=property(lambda _self: False))


def unknown_version_refused() -> None:
    def strict(document: str, device_id: str, key: Any) -> Item:
        item = read_item(document, device_id, key)
        return Item(document, item.seq, why="unreadable") if isinstance(item.said, Unknown) else item

    become(flow, read_item=strict)


def bytes_rewritten() -> None:
    honest = store.Appender.append

    def tidy(self: store.Appender, connection: Any, rows: Sequence[tuple[Any, ...]]) -> Any:
        if self is store.TAPS:
            rows = [(*row[:-1], _tidied(row[-1])) for row in rows]
        return honest(self, connection, rows)

    become(store.Appender, append=tidy)


def _tidied(jws: str) -> str:
    head, payload, signature = jws.split(".")
    said = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return f"{head}.{b64url(json.dumps(said, sort_keys=True).encode())}.{signature}"


def head_unverified() -> None:
    def trusting(signed: Signed, _device_id: str, jwk: str | None) -> Any:
        return read_head(signed.payload), public_key(jwk or "")

    become(flow, verified_head=trusting)


def commit_not_synced() -> None:
    honest = Database._parameters

    def quick(self: Database, login: Any) -> dict[str, Any]:
        found = honest(self, login)
        if login is Login.INGEST:  # the owner's session is looked at when a server starts
            found["options"] += " -c synchronous_commit=off"
        return found

    become(Database, _parameters=quick)


def durability_unchecked() -> None:
    become(opening, require_durable=lambda _db: None)


SERVER_FAULTS: dict[str, tuple[str, Callable[[], None]]] = {
    function.__name__: (scenario, function)
    for scenario, functions in {
        "commit_then_answer": (answer_before_commit,),
        "failed_commit": (commit_error_swallowed,),
        "gap": (gap_refused, missing_not_listed, gap_acknowledged),
        "resent": (hash_over_signature, duplicate_stored_twice),
        "fork": (fork_dropped,),
        "ill_signed": (bad_item_blocks, signature_unchecked),
        "foreign_key": (header_key_trusted, head_unverified),
        "void": (void_ignored,),
        "receipt": (receipt_unsigned,),
        "replay": (equal_counter_accepted,),
        "broken_chain": (prev_unchecked,),
        "rewritten": (claim_forgotten,),
        "revoked": (revocation_ignored,),
        "version": (unknown_version_refused,),
        "bytes": (bytes_rewritten,),
        "database_killed": (commit_not_synced,),
        "undurable": (durability_unchecked,),
    }.items()
    for function in functions
}
