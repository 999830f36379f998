"""What the devices signed: every signature, every row against its document, every chain, every receipt.

A gap or a fork that the server itself reports is no tampering (the findings seq_gap and seq_fork tell of it); what is
wrong here is what no honest export can hold: a signature that is none, a row that says other than its document, a
statement that a receipt confirms and that is gone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from app.core.localtime import parse_instant
from app.evidence.rules.chain import NOTHING_BEFORE
from app.evidence.rules.reading import Item, read_item
from app.evidence.rules.signatures import (
    Signed,
    Unreadable,
    b64url,
    public_key,
    read_object,
    take_apart,
)
from app.evidence.rules.statements import HeadSaid, TapSaid, Unknown, VoidSaid, read_head
from app.facts import Device, Tap
from app.verify.bundle import Bundle, Wrong

RECEIPTS = "receipts.jsonl"
TAPS, FORKS = "taps.csv", "forks.csv"
Place = tuple[str, int]
"""(file, line)."""


@dataclass(slots=True)
class Evidence:
    """What was read of the evidence, and what is wrong with it, check by check."""

    taps: list[Tap] = field(default_factory=list)
    forms: list[Wrong] = field(default_factory=list)
    signatures: list[Wrong] = field(default_factory=list)
    contents: list[Wrong] = field(default_factory=list)
    chain: list[Wrong] = field(default_factory=list)
    receipts: list[Wrong] = field(default_factory=list)
    signed: int = 0
    unsigned: int = 0
    documents: int = 0
    receipts_seen: int = 0
    quarantined: int = 0
    after_revocation: int = 0
    grants: dict[str, dict[str, Any]] = field(default_factory=dict)
    _lines: dict[str, list[tuple[int, dict[str, Any]]]] = field(default_factory=lambda: defaultdict(list))
    _said: dict[str, dict[int, dict[str, tuple[Place, str]]]] = field(default_factory=dict)
    """device -> seq -> hash (base64url) -> (where, prev)."""


def read_evidence(
    bundle: Bundle, devices: Mapping[str, Device], keys: tuple[ec.EllipticCurvePublicKey, ...], *, whole: bool
) -> Evidence:
    """Read and check taps.csv, forks.csv and receipts.jsonl. `keys` are the server's; `whole`: no single month."""
    evidence = Evidence()
    for line, row in bundle.objects(RECEIPTS):
        evidence._lines[str(row.get("table"))].append((line, row))
    _server_documents(evidence, keys)
    _device_documents(evidence, devices)
    _taps(evidence, bundle, devices)
    _chains(evidence, whole=whole)
    _receipts(evidence, keys)
    return evidence


def _hash(value: Any) -> str:
    """A bytea as JSON shows it (`\\x...`) as base64url."""
    if not isinstance(value, str) or not value.startswith("\\x"):
        raise ValueError("a hash is written \\x...")
    return b64url(bytes.fromhex(value[2:]))


def _instant(value: Any) -> datetime | None:
    return parse_instant(value) if isinstance(value, str) else None


# -- documents of the server


def _server_documents(evidence: Evidence, keys: tuple[ec.EllipticCurvePublicKey, ...]) -> None:
    for line, row in evidence._lines["shift_grants"]:
        said = _server_said(evidence, "grant", line, row, keys)
        if said is None:
            continue
        names = (("grant_id", "grant"), ("staff_id", "staff"), ("device_id", "dev"))
        for column, member in names:
            if row.get(column) != said.get(member):
                evidence.contents.append(Wrong(RECEIPTS, line, f"grant: {column} is not what was signed"))
        evidence.grants[str(row.get("grant_id"))] = row


def _server_said(
    evidence: Evidence, typ: Any, line: int, row: Mapping[str, Any], keys: tuple[ec.EllipticCurvePublicKey, ...]
) -> dict[str, Any] | None:
    try:
        signed = take_apart(str(row.get("jws")))
        said = read_object(signed.payload)
    except Unreadable as error:
        evidence.signatures.append(Wrong(RECEIPTS, line, f"{typ}: {error}"))
        return None
    evidence.documents += 1
    if not any(signed.signed_by(key, typ) for key in keys):
        evidence.signatures.append(Wrong(RECEIPTS, line, f"{typ}: not signed by a key of this server"))
    return said


