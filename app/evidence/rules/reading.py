"""An upload as it came, and what is readable of it: signatures and forms checked, nothing looked up but keys. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cryptography.hazmat.primitives.asymmetric import ec

from app.core.quick import quick
from app.evidence.rules.signatures import Signed, Unreadable, public_key, take_apart
from app.evidence.rules.statements import (
    HeadSaid,
    Said,
    Unknown,
    claimed_device,
    claimed_seq,
    read_head,
    read_statement,
)

Why = Literal["unreadable", "bad_signature", "other_device", "unknown_device", "bad_head_signature"]
MOST_TAPS = 100


@dataclass(frozen=True, slots=True)
class Upload:
    """The body of POST /api/v1/device/taps: two kinds of compact JWS."""

    head: str
    taps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """One statement of an upload. `said` is None where it was rejected, then `why` says what for.

    `seq`: the statement's number; of a rejected one the number it claims, if any.
    """

    document: str
    seq: int | None
    hash: bytes = b""
    said: Said | Unknown | None = None
    why: Why | None = None


_new_item = quick(Item)


class HeadRefused(Exception):  # noqa: N818 -- named for what it says
    """The upload cannot be attributed to a device (401), or its head has no readable form (422)."""

    def __init__(self, status: Literal[401, 422], why: Why, device_id: str = "") -> None:
        self.status = status
        self.why = why
        self.device_id = device_id
        super().__init__(why)


def head_device(upload: Upload) -> tuple[Signed, str]:
    """The head taken apart and the device it names. HeadRefused (422) when it names none."""
    try:
        signed = take_apart(upload.head)
        return signed, claimed_device(signed.payload)
    except Unreadable as error:
        raise HeadRefused(422, "unreadable") from error


def verified_head(signed: Signed, device_id: str, jwk: str | None) -> tuple[HeadSaid, ec.EllipticCurvePublicKey]:
    """The head, signed by the key in the device's row (`jwk`; None, empty or no key: no such device). HeadRefused."""
    if not jwk:
        raise HeadRefused(401, "unknown_device", device_id)
    try:
        key = public_key(jwk)
    except Unreadable as error:  # a registry of elsewhere may hold anything
        raise HeadRefused(401, "unknown_device", device_id) from error
    if not signed.signed_by(key, "head"):
        raise HeadRefused(401, "bad_head_signature", device_id)
    try:
        return read_head(signed.payload), key
    except Unreadable as error:
        raise HeadRefused(422, "unreadable", device_id) from error


def read_item(document: str, device_id: str, key: ec.EllipticCurvePublicKey) -> Item:
    """One statement, signed by the device and in a form this server knows, or rejected."""
    try:
        signed = take_apart(document)
    except Unreadable:
        return Item(document, None, why="unreadable")
    if not signed.signed_by(key, "tap"):
        return Item(document, claimed_seq(signed.payload, device_id), why="bad_signature")
    try:
        said = read_statement(signed.payload)
    except Unreadable:
        return Item(document, claimed_seq(signed.payload, device_id), why="unreadable")
    if said.dev != device_id:
        return Item(document, None, why="other_device")
    return _new_item(document, said.seq, signed.hash, said)
