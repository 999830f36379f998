"""Receive what devices say: verified, stored byte for byte, timed, receipted. One transaction for many uploads.

The steps, each one statement for all uploads together: devices and their keys -> heads and items verified -> what is
stored of their chains -> time, tags, grants judged -> everything appended -> a signed receipt per upload. Nothing is
refused that a known device said: doubt decides later whether a tap is billable, never whether it exists.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from app.evidence import device_store as store
from app.evidence.clockwork import Sample
from app.evidence.keys import Keyring
from app.evidence.rules.chain import Progress, place_unreadable
from app.evidence.rules.reading import HeadRefused, Item, Upload, head_device, read_item, verified_head
from app.evidence.rules.signatures import Signed, public_key
from app.evidence.rules.statements import DeclineSaid, DoneSaid, HeadSaid, TapSaid, Unknown, VoidSaid
from app.evidence.timing import NewTap, StampedTap, new_tap, stamp_taps
from app.policies import Policy

QUARANTINED = "quarantined"
MOST_REJECTED_A_DAY = 1000
_LONGEST_REJECTED_ITEM = 8192


@dataclass(frozen=True, slots=True)
class TouchedTap:
    """A tap that is new, or newly doubted: where visits must be derived again."""

    device_id: str
    seq: int


@dataclass(slots=True)
class Answer:
    """What one upload gets, to be sent **after commit**.

    `status` 200: `body` is the receipt's payload with the signed document beside it as `receipt`. 401, 422: `code`.
    `stamped`: the new taps. `touched`: older taps that are doubted now. `declines`, `done`: new statements of those
    kinds. `chain_changed`: the device's findings (`chain_report`) must be derived again.
    """

    status: int
    code: str = ""
    device_id: str = ""
    body: dict[str, Any] = field(default_factory=dict)
    stamped: tuple[StampedTap, ...] = ()
    touched: tuple[TouchedTap, ...] = ()
    declines: tuple[DeclineSaid, ...] = ()
    done: tuple[DoneSaid, ...] = ()
    chain_changed: bool = False


@dataclass(slots=True)
class _Session:
    """One attributed upload on its way through the steps."""

    answer: Answer
    upload: Upload
    device: store.KnownDevice
    head: HeadSaid
    head_hash: bytes
    items: list[Item]
    new: list[tuple[Item, dict[str, Any]]] = field(default_factory=list)
    """The statements that were not stored before, each with its lot."""
    results: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class _Rows:
    """What the flush appends, table by table."""

    voids: list[tuple[Any, ...]] = field(default_factory=list)
    statements: list[tuple[Any, ...]] = field(default_factory=list)
    forks: list[tuple[Any, ...]] = field(default_factory=list)
    rejected: list[tuple[Any, ...]] = field(default_factory=list)
    rejected_seqs: list[tuple[Any, ...]] = field(default_factory=list)
    notes: list[tuple[Any, ...]] = field(default_factory=list)
    claims: list[tuple[Any, ...]] = field(default_factory=list)


def receive_taps(
    connection: Connection, uploads: Sequence[Upload], now: datetime, keyring: Keyring, policy: Policy
) -> list[Answer]:
    """Store everything and answer each upload, in the order given. Nothing is durable before the caller commits.

    The same statements again are duplicates; another content under a number is a fork, kept. Raises DBAPIError.
    """
    answers = [Answer(0) for _ in uploads]
    rows = _Rows()
    sessions = _attribute(connection, uploads, answers, rows, now)
    progress = store.load_progress(connection, {s.device.device_id: s.device for s in sessions}.values())
    old = store.load_hashes(
        connection,
        (
            (s.device.device_id, seq)
            for s in sessions
            for seq in _numbers_named(s)
            if 0 < seq <= s.device.upto and seq not in progress[s.device.device_id].hashes
        ),
    )
    for session in sessions:
        _sort_out(session, progress[session.device.device_id], old, rows, now)
    _check_chain(connection, sessions, progress, old, rows)
    samples = _append_heads(connection, sessions, now)
    stamped, doubted = stamp_taps(connection, _taps_of(sessions), samples, now, (keyring, policy))
    _append(connection, rows, now)
    _report(sessions, stamped, doubted)
    _acknowledge(connection, sessions, progress, now, keyring)
    return answers


def _attribute(
    connection: Connection, uploads: Sequence[Upload], answers: list[Answer], rows: _Rows, now: datetime
) -> list[_Session]:
    """Whose each upload is: the signed head authenticates it. Those that are nobody's get their answer here."""
    named: dict[int, tuple[Signed, str]] = {}
    for index, upload in enumerate(uploads):
        try:
            named[index] = head_device(upload)
        except HeadRefused as refused:
            answers[index].status, answers[index].code = refused.status, "head_unreadable"
    devices = store.lock_devices(connection, (device_id for _, device_id in named.values())) if named else {}
    sessions = []
    for index, (signed, device_id) in named.items():
        answer, device = answers[index], devices.get(device_id)
        try:
            head, key = verified_head(signed, device_id, device.public_jwk if device else None)
        except HeadRefused as refused:
            answer.status = refused.status
            answer.code = "device_unknown" if refused.status == 401 else "head_unreadable"
            if refused.status == 401:
                rows.rejected.append(_rejected("", "", uploads[index].head, refused.why, now))
            continue
        assert device is not None  # noqa: S101 -- verified_head refuses a device without a row
        answer.status, answer.device_id = 200, device_id
        items = [read_item(document, device_id, key) for document in uploads[index].taps]
        sessions.append(_Session(answer, uploads[index], device, head, signed.hash, items))
    return sessions


