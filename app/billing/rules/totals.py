"""Control totals: what the first JSON object and the CSV trailer say about the lines (CONTRACT.md 4)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields

from app.core.ids import digest_text
from app.facts.derived import BillingLine

_UNHASHED = frozenset({"changed_at", "state"})


@dataclass(frozen=True, slots=True)
class ControlTotals:
    """How many lines, their minutes and öre, and a hash over them that does not depend on their order."""

    lines: int
    minutes: int
    amount_ore: int
    hash: str


def control_totals(lines: Iterable[BillingLine]) -> ControlTotals:
    """The totals of a list of lines. The hash leaves out when a line changed and whether it is settled yet."""
    rows = list(lines)
    names = [field.name for field in fields(BillingLine) if field.name not in _UNHASHED]
    texts = sorted([str(getattr(line, name)) for name in names] for line in rows)
    return ControlTotals(
        len(rows),
        sum(line.minutes for line in rows),
        sum(line.amount_ore for line in rows),
        digest_text(json.dumps(texts)),
    )
