"""What devices say: the payloads of signed statements and heads, read strictly (EVIDENCE.md section 1).

Every statement has the envelope `v, dev, seq, prev, t, boot, mono, ack, kind`; the rest depends on `kind`:

    tap      act, tag{uid, sun?}, service?, staff?, grant?, staff_by?
    void     from_seq, to_seq, cause          numbers below this one that the device can no longer produce
    clock    nothing more                     the clock was set, or the device started
    decline  decline_id, client, planned_start, planned_end, notice, staff_count? (1), planned_id?, staff?, grant?,
             note_hash?                       a planned visit was declined; `t` is when it was noticed (noticed_at)
    done     client? or tag?, services[{care_service, count?}] (1-40), staff?, grant?, kom_seq?
                                              care services carried out; kom_seq: this device's KOM of the visit

Closed codes and ids only, no free text: a note goes beside the statement, erasable, and `note_hash` (base64url SHA-256
of salt and text) ties it to it. `planned_start`, `planned_end` and `t` are RFC 3339 in UTC with `Z`. An unknown
member, a wrong type or a value outside its bounds makes the statement unreadable; an unknown `v` is another thing: the
statement is stored and quarantined (`Unknown`).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from app.evidence.rules.signatures import Unreadable, read_object
from app.facts.statements import Act, Notice, VisitClass

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")
_HEX = re.compile(r"([0-9A-Fa-f]{2}){4,16}")
LARGEST_SEQ = 2**53 - 1
"""What every JSON reader keeps exact."""


def _instant(value: Any) -> Any:
    if not isinstance(value, str) or _INSTANT.fullmatch(value) is None:
        raise ValueError("an instant is RFC 3339 in UTC with Z")
    instant = datetime.fromisoformat(value).astimezone(UTC)
    if not 1900 <= instant.year <= 2999:
        raise ValueError("a year from 1900 to 2999")
    return instant


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("printable characters only")
    return value


def _uid(value: str) -> str:
    """Hex in capitals, as the registry writes UIDs; other names of tags stay as they are."""
    return value.upper() if _HEX.fullmatch(value) else value


Instant = Annotated[datetime, BeforeValidator(_instant)]
Name = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_printable)]
OpaqueId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:~-]{1,128}$")]
Hash = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]
Seq = Annotated[int, Field(ge=1, le=LARGEST_SEQ)]
Millis = Annotated[int, Field(ge=0, le=10**13)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class TagSeen(_Strict):
    """The tag as read. `sun`: `<picc>.<mac>` of an NTAG 424, unchecked."""

    uid: Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_printable), AfterValidator(_uid)]
    sun: Annotated[str, Field(max_length=256), AfterValidator(_printable)] | None = None


class Envelope(_Strict):
    """What every statement carries. `mono`: milliseconds since `boot`. `ack`: the last receipt seen."""

    v: Literal[1]
    dev: OpaqueId
    seq: Seq
    prev: Hash
    t: Instant
    boot: OpaqueId
    mono: Millis
    ack: OpaqueId | None


class TapSaid(Envelope):
    """Somebody held a device to a tag."""

    kind: Literal["tap"]
    act: Act
    tag: TagSeen
    service: VisitClass | None = None
    staff: Name | None = None
    grant: OpaqueId | None = None
    staff_by: Literal["badge"] | None = None


class VoidSaid(Envelope):
    """Numbers the device can no longer produce; both ends included, below its own number."""

    kind: Literal["void"]
    from_seq: Seq
    to_seq: Seq
    cause: Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,39}$")]


class ClockSaid(Envelope):
    """The clock was set, or the device started."""

    kind: Literal["clock"]


class DeclineSaid(Envelope):
    """A planned visit was declined, or nobody opened."""

    kind: Literal["decline"]
    decline_id: OpaqueId
    client: Name
    planned_start: Instant
    planned_end: Instant
    notice: Notice
    staff_count: Annotated[int, Field(ge=1, le=2)] = 1
    planned_id: Name | None = None
    staff: Name | None = None
    grant: OpaqueId | None = None
    note_hash: Hash | None = None


class ServiceDone(_Strict):
    """One care service, carried out `count` times."""

    care_service: Name
    count: Annotated[int, Field(ge=1, le=99)] = 1


class DoneSaid(Envelope):
    """Care services carried out at a client, named by id or by the tag."""

    kind: Literal["done"]
    services: Annotated[list[ServiceDone], Field(min_length=1, max_length=40)]
    client: Name | None = None
    tag: TagSeen | None = None
    staff: Name | None = None
    grant: OpaqueId | None = None
    kom_seq: Seq | None = None


Said = TapSaid | VoidSaid | ClockSaid | DeclineSaid | DoneSaid
_SAID: TypeAdapter[Said] = TypeAdapter(Annotated[Said, Field(discriminator="kind")])


class Unknown(BaseModel):
    """A statement of a version this server does not know: its place in the chain is all that is read of it."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    v: int
    dev: OpaqueId
    seq: Seq


class HeadSaid(_Strict):
    """The head of an upload: authenticates it, is heartbeat and clock sample, and shows a cut-off tail."""

    dev: OpaqueId
    head_seq: Annotated[int, Field(ge=0, le=LARGEST_SEQ)]
    head_hash: Hash
    t: Instant
    boot: OpaqueId
    mono: Millis
    nonce: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{8,128}$")]
    agent_version: Annotated[str, Field(max_length=64), AfterValidator(_printable)]


def read_statement(payload: bytes) -> Said | Unknown:
    """The statement in a payload. Unreadable when it is none; a signature says nothing about that."""
    content = read_object(payload)
    version = content.get("v")
    if type(version) is not int:  # True equals 1
        raise Unreadable("a version is a whole number")
    try:
        if version != 1:
            return Unknown.model_validate(content)
        said = _SAID.validate_python(content)
    except ValidationError as error:
        raise Unreadable("not a statement") from error
    if isinstance(said, VoidSaid) and not said.from_seq <= said.to_seq < said.seq:
        raise Unreadable("a void names numbers below its own")
    return said


def read_head(payload: bytes) -> HeadSaid:
    """The head in a payload. Unreadable when it is none."""
    try:
        return HeadSaid.model_validate(read_object(payload))
    except ValidationError as error:
        raise Unreadable("not a head") from error


def claimed_device(payload: bytes) -> str:
    """Whose a document says it is, whatever else it says. Unreadable when it names none."""
    dev = read_object(payload).get("dev")
    if not isinstance(dev, str) or not dev or len(dev) > 128:
        raise Unreadable("names no device")
    return dev


def claimed_seq(payload: bytes, device_id: str) -> int | None:
    """The number an unacceptable document claims in this device's chain; None when it claims none."""
    try:
        content = read_object(payload)
    except Unreadable:
        return None
    seq = content.get("seq")
    if content.get("dev") != device_id or type(seq) is not int or not 1 <= seq <= LARGEST_SEQ:
        return None
    return seq


__all__ = [
    "ClockSaid", "DeclineSaid", "DoneSaid", "Envelope", "HeadSaid", "Said", "ServiceDone", "TagSeen", "TapSaid",
    "Unknown", "VoidSaid", "claimed_device", "claimed_seq", "read_head", "read_statement",
]  # fmt: skip
