"""What a seal covers, for the one who seals and the one who verifies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

MOST_RUNS = 2000
"""A file has at most so many check values: with more lines each stands for a run of them."""


def package_digest(package: Mapping[str, Any]) -> str:
    """SHA-256 over the whole of datapackage.json but its seal; 64 hex digits, the same however it is spaced."""
    covered = {name: value for name, value in package.items() if name != "seal"}
    return hashlib.sha256(json.dumps(covered, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
