"""What the server and the devices signed: every signature, and that the columns beside a document say the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from app.evidence.rules.reading import Item, read_item
from app.evidence.rules.signatures import Signed, Unreadable, b64url, public_key, read_object, take_apart
from app.evidence.rules.statements import HeadSaid, Unknown, VoidSaid, read_head
from app.facts import Device
from app.verify.bundle import Wrong
from app.verify.found import RECEIPTS, Evidence, hash_text, instant_of


def server_documents(evidence: Evidence, keys: tuple[ec.EllipticCurvePublicKey, ...]) -> None:
    """Check the shift grants, and keep them by id: they name the person of a tap."""
    for line, row in evidence.lines["shift_grants"]:
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


def receipts_of(evidence: Evidence, keys: tuple[ec.EllipticCurvePublicKey, ...]) -> None:
    """Check the receipts, and that what each names is there. After all statements of devices were read."""
    for line, row in evidence.lines["receipts"]:
        said = _server_said(evidence, "receipt", line, row, keys)
        if said is None:
            continue
        evidence.receipts_seen += 1
        try:
            same = (
                (said["r"], said["dev"], said["upto"], said["upto_hash"], said["nonce"])
                == tuple(row.get(name) for name in ("receipt_id", "device_id", "upto", "upto_hash", "nonce"))
                and instant_of(said["recv"]) == _to_the_millisecond(instant_of(row.get("received_at")))
            )  # fmt: skip
        except (KeyError, ValueError):
            same = False
        if not same:
            evidence.receipts.append(Wrong(RECEIPTS, line, "receipt: its columns are not what was signed"))
            continue
        evidence.receipts.extend(_held(evidence, line, said))


def _to_the_millisecond(at: datetime | None) -> datetime | None:
    return at and at.replace(microsecond=at.microsecond // 1000 * 1000)


def _held(evidence: Evidence, line: int, said: Mapping[str, Any]) -> Iterator[Wrong]:
    """What a receipt confirms is there, with the content it names."""
    device_id, upto = str(said["dev"]), said["upto"]
    known = evidence.said.get(device_id, {})
    if type(upto) is not int or not known:
        return
    contents = known.get(upto)
    if contents and said["upto_hash"] and said["upto_hash"] not in contents:
        place = next(iter(contents.values()))[0]
        yield Wrong(
            *place, f"{device_id}/{upto} is not the content that {said['r']} ({RECEIPTS}, line {line}) confirms"
        )


def device_documents(evidence: Evidence, devices: Mapping[str, Device]) -> None:
    """Check what devices signed beside taps: voids, other kinds, heads, and taps that lie elsewhere in time."""
    for table in ("voids", "device_statements", "elsewhere"):
        for line, row in evidence.lines[table]:
            item = statement(evidence, RECEIPTS, line, row, devices)
            if item is None or item.said is None:
                continue
            if isinstance(item.said, VoidSaid) and (row.get("from_seq"), row.get("to_seq")) != (
                item.said.from_seq,
                item.said.to_seq,
            ):
                evidence.contents.append(Wrong(RECEIPTS, line, "void: its range is not what was signed"))
    for line, row in evidence.lines["heads"]:
        _head(evidence, line, row, devices)


def statement(
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
    same = evidence.said.setdefault(device_id, {}).setdefault(item.said.seq, {})
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
            row.get("device_id"), hash_text(row.get("hash")), row.get("head_seq"), row.get("head_hash"),
            row.get("boot"), row.get("mono"), row.get("nonce"), instant_of(row.get("claimed_at")),
            row.get("agent_version"),
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
        said.agent_version,
    )  # fmt: skip
