"""The server's answer: believed only when signed by the key learnt at enrolment, for this device and this upload."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from device_agent.keys import BadSignature, verify


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the server has, as it signed it.

    r: the receipt's id. upto, upto_hash: everything to there is held. missing: numbers up to the head that are not.
    received_ms: the server's clock, milliseconds since 1970. results: (seq, status and findings) of the statements of
    this upload.
    """

    r: str
    upto: int
    upto_hash: str | None
    missing: frozenset[int]
    received_ms: int
    revoked: bool
    results: tuple[tuple[int, str], ...]


def read_receipt(body: bytes, nonce: str, dev: str, server_jwk: Mapping[str, str]) -> Receipt:
    """The receipt in the body of a 200. Raises BadSignature for anything that this server did not sign for this very
    upload.
    """
    try:
        answer = json.loads(body)
    except ValueError as error:
        raise BadSignature("the answer is not JSON") from error
    document = answer.get("receipt") if isinstance(answer, dict) else None
    if not isinstance(document, str) or not document.isascii():
        raise BadSignature("the answer holds no receipt")
    said = verify(document, server_jwk, "receipt+jws")
    if said.get("nonce") != nonce or said.get("dev") != dev:
        raise BadSignature("the receipt is for another upload")
    try:
        return _from_wire(said)
    except (KeyError, TypeError, ValueError) as error:
        raise BadSignature(f"the receipt cannot be read: {error}") from error


def _from_wire(said: dict[str, Any]) -> Receipt:
    received = datetime.fromisoformat(said["recv"])
    received = received if received.tzinfo else received.replace(tzinfo=UTC)
    return Receipt(
        r=str(said["r"]),
        upto=int(said["upto"]),
        upto_hash=said.get("upto_hash"),
        missing=frozenset(int(seq) for seq in said["missing"]),
        received_ms=int(received.timestamp() * 1000),
        revoked=said.get("revoked") is True,
        results=tuple(
            (int(item["seq"]), _said(item)) for item in said.get("results", ()) if item.get("seq") is not None
        ),
    )


def _said(item: Mapping[str, Any]) -> str:
    findings = ", ".join(map(str, item.get("findings") or ()))
    return f"{item.get('status', '')}: {findings}" if findings else str(item.get("status", ""))
