"""From stays and manual visits to visits: corrections first, then the household (DOMAIN.md 2.1 row 14, 2.2 row 34).

Here a visit gets its id, provider, unit, person, role, grade, source and status, and the findings that follow from its
own taps and corrections. What depends on plans, declines, orders or other visits is for the steps after this one.

Readings chosen where DOMAIN.md leaves a doubt: a manual visit of somebody not employed then is outside like a tap
(row 17); a visit moved by hand to a day without employment keeps that of its tap; of a manual visit the provider is
the staff member's, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from typing import NamedTuple

from app.core import ids
from app.core.localtime import format_instant
from app.facts import Directory, Employment, Finding, ManualVisit, Share, Tap, TapRef, Visit
from app.facts.derived import Status, VisitMark
from app.facts.statements import Grade
from app.policies import Policy, PolicyBook
from app.visits.rules.about import Pairs, about_visit
from app.visits.rules.changed import new_visit
from app.visits.rules.corrections import Corrections, Told, told_of_manual, told_of_stay
from app.visits.rules.household import shares, visited
from app.visits.rules.manual_share import exempt_from_share, marks_of, needs_no_tag
from app.visits.rules.proof import proof_findings, weaker
from app.visits.rules.spans import hours, local_day
from app.visits.rules.stay import Stay

Made = tuple[tuple[Visit, ...], tuple[Finding, ...]]


class _Frame(NamedTuple):
    """What all visits of one pair of taps (or of one manual visit) have in common."""

    told: Told
    at: datetime
    on: date
    employment: Employment
    policy: Policy


def visits_of_stay(stay: Stay, corrections: Corrections, directory: Directory, book: PolicyBook) -> Made:
    """One visit per client of the stay, and the findings on each; those about a tap once, with the first client."""
    told = told_of_stay(stay, corrections, directory)
    at = _at(told) or stay.anchor.at
    on = local_day(at)
    employment = _employment(told, on, stay, directory)
    if employment is None:
        return (), ()
    frame = _Frame(told, at, on, employment, book.on(on))
    provider_id = employment.provider_id
    several = len(stay.client_ids) > 1
    if told.client_id:
        clients: tuple[str, ...] = (told.client_id,)
    elif several:
        clients = visited(stay.client_ids, provider_id, on, directory)
    else:
        clients = stay.client_ids
    parts: list[Share | None] = [None]
    if len(clients) > 1:
        parts = list(shares(clients, provider_id, on, directory, frame.policy.household_split))
    visits = tuple(
        _visit_of_stay(stay, frame, client_id, part, directory) for client_id, part in zip(clients, parts, strict=True)
    )
    findings = [finding for visit in visits for finding in _findings(visit, stay, frame, corrections, directory)]
    if stay.moves:
        findings.extend(_moves(stay, visits[0]))
    return visits, tuple(findings)


def visits_of_manual(manual: ManualVisit, corrections: Corrections, directory: Directory, book: PolicyBook) -> Made:
    """The manual visit, or nothing and `unknown_staff`. One without any end is no visit (doors refuse it)."""
    told = told_of_manual(manual, corrections, directory)
    at = _at(told)
    if at is None:
        return (), ()
    on = local_day(at)
    employment = directory.employment_on(told.staff_id, on)
    if employment is None:
        return (), (_unknown_staff(manual, told, at),)
    frame = _Frame(told, at, on, employment, book.on(on))
    provider_id = employment.provider_id
    exempt = exempt_from_share(told.client_id, provider_id, at, on, directory) or needs_no_tag(
        told.client_id, provider_id, on, manual.care_service, directory
    )
    visit = Visit(
        visit_id=ids.manual_visit_id(manual.manual_id),
        manual_id=manual.manual_id,
        client_id=told.client_id,
        provider_id=provider_id,
        unit_id=employment.unit_id,
        staff_id=told.staff_id,
        person=employment.person,
        role=employment.role,
        start_at=told.start_at,
        end_at=told.end_at,
        status=_status(told),
        source="manual",
        grade="C",
        service=manual.service or "care",
        care_service=manual.care_service,
        open_until_at=_open_until(frame),
        stated_service=manual.service,
        stated_status=_status(told),
        marks=marks_of(told.effective, (told.start_by, told.end_by), manual, exempt=exempt),
    )
    findings = []
    if visit.status == "incomplete" and visit.start_at is None:
        findings.append(about_visit(visit, "gick_without_kom"))
    findings.extend(_failed(visit, told))
    return (visit,), tuple(findings)


def _at(told: Told) -> datetime | None:
    return told.start_at or told.end_at


def _employment(told: Told, on: date, stay: Stay, directory: Directory) -> Employment | None:
    return (
        directory.employment_on(told.staff_id, on)
        or directory.employment(told.staff_id, stay.anchor.at)
        or directory.employment(stay.staff_id, stay.anchor.at)
    )


def _status(told: Told) -> Status:
    if told.cancelled:
        return "cancelled"
    return "incomplete" if told.start_at is None or told.end_at is None else "complete"


def _open_until(frame: _Frame) -> datetime | None:
    """Row 2: so long doors call a visit without an end open."""
    told = frame.told
    if told.cancelled or told.end_at is not None or told.start_at is None:
        return None
    return told.start_at + hours(frame.policy.open_until_h)


def _visit_of_stay(stay: Stay, frame: _Frame, client_id: str, part: Share | None, directory: Directory) -> Visit:
    kom, gick, anchor = stay.kom, stay.gick, stay.anchor
    told, at, on, employment, _ = frame
    provider_id, status = employment.provider_id, _status(told)
    stated = anchor.service
    marks: tuple[VisitMark, ...] = ()
    if told.effective:
        exempt = exempt_from_share(client_id, provider_id, at, on, directory)
        marks = marks_of(told.effective, (told.start_by, told.end_by), exempt=exempt)
    return new_visit(
        visit_id=ids.visit_id(anchor.device_id, anchor.seq, client_id if len(stay.client_ids) > 1 else None),
        manual_id="",
        client_id=client_id,
        provider_id=provider_id,
        unit_id=employment.unit_id,
        staff_id=told.staff_id,
        person=employment.person,
        role=employment.role,
        start_at=told.start_at,
        end_at=told.end_at,
        status=status,
        source="corrected" if told.effective else "taps",
        grade=_grade(kom, gick, told),
        service=stated or "care",
        kom=None if kom is None else TapRef(kom.device_id, kom.seq, kom.at),
        gick=None if gick is None else TapRef(gick.device_id, gick.seq, gick.at),
        share=part,
        open_until_at=None if status == "complete" else _open_until(frame),
        stated_service=stated,
        stated_status=status,
        marks=marks,
        proposal=() if stay.next_tap is None else _proposal(stay, told),
    )


def _grade(kom: Tap | None, gick: Tap | None, told: Told) -> Grade:
    """The weaker of the two ends'; one stated by hand is C."""
    start: Grade = "C" if told.start_by is not None else kom.grade if kom is not None else "A"
    end: Grade = "C" if told.end_by is not None else gick.grade if gick is not None else "A"
    return start if start == end else weaker(start, end)


