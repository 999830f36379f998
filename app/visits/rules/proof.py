"""How well the taps of a visit are proved: grade, devices, tag level, doubts (DOMAIN.md 2.1 row 25, 2.3).

An end stated by hand is grade C whatever was tapped there, and has no tag level; who tapped on which device does not
change with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from app.facts import Directory, Finding, Tap, Visit
from app.facts.statements import Grade
from app.visits.rules.about import about_visit


def weaker(one: Grade, other: Grade) -> Grade:
    """A visit's grade is the weaker of its ends' (A strongest, D weakest)."""
    return max(one, other)


def proof_findings(
    visit: Visit, taps: tuple[Tap, ...], tapped_ends: tuple[Tap, ...], on: date, directory: Directory
) -> Iterator[Finding]:
    """One finding per code. `taps`: the KOM and GICK there are; `tapped_ends`: those whose stamp still stands."""
    if visit.grade == "D":
        yield about_visit(visit, "grade_d", holds=True)
    for tap in taps:
        if tap.doubts:
            yield from _doubts(visit, taps)
            break
    devices = directory.devices
    foreign = revoked = False
    for tap in taps:
        device = devices.get(tap.device_id)
        if device is not None:
            foreign = foreign or (device.provider_id not in ("", visit.provider_id))
            revoked = revoked or (device.revoked_at is not None and tap.received_at >= device.revoked_at)
    if foreign:
        yield about_visit(visit, "foreign_device")
    if revoked:
        yield about_visit(visit, "revoked_device", holds=True)
    provider = directory.providers.get(visit.provider_id)
    if provider is not None and provider.minimum_tag_level == "sun":
        since = provider.minimum_tag_level_from
        if (since is None or since <= on) and any(tap.tag_level != "sun" for tap in tapped_ends):
            yield about_visit(visit, "tag_level", holds=True)


def _doubts(visit: Visit, taps: tuple[Tap, ...]) -> Iterator[Finding]:
    for code in sorted({doubt for tap in taps for doubt in tap.doubts}):
        yield about_visit(visit, code)