def _numbers_named(session: _Session) -> Iterator[int]:
    """Every number whose content an upload repeats, follows or claims."""
    yield session.head.head_seq
    for item in session.items:
        if item.seq is not None and item.said is not None:
            yield from (item.seq, item.seq - 1)


def _sort_out(
    session: _Session, progress: Progress, old: dict[tuple[str, int], set[bytes]], rows: _Rows, now: datetime
) -> None:
    """New, duplicate, fork or rejected; the device's progress follows."""
    device = session.device
    placed = place_unreadable([item.seq for item in session.items], progress, session.head.head_seq)
    for item, seq in zip(session.items, placed, strict=True):
        if item.said is None or item.seq is None:
            why = item.why or "unreadable"
            rows.rejected.append(_rejected(device.device_id, device.provider_id, item.document, why, now))
            session.results.append({"seq": seq, "status": "rejected", "findings": [why]})
            if seq is not None and seq <= max(session.head.head_seq, progress.top) and not progress.holds(seq):
                rows.rejected_seqs.append((device.device_id, seq, device.provider_id, now))
                progress.hashes.setdefault(seq, set())
                session.answer.chain_changed = True
            continue
        held = progress.holds(item.seq)
        contents = progress.hashes.setdefault(item.seq, set())
        contents |= old.get((device.device_id, item.seq), set())
        if item.hash in contents:
            session.results.append({"seq": item.seq, "status": "duplicate", "findings": []})
            continue
        session.results.append(_stored(session, item, fork=bool(contents)))
        session.answer.chain_changed |= held  # a fork, or a number that was rejected or voided and came after all
        if contents:
            rows.forks.append((device.device_id, item.seq, device.provider_id))
        contents.add(item.hash)
        session.new.append((item, session.results[-1]))
        _row_of(session, item, progress, rows, now)


def _stored(session: _Session, item: Item, *, fork: bool) -> dict[str, Any]:
    quarantined = session.device.pending or session.device.revoked or isinstance(item.said, Unknown)
    findings = ["seq_fork"] if fork else []
    if session.device.revoked:
        findings.append("revoked_device")
    return {"seq": item.seq, "status": QUARANTINED if quarantined else "stored", "findings": findings}


