"""Secrets that must be read again (TOTP) are encrypted under a key in a 0600 file, `data`/secrets/access.keys.

One Fernet key a line; the first encrypts, all decrypt, so that a key is replaced by adding a line before the others.
"""

from __future__ import annotations

import contextlib
import os
from functools import lru_cache
from pathlib import Path

from cryptography.fernet import Fernet, MultiFernet

from app.refusals import Refused

KEYS_FILE = "access.keys"


class VaultUnfit(Refused):
    """The file of keys for people's factors cannot be used."""

    code = "secrets_unfit"


def open_vault(data: Path) -> MultiFernet:
    """The keys of the installation in `data`; made at first use. VaultUnfit."""
    path = data / "secrets" / KEYS_FILE
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_name(f"{KEYS_FILE}.{os.getpid()}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(Fernet.generate_key() + b"\n")
            out.flush()
            os.fsync(out.fileno())
        with contextlib.suppress(FileExistsError):  # another process was first; its key counts
            os.link(fresh, path)
        fresh.unlink()
    return _read(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _read(path: Path, _version: int) -> MultiFernet:
    if path.stat().st_mode & 0o077:
        raise VaultUnfit(f"{path} can be read by others: chmod 600 {path}")
    try:
        return MultiFernet([Fernet(line) for line in path.read_bytes().split()])
    except ValueError as error:
        raise VaultUnfit(f"{path} holds no usable keys") from error
