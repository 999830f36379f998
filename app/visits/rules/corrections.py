"""What people changed afterwards (DOMAIN.md 2.2 row 34, 2.1 row 24): an input beside the taps, never an edit.

Applied in order of (made_at, correction_id), the later wins per field. One that names no visit, or would end a visit
before its start, has no effect and is a finding. Readings chosen where DOMAIN.md leaves a doubt: one that states
nothing new, a `set_staff` to somebody not employed then and a `set_client` to a client nobody knows have no effect
either (the visit would belong to nobody, and nobody could put it right); a cancelled visit stays cancelled.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from app.core import ids
from app.core.localtime import local_date
from app.facts import Correction, Directory, Finding, ManualVisit, Tap
from app.visits.rules.stay import Stay

TapKey = tuple[str, int]
_NONE: tuple[Correction, ...] = ()


@dataclass(frozen=True, slots=True)
class Corrections:
    """All corrections (or those of a stretch), found by what they name; each list in the order of application."""

    by_tap: Mapping[TapKey, tuple[Correction, ...]]
    by_manual: Mapping[str, tuple[Correction, ...]]
    by_device: Mapping[str, tuple[Correction, ...]]
    """`set_staff_of_device` by device."""
    nowhere: tuple[Correction, ...] = ()
    """Those that name neither a tap, nor a manual visit, nor a device and a person."""

    @classmethod
    def of(cls, corrections: Iterable[Correction]) -> Corrections:
        """Sort and index; any order in, the same out."""
        by_tap: dict[TapKey, list[Correction]] = defaultdict(list)
        by_manual: dict[str, list[Correction]] = defaultdict(list)
        by_device: dict[str, list[Correction]] = defaultdict(list)
        nowhere: list[Correction] = []
        for one in sorted(corrections, key=_order):
            if one.kind == "set_staff_of_device":
                (by_device[one.device_id] if one.device_id and one.new_staff_id else nowhere).append(one)
            elif one.kom_device_id and one.kom_seq is not None:
                by_tap[one.kom_device_id, one.kom_seq].append(one)
            else:
                (by_manual[one.manual_id] if one.manual_id else nowhere).append(one)
        return cls(
            {key: tuple(rows) for key, rows in by_tap.items()},
            {key: tuple(rows) for key, rows in by_manual.items()},
            {key: tuple(rows) for key, rows in by_device.items()},
            tuple(nowhere),
        )

    def of_stay(self, stay: Stay) -> tuple[Correction, ...]:
        """Those that name the stay by its KOM or its GICK."""
        if not self.by_tap:
            return _NONE
        kom = self.by_tap.get((stay.kom.device_id, stay.kom.seq), _NONE) if stay.kom else _NONE
        gick = self.by_tap.get((stay.gick.device_id, stay.gick.seq), _NONE) if stay.gick else _NONE
        return tuple(sorted(kom + gick, key=_order)) if kom and gick else kom or gick

    def restaffing(self, tap: Tap) -> Correction | None:
        """Row 24: the correction that says who used the tap's device then; of several the last one made."""
        found = None
        for one in self.by_device.get(tap.device_id, _NONE):
            if one.covers(tap.device_id, tap.at):
                found = one
        return found


def _order(correction: Correction) -> tuple[datetime, str]:
    return correction.made_at, correction.correction_id


def restaff(taps: Iterable[Tap], corrections: Corrections) -> tuple[tuple[Tap, ...], frozenset[str]]:
    """Row 24, before pairing: the taps under the person who really used the phone; the ids of those corrections that
    cover a tap (the others name no visit)."""
    if not corrections.by_device:
        return tuple(taps), frozenset()
    used: set[str] = set()
    result = []
    for tap in taps:
        covering = [one for one in corrections.by_device.get(tap.device_id, _NONE) if one.covers(tap.device_id, tap.at)]
        used.update(one.correction_id for one in covering)
        result.append(replace(tap, staff_id=covering[-1].new_staff_id) if covering else tap)
    return tuple(result), frozenset(used)


