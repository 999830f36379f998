"""The closed table of finding codes: where each comes from, whether it can hold a visit, how it is born.

A code that is not here cannot be shown; `tests/rules/test_codes.py` holds rules and texts against this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

About = Literal["visit", "tap", "plan", "decline", "correction", "device", "account", "client", "staff"]


@dataclass(frozen=True, slots=True)
class FindingCode:
    """One code. `can_hold`: the policy keys `holds` and `holds_until_resolved` know it."""

    code: str
    about: About
    source: str
    """Where in the domain it is decided."""
    can_hold: bool = False
    born_resolved: bool = False


_TABLE = (
    FindingCode("kom_without_gick", "visit", "DOMAIN 2.1 rows 2, 4, 5"),
    FindingCode("gick_without_kom", "visit", "DOMAIN 2.1 rows 3, 5"),
    FindingCode("wrong_client_gick", "visit", "DOMAIN 2.1 row 6"),
    FindingCode("repeated_tap", "tap", "DOMAIN 2.1 row 7", born_resolved=True),
    FindingCode("too_short", "visit", "DOMAIN 2.1 rows 9, 11"),
    FindingCode("too_long", "visit", "DOMAIN 2.1 row 11", can_hold=True),
    FindingCode("acts_reversed", "visit", "DOMAIN 2.1 row 10"),
    FindingCode("unordered_second_staff", "visit", "DOMAIN 2.1 row 13"),
    FindingCode("unknown_tag", "tap", "DOMAIN 2.1 row 15"),
    FindingCode("unknown_staff", "tap", "DOMAIN 2.1 row 17"),
    FindingCode("no_order", "visit", "DOMAIN 2.1 row 18"),
    FindingCode("overlap", "visit", "DOMAIN 2.1 row 20", can_hold=True),
    FindingCode("implausible_move", "tap", "DOMAIN 2.1 row 21"),
    FindingCode("grant_expired", "visit", "DOMAIN 2.1 row 25"),
    FindingCode("grant_invalid", "visit", "EVIDENCE 1"),
    FindingCode("foreign_device", "visit", "DOMAIN 2.1 row 25"),
    FindingCode("revoked_device", "visit", "DOMAIN 2.1 row 25", can_hold=True),
    FindingCode("unconfirmed", "visit", "DOMAIN 2.2 row 33", can_hold=True),
    FindingCode("correction_without_effect", "correction", "DOMAIN 2.2 row 34"),
    FindingCode("visit_in_absence", "visit", "DOMAIN 2.2 row 35", can_hold=True),
    FindingCode("client_disputes", "visit", "DOMAIN 2.2 row 38", can_hold=True),
    FindingCode("grade_d", "visit", "DOMAIN 2.3, EVIDENCE 1", can_hold=True),
    FindingCode("tag_level", "visit", "DOMAIN 2.3, EVIDENCE 2", can_hold=True),
    FindingCode("visit_missed", "plan", "DOMAIN 2.4"),
    FindingCode("order_changed_after_close", "account", "DOMAIN 3"),
    FindingCode("order_misfit", "account", "DOMAIN 3"),
    FindingCode("excess_without_reason", "account", "DOMAIN 3, 9"),
    FindingCode("notice_contradicted", "decline", "DOMAIN 4"),
    FindingCode("possible_double_compensation", "account", "DOMAIN 4"),
    FindingCode("price_missing", "account", "DOMAIN 5"),
    FindingCode("staff_inactive", "staff", "DOMAIN 7"),
    FindingCode("clock_doubt", "visit", "DOMAIN 2.3, EVIDENCE 1"),
    FindingCode("tag_counter_replay", "visit", "EVIDENCE 2"),
    FindingCode("tag_counter_order", "visit", "EVIDENCE 2"),
    FindingCode("sun_invalid", "visit", "EVIDENCE 2"),
    FindingCode("seq_gap", "device", "EVIDENCE 1"),
    FindingCode("seq_fork", "device", "EVIDENCE 1"),
    FindingCode("chain_broken", "device", "EVIDENCE 1"),
    FindingCode("rejected_input", "device", "EVIDENCE 1"),
    FindingCode("contact_missing", "client", "CONTRACT 5, DOMAIN 1"),
    FindingCode("contact_without_title", "client", "CONTRACT 5, DOMAIN 1"),
)

CODES: Mapping[str, FindingCode] = {row.code: row for row in _TABLE}
HIDDEN_WHILE_OPEN = "kom_without_gick"
"""Doors hide it until the visit's `open_until_at`."""
