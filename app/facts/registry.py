"""Who and what exists, with validity. Ids are the city's own text. `valid_from`/`valid_to` are local dates, both
inclusive, an empty `valid_to` is open. `*_at` periods are half-open instants."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

Operation = Literal["municipal", "private"]
TagLevel = Literal["uid", "sun"]
Role = Literal["carer", "trainee", "health_care", "admin"]
Proof = Literal["both", "one_end", "none"]


@dataclass(frozen=True, slots=True)
class Provider:
    """A company or the city's own organisation that carries care out."""

    provider_id: str
    name: str
    operation: Operation
    minimum_tag_level: TagLevel = "uid"
    minimum_tag_level_from: date | None = None
    """First local day on which a visit under the level is held (end of the grace)."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A provider's office."""

    unit_id: str
    provider_id: str
    name: str
    phone: str = ""
    alert_to: str = ""


@dataclass(frozen=True, slots=True)
class Employment:
    """One staff_id's row from a date: same person (`person_key`) may have several employments."""

    staff_id: str
    valid_from: date
    valid_to: date | None
    person_key: str
    """Empty in the bundle means: the staff_id itself stands for the person (see `person`)."""
    unit_id: str
    provider_id: str
    """The unit's provider."""
    name: str = ""
    employment: str = "monthly"
    education: str = "none"
    education_document: bool = False
    in_training: bool = False
    role: Role = "carer"
    badge_uid: str = ""

    @property
    def person(self) -> str:
        """What identifies the human being: person_key, else the staff_id (prefixed, so that they never collide)."""
        return f"person:{self.person_key}" if self.person_key else f"staff:{self.staff_id}"


@dataclass(frozen=True, slots=True)
class Client:
    """The person who gets care at home. No personnummer: the city's own id."""

    client_id: str
    name: str = ""
    birth_date: date | None = None
    site_id: str = ""
    address: str = ""
    entry_note: str = ""
    protected_identity: bool = False
    target_group: str = ""

    @property
    def site(self) -> str:
        """Entrance or building; empty site_id = the client itself (DOMAIN.md 2.1 row 21)."""
        return f"site:{self.site_id}" if self.site_id else f"client:{self.client_id}"


@dataclass(frozen=True, slots=True)
class Contact:
    """The staff member named for a client; kind `contact` (kontaktperson) or `care_contact` (fast omsorgskontakt)."""

    client_id: str
    provider_id: str
    kind: Literal["contact", "care_contact"]
    valid_from: date
    valid_to: date | None
    staff_id: str


@dataclass(frozen=True, slots=True)
class TagRefusal:
    """DOMAIN.md 2.2 row 30: the client refuses the tag in this period; penalty-free."""

    client_id: str
    valid_from: date
    valid_to: date | None


@dataclass(frozen=True, slots=True)
class Tag:
    """A sticker at a client from an instant to an instant (half-open). Several clients with one uid = a household."""

    tag_uid: str
    client_id: str
    valid_from_at: datetime
    valid_to_at: datetime | None
    kind: TagLevel = "uid"


@dataclass(frozen=True, slots=True)
class Order:
    """The time a provider shall give a client, from a date to a date. Exactly one of the two minutes is given."""

    order_id: str
    client_id: str
    provider_id: str
    unit_id: str
    district: str
    valid_from: date
    valid_to: date | None
    minutes_per_month: int | None
    minutes_per_day: int | None
    max_staff: int = 1
    service: str = ""
    cost_code: str = ""


@dataclass(frozen=True, slots=True)
class OrderService:
    """A care service granted within an order."""

    order_id: str
    care_service: str
    care_area: str = ""
    times: int | None = None
    per: Literal["day", "week", "month"] | None = None
    standard_minutes: int | None = None
    proof: Proof = "both"


@dataclass(frozen=True, slots=True)
class Device:
    """A phone or reader. `kind` is `imported` for a device only known from an imported tap."""

    device_id: str
    provider_id: str
    """Empty = no provider's (imported or shared by the city)."""
    kind: str
    public_jwk: str = ""
    enrolled_at: datetime | None = None
    revoked_at: datetime | None = None
    replaces: str = ""


@dataclass(frozen=True, slots=True)
class Absence:
    """DOMAIN.md 2.2 row 35: the client is away from `from_on` to `to_on`; edge days hold nothing."""

    client_id: str
    from_on: date
    kind: Literal["hospital", "away", "dead"]
    to_on: date | None

    def holds_visit_on(self, on: date) -> bool:
        """A visit that starts strictly between the edge days (dead: any day after) is `visit_in_absence`."""
        if on <= self.from_on:
            return False
        return self.kind == "dead" or self.to_on is None or on < self.to_on

    def excuses_plan_on(self, on: date) -> bool:
        """DOMAIN.md 2.4: a plan in an absence (both edge days included) is not missed."""
        if on < self.from_on:
            return False
        return self.kind == "dead" or self.to_on is None or on <= self.to_on


@dataclass(frozen=True, slots=True)
class Outage:
    """DOMAIN.md 2.2 row 37; an empty provider_id means all providers. Half-open [from_at, to_at)."""

    outage_id: str
    provider_id: str
    from_at: datetime
    to_at: datetime | None
    reason: str = ""

    def covers(self, provider_id: str, at: datetime) -> bool:
        if self.provider_id and self.provider_id != provider_id:
            return False
        return self.from_at <= at and (self.to_at is None or at < self.to_at)


@dataclass(frozen=True, slots=True)
class Price:
    """Öre per unit for an operation, band and service from a date."""

    operation: Operation
    band: Literal["day", "night"]
    service: str
    """Visit class, a care_service when the unit is `care_service`; empty = care."""
    unit: Literal["hour", "visit", "care_service", "month"]
    valid_from: date
    amount_ore: int
