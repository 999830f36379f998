"""The server's own keys, in files of mode 0600 under `data`/secrets, never in the database or the environment.

    server_keys.json   {"current": "1", "keys": {"1": "<PKCS#8 PEM>"}}   signs receipts and grants; made at first use
    sun_keys.json      {"1": {"meta_key": "<32 hex>", "master_key": "<32 hex>"}}   optional; the tags' keys by version

Versions stay when a new one is added: what an old key signed must remain verifiable.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from app.evidence.rules.signatures import DocumentType, jwk_of, sign
from app.evidence.sun import SunKeys
from app.refusals import Refused

SERVER_KEYS = "server_keys.json"
SUN_KEYS = "sun_keys.json"


class SecretsUnfit(Refused):
    """A file of secrets cannot be used."""

    code = "secrets_unfit"


@dataclass(frozen=True, slots=True)
class Keyring:
    """Everything secret the evidence stage needs. `sun` is newest first; empty where there are no SUN tags."""

    current: str
    server: Mapping[str, ec.EllipticCurvePrivateKey]
    sun: tuple[SunKeys, ...] = ()

    def sign(self, typ: DocumentType, payload: Mapping[str, Any]) -> str:
        """A document of the server, by its current key."""
        return sign(self.server[self.current], typ, payload)

    @property
    def public_jwk(self) -> dict[str, str]:
        """The current public key: what a device learns at enrolment and believes from then on."""
        return jwk_of(self.server[self.current].public_key())

    def public_keys(self) -> tuple[ec.EllipticCurvePublicKey, ...]:
        """Every version's public key, to verify what the server once signed."""
        return tuple(key.public_key() for key in self.server.values())


def open_keyring(data: Path) -> Keyring:
    """The keys of the installation in `data`; the server's signing key is made at first use. SecretsUnfit.

    Read once per process and file version.
    """
    folder = data / "secrets"
    path = folder / SERVER_KEYS
    if not path.exists():
        _make_server_keys(folder)
    sun = folder / SUN_KEYS
    return _read(path, path.stat().st_mtime_ns, sun, sun.stat().st_mtime_ns if sun.exists() else 0)


@lru_cache(maxsize=8)
def _read(server: Path, _server_version: int, sun: Path, sun_version: int) -> Keyring:
    content = _content(server)
    try:
        keys = {version: _private_key(pem) for version, pem in content["keys"].items()}
        ring = Keyring(content["current"], keys, _sun_keys(_content(sun)) if sun_version else ())
        ring.public_jwk  # noqa: B018 -- a current version without its key must fail here, not at the first tap
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SecretsUnfit(
            f"{server.parent} does not hold keys of the expected form ({type(error).__name__})"
        ) from error
    return ring


def _content(path: Path) -> Any:
    if path.stat().st_mode & 0o077:
        raise SecretsUnfit(f"{path} can be read by others: chmod 600 {path}")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SecretsUnfit(f"{path} is not JSON") from error


def _private_key(pem: str) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem.encode("ascii"), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise ValueError("not a P-256 key")
    return key


def _sun_keys(content: Mapping[str, Mapping[str, str]]) -> tuple[SunKeys, ...]:
    versions = sorted(((int(version), keys) for version, keys in content.items()), reverse=True)
    made = tuple(
        SunKeys(number, bytes.fromhex(keys["meta_key"]), bytes.fromhex(keys["master_key"])) for number, keys in versions
    )
    if any(len(keys.meta_key) != 16 or len(keys.master_key) != 16 for keys in made):
        raise ValueError("AES-128 keys have 16 bytes")
    return made


def _make_server_keys(folder: Path) -> None:
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_secret(folder / SERVER_KEYS, json.dumps({"current": "1", "keys": {"1": pem.decode("ascii")}}))


def write_secret(path: Path, content: str) -> None:
    """Write a new 0600 file, whole and durable; when another process was first, its file stays."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)  # unlike a rename, a link never replaces what is there
    draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)
