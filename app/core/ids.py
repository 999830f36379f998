"""Identities that are computed, never drawn: the same evidence gives the same ids on every machine."""

from __future__ import annotations

import hashlib


def digest_text(*parts: str) -> str:
    """Hex SHA-256 of the parts, separated so that no two different lists of parts give the same text."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


def visit_id(device_id: str, seq: int, client_id: str | None = None) -> str:
    """DOMAIN.md 2.3: first 16 hex digits of SHA-256 of "device_id/seq", plus "/client_id" for a household."""
    text = f"{device_id}/{seq}" if client_id is None else f"{device_id}/{seq}/{client_id}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def manual_visit_id(manual_id: str) -> str:
    """DOMAIN.md 2.3: first 16 hex digits of SHA-256 of the manual_id."""
    return hashlib.sha256(manual_id.encode()).hexdigest()[:16]


def finding_id(code: str, *about: str) -> str:
    """CONTRACT.md 5: hash of the code and what the finding is about; 16 hex digits."""
    return digest_text(code, *about)[:16]