def _row_of(session: _Session, item: Item, progress: Progress, rows: _Rows, now: datetime) -> None:
    """The row of a new statement that is no tap."""
    device, said = session.device, item.said
    key = (device.device_id, item.seq, item.hash, device.provider_id)
    if isinstance(said, VoidSaid):
        progress.voided.append((said.from_seq, said.to_seq))
        session.answer.chain_changed = True
        session.results[-1]["findings"].append("seq_gap")
        rows.voids.append((*key, said.from_seq, said.to_seq, said.cause, now, item.document))
    elif isinstance(said, Unknown):
        rows.statements.append((*key, "unknown", "{}", now, True, item.document))
    elif said is not None and not isinstance(said, TapSaid):
        body = said.model_dump_json(exclude={"v", "dev", "seq", "prev", "ack", "kind"}, exclude_none=True)
        quarantined = device.pending or device.revoked
        rows.statements.append((*key, said.kind, body, now, quarantined, item.document))


def _check_chain(
    connection: Connection,
    sessions: list[_Session],
    progress: dict[str, Progress],
    old: dict[tuple[str, int], set[bytes]],
    rows: _Rows,
) -> None:
    """Note where a `prev` fits no content of the number before it, in both directions, and a head's hash likewise.

    A head that claims a number of which nothing is there yet is remembered: it binds whatever comes under it.
    """
    after: list[tuple[_Session, int]] = []
    for session in sessions:
        device_id, mine = session.device.device_id, progress[session.device.device_id]
        said_before = [
            (item.said.seq, item.said.prev, item.said.t)
            for item, _ in session.new
            if item.said is not None and not isinstance(item.said, Unknown)
        ]
        said_before.append((session.head.head_seq + 1, session.head.head_hash, session.head.t))
        for seq, prev, at in said_before:
            before = mine.hashes.get(seq - 1, set()) | old.get((device_id, seq - 1), set())
            if before and store.hash_bytes(prev) not in before:
                rows.notes.append((device_id, seq, store.hash_bytes(prev), session.device.provider_id, at))
                session.answer.chain_changed = True
        _remember_claim(session, mine, old, rows)
        new = {item.seq for item, _ in session.new}
        after += [
            (session, seq + 1) for seq in new if seq is not None and seq + 1 in mine.hashes and seq + 1 not in new
        ]
    if after:
        _check_following(connection, after, progress, rows)


def _remember_claim(session: _Session, progress: Progress, old: dict[tuple[str, int], set[bytes]], rows: _Rows) -> None:
    device, head = session.device, session.head
    if head.head_seq and not (progress.hashes.get(head.head_seq) or old.get((device.device_id, head.head_seq))):
        said = store.hash_bytes(head.head_hash)
        rows.claims.append((device.device_id, head.head_seq, said, device.provider_id, head.t))


def _check_following(
    connection: Connection, after: list[tuple[_Session, int]], progress: dict[str, Progress], rows: _Rows
) -> None:
    """Statements stored earlier whose predecessor came only now."""
    sessions = {(session.device.device_id, seq): session for session, seq in after}
    for device_id, seq, document in store.load_documents(connection, sessions):
        session = sessions[device_id, seq]
        item = read_item(document, device_id, public_key(session.device.public_jwk))
        if item.said is None or isinstance(item.said, Unknown):
            continue
        prev = store.hash_bytes(item.said.prev)
        if prev not in progress[device_id].hashes.get(seq - 1, set()):
            rows.notes.append((device_id, seq, prev, session.device.provider_id, item.said.t))
            session.answer.chain_changed = True


def _append_heads(connection: Connection, sessions: list[_Session], now: datetime) -> dict[str, list[Sample]]:
    """Heads first; their clock samples by device. A head that was stored before is a replay and no sample of now."""
    heads = {(s.device.device_id, s.head_hash): s for s in sessions}
    rows = [
        (s.device.device_id, s.head_hash, s.device.provider_id, s.head.head_seq, s.head.head_hash, s.head.t, now,
         s.head.boot, s.head.mono, s.head.nonce, s.head.agent_version, s.upload.head)
        for s in heads.values()
    ]  # fmt: skip
    samples: dict[str, list[Sample]] = {}
    for row in store.HEADS.append(connection, rows):
        head = heads[row.device_id, bytes(row.hash)].head
        samples.setdefault(row.device_id, []).append(Sample(head.boot, head.mono, now))
    return samples


