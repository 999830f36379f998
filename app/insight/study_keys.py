"""A study's key: what its pseudonyms are made with, a file of mode 0600 in the data folder's secrets/studies.

The same key gives the same pseudonyms in every delivery; without it nobody can tell whose they were. It is never in the
database, so that a copy of the database does not carry it. Backups of the secrets do: they end by their own retention.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from app.refusals import Conflict, Invalid, NotFound

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_KEY_BYTES = 32
_DIGITS = 16

Pseudonym = Callable[[str, str], str]
"""(kind of thing, id) -> pseudonym."""


def checked_name(study: str) -> str:
    """The study's name; Invalid unless it is short, lower-case letters, digits and hyphens."""
    if not _NAME.fullmatch(study):
        raise Invalid("a study's name is up to 40 lower-case letters, digits and hyphens")
    return study


def make_key(data: Path, study: str) -> None:
    """Make the study's key. Conflict where it has one."""
    folder = _folder(data)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        place = os.open(folder / f"{study}.key", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise Conflict(f"study {study} has a key already") from error
    with os.fdopen(place, "wb") as file:
        file.write(secrets.token_bytes(_KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())


def has_key(data: Path, study: str) -> bool:
    return (_folder(data) / f"{study}.key").is_file()


def pseudonyms(data: Path, study: str) -> Pseudonym:
    """The study's pseudonyms: 16 hex digits, keyed SHA-256 over kind and id. NotFound without its key."""
    try:
        key = (_folder(data) / f"{study}.key").read_bytes()
    except FileNotFoundError as error:
        raise NotFound(f"study {study} has no key") from error

    @lru_cache(maxsize=1_000_000)
    def pseudonym(kind: str, name: str) -> str:
        return hmac.new(key, f"{kind}\0{name}".encode(), sha256).hexdigest()[:_DIGITS] if name else ""

    return pseudonym


def destroy_key(data: Path, study: str) -> None:
    """Overwrite and remove the key: its pseudonyms can never be made or followed again. NotFound."""
    path = _folder(data) / f"{study}.key"
    try:
        with path.open("r+b") as file:
            file.write(bytes(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
    except FileNotFoundError as error:
        raise NotFound(f"study {study} has no key") from error


def _folder(data: Path) -> Path:
    return data / "secrets" / "studies"
