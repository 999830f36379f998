"""What was read of the evidence and what is wrong with it: filled by `signed`, `taps` and `chains`."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.core.localtime import parse_instant
from app.evidence.rules.signatures import b64url
from app.facts import Tap
from app.verify.bundle import Wrong

RECEIPTS = "receipts.jsonl"
TAPS, FORKS = "taps.csv", "forks.csv"
Place = tuple[str, int]
"""(file, line)."""


@dataclass(slots=True)
class Evidence:
    """What was read of the evidence, and what is wrong with it, check by check."""

    taps: list[Tap] = field(default_factory=list)
    forms: list[Wrong] = field(default_factory=list)
    signatures: list[Wrong] = field(default_factory=list)
    contents: list[Wrong] = field(default_factory=list)
    chain: list[Wrong] = field(default_factory=list)
    receipts: list[Wrong] = field(default_factory=list)
    signed: int = 0
    unsigned: int = 0
    documents: int = 0
    receipts_seen: int = 0
    quarantined: int = 0
    after_revocation: int = 0
    grants: dict[str, dict[str, Any]] = field(default_factory=dict)
    lines: dict[str, list[tuple[int, dict[str, Any]]]] = field(default_factory=lambda: defaultdict(list))
    said: dict[str, dict[int, dict[str, tuple[Place, str]]]] = field(default_factory=dict)
    """device -> seq -> hash (base64url) -> (where, prev)."""


def hash_text(value: Any) -> str:
    """A bytea as JSON shows it (`\\x...`) as base64url."""
    if not isinstance(value, str) or not value.startswith("\\x"):
        raise ValueError("a hash is written \\x...")
    return b64url(bytes.fromhex(value[2:]))


def instant_of(value: Any) -> datetime | None:
    """An instant of a JSON line; None where it is none."""
    return parse_instant(value) if isinstance(value, str) else None
