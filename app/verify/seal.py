"""The seal: whether every byte of the export is as the server wrote it, and where it is not.

What a program on the way does to every line of a text - CRLF instead of LF, a byte order mark in front - changes
nothing that is said: where the bytes without it are those that were sealed, that is a note and nothing wrong.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from codecs import BOM_UTF8
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from app.core.month import Month
from app.evidence.rules.sealing import package_digest
from app.evidence.rules.signatures import Unreadable, key_of_jwk, read_object, short_thumbprint, take_apart
from app.verify.bundle import Bundle, Wrong

DESCRIPTION = "datapackage.json"


@dataclass(frozen=True, slots=True)
class Seal:
    """What the seal says: the server's keys, which month was exported (None: everything), and what is wrong.

    `notes` name the files whose line ends or byte order mark are other than sealed, and nothing else.
    """

    keys: tuple[ec.EllipticCurvePublicKey, ...] = ()
    thumbprints: tuple[str, ...] = ()
    month: Month | None = None
    sealed_at: str = ""
    wrong: tuple[Wrong, ...] = ()
    files: int = 0
    notes: tuple[str, ...] = ()


def check_seal(bundle: Bundle) -> Seal:
    """Read the seal and compare every file with it."""
    package = _package(bundle)
    if package is None:
        return Seal(wrong=(Wrong(DESCRIPTION, 0, "missing or unreadable: without it nothing says what was exported"),))
    document = package.get("seal")
    if not isinstance(document, str):
        return Seal(wrong=(Wrong(DESCRIPTION, 0, "no seal: this is no export of a server, or its seal was removed"),))
    try:
        signed = take_apart(document)
        said = read_object(signed.payload)
        jwks = [dict(jwk) for jwk in said["keys"]]
        keys = tuple(key_of_jwk(jwk) for jwk in jwks)
        month = Month.parse(said["month"]) if said["month"] else None
    except (Unreadable, KeyError, TypeError, ValueError) as error:
        return Seal(wrong=(Wrong(DESCRIPTION, 0, f"the seal cannot be read ({error})"),))
    wrong: list[Wrong] = []
    notes: list[str] = []
    if not any(signed.signed_by(key, "bundle") for key in keys):
        wrong.append(Wrong(DESCRIPTION, 0, "the seal's signature is not that of a key it names"))
    if said.get("package") != package_digest(package):
        wrong.append(Wrong(DESCRIPTION, 0, "its content is not what was sealed"))
    files = package.get("files")
    noted = {str(one.get("path")): one for one in files if isinstance(one, dict)} if isinstance(files, list) else {}
    for name in sorted(noted.keys() | {name for name in bundle.names if name != DESCRIPTION}):
        found = _compare(bundle, name, noted.get(name))
        if isinstance(found, Wrong):
            wrong.append(found)
        elif found:
            notes.append(found)
    prints = tuple(short_thumbprint(jwk) for jwk in jwks)
    return Seal(keys, prints, month, str(said.get("at", "")), tuple(wrong), len(noted), tuple(notes))


def _package(bundle: Bundle) -> dict[str, Any] | None:
    text = bundle.text(DESCRIPTION)
    try:
        package = json.loads(text) if text is not None else None
    except (ValueError, RecursionError):
        return None
    return package if isinstance(package, dict) else None


def _compare(bundle: Bundle, name: str, noted: Mapping[str, Any] | None) -> Wrong | str:
    """What is wrong with a file; else what is worth a note, or nothing."""
    if noted is None:
        return Wrong(name, 0, "a file that was not exported")
    if name not in bundle.names:
        return Wrong(name, 0, "was exported and is missing")
    as_it_is, plain, plain_rows = _Reading(), _Reading(plain=True, cells_too=True), _Reading(plain=True)
    try:
        _read(bundle, name, as_it_is)
        if as_it_is.is_what(noted):
            return ""
        _read(bundle, name, plain, plain_rows)
    except Exception as error:  # noqa: BLE001 -- zipfile raises BadZipFile and NotImplementedError for spoilt members
        return Wrong(name, 0, f"cannot be read ({error})")
    if plain.is_what(noted) or plain_rows.is_what(noted):
        return f"{name}: other line ends or byte order mark than exported, else as sealed"
    # Of the ways to read it, the one that goes on longest as sealed tells where it was changed.
    line, what = max(_where(bytes(one.checks), noted) for one in (as_it_is, plain, plain_rows))
    return Wrong(name, line, what)


class _Reading:
    """A file read line by line: as it is, or as if its lines had always ended in LF (those inside a cell: `cells_too`)
    and no byte order mark stood in front."""

    def __init__(self, *, plain: bool = False, cells_too: bool = False) -> None:
        self._plain, self._cells_too = plain, cells_too
        self._digest = hashlib.sha256()
        self._size = 0
        self.checks = bytearray()

    def take(self, line: bytes, *, first: bool, in_cell: bool) -> None:
        """The next line with its end. `in_cell`: the end lies between quotation marks."""
        if self._plain and first:
            line = line.removeprefix(BOM_UTF8)
        if self._plain and line.endswith(b"\r\n") and (self._cells_too or not in_cell):
            line = line[:-2] + b"\n"
        self._digest.update(line)
        self._size += len(line)
        self.checks += zlib.crc32(line.removesuffix(b"\n")).to_bytes(4)

    def is_what(self, noted: Mapping[str, Any]) -> bool:
        """Whether this is the content that was sealed."""
        return f"sha256:{self._digest.hexdigest()}" == noted.get("hash") and self._size == noted.get("bytes")


def _read(bundle: Bundle, name: str, *readings: _Reading) -> None:
    in_cell = False
    with bundle.open(name) as file:
        for number, line in enumerate(file):
            in_cell ^= line.count(b'"') % 2 == 1
            for reading in readings:
                reading.take(line, first=number == 0, in_cell=in_cell)


def _where(checks: bytes, noted: Mapping[str, Any]) -> tuple[int, str]:
    """The first line that differs and what can be said of it."""
    lines = len(checks) // 4
    try:
        run, sealed_lines, sealed = int(noted["run"]), int(noted["lines"]), bytes.fromhex(noted["checks"])
    except (KeyError, TypeError, ValueError):
        return 0, "differs from what was sealed"
    run = max(1, run)
    if run > 1:
        checks = b"".join(zlib.crc32(checks[at : at + 4 * run]).to_bytes(4) for at in range(0, len(checks), 4 * run))
    ours = [checks[at : at + 4] for at in range(0, len(checks), 4)]
    theirs = [sealed[at : at + 4] for at in range(0, len(sealed), 4)]
    first = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))
    line = first * run + 1
    where = "" if run == 1 else f" (one of the lines {line} to {line + run - 1})"
    if lines < sealed_lines:
        return line, f"{sealed_lines - lines} of {sealed_lines} lines are missing, the first one here{where}"
    if lines > sealed_lines:
        return line, f"{lines - sealed_lines} lines were added, the first one here{where}"
    if run == 1 and sorted(ours) == sorted(theirs):
        return line, "lines stand in another order than when sealed, from here on"
    return line, f"differs from what was sealed{where}"