def _receipts(evidence: Evidence, keys: tuple[ec.EllipticCurvePublicKey, ...]) -> None:
    for line, row in evidence._lines["receipts"]:
        said = _server_said(evidence, "receipt", line, row, keys)
        if said is None:
            continue
        evidence.receipts_seen += 1
        try:
            same = (
                (said["r"], said["dev"], said["upto"], said["upto_hash"], said["nonce"])
                == tuple(row.get(name) for name in ("receipt_id", "device_id", "upto", "upto_hash", "nonce"))
            )  # fmt: skip
        except KeyError:
            same = False
        if not same:
            evidence.receipts.append(Wrong(RECEIPTS, line, "receipt: its columns are not what was signed"))
            continue
        evidence.receipts.extend(_held(evidence, line, said))


def _held(evidence: Evidence, line: int, said: Mapping[str, Any]) -> Iterator[Wrong]:
    """What a receipt confirms is there, with the content it names."""
    device_id, upto = str(said["dev"]), said["upto"]
    known = evidence._said.get(device_id, {})
    if type(upto) is not int or not known:
        return
    contents = known.get(upto)
    if contents and said["upto_hash"] and said["upto_hash"] not in contents:
        place = next(iter(contents.values()))[0]
        yield Wrong(
            *place, f"{device_id}/{upto} is not the content that {said['r']} ({RECEIPTS}, line {line}) confirms"
        )


# -- documents of the devices


def _device_documents(evidence: Evidence, devices: Mapping[str, Device]) -> None:
    for table in ("voids", "device_statements", "elsewhere"):
        for line, row in evidence._lines[table]:
            item = _statement(evidence, RECEIPTS, line, row, devices)
            if item is None or item.said is None:
                continue
            if isinstance(item.said, VoidSaid) and (row.get("from_seq"), row.get("to_seq")) != (
                item.said.from_seq,
                item.said.to_seq,
            ):
                evidence.contents.append(Wrong(RECEIPTS, line, "void: its range is not what was signed"))
    for line, row in evidence._lines["heads"]:
        _head(evidence, line, row, devices)


def _statement(
    evidence: Evidence, file: str, line: int, row: Mapping[str, Any], devices: Mapping[str, Device]
) -> Item | None:
    """A signed statement of a device: verified, placed in its chain. None where it is none."""
    device_id = str(row.get("device_id"))
    device = devices.get(device_id)
    if device is None or not device.public_jwk:
        evidence.signatures.append(Wrong(file, line, f"{device_id}: signed, but devices.csv has no key of that device"))
        return None
    try:
        item = read_item(str(row.get("jws")), device_id, public_key(device.public_jwk))
    except Unreadable:
        evidence.signatures.append(Wrong("devices.csv", 0, f"{device_id}: public_jwk is no P-256 key"))
        return None
    evidence.documents += 1
    seq = row.get("seq")
    if item.said is None or str(item.seq) != str(seq):
        why = (item.why or "another number in the document").replace("_", " ")
        evidence.signatures.append(Wrong(file, line, f"{device_id}/{seq}: {why}"))
        return None
    prev = "" if isinstance(item.said, Unknown) else item.said.prev
    same = evidence._said.setdefault(device_id, {}).setdefault(item.said.seq, {})
    if b64url(item.hash) in same:
        evidence.contents.append(Wrong(file, line, f"{device_id}/{seq}: stands here twice"))
    same[b64url(item.hash)] = ((file, line), prev)
    return item


def _head(evidence: Evidence, line: int, row: Mapping[str, Any], devices: Mapping[str, Device]) -> None:
    device = devices.get(str(row.get("device_id")))
    try:
        signed = take_apart(str(row.get("jws")))
        said = read_head(signed.payload)
        good = device is not None and signed.signed_by(public_key(device.public_jwk), "head")
        same = _head_columns(signed, said) == (
            row.get("device_id"), _hash(row.get("hash")), row.get("head_seq"), row.get("head_hash"), row.get("boot"),
            row.get("mono"), row.get("nonce"), _instant(row.get("claimed_at")),
        )  # fmt: skip
    except (Unreadable, ValueError) as error:
        evidence.signatures.append(Wrong(RECEIPTS, line, f"head: {error}"))
        return
    evidence.documents += 1
    if not good:
        evidence.signatures.append(Wrong(RECEIPTS, line, f"head of {said.dev}: bad signature"))
    if not same:
        evidence.contents.append(Wrong(RECEIPTS, line, f"head of {said.dev}: its columns are not what was signed"))


def _head_columns(signed: Signed, said: HeadSaid) -> tuple[Any, ...]:
    return (
        said.dev, b64url(signed.hash), said.head_seq, said.head_hash, said.boot, said.mono, said.nonce, said.t,
    )  # fmt: skip


# -- taps


