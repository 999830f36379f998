"""Compact JWS with ES256, in exactly the forms of EVIDENCE.md section 1, and P-256 keys as JWK.

A header is compared byte for byte, never read: the algorithm is ES256 whatever a document says of itself. The identity
of a statement is the SHA-256 of its signing input, never of its signature, which anybody can turn into another one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from app.core.quick import quick

DocumentType = Literal["tap", "head", "receipt", "enrol", "grant", "bundle"]

_ECDSA = ec.ECDSA(hashes.SHA256())
_SIGNATURE_BYTES = 64
# A statement is ~520 bytes; an upload is at most 256 KiB. Nothing signed is ever near this.
_LONGEST_DOCUMENT = 64 * 1024


class Unreadable(ValueError):  # noqa: N818 -- named for what it says
    """Not a document of this form."""


def b64url(data: bytes) -> str:
    """Base64url without padding, as in JOSE."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def unb64url(text: str) -> bytes:
    """The bytes of unpadded base64url in its one canonical spelling. Unreadable for anything else."""
    rest = len(text) % 4
    try:
        data = binascii.a2b_base64(text.encode("ascii").translate(_TO_STANDARD) + _PADDING[rest], strict_mode=True)
    except ValueError as error:
        raise Unreadable("not base64url") from error
    # Strict mode refuses everything but bits of the last character that no byte uses.
    if rest and text[-1] not in _LAST[rest]:
        raise Unreadable("not the canonical base64url")
    return data


_TO_STANDARD = bytes.maketrans(b"-_+/=", b"+/!!!")
"""From base64url's alphabet to that which `binascii` reads; what is only in the latter becomes what is in neither."""
_PADDING = (b"", b"!", b"==", b"=")
_LAST = ("", "", "AQgw", "AEIMQUYcgkosw048")
"""With which characters a text ends of whose last quantum so many are there: those that leave the unused bits empty."""


def header_of(typ: DocumentType) -> bytes:
    """The one header a document of this type may have, decoded."""
    return b'{"alg":"ES256","typ":"%s+jws"}' % typ.encode()


@dataclass(frozen=True, slots=True)
class Signed:
    """A document taken apart, not verified: `signing_input` is what the signature covers."""

    header: bytes
    payload: bytes
    signature: bytes
    signing_input: bytes

    @property
    def hash(self) -> bytes:
        """The identity: SHA-256 of the signing input."""
        return hashlib.sha256(self.signing_input).digest()

    def signed_by(self, key: ec.EllipticCurvePublicKey, typ: DocumentType) -> bool:
        """Whether it is a document of this type with a valid signature of this key."""
        if self.header != header_of(typ) or len(self.signature) != _SIGNATURE_BYTES:
            return False
        r, s = int.from_bytes(self.signature[:32]), int.from_bytes(self.signature[32:])
        try:
            key.verify(encode_dss_signature(r, s), self.signing_input, _ECDSA)
        except (InvalidSignature, ValueError):
            return False
        return True


new_signed = quick(Signed)
_HEADERS = {b64url(header_of(typ)): header_of(typ) for typ in get_args(DocumentType)}
"""Known headers as documents spell them; any other is decoded."""


def take_apart(document: str) -> Signed:
    """Header, payload and signature of a compact JWS. Unreadable when it is none."""
    parts = document.split(".")
    if len(parts) != 3 or len(document) > _LONGEST_DOCUMENT or not document.isascii():
        raise Unreadable("not a compact JWS")
    header, payload, signature = parts
    return new_signed(
        _HEADERS.get(header) or unb64url(header),
        unb64url(payload),
        unb64url(signature),
        document[: -len(signature) - 1].encode("ascii"),
    )


def read_object(payload: bytes) -> dict[str, Any]:
    """The JSON object of a payload: UTF-8, no member twice, no NaN, no NUL, no lone surrogate. Unreadable otherwise."""
    try:
        text = payload.decode("utf-8")
        content = _JSON.decode(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable("not a JSON object") from error
    if not isinstance(content, dict):
        raise Unreadable("not a JSON object")
    if "\\u" in text or "\x00" in text:
        _refuse_odd_text(content)
    return content


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Unreadable("a member twice")
    return members


def _refuse_constant(name: str) -> Any:
    raise Unreadable(f"{name} is no number")


_JSON = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_refuse_constant)


def _refuse_odd_text(content: Any) -> None:
    """Raw UTF-8 cannot hold a lone surrogate; an escape can, and it can hold NUL."""
    written = json.dumps(content, ensure_ascii=False)
    if "\\u0000" in written:
        raise Unreadable("NUL in a text")
    try:
        written.encode("utf-8")
    except UnicodeEncodeError as error:
        raise Unreadable("a lone surrogate in a text") from error


def sign(key: ec.EllipticCurvePrivateKey, typ: DocumentType, payload: Mapping[str, Any]) -> str:
    """The payload as a compact JWS, members in the order given."""
    text = json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    signing_input = f"{b64url(header_of(typ))}.{b64url(text)}"
    r, s = decode_dss_signature(key.sign(signing_input.encode("ascii"), _ECDSA))
    return f"{signing_input}.{b64url(r.to_bytes(32) + s.to_bytes(32))}"


@lru_cache(maxsize=16384)
def public_key(jwk: str) -> ec.EllipticCurvePublicKey:
    """The P-256 key of a JWK as JSON text. Unreadable when it is none."""
    return key_of_jwk(read_object(jwk.encode("utf-8")))


def key_of_jwk(jwk: Mapping[str, Any]) -> ec.EllipticCurvePublicKey:
    """The P-256 key of a JWK: exactly kty, crv, x, y, a point on the curve. Unreadable otherwise."""
    if set(jwk) != {"kty", "crv", "x", "y"} or jwk["kty"] != "EC" or jwk["crv"] != "P-256":
        raise Unreadable("not a public P-256 key")
    if not isinstance(jwk["x"], str) or not isinstance(jwk["y"], str):
        raise Unreadable("coordinates are base64url texts")
    x, y = unb64url(jwk["x"]), unb64url(jwk["y"])
    if len(x) != 32 or len(y) != 32:
        raise Unreadable("a coordinate has 32 bytes")
    try:
        return ec.EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), ec.SECP256R1()).public_key()
    except ValueError as error:
        raise Unreadable("not a point on P-256") from error


def jwk_of(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    """A public key as JWK."""
    numbers = key.public_numbers()
    return {"kty": "EC", "crv": "P-256", "x": b64url(numbers.x.to_bytes(32)), "y": b64url(numbers.y.to_bytes(32))}


def jwk_text(jwk: Mapping[str, str]) -> str:
    """A public JWK as the registry stores it: RFC 7638's members in its order, no spaces."""
    return json.dumps({name: jwk[name] for name in ("crv", "kty", "x", "y")}, separators=(",", ":"))


def jwk_thumbprint(jwk: Mapping[str, str]) -> bytes:
    """RFC 7638 thumbprint: SHA-256 of the canonical members."""
    return hashlib.sha256(jwk_text(jwk).encode()).digest()


def short_thumbprint(jwk: Mapping[str, str]) -> str:
    """The six characters both screens show at enrolment: base32 of the SHA-256 of the RFC 7638 thumbprint."""
    return base64.b32encode(hashlib.sha256(jwk_thumbprint(jwk)).digest()).decode("ascii")[:6]
