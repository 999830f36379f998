"""A device for tests: its own key and chain, everything signed as EVIDENCE.md section 1 says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from sqlalchemy import text

from app.db.callers import Caller
from app.db.engine import Database
from app.evidence.rules.reading import Upload
from app.evidence.rules.signatures import b64url, jwk_of, jwk_text

START = datetime(2026, 11, 22, 7, 0, tzinfo=UTC)


def instant(at: datetime) -> str:
    """As a device writes it."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class Device:
    """A phone or reader. `at` is the truth; `clock_error` what its wall clock adds; `mono` counts since `boot`."""

    device_id: str = "d_test"
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    at: datetime = START
    clock_error: timedelta = timedelta(0)
    boot: str = "b_1"
    booted_at: datetime = START - timedelta(hours=1)
    seq: int = 0
    prev: str = b64url(hashlib.sha256(b"").digest())
    ack: str | None = None
    nonces: int = 0

    @property
    def jwk(self) -> dict[str, str]:
        return jwk_of(self.key.public_key())

    @property
    def mono(self) -> int:
        return int((self.at - self.booted_at) / timedelta(milliseconds=1))

    def sign(self, typ: str, payload: Mapping[str, Any], header: str | None = None) -> str:
        """A compact JWS."""
        head = header if header is not None else f'{{"alg":"ES256","typ":"{typ}+jws"}}'
        signing_input = f"{b64url(head.encode())}.{b64url(json.dumps(payload, separators=(',', ':')).encode())}"
        r, s = decode_dss_signature(self.key.sign(signing_input.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signing_input}.{b64url(r.to_bytes(32) + s.to_bytes(32))}"

    def say(self, kind: str, **body: Any) -> str:
        """The next statement of the chain."""
        self.seq += 1
        payload = {
            "v": 1, "dev": self.device_id, "seq": self.seq, "prev": self.prev,
            "t": instant(self.at + self.clock_error), "boot": self.boot, "mono": self.mono, "ack": self.ack,
            "kind": kind, **body,
        }  # fmt: skip
        document = self.sign("tap", payload)
        self.prev = statement_hash(document)
        return document

    def tap(self, act: str = "KOM", uid: str = "04DE5F1EACC040", **body: Any) -> str:
        """Somebody taps."""
        tag = {"uid": uid, **({"sun": body.pop("sun")} if "sun" in body else {})}
        return self.say("tap", act=act, tag=tag, **{"staff": "s_1", **body})

    def head(self, **changed: Any) -> str:
        """The head of an upload made now."""
        self.nonces += 1
        payload = {
            "dev": self.device_id, "head_seq": self.seq, "head_hash": self.prev,
            "t": instant(self.at + self.clock_error), "boot": self.boot, "mono": self.mono,
            "nonce": f"nonce-{self.nonces:06d}", "agent_version": "test", **changed,
        }  # fmt: skip
        return self.sign("head", payload)

    def upload(self, taps: Sequence[str] = (), **head: Any) -> Upload:
        return Upload(self.head(**head), tuple(taps))

    def body(self, taps: Sequence[str] = (), **head: Any) -> bytes:
        """The same as bytes on the wire."""
        return json.dumps({"head": self.head(**head), "taps": list(taps)}).encode()

    def reboot(self) -> None:
        self.boot = f"b_{int(self.boot[2:]) + 1}"
        self.booted_at = self.at

    def wait(self, **time: float) -> None:
        self.at += timedelta(**time)


def statement_hash(document: str) -> str:
    """Identity of a statement, as devices spell it."""
    return b64url(hashlib.sha256(document.rpartition(".")[0].encode()).digest())


def register(database: Database, device: Device, *, confirmed: bool = True, provider_id: str = "p_1") -> Device:
    """The device in the registry, with its key."""
    with database.transaction(Caller.batch()) as connection:
        connection.execute(
            text(
                "INSERT INTO providers (provider_id, name, operation) VALUES (:p, :p, 'private') ON CONFLICT DO NOTHING"
            ),
            {"p": provider_id},
        )
        connection.execute(
            text(
                "INSERT INTO devices (device_id, provider_id, kind, public_jwk, enrolled_at)"
                " VALUES (:d, :p, 'reader', :k, :at)"
            ),
            {"d": device.device_id, "p": provider_id, "k": jwk_text(device.jwk), "at": START if confirmed else None},
        )
    return device


def rows(database: Database, query: str, **values: Any) -> list[tuple[Any, ...]]:
    """What the owner sees."""
    with database.transaction(Caller.batch(), read_only=True) as connection:
        return [tuple(row) for row in connection.execute(text(query), values)]


TAPS = (
    "SELECT device_id, seq, encode(hash, 'hex'), provider_id, act, tag_uid, staff_id, tapped_at, at, received_at,"
    " estimated_at, not_before, not_after, grade, doubts, tag_level, jws FROM taps ORDER BY device_id, seq, hash"
)