@dataclass(slots=True)
class _Beside:
    """What receipts.jsonl says of taps: by content, and of unsigned ones by number. `used`: whose tap was met."""

    signed: dict[tuple[str, int, str], tuple[int, dict[str, Any]]] = field(default_factory=dict)
    unsigned: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    used: set[tuple[str, int, str]] = field(default_factory=set)


def _beside(evidence: Evidence) -> _Beside:
    beside = _Beside()
    for line, row in evidence._lines["taps"]:
        try:
            key = (str(row["device_id"]), int(row["seq"]))
            if row.get("signed", True):
                beside.signed[*key, _hash(row["hash"])] = (line, row)
            else:
                beside.unsigned[key] = row
        except (KeyError, TypeError, ValueError):
            evidence.forms.append(Wrong(RECEIPTS, line, "a line about a tap without its key"))
    return beside


def _taps(evidence: Evidence, bundle: Bundle, devices: Mapping[str, Device]) -> None:
    beside = _beside(evidence)
    doubts: dict[tuple[str, int], set[str]] = defaultdict(set)
    for _, row in evidence._lines["tap_doubts"]:
        doubts[str(row.get("device_id")), int(row.get("seq") or 0)].add(str(row.get("code")))
    seen: dict[tuple[str, str], int] = {}
    for file in (TAPS, FORKS):
        for line, row in bundle.rows(file):
            key = (row.get("device_id", ""), row.get("seq", ""))
            if file == TAPS and key in seen:
                what = f"{key[0]}/{key[1]}: another row of this number stands on line {seen[key]}"
                evidence.contents.append(Wrong(file, line, what))
            seen.setdefault(key, line)
            try:
                tap = _tap(evidence, (file, line), row, devices, beside)
            except (KeyError, ValueError, TypeError) as error:
                evidence.forms.append(Wrong(file, line, f"not a tap ({error})"))
                continue
            if tap is not None and file == TAPS:
                _keep(evidence, tap, row, devices, doubts)
    for index in sorted(beside.signed.keys() - beside.used):
        line = beside.signed[index][0]
        evidence.contents.append(Wrong(RECEIPTS, line, f"{index[0]}/{index[1]}: the signed tap it is about is missing"))


def _tap(
    evidence: Evidence,
    place: Place,
    row: Mapping[str, str],
    devices: Mapping[str, Device],
    beside: _Beside,
) -> Tap | None:
    file, line = place
    key = (row["device_id"], int(row["seq"]))
    claimed = parse_instant(row["tapped_at"])
    received = parse_instant(row["received_at"]) if row.get("received_at") else claimed
    plain: dict[str, Any] = {
        "device_id": key[0], "seq": key[1], "act": row["act"], "tag_uid": row["tag_uid"],
        "staff_id": row.get("staff_id", ""), "service": row.get("service") or None,
    }  # fmt: skip
    if row["act"] not in ("KOM", "GICK", "AUTO"):
        raise ValueError("act is none of KOM, GICK, AUTO")
    if not row.get("jws"):
        evidence.unsigned += 1
        noted = beside.unsigned.get(key, {}) if row.get("sun") else {}
        doubts, level = tuple(sorted(noted.get("doubts") or ())), noted.get("tag_level", "uid")
        return Tap(**plain, at=claimed, received_at=received, doubts=doubts, tag_level=level)
    evidence.signed += 1
    item = _statement(evidence, file, line, row, devices)
    if item is None:
        return None
    if not isinstance(item.said, TapSaid):
        evidence.contents.append(Wrong(file, line, f"{key[0]}/{key[1]}: the document is no tap"))
        return None
    evidence.contents.extend(_differences(evidence, place, row, item.said))
    index = (*key, b64url(item.hash))
    if index not in beside.signed:
        what = f"{key[0]}/{key[1]}: {RECEIPTS} has no line that says when it was received"
        evidence.contents.append(Wrong(file, line, what))
        return None
    beside.used.add(index)
    at_line, noted = beside.signed[index]
    got = _instant(noted.get("received_at"))
    if got is None or got != received:
        evidence.contents.append(Wrong(file, line, f"received_at is not that of {RECEIPTS}, line {at_line}"))
    at = _instant(noted.get("at")) or claimed
    if at != claimed and "clock_doubt" not in (noted.get("doubts") or ()):
        evidence.contents.append(Wrong(RECEIPTS, at_line, "another stamp than claimed, and no clock_doubt"))
    return Tap(
        **plain, at=at, received_at=got or received, grade=noted["grade"],
        doubts=tuple(sorted(set(noted.get("doubts") or ()))), tag_level=noted.get("tag_level", "uid"),
    )  # fmt: skip


