"""What a device or a person said: append-only, never changed, never refused when well-formed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from app.core.month import Month

Act = Literal["KOM", "GICK", "AUTO"]
Grade = Literal["A", "B", "C", "D"]
VisitClass = Literal["care", "meal", "alarm", "night_patrol", "digital", "phone"]
Notice = Literal["in_advance", "at_door", "absent"]

VISIT_CLASSES: tuple[VisitClass, ...] = ("care", "meal", "alarm", "night_patrol", "digital", "phone")
MANUAL_REASONS = (
    "forgot_kom", "forgot_gick", "forgot_both", "tag_broken", "tag_missing", "tag_refused", "phone_failure", "no_phone",
    "outage", "outside_home", "other",
)  # fmt: skip
CORRECTION_REASONS = (
    "wrong_time", "wrong_staff", "wrong_client", "wrong_grant", "duplicate", "not_carried_out", "dispute",
    "system_fault", "other",
)  # fmt: skip
EXCESS_REASONS = (
    "changed_need", "illness", "discharged_from_hospital", "end_of_life", "two_staff_needed", "emergency", "other",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tap:
    """One touch of a phone or reader on a tag, as the evidence stage hands it to the rules.

    Exactly one tap per (device_id, seq): the first received; another content is a fork, kept as evidence and shown as
    `seq_fork`, not a tap.
    """

    device_id: str
    seq: int
    act: Act
    tag_uid: str
    staff_id: str
    at: datetime
    """The stamp the rules use: the claim, or the estimate where a clock sample of the same boot shows more than
    2 minutes of error (then `clock_doubt` is among `doubts`)."""
    received_at: datetime
    service: VisitClass | None = None
    """None: not stated, so the matched plan's class, else care."""
    grade: Grade = "C"
    doubts: tuple[str, ...] = ()
    """Codes the evidence stage found on this tap: clock_doubt, tag_counter_replay, tag_counter_order, grant_expired,
    seq_gap. (revoked_device and foreign_device are judged by the visit rules from the registry.)"""
    tag_level: Literal["uid", "sun"] = "uid"
    """`sun` when a SUN value came with the tap and was verified."""

    @property
    def key(self) -> tuple[str, int]:
        return (self.device_id, self.seq)

    @property
    def order(self) -> tuple[datetime, str, int]:
        """DOMAIN.md 2: taps are ordered by (tapped_at, device_id, seq)."""
        return (self.at, self.device_id, self.seq)


@dataclass(frozen=True, slots=True)
class PlannedVisit:
    """What a planner intends; never a condition for a visit."""

    planned_id: str
    client_id: str
    provider_id: str
    staff_id: str
    start_at: datetime
    end_at: datetime
    service: VisitClass = "care"
    staff_count: int = 1
    withdrawn_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Decline:
    """The client said no, or nobody opened. `planned_*` times are those of the visit that was declined."""

    decline_id: str
    client_id: str
    provider_id: str
    planned_start_at: datetime
    planned_end_at: datetime
    staff_count: int
    notice: Notice
    noticed_at: datetime
    made_up_minutes: int = 0
    made_up_on: date | None = None


@dataclass(frozen=True, slots=True)
class ManualVisit:
    """A visit registered by hand with a reason (efterregistrering). One end may be missing (None)."""

    manual_id: str
    client_id: str
    provider_id: str
    staff_id: str
    start_at: datetime | None
    end_at: datetime | None
    service: VisitClass | None
    care_service: str
    reason: str
    note: str
    made_by: str
    approved_by: str


@dataclass(frozen=True, slots=True)
class Correction:
    """What, from, to, why, by whom, confirmed by whom (DOMAIN.md 2.2 row 34)."""

    correction_id: str
    made_at: datetime
    kind: Literal["set_times", "cancel_visit", "set_staff", "set_client", "set_staff_of_device"]
    kom_device_id: str
    kom_seq: int | None
    """(kom_device_id, kom_seq) names the visit by its KOM or its GICK; else manual_id names it."""
    manual_id: str
    device_id: str
    from_at: datetime | None
    to_at: datetime | None
    new_start_at: datetime | None
    new_end_at: datetime | None
    new_staff_id: str
    new_client_id: str
    reason: str
    note: str
    made_by: str
    approved_by: str

    @property
    def confirmed(self) -> bool:
        """Maker and confirmer are never the same (row 33)."""
        return bool(self.approved_by) and self.approved_by != self.made_by

    def covers(self, device_id: str, at: datetime) -> bool:
        """Does it say who used that device at that instant (2.1 row 24)? Its period is half-open."""
        if self.kind != "set_staff_of_device" or self.device_id != device_id:
            return False
        return (self.from_at is None or self.from_at <= at) and (self.to_at is None or at < self.to_at)


@dataclass(frozen=True, slots=True)
class Dispute:
    """A client or relative says that something on a day is wrong (row 38)."""

    dispute_id: str
    client_id: str
    on_date: date
    stated_at: datetime
    stated_by: str
    text: str
    state: Literal["open", "withdrawn", "rejected", "upheld"]


@dataclass(frozen=True, slots=True)
class ExcessReason:
    """Why more than the ceiling was needed, and what the commissioner decided (DOMAIN.md 3)."""

    reason_id: str
    client_id: str
    provider_id: str
    month: Month
    minutes: int
    reason: str
    note: str
    submitted_on: date
    decision: Literal["pending", "approved", "rejected"]
    approved_minutes: int | None
    """None = all of `minutes` when approved."""
    decided_on: date | None = None
    decided_by: str = ""
    decision_note: str = ""


@dataclass(frozen=True, slots=True)
class Resolution:
    """A person has dealt with a finding."""

    finding_id: str
    resolved_at: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Attest:
    """A provider says its month is ready (klarmarkering)."""

    provider_id: str
    month: Month
    at: datetime
    by: str