def _proposal(stay: Stay, told: Told) -> Pairs:
    """What the next tap proposes, while nobody has stated the times by hand."""
    other = stay.next_tap
    if other is None or told.start_by is not None or told.end_by is not None:
        return ()
    anchor = stay.anchor
    named: Pairs = (("kind", "set_times"), ("kom_device_id", anchor.device_id), ("kom_seq", str(anchor.seq)))
    if stay.kom is None:
        named += (("new_start_at", format_instant(anchor.at)),)
    named += (("new_end_at", format_instant(other.at)),)
    if stay.next_single:
        named += (
            ("then_kind", "cancel_visit"),
            ("then_kom_device_id", other.device_id),
            ("then_kom_seq", str(other.seq)),
        )
    return named


def _findings(
    visit: Visit, stay: Stay, frame: _Frame, corrections: Corrections, directory: Directory
) -> Iterator[Finding]:
    told = frame.told
    if told.failed:
        yield from _failed(visit, told)
    if told.cancelled:
        return
    if visit.status == "incomplete" and visit.start_at is None:
        yield _single_gick(visit, stay)
        other = stay.next_tap
        if other is not None and (other.device_id, other.seq) not in corrections.by_tap:
            reversed_acts = about_visit(visit, "acts_reversed", (("kom_at", format_instant(other.at)),), visit.proposal)
            yield replace(reversed_acts, taps=(*reversed_acts.taps, other.key))
    kom, gick = stay.kom, stay.gick
    taps = tuple(tap for tap in (kom, gick) if tap is not None)
    tapped_ends = taps
    if told.effective:
        stands = (kom if told.start_by is None else None, gick if told.end_by is None else None)
        tapped_ends = tuple(tap for tap in stands if tap is not None)
    yield from proof_findings(visit, taps, tapped_ends, frame.on, directory)


def _single_gick(visit: Visit, stay: Stay) -> Finding:
    """Rows 3, 5, 6: why nothing began here. Linked to the KOM that a KOM elsewhere had ended (row 5): it is among the
    finding's taps."""
    if stay.left is None:
        return about_visit(visit, stay.code)
    left = stay.left
    facts = (("kom_at", format_instant(left.at)), ("kom_device_id", left.device_id), ("kom_seq", str(left.seq)))
    single = about_visit(visit, stay.code, facts)
    return replace(single, taps=(left.key, *single.taps))


def _failed(visit: Visit, told: Told) -> Iterator[Finding]:
    """Row 34: corrections of this visit that had no effect, one finding for all."""
    if told.failed:
        named = ",".join(correction.correction_id for correction, _ in told.failed)
        facts = (("correction_ids", named), ("kind", told.failed[0][0].kind), ("why", told.failed[0][1]))
        yield about_visit(visit, "correction_without_effect", facts)


def _moves(stay: Stay, first: Visit) -> Iterator[Finding]:
    """Row 21: about a tap, so once, with the first client."""
    for tap in stay.moves:
        yield Finding(
            finding_id=ids.finding_id("implausible_move", tap.device_id, str(tap.seq)),
            code="implausible_move",
            at=tap.at,
            client_id=stay.client_ids[0],
            staff_id=stay.staff_id,
            provider_id=first.provider_id,
            visit_id=first.visit_id,
            taps=(tap.key,),
        )


def _unknown_staff(manual: ManualVisit, told: Told, at: datetime) -> Finding:
    return Finding(
        finding_id=ids.finding_id("unknown_staff", manual.manual_id),
        code="unknown_staff",
        at=at,
        client_id=told.client_id,
        staff_id=told.staff_id,
        provider_id=manual.provider_id,
        facts=(("manual_id", manual.manual_id), ("staff_id", told.staff_id)),
    )