def _differences(evidence: Evidence, place: Place, row: Mapping[str, str], said: TapSaid) -> Iterator[Wrong]:
    """Where a row says other than its signed document."""
    staff = said.staff or ""
    if said.staff is None and said.grant is not None:
        staff = str(evidence.grants.get(said.grant, {}).get("staff_id", row.get("staff_id", "")))
    pairs = (
        ("act", row.get("act"), said.act), ("tag_uid", row.get("tag_uid"), said.tag.uid),
        ("tapped_at", parse_instant(row["tapped_at"]), said.t), ("sun", row.get("sun") or "", said.tag.sun or ""),
        ("service", row.get("service") or None, said.service), ("staff_id", row.get("staff_id") or "", staff),
    )  # fmt: skip
    for column, written, signed in pairs:
        if written != signed:
            yield Wrong(*place, f"{said.dev}/{said.seq}: {column} is {written}, signed was {signed}")


def _keep(
    evidence: Evidence,
    tap: Tap,
    row: Mapping[str, str],
    devices: Mapping[str, Device],
    doubts: Mapping[tuple[str, int], set[str]],
) -> None:
    """THE tap of its number as the rules see it; what an unconfirmed device signed is no tap yet."""
    device = devices.get(tap.device_id)
    if row.get("jws") and device is not None and device.enrolled_at is None:
        evidence.quarantined += 1
        return
    if device is not None and device.revoked_at is not None and tap.received_at >= device.revoked_at:
        evidence.after_revocation += 1
    codes = doubts.get(tap.key)
    if codes:
        values = {name: getattr(tap, name) for name in Tap.__slots__}
        tap = Tap(**{**values, "grade": "D", "doubts": tuple(sorted({*tap.doubts, *codes}))})
    evidence.taps.append(tap)


# -- chains


def _chains(evidence: Evidence, *, whole: bool) -> None:
    forgiven: dict[str, set[int]] = defaultdict(set)
    for _, row in evidence._lines["rejected_seqs"]:
        forgiven[str(row.get("device_id"))].add(int(row.get("seq") or 0))
    ranges: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for _, row in evidence._lines["voids"]:
        ranges[str(row.get("device_id"))].append((int(row.get("from_seq") or 0), int(row.get("to_seq") or 0)))
    noted = {(str(r.get("device_id")), int(r.get("seq") or 0)) for _, r in evidence._lines["chain_notes"]}
    highest: dict[str, int] = defaultdict(int)
    for _, row in evidence._lines["receipts"]:
        upto = row.get("upto")
        if type(upto) is int:
            highest[str(row.get("device_id"))] = max(highest[str(row.get("device_id"))], upto)
    for device_id, said in sorted(evidence._said.items()):
        evidence.chain.extend(_links(device_id, said, noted))
        excused = forgiven[device_id]
        taps = [s for s, contents in said.items() if any(p[0] != RECEIPTS for p, _ in contents.values())]
        span = (1, highest[device_id]) if whole else (min(taps, default=1), max(taps, default=0))
        evidence.chain.extend(_gaps(device_id, said, (span[0], min(span[1], highest[device_id])), (excused, ranges)))


def _links(
    device_id: str, said: Mapping[int, Mapping[str, tuple[Place, str]]], noted: set[tuple[str, int]]
) -> Iterator[Wrong]:
    """Every `prev` names the content of the number before it, unless the server noted the break itself."""
    first = b64url(NOTHING_BEFORE)
    for seq, contents in sorted(said.items()):
        before = said.get(seq - 1)
        for place, prev in contents.values():
            fits = prev in (first, "") if seq == 1 else not before or not prev or prev in before
            if not fits and (device_id, seq) not in noted:
                yield Wrong(*place, f"{device_id}/{seq}: prev is not the hash of number {seq - 1}")


def _gaps(
    device_id: str,
    said: Mapping[int, Mapping[str, tuple[Place, str]]],
    span: tuple[int, int],
    excused: tuple[set[int], Mapping[str, list[tuple[int, int]]]],
) -> Iterator[Wrong]:
    """Numbers of the span that a receipt confirms and that are gone, each run of them once."""
    rejected, voided = excused
    low = span[0]
    for seq in [*sorted(number for number in said if span[0] <= number <= span[1]), span[1] + 1]:
        missing = [
            number
            for number in range(low, seq)
            if number not in rejected and not any(a <= number <= b for a, b in voided[device_id])
        ]
        low = seq + 1
        if missing:
            near = said.get(seq) or said[max(said)]
            place = next(iter(near.values()))[0]
            yield Wrong(*place, f"{device_id}: a receipt confirms {_spelled(missing)}, missing beside this line")


def _spelled(numbers: list[int]) -> str:
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]} ({len(numbers)} statements)"
