"""The JSON bodies of the device routes. Unknown members are refused."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.evidence.rules.reading import MOST_TAPS, Upload

_Jws = Annotated[str, Field(max_length=64 * 1024)]


class Strict(BaseModel):
    """A body whose every member is known and of its exact type."""

    model_config = ConfigDict(extra="forbid", strict=True)


class UploadBody(Strict):
    """POST /device/taps: the signed head and at most 100 signed statements."""

    head: Annotated[str, Field(min_length=1, max_length=8192)]
    taps: Annotated[list[_Jws], Field(max_length=MOST_TAPS)]

    def from_wire(self) -> Upload:
        """As the evidence stage takes it."""
        return Upload(self.head, tuple(self.taps))


class Result(Strict):
    """One statement's lot: `stored`, `duplicate`, `quarantined` or `rejected`, with the codes of what was found."""

    seq: int | None
    status: Literal["stored", "duplicate", "quarantined", "rejected"]
    findings: list[str]


class ReceiptBody(Strict):
    """The answer after commit: the signed receipt, and its fields in clear."""

    receipt: str
    r: str
    dev: str
    upto: int
    upto_hash: str
    missing: list[int]
    recv: str
    nonce: str
    results: list[Result]
    revoked: bool = False


class Jwk(Strict):
    """A public P-256 key (RFC 7517)."""

    kty: Literal["EC"]
    crv: Literal["P-256"]
    x: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]
    y: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]


class EnrolBody(Strict):
    """POST /device/enrol: the one-use token, the device's public key, and the proof that it holds the private one."""

    token: Annotated[str, Field(min_length=16, max_length=128, pattern=r"^[A-Za-z0-9_-]+$")]
    public_jwk: Jwk
    proof: Annotated[str, Field(max_length=8192)]
    kind: Literal["reader", "phone"]
    agent_version: Annotated[str, Field(max_length=64, pattern=r"^[ -~]*$")]


class EnrolledBody(Strict):
    """Who the device is now; `thumbprint` is shown on both screens; `pending` until a manager confirms it."""

    device_id: str
    server_jwk: Jwk
    thumbprint: str
    state: Literal["confirmed", "pending"]
