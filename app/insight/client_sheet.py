"""Mina besök: one readable sheet for one client and month, in plain Swedish, 14 points, one page to print.

Who came and when (first names), how many different people, ordered, used, left, declined, and whom to call. Only carers
are shown, as everywhere in continuity. The more visits a day has, the shorter they are written: the type stays large.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
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
_LINES_OF_NAMES = 3
"""Of them for names, where the days have no room for any."""


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
    people = {visit.person for visit in shown_visits(facts)}
    left = facts.ordered_minutes - facts.used_minutes
    lines, named = _written(facts)
    return environment.get_template("client_sheet.html").render(
        client_name=facts.client_name,
        month=f"{MONTHS[facts.month.number - 1]} {facts.month.year}",
        lines=lines,
        came="" if named else _who_came(facts),
        visits=len(shown_visits(facts)),
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
    return _written(facts)[0]


def _written(facts: SheetFacts) -> tuple[list[Line], bool]:
    """The days, and whether the names stand in them."""
    by_day: dict[date, list[Visit]] = {}
    for visit in shown_visits(facts):
        by_day.setdefault(local_date(visit.at), []).append(visit)
    texts: dict[date, str] = {}
    written = _with_both_ends
    for written, room in (
        (_with_both_ends, _LINES_OF_A_PAGE), (_with_start, _LINES_OF_A_PAGE), (_by_person, _LINES_OF_A_PAGE),
        (_with_times, _LINES_OF_A_PAGE - _LINES_OF_NAMES), (_with_count, 0),
    ):  # fmt: skip
        texts = {on: written(visits, facts.names) for on, visits in sorted(by_day.items())}
        if sum(-(-len(text) // _WIDTH_OF_A_LINE) for text in texts.values()) <= room:
            break
    lines = [Line(f"{WEEKDAYS[on.weekday()]} {on.day}", text) for on, text in texts.items()]
    return lines, written not in {_with_times, _with_count}


def _who_came(facts: SheetFacts) -> str:
    """First names, whoever came most often first, as many as there is room for."""
    times = Counter(visit.person for visit in shown_visits(facts))
    name_of = {visit.person: first_name(facts.names.get(visit.staff_id, "")) for visit in shown_visits(facts)}
    names = [name_of[person] for person, _ in sorted(times.items(), key=lambda row: (-row[1], name_of[row[0]]))]
    shown = len(names)
    room = _WIDTH_OF_A_LINE * _LINES_OF_NAMES - len("De som kom: och 99 till.")
    while shown > 1 and len(", ".join(names[:shown])) > room:
        shown -= 1
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" och {rest} till" if rest else "")


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


def shown_visits(facts: SheetFacts) -> list[Visit]:
    """The visits of the sheet, in order of time."""
    found = [
        visit
        for visit in facts.visits
        if visit.role == "carer" and visit.service in _SHOWN_CLASSES and visit.status != "cancelled"
    ]
    return sorted(found, key=lambda visit: (visit.at, visit.visit_id))


def _with_both_ends(visits: Sequence[Visit], names: Mapping[str, str]) -> str:
    return " · ".join(f"{_times(visit)} {_who(visit, names)}" for visit in visits)


def _with_start(visits: Sequence[Visit], names: Mapping[str, str]) -> str:
    return " · ".join(f"{_clock(visit.at)} {_who(visit, names)}" for visit in visits)


def _by_person(visits: Sequence[Visit], names: Mapping[str, str]) -> str:
    """Each first name once, with the times she came."""
    times: dict[str, list[str]] = {}
    for visit in visits:
        times.setdefault(_who(visit, names), []).append(_clock(visit.at))
    return " · ".join(f"{who} {' '.join(at)}" for who, at in times.items())


def _with_times(visits: Sequence[Visit], names: Mapping[str, str]) -> str:  # noqa: ARG001 - as the others
    return ", ".join(_clock(visit.at) for visit in visits)


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
