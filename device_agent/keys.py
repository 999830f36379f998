"""The device's key, and compact JWS with exactly the headers of EVIDENCE.md section 1.

Headers are compared, never trusted: the algorithm is ES256 whatever a document says of itself. The identity of a
statement is the SHA-256 of its signing input, never of its signature, which anybody can change into another valid one.
"""

import base64
import binascii
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

_ECDSA = ec.ECDSA(hashes.SHA256())


class BadSignature(Exception):  # noqa: N818 - named for what it says, like cryptography's InvalidSignature
    """The document is not a JWS of the expected type signed by the expected key."""


def b64url(data: bytes) -> str:
    """Base64url without padding, as in JOSE."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def unb64url(text: str) -> bytes:
    """The bytes of unpadded base64url in its one canonical spelling. Raises BadSignature for anything else."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadSignature("not base64url") from error
    if b64url(data) != text:
        raise BadSignature("not the canonical base64url")
    return data


def digest(data: bytes) -> str:
    """Base64url of the SHA-256."""
    return b64url(hashlib.sha256(data).digest())


NOTHING_BEFORE = digest(b"")
"""`prev` of a device's first statement: the hash of no bytes."""


def statement_hash(jws: str) -> str:
    """Identity of a statement: hash of its signing input (header.payload)."""
    return digest(jws.rpartition(".")[0].encode("ascii"))


def header(typ: str) -> str:
    """The one header this type of document may have, encoded."""
    return b64url(f'{{"alg":"ES256","typ":"{typ}"}}'.encode())


def payload_of(jws: str) -> dict[str, Any]:
    """The payload without any check of the signature. Raises BadSignature when it is no JWS with a JSON object."""
    parts = jws.split(".")
    if len(parts) != 3:
        raise BadSignature("not a compact JWS")
    try:
        payload = json.loads(unb64url(parts[1]))
    except ValueError as error:
        raise BadSignature("payload is not JSON") from error
    if not isinstance(payload, dict):
        raise BadSignature("payload is not an object")
    return payload


def verify(jws: str, jwk: Mapping[str, str], typ: str) -> dict[str, Any]:
    """The payload of a document of type `typ` signed by `jwk`. Raises BadSignature for everything else."""
    head, _, rest = jws.partition(".")
    signature = unb64url(rest.partition(".")[2])
    if head != header(typ) or len(signature) != 64:
        raise BadSignature("wrong header or signature form")
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
    try:
        signed = jws.rpartition(".")[0].encode("ascii")
        _public_key(jwk).verify(encode_dss_signature(r, s), signed, _ECDSA)
    except (InvalidSignature, ValueError) as error:
        raise BadSignature("the signature is not that key's") from error
    return payload_of(jws)


def _public_key(jwk: Mapping[str, str]) -> ec.EllipticCurvePublicKey:
    if jwk.get("kty") != "EC" or jwk.get("crv") != "P-256":
        raise BadSignature("not a P-256 key")
    x, y = (int.from_bytes(unb64url(str(jwk.get(name, "")))) for name in ("x", "y"))
    return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()


def jwk_digest(jwk: Mapping[str, str]) -> bytes:
    """RFC 7638 thumbprint of a P-256 key, as bytes. The members are in the order the RFC demands."""
    text = json.dumps({name: jwk[name] for name in ("crv", "kty", "x", "y")}, separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()


def short_thumbprint(jwk: Mapping[str, str]) -> str:
    """The six characters both screens show at enrolment: base32 of the SHA-256 of the RFC 7638 thumbprint."""
    return base64.b32encode(hashlib.sha256(jwk_digest(jwk)).digest()).decode("ascii")[:6]


class DeviceKey:
    """A P-256 private key. It is made on the device and never leaves it."""

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        self._private = private
        numbers = private.public_key().public_numbers()
        self.jwk: dict[str, str] = {
            "kty": "EC", "crv": "P-256", "x": b64url(numbers.x.to_bytes(32)), "y": b64url(numbers.y.to_bytes(32)),
        }  # fmt: skip

    @classmethod
    def load(cls, path: Path) -> "DeviceKey":
        """The key in `path`. Raises FileNotFoundError, or ValueError when it is no P-256 key."""
        private = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(private, ec.EllipticCurvePrivateKey) or private.curve.name != "secp256r1":
            raise ValueError("not a P-256 key")
        return cls(private)

    @classmethod
    def load_or_create(cls, path: Path) -> "DeviceKey":
        """The key in `path`; a new one, durable and readable by its owner only (0600), when there is none."""
        if path.exists():
            return cls.load(path)
        private = ec.generate_private_key(ec.SECP256R1())
        write_secret(path, private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption(),
        ))  # fmt: skip
        return cls(private)

    def sign(self, typ: str, payload: Mapping[str, Any]) -> str:
        """A compact JWS of the payload, members in the order given."""
        text = json.dumps(payload, separators=(",", ":"), ensure_ascii=False)
        return self.sign_again(f"{header(typ)}.{b64url(text.encode())}")

    def sign_again(self, signing_input: str) -> str:
        """A compact JWS over a signing input that is already fixed."""
        r, s = decode_dss_signature(self._private.sign(signing_input.encode("ascii"), _ECDSA))
        return f"{signing_input}.{b64url(r.to_bytes(32) + s.to_bytes(32))}"


def write_secret(path: Path, content: bytes) -> None:
    """Writes a 0600 file so that after a power cut it is either the old one or the new one, whole."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes a rename or a new file in the folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