class Told:
    """What a stay or a manual visit is after its corrections; `start_by`/`end_by` stated that end by hand."""

    __slots__ = (
        "cancelled",
        "client_id",
        "effective",
        "end_at",
        "end_by",
        "failed",
        "staff_id",
        "start_at",
        "start_by",
    )

    def __init__(self, staff_id: str, start_at: datetime | None, end_at: datetime | None) -> None:
        self.staff_id, self.start_at, self.end_at = staff_id, start_at, end_at
        self.client_id = ""
        self.start_by: Correction | None = None
        self.end_by: Correction | None = None
        self.cancelled = False
        self.effective: list[Correction] = []
        self.failed: list[tuple[Correction, str]] = []

    def apply(self, correction: Correction, directory: Directory) -> None:
        """Let one correction take effect, or note why it has none."""
        if correction.kind == "set_times":
            why = self._set_times(correction)
        elif correction.kind == "set_staff":
            why = self._set_staff(correction, directory)
        elif correction.kind == "set_client":
            why = "" if correction.new_client_id in directory.clients else "unknown_client"
            self.client_id = self.client_id if why else correction.new_client_id
        else:
            why, self.cancelled = "", True
        if why:
            self.failed.append((correction, why))
        else:
            self.effective.append(correction)

    def _set_times(self, correction: Correction) -> str:
        start_at, end_at = correction.new_start_at or self.start_at, correction.new_end_at or self.end_at
        if correction.new_start_at is None and correction.new_end_at is None:
            return "states_nothing"
        if start_at is not None and end_at is not None and end_at < start_at:
            return "ends_before_start"
        self.start_at, self.end_at = start_at, end_at
        self.start_by = correction if correction.new_start_at is not None else self.start_by
        self.end_by = correction if correction.new_end_at is not None else self.end_by
        return ""

    def _set_staff(self, correction: Correction, directory: Directory) -> str:
        at = self.start_at or self.end_at
        if at is None or directory.employment_on(correction.new_staff_id, local_date(at)) is None:
            return "unknown_staff"
        self.staff_id = correction.new_staff_id
        return ""


def told_of_stay(stay: Stay, corrections: Corrections, directory: Directory) -> Told:
    """The stay after its corrections (and the restaffing of its taps, which has taken effect before pairing)."""
    told = Told(stay.staff_id, stay.kom.at if stay.kom else None, stay.gick.at if stay.gick else None)
    if corrections.by_device:
        moved = {
            one.correction_id: one for tap in (stay.kom, stay.gick) if tap and (one := corrections.restaffing(tap))
        }
        told.effective.extend(moved.values())
    for correction in corrections.of_stay(stay):
        told.apply(correction, directory)
    return told


def told_of_manual(manual: ManualVisit, corrections: Corrections, directory: Directory) -> Told:
    """The manual visit after its corrections. An end stated before its own start is no end."""
    start_at, end_at = manual.start_at, manual.end_at
    if start_at is not None and end_at is not None and end_at < start_at:
        end_at = None
    told = Told(manual.staff_id, start_at, end_at)
    told.client_id = manual.client_id
    for correction in corrections.by_manual.get(manual.manual_id, _NONE):
        told.apply(correction, directory)
    return told


def without_effect(correction: Correction, directory: Directory) -> Finding:
    """`correction_without_effect` for one that names no visit; the provider of the device it names sees it."""
    device = directory.devices.get(correction.kom_device_id or correction.device_id)
    return Finding(
        finding_id=ids.finding_id("correction_without_effect", correction.correction_id),
        code="correction_without_effect",
        at=correction.made_at,
        provider_id=device.provider_id if device else "",
        taps=((correction.kom_device_id, correction.kom_seq),)
        if correction.kom_device_id and correction.kom_seq is not None
        else (),
        facts=(("correction_ids", correction.correction_id), ("kind", correction.kind), ("why", "names_no_visit")),
    )