def _taps_of(sessions: Iterable[_Session]) -> list[NewTap]:
    """The new taps of all uploads."""
    return [
        new_tap(s.device, item.said, item.hash, item.document, "seq_fork" not in result["findings"])
        for s in sessions
        for item, result in s.new
        if isinstance(item.said, TapSaid)
    ]


def _append(connection: Connection, rows: _Rows, now: datetime) -> None:
    store.VOIDS.append(connection, rows.voids)
    store.append_statements(connection, rows.statements)
    store.FORKS.append(connection, rows.forks)
    store.REJECTED_SEQS.append(connection, rows.rejected_seqs)
    store.CHAIN_NOTES.append(connection, rows.notes)
    store.CLAIMED_HEADS.append(connection, [(*row, now) for row in rows.claims])
    left: dict[str, int] = {}
    for row in rows.rejected:
        device_id = row[0]
        if device_id not in left:
            kept = store.rejected_today(connection, device_id, now, MOST_REJECTED_A_DAY)
            left[device_id] = MOST_REJECTED_A_DAY - kept
        left[device_id] -= 1
        if left[device_id] >= 0:
            store.REJECTED.append(connection, [row])


def _acknowledge(
    connection: Connection, sessions: list[_Session], progress: dict[str, Progress], now: datetime, keyring: Keyring
) -> None:
    """One signed receipt per upload, of all that the transaction holds."""
    recv = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    rows = []
    for mine in {id(p): p for p in progress.values()}.values():
        mine.advance()
    for session in sessions:
        device, mine = session.device, progress[session.device.device_id]
        missing = mine.missing(session.head.head_seq)
        session.answer.chain_changed |= bool(missing) or (bool(session.new) and device.claimed > device.upto)
        payload: dict[str, Any] = {
            "r": f"r_{int(now.timestamp() * 1000):011x}{secrets.token_hex(5)}",
            "dev": device.device_id,
            "upto": mine.upto,
            "upto_hash": mine.upto_hash(),
            "missing": missing,
            "recv": recv,
            "nonce": session.head.nonce,
            "results": session.results,
        }
        if device.revoked:
            payload["revoked"] = True
        jws = keyring.sign("receipt", payload)
        session.answer.body = {"receipt": jws, **payload}
        rows.append(
            (payload["r"], device.device_id, device.provider_id, mine.upto, payload["upto_hash"], now,
             session.head.nonce, jws)
        )  # fmt: skip
    store.RECEIPTS.append(connection, rows)


def _report(sessions: list[_Session], stamped: list[StampedTap], doubted: list[tuple[str, int]]) -> None:
    """What later stages need to know of each upload."""
    by_hash = {(tap.device_id, tap.hash): tap for tap in stamped}
    for session in sessions:
        answer, taps = session.answer, []
        for item, result in session.new:
            tap = by_hash.get((session.device.device_id, item.hash))
            if tap is not None:
                taps.append(tap)
                result["findings"] += tap.doubts
        answer.stamped = tuple(taps)
        answer.declines = tuple(item.said for item, _ in session.new if isinstance(item.said, DeclineSaid))
        answer.done = tuple(item.said for item, _ in session.new if isinstance(item.said, DoneSaid))
    if sessions and doubted:
        sessions[0].answer.touched = tuple(TouchedTap(device_id, seq) for device_id, seq in doubted)


def _rejected(device_id: str, provider_id: str, document: str, why: str, now: datetime) -> tuple[Any, ...]:
    raw = document.encode("utf-8", "surrogatepass")
    return (device_id, provider_id, now, why, hashlib.sha256(raw).digest(), raw[:_LONGEST_REJECTED_ITEM])


__all__ = ["Answer", "StampedTap", "TouchedTap", "Upload", "receive_taps"]
