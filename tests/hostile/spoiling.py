"""Bad input, made from good: one value of a JSON body, one byte of a document, one cell of a file."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from typing import Any

from tests.flows.bundles import Bundle

TEXTS: Sequence[str] = (
    "", " ", "\x00", "a\x00b", "\ud800", "\udfff\ud800", "\u202e", "\ufeff", "🜁" * 40, "x" * 129, "x" * 5000, "ÅÄÖ",
    "'; DROP TABLE taps; --", "../../../../etc/passwd", "%00", "%s%n", "{{7*7}}", "${jndi:x}",
    "<script>alert(1)</script>", "=1+1", "-1", "0", "1e400", "NaN", "true", "null", "0x10", "１２", "9" * 40,
    "0000-00-00", "0001-01-01", "9999-12-31", "10000-01-01", "2026-02-30", "2026-13-01", "2026-W05-1", "20261005",
    "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00",
    "2026-10-25T02:30:00", "2026-10-25T02:30:00+02:00", "2026-10-05T24:00:00Z", "2026-10-05T08:00:60Z",
    "2026-10-05T08:00:00+25:00", "2026-10-05T08:00:00.123456789Z", "1970-01-01T00:00:00Z", "2031-05-05T05:05:05Z",
    "2026-00", "0000-01", "9999-12", "2026-13", "2026-1",
)  # fmt: skip
"""What people, programs and attackers write where something else is meant."""

NUMBERS: Sequence[Any] = (
    0, -1, 1, 2, 59, 101, 2**15, 2**31 - 1, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63) - 1, 10**40, 0.5, -0.0, 1e308, 1.0,
)  # fmt: skip
OTHERS: Sequence[Any] = (None, True, False, [], {}, [[]], [None], {"": ""}, {"__proto__": {}}, [[[[[[]]]]]])


def bad_value(dice: random.Random) -> Any:
    """Any value where another one is meant."""
    return copy.deepcopy(dice.choice(dice.choice((TEXTS, TEXTS, NUMBERS, OTHERS))))


def spoilt(value: Any, dice: random.Random) -> Any:
    """A copy of a JSON value with one member replaced, left out, doubled into a list, or added."""
    return _spoil(copy.deepcopy(value), dice)


def _spoil(value: Any, dice: random.Random) -> Any:
    if isinstance(value, dict) and value and dice.random() < 0.9:
        name = dice.choice(sorted(value))
        kind = dice.random()
        if kind < 0.1:
            del value[name]
        elif kind < 0.15:
            value[bad_name(dice)] = bad_value(dice)
        else:
            value[name] = _spoil(value[name], dice)
        return value
    if isinstance(value, list) and value and dice.random() < 0.9:
        place = dice.randrange(len(value))
        if dice.random() < 0.15:
            return value * dice.choice((2, 30))
        value[place] = _spoil(value[place], dice)
        return value
    return [value, value] if dice.random() < 0.05 else bad_value(dice)


def bad_name(dice: random.Random) -> str:
    """A member nobody knows."""
    return dice.choice(("extra", "", "__class__", "id", "provider", "\ud800", "x" * 300))


def spoilt_bytes(content: bytes, dice: random.Random) -> bytes:
    """A byte changed, dropped, doubled or put in; cut short; or a piece moved."""
    if not content:
        return dice.randbytes(dice.randrange(1, 40))
    at = dice.randrange(len(content))
    kind = dice.randrange(7)
    if kind == 0:
        return content[:at] + bytes([content[at] ^ (1 << dice.randrange(8))]) + content[at + 1 :]
    if kind == 1:
        return content[:at] + content[at + dice.randrange(1, 9) :]
    if kind == 2:
        return content[:at] + dice.randbytes(dice.randrange(1, 9)) + content[at:]
    if kind == 3:
        return content[:at]
    if kind == 4:
        return content[at:] + content[:at] if at else content + content
    if kind == 5:
        return content[:at] + bytes([dice.randrange(256)]) + content[at + 1 :]
    return content + dice.choice((b"\x00", b"}", b"]", b"\xff", b"," * 50, b"[" * 3000))


WRONG_CELLS: Sequence[tuple[str, str, str]] = (
    ("providers.csv", "operation", "publik"), ("providers.csv", "operation", ""),
    ("providers.csv", "provider_id", ""), ("providers.csv", "provider_id", "P1\x00"),
    ("units.csv", "provider_id", "P404"), ("staff.csv", "unit_id", "U404"),
    ("staff.csv", "valid_from", "2026-02-30"), ("staff.csv", "employment", "weekly"),
    ("staff.csv", "badge_uid", "08A1B2C3"), ("clients.csv", "birth_date", "yesterday"),
    ("clients.csv", "client_id", ""), ("tags.csv", "tag_uid", "08A1B2C3"),
    ("clients.csv", "protected_identity", "perhaps"), ("tags.csv", "kind", "gold"),
    ("tags.csv", "client_id", "C404"), ("tags.csv", "valid_from_at", "2026-01-01"),
    ("tags.csv", "valid_from_at", "2026-01-01T00:00:00"), ("orders.csv", "minutes_per_month", "-1"),
    ("orders.csv", "minutes_per_month", "1e3"), ("orders.csv", "minutes_per_month", "9" * 30),
    ("orders.csv", "valid_from", "10000-01-01"), ("orders.csv", "provider_id", "P404"),
    ("devices.csv", "enrolled_at", "soon"), ("taps.csv", "seq", "0x1"),
    ("taps.csv", "seq", ""), ("taps.csv", "seq", "9" * 30), ("taps.csv", "act", "KOMMIT"),
    ("taps.csv", "tapped_at", "08:00"), ("taps.csv", "tapped_at", "2026-11-02T08:00:00"),
    ("taps.csv", "device_id", ""), ("taps.csv", "service", "spa"), ("planned_visits.csv", "staff_count", "x"),
    ("planned_visits.csv", "start_at", "2026-11-02"), ("planned_visits.csv", "client_id", "C404"),
    ("declines.csv", "notice", "maybe"), ("declines.csv", "staff_count", "-1"),
    ("manual_visits.csv", "reason", "lust"), ("manual_visits.csv", "start_at", "25:00"),
    ("corrections.csv", "kind", "erase"), ("disputes.csv", "on_date", "2026-2-1"),
    ("corrections.csv", "made_at", "now"), ("excess_reasons.csv", "minutes", "ten"),
    ("excess_reasons.csv", "month", "2026-13"), ("absences.csv", "kind", "bored"),
    ("absences.csv", "from_on", "02/01/2026"), ("staff_hours.csv", "minutes", "-5"),
    ("outages.csv", "from_at", "x"), ("prices.csv", "amount_ore", "4.85"), ("prices.csv", "unit", "week"),
    ("contacts.csv", "kind", "friend"), ("contacts.csv", "staff_id", "S404"),
    ("order_services.csv", "order_id", "O404"),
)  # fmt: skip
"""(file, column, a value that CONTRACT.md section 2 does not allow there)."""


def wrong_bundle(bundle: Bundle, dice: random.Random) -> tuple[Bundle, str, str]:
    """A copy of a bundle with one cell that cannot be; its file and column."""
    file, column, value = dice.choice([one for one in WRONG_CELLS if one[0] in bundle])
    changed = copy.deepcopy(bundle)
    changed[file][dice.randrange(len(changed[file]))][column] = value
    return changed, file, column
