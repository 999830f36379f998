"""Mina besök: one readable sheet for one client and month, in plain Swedish, 14 points, one page to print.

Who came and when (first names), how many different people, ordered, used, left, declined, and whom to call. Only carers
are shown, as everywhere in continuity. The more visits a day has, the shorter they are written: the type stays large.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from jinja2 import Environment, PackageLoader, StrictUndefined

from app.core.localtime import local_date, local_time
from app.core.month import Month
from app.facts import Visit

WEEKDAYS = ("mån", "tis", "ons", "tors", "fre", "lör", "sön")
MONTHS = (
    "januari", "februari", "mars", "april", "maj", "juni", "juli", "augusti", "september", "oktober", "november",
    "december",
)  # fmt: skip
_SHOWN_CLASSES = ("care", "night_patrol", "meal", "alarm")
_WIDTH_OF_A_LINE = 68
"""Characters of 14 points that surely fit beside the day on A4."""
_LINES_OF_A_PAGE = 34
"""Lines of days beside heading and telephone number."""


@dataclass(frozen=True, slots=True)
class Office:
    """Whom to call about a provider's care."""

    name: str
    phone: str
    contact: str
    """First name of the contact, or empty."""


@dataclass(frozen=True, slots=True)
class SheetFacts:
    """Everything the sheet says."""

    client_name: str
    client_word: str
    month: Month
    visits: Sequence[Visit]
    names: Mapping[str, str]
    """staff_id -> full name."""
    ordered_minutes: int
    used_minutes: int
    declined: int
    """Declined visits."""
    declined_minutes: int
    offices: Sequence[Office]


@dataclass(frozen=True, slots=True)
class Line:
    """One day of the sheet."""

    day: str
    text: str


def render_sheet(facts: SheetFacts) -> str:
    """The sheet as one HTML file without anything outside it."""
    environment = Environment(
        loader=PackageLoader("app.insight"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    people = {visit.person for visit in _shown(facts)}
    left = facts.ordered_minutes - facts.used_minutes
    return environment.get_template("client_sheet.html").render(
        client_name=facts.client_name,
        month=f"{MONTHS[facts.month.number - 1]} {facts.month.year}",
        lines=day_lines(facts),
        visits=len(_shown(facts)),
        people=len(people),
        ordered=in_words(facts.ordered_minutes),
        used=in_words(facts.used_minutes),
        left=in_words(max(left, 0)),
        over=in_words(-left) if left < 0 else "",
        declined=facts.declined,
        declined_time=in_words(facts.declined_minutes),
        offices=facts.offices,
    )


def day_lines(facts: SheetFacts) -> list[Line]:
    """One entry per day with a visit, all written the same way: the fullest one that fits on the page."""
    by_day: dict[date, list[Visit]] = {}
    for visit in _shown(facts):
        by_day.setdefault(local_date(visit.at), []).append(visit)
    texts: dict[date, str] = {}
    for written in (_with_both_ends, _with_start, _by_person, _with_count):
        texts = {on: written(visits, facts.names) for on, visits in sorted(by_day.items())}
        if sum(-(-len(text) // _WIDTH_OF_A_LINE) for text in texts.values()) <= _LINES_OF_A_PAGE:
            break
    return [Line(f"{WEEKDAYS[on.weekday()]} {on.day}", text) for on, text in texts.items()]


def in_words(minutes: int) -> str:
    """`3 timmar 20 minuter`, for people."""
    hours, rest = divmod(minutes, 60)
    parts = [f"{hours} {'timme' if hours == 1 else 'timmar'}"] if hours else []
    if rest or not hours:
        parts.append(f"{rest} {'minut' if rest == 1 else 'minuter'}")
    return " ".join(parts)


def first_name(name: str) -> str:
    """`Anna` of `Anna Ek` and of `Ek, Anna`; "någon" where no name is known."""
    given = name.partition(",")[2] if "," in name else name
    return (given.split() or ["någon"])[0]


def _shown(facts: SheetFacts) -> list[Visit]:
    found = [
        visit
        for visit in facts.visits
        if visit.role == "carer" and visit.service in _SHOWN_CLASSES and visit.status != "cancelled"
    ]
    return sorted(found, key=lambda visit: (visit.at, visit.visit_id))


def _with_both_ends(visits: Iterable[Visit], names: Mapping[str, str]) -> str:
    return " · ".join(f"{_times(visit)} {_who(visit, names)}" for visit in visits)


def _with_start(visits: Iterable[Visit], names: Mapping[str, str]) -> str:
    return " · ".join(f"{_clock(visit.at)} {_who(visit, names)}" for visit in visits)


def _by_person(visits: Sequence[Visit], names: Mapping[str, str]) -> str:
    """Each first name once, with the times she came."""
    times: dict[str, list[str]] = {}
    for visit in visits:
        times.setdefault(_who(visit, names), []).append(_clock(visit.at))
    return " · ".join(f"{who} {' '.join(at)}" for who, at in times.items())


def _with_count(visits: Sequence[Visit], names: Mapping[str, str]) -> str:  # noqa: ARG001 - as the others
    people = len({visit.person for visit in visits})
    return f"{len(visits)} besök av {people} personer, {_clock(visits[0].at)}–{_clock(visits[-1].at)}"


def _who(visit: Visit, names: Mapping[str, str]) -> str:
    name = first_name(names.get(visit.staff_id, ""))
    return f"{name} (avböjt)" if visit.status == "declined" else name


def _times(visit: Visit) -> str:
    """Times as people write them; a forgotten end is left open, never guessed."""
    start = _clock(visit.start_at) if visit.start_at else "?"
    if visit.status == "declined" and visit.end_at is None:
        return start
    return f"{start}–{_clock(visit.end_at) if visit.end_at else '?'}"


def _clock(instant: datetime) -> str:
    at = local_time(instant)
    return f"{at.hour}.{at.minute:02d}"
