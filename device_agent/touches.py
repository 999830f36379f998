"""What a touch on a reader means: a tag on a door, a badge, or neither. Pure; the reader has read, nothing is written
yet.

A personal device carries its staff member's id. A shared reader takes the badge first (EVIDENCE.md section 3:
`staff_by: badge`, the weaker proof): it counts for the next tag within a minute, once. A second badge replaces the
first, so of two persons at one reader nobody taps for the other.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

from device_agent.clock import Moment
from device_agent.statements import Act

BADGE_HOLDS_MS = 60_000
CHOICE_HOLDS_MS = 30_000
_HEX = re.compile(r"[0-9A-Fa-f]+")


@dataclass(frozen=True, slots=True)
class Touch:
    """Something lay on a reader.

    uid: upper-case hex. iri: the first address in its NDEF message. product: what it is, for people. error: why more
    could not be read (the uid alone counts then).
    """

    uid: str
    product: str = ""
    iri: str | None = None
    error: str | None = None


class Reader(Protocol):
    """A reader of either backend, opened. Every method may raise: the reader is then closed and opened again."""

    def sense(self) -> str | None:
        """The uid of what lies there now, upper-case hex; None for an empty field."""
        ...

    def read(self) -> Touch:
        """What lies there, read once. A card that cannot be read gives its uid and `error`."""
        ...

    def signal(self, *, good: bool) -> None:
        """The reader's own light and sound, where it has any."""
        ...

    def close(self) -> None:
        """Gives the reader back."""
        ...


@dataclass(frozen=True, slots=True)
class Rules:
    """How this device is set up. act: None means that a person chooses with keys. badges: badge uid to staff_id."""

    act: Act | None = "AUTO"
    staff: str | None = None
    grant: str | None = None
    service: str | None = None
    badges: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TapMeant:
    """Sign this: the members of a tap statement that come from the touch."""

    act: Act
    uid: str
    body: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class BadgeSeen:
    """The next tag is this person's."""

    staff: str


@dataclass(frozen=True, slots=True)
class NotMeant:
    """Nothing to sign. code: a text of messages.py (`badge_first`, `random_uid`)."""

    code: str


class Choices:
    """What was last chosen with the keys, for `--act keys`."""

    def __init__(self) -> None:
        self._chosen: tuple[Act, int] | None = None

    def choose(self, act: Act, moment: Moment) -> None:
        """KOM or GICK was pressed."""
        self._chosen = (act, moment.mono)

    def take(self, moment: Moment) -> Act:
        """The choice, once, within half a minute; AUTO when nobody chose."""
        chosen, self._chosen = self._chosen, None
        return chosen[0] if chosen and 0 <= moment.mono - chosen[1] <= CHOICE_HOLDS_MS else "AUTO"


class Desk:
    """One reader and who is standing at it."""

    def __init__(self, rules: Rules, choices: Choices) -> None:
        self._rules = rules
        self._choices = choices
        self._badge: tuple[str, int] | None = None

    def meaning(self, touch: Touch, moment: Moment) -> TapMeant | BadgeSeen | NotMeant:
        """What the touch means now. A badge shown counts for one tag."""
        rules = self._rules
        badge_of = rules.badges.get(touch.uid)
        if badge_of is not None:
            self._badge = (badge_of, moment.mono)
            return BadgeSeen(badge_of)
        if len(touch.uid) == 8 and touch.uid.startswith("08"):
            return NotMeant("random_uid")
        staff, staff_by = rules.staff, None
        if staff is None and rules.grant is None:
            badge, self._badge = self._badge, None
            if badge is None or not 0 <= moment.mono - badge[1] <= BADGE_HOLDS_MS:
                return NotMeant("badge_first")
            staff, staff_by = badge[0], "badge"
        act = rules.act or self._choices.take(moment)
        sun = sun_of(touch.iri)
        tag = {"uid": touch.uid} | ({"sun": sun} if sun else {})
        body = {
            "act": act,
            "tag": tag,
            "service": rules.service,
            "staff": staff,
            "grant": rules.grant,
            "staff_by": staff_by,
        }
        return TapMeant(act, touch.uid, body)


def sun_of(iri: str | None) -> str | None:
    """`<picc>.<mac>` out of the address of an NTAG 424 (EVIDENCE.md section 2: behind `#`, or in the query); None when
    it holds none.
    """
    if iri is None:
        return None
    try:
        parts = urlsplit(iri)
    except ValueError:
        return None
    for text in (parts.fragment, parts.fragment.rpartition("?")[2], parts.query):
        values = {name: found[0] for name, found in parse_qs(text).items()}
        for picc_name, mac_name in (("e", "c"), ("picc_data", "cmac")):
            picc, mac = values.get(picc_name, ""), values.get(mac_name, "")
            if len(picc) in (32, 48) and len(mac) == 16 and _HEX.fullmatch(picc + mac):
                return f"{picc}.{mac}"
    return None
