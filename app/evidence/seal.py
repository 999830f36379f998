"""The server's seal on an export: the hash of every file, signed, in datapackage.json.

Signatures of devices and the hash of a close prove what they cover; the seal covers the rest (registry, statements of
people, imported taps without signature), so that no byte of an export can be changed unseen. Beside the hashes stand
check values of runs of lines, so that `verify` can say where a file was changed. The server's public keys stand in the
seal; an auditor compares their thumbprint with the one the city publishes.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import IO, Any

from app.core.localtime import format_instant
from app.evidence.keys import Keyring
from app.evidence.rules.sealing import MOST_RUNS, package_digest
from app.evidence.rules.signatures import jwk_of
from app.registry.bundle.writer import Sink


class SealingSink:
    """A sink that notes size, hash and check values of everything written through it."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._notes: list[_Noted] = []

    @contextmanager
    def create(self, name: str) -> Any:
        """As the sink's own."""
        with self._sink.create(name) as target:
            noted = _Noted(name, target)
            yield noted
        self._notes.append(noted)

    def files(self) -> list[dict[str, Any]]:
        """What was written, as datapackage.json lists it."""
        return [note.as_json() for note in self._notes]


class _Noted:
    """A file that is written, with what is noted of it."""

    def __init__(self, name: str, target: IO[bytes]) -> None:
        self._name, self._target = name, target
        self._hash = hashlib.sha256()
        self._bytes = 0
        self._checks = bytearray()
        self._rest = b""

    def __enter__(self) -> _Noted:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """The file itself is closed by whoever opened it."""

    def write(self, data: bytes) -> int:
        chunk = bytes(data)
        self._hash.update(chunk)
        self._bytes += len(chunk)
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        for line in whole:
            self._checks += zlib.crc32(line).to_bytes(4)
        self._target.write(chunk)
        return len(chunk)

    def as_json(self) -> dict[str, Any]:
        checks = bytes(self._checks) + (zlib.crc32(self._rest).to_bytes(4) if self._rest else b"")
        lines = len(checks) // 4
        run = max(1, -(-lines // MOST_RUNS))
        if run > 1:
            parts = (checks[at : at + 4 * run] for at in range(0, len(checks), 4 * run))
            checks = b"".join(zlib.crc32(part).to_bytes(4) for part in parts)
        return {
            "path": self._name, "bytes": self._bytes, "hash": f"sha256:{self._hash.hexdigest()}",
            "lines": lines, "run": run, "checks": checks.hex(),
        }  # fmt: skip


def sealed_package(
    described: str, files: list[dict[str, Any]], keyring: Keyring | None, meant: Mapping[str, Any], at: datetime
) -> str:
    """datapackage.json with the list of files and, where there are keys, the seal over all of it."""
    package = {**json.loads(described), "files": files}
    if keyring is not None:
        keys = [jwk_of(key) for key in keyring.public_keys()]
        said = {"v": 1, "at": format_instant(at), **meant, "package": package_digest(package), "keys": keys}
        package["seal"] = keyring.sign("bundle", said)
    return json.dumps(package, ensure_ascii=False, indent=1) + "\n"
