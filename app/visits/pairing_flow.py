"""Stages A and B of the derivation for what changed: taps to stays, stays and manual visits to visits."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from app.core.ids import finding_id as ids_of
from app.core.localtime import local_date
from app.evidence import store as evidence
from app.facts import Correction, Directory, Finding, Tap, Visit
from app.findings.tables import findings
from app.policies import PolicyBook
from app.registry.store import DirectoryReader
from app.visits.draft import Draft
from app.visits.rules.changed import changed
from app.visits.rules.corrections import Corrections, restaff, without_effect
from app.visits.rules.pairing import pair_taps
from app.visits.rules.stay import Pairing
from app.visits.rules.visits import visits_of_manual, visits_of_stay
from app.visits.stretch import BEGINNING, END, FAR, MARGIN, NEAR, Span, closed_before, is_closed, reaches
from app.visits.tables import visits


@dataclass(frozen=True, slots=True)
class Stretch:
    """One staff_id's taps from a closed point to another, and the pairing of them."""

    staff_id: str
    span: Span
    """[from_at, to_at): to_at END when nothing comes after."""
    taps: tuple[Tap, ...]
    pairing: Pairing


class TapReader:
    """Taps as their real user tapped them: what `set_staff_of_device` says is applied (DOMAIN.md 2.1 row 24).

    With the registry as one derivation sees it.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.registry = DirectoryReader(connection)
        self.device_corrections = evidence.load_corrections(connection, kind="set_staff_of_device")
        self.corrections = Corrections.of(self.device_corrections)

    def taps_of(self, wanted: Mapping[str, Span]) -> dict[str, list[Tap]]:
        """Per staff_id its taps with from_at <= at < to_at, in the order of pairing."""
        stretches = [(staff_id, span.from_at, span.to_at) for staff_id, span in wanted.items()]
        taps = evidence.load_taps_of_stretches(self.connection, "staff_id", stretches)
        borrowed = [
            (row.device_id, max(span.from_at, row.from_at or BEGINNING), min(span.to_at, row.to_at or END))
            for row in self.device_corrections
            if (span := wanted.get(row.new_staff_id)) is not None
        ]
        if borrowed:
            taps += evidence.load_taps_of_stretches(self.connection, "device_id", borrowed)
        if self.device_corrections:
            restaffed, used = restaff({tap.key: tap for tap in taps}.values(), self.corrections)
            # They come in order, unless somebody else's came or became this one's.
            taps = sorted(restaffed, key=lambda tap: (tap.staff_id, tap.order)) if used or borrowed else list(restaffed)
        result: dict[str, list[Tap]] = {staff_id: [] for staff_id in wanted}
        for tap in taps:
            span = wanted.get(tap.staff_id)
            if span is not None and span.from_at <= tap.at < span.to_at:
                result[tap.staff_id].append(tap)
        return result

    def ends(self, staff_ids: Collection[str]) -> dict[str, datetime]:
        """Per staff_id an instant after which it has no tap."""
        ends = evidence.last_taps(self.connection, staff_ids)
        for row in self.device_corrections:
            if row.new_staff_id in staff_ids:
                ends[row.new_staff_id] = max(ends.get(row.new_staff_id, BEGINNING), row.to_at or END)
        return ends


def find_stretches(draft: Draft, reader: TapReader, changed: Mapping[str, Span], book: PolicyBook) -> list[Stretch]:
    """Pair again what a change within the span of each staff_id may touch; looks further out where it must."""
    found: list[Stretch] = []
    ends = reader.ends(changed.keys())
    waiting, margin = dict(changed), NEAR
    while waiting:
        looked_at = {
            staff_id: Span(span.wider(margin).from_at, span.wider(max(margin, MARGIN)).to_at)
            for staff_id, span in waiting.items()
        }
        draft.load_stretches("paired_staff_id", [(key, span.from_at, span.to_at) for key, span in looked_at.items()])
        _load_reaching(draft, {staff_id: span.from_at for staff_id, span in looked_at.items()}, book)
        old = {staff_id: reaches(draft.of("paired", staff_id), book) for staff_id in waiting}
        starts = {staff_id: closed_before(span.from_at, old[staff_id]) for staff_id, span in waiting.items()}
        late = {staff_id for staff_id, span in looked_at.items() if starts[staff_id] < span.from_at}
        wanted = {key: Span(starts[key], span.to_at) for key, span in looked_at.items() if key not in late}
        for look in _pair(reader, wanted, book):
            stretch = _closed(look, waiting[look.staff_id], old[look.staff_id], ends)
            if stretch is not None:
                found.append(_shortened(stretch, look, book))
                del waiting[look.staff_id]
        margin *= 4
    return found


def _load_reaching(draft: Draft, from_ats: Mapping[str, datetime], book: PolicyBook) -> None:
    """The few visits before what is looked at that reach into it (`stretch.reaches`)."""
    points = [(staff_id, from_at) for staff_id, from_at in from_ats.items() if from_at - BEGINNING > FAR]
    days = {local_date(at - FAR * part / 4) for _, at in points for part in range(5)}
    policies = [book.on(day) for day in days]
    touch = max((max(policy.repeat_s, policy.move_s) for policy in policies), default=0)
    retry = max((policy.auto_retry_min for policy in policies), default=0)
    draft.load_reaching(points, FAR, timedelta(seconds=touch), timedelta(minutes=retry))


@dataclass(frozen=True, slots=True)
class _Look:
    """One attempt: what was looked at and what pairing makes of it."""

    staff_id: str
    span: Span
    taps: Sequence[Tap]
    pairing: Pairing
    directory: Directory


def _pair(reader: TapReader, wanted: Mapping[str, Span], book: PolicyBook) -> Iterable[_Look]:
    if not wanted:
        return
    taps_of = reader.taps_of(wanted)
    every = [tap for taps in taps_of.values() for tap in taps]
    directory = reader.registry.load(
        tag_uids={tap.tag_uid for tap in every}, staff=wanted, devices={tap.device_id for tap in every}
    )
    for staff_id, taps in taps_of.items():
        yield _Look(staff_id, wanted[staff_id], taps, pair_taps(taps, directory, book), directory)


def _closed(look: _Look, changed: Span, old: Sequence[Span], ends: Mapping[str, datetime]) -> Span | None:
    """Up to the first point after the change where old and new are closed; None when more taps are needed."""
    for position in look.pairing.closed_points:
        at = look.taps[position].at
        if at > changed.to_at and is_closed(at, old):
            return Span(look.span.from_at, at)
    last_old = max((span.from_at for span in old), default=BEGINNING)
    last = max(last_old, ends.get(look.staff_id, BEGINNING))
    return Span(look.span.from_at, END) if look.span.to_at >= END or last < look.span.to_at else None


def _shortened(span: Span, look: _Look, book: PolicyBook) -> Stretch:
    """The stretch without the taps looked at beyond its end."""
    taps = tuple(tap for tap in look.taps if tap.at < span.to_at)
    pairing = look.pairing if len(taps) == len(look.taps) else pair_taps(taps, look.directory, book)
    return Stretch(look.staff_id, span, taps, pairing)


def derive_stretches(draft: Draft, stretches: Sequence[Stretch], reader: TapReader, book: PolicyBook) -> None:
    """Stage B of stretches: their visits and the findings about their taps replace the stored ones in the draft."""
    keys = {tap.key for stretch in stretches for tap in stretch.taps}
    named = evidence.load_corrections(draft.connection, taps_named=keys)
    corrections = Corrections.of({row.correction_id: row for row in (*named, *reader.device_corrections)}.values())
    directory = _directory(reader.registry, stretches, named)
    draft.load_tap_findings([(one.staff_id, one.span.from_at, one.span.to_at) for one in stretches])
    for stretch in stretches:
        _derive_stretch(draft, stretch, corrections, directory, book)
    in_stays = {
        tap.key for stretch in stretches for stay in stretch.pairing.stays for tap in (stay.kom, stay.gick) if tap
    }
    judge_named(draft, [row for row in named if row.kind != "set_staff_of_device"], in_stays, directory)
    tapped = [tap for stretch in stretches for tap in stretch.taps]
    used = [row for row in reader.device_corrections if any(row.covers(tap.device_id, tap.at) for tap in tapped)]
    for row in used:
        _put_named(draft, row, reader.registry, effective=True)


def judge_corrections(draft: Draft, correction_ids: Collection[str], registry: DirectoryReader) -> None:
    """Row 34 for corrections that are new: one that names nothing there is has no effect. Those whose taps or manual
    visits are there are judged with them."""
    if not correction_ids:
        return
    connection = draft.connection
    for row in evidence.load_corrections(connection, correction_ids=correction_ids):
        if row.kind == "set_staff_of_device":
            span = (row.device_id, row.from_at or BEGINNING, row.to_at or END)
            there = bool(row.new_staff_id) and bool(evidence.load_taps_of_stretches(connection, "device_id", [span]))
        elif row.kom_device_id and row.kom_seq is not None:
            there = evidence.has_tap(connection, row.kom_device_id, row.kom_seq)
        else:
            there = bool(row.manual_id)
        if not there:
            _put_named(draft, row, registry, effective=False)


def _put_named(draft: Draft, row: Correction, registry: DirectoryReader, *, effective: bool) -> None:
    directory = registry.load(devices={row.kom_device_id or row.device_id})
    finding = without_effect(row, directory)
    draft.load_findings(findings.c.finding_id == finding.finding_id)
    draft.replace_findings("correction", [finding.finding_id], () if effective else (finding,))


def _directory(registry: DirectoryReader, stretches: Sequence[Stretch], named: Iterable[Correction]) -> Directory:
    """What stage B asks about: the tags, staff and devices of the stretches, and whom corrections name."""
    taps = [tap for stretch in stretches for tap in stretch.taps]
    rows = list(named)
    return registry.load(
        clients={row.new_client_id for row in rows if row.new_client_id},
        staff={stretch.staff_id for stretch in stretches} | {row.new_staff_id for row in rows if row.new_staff_id},
        tag_uids={tap.tag_uid for tap in taps},
        devices={tap.device_id for tap in taps},
    )


def judge_named(
    draft: Draft, named: Iterable[Correction], effective: Collection[tuple[str, int | str]], directory: Directory
) -> None:
    """DOMAIN.md 2.2 row 34: a correction that names a visit that is none has no effect, and says so; one whose visit
    has come since does not any more. `effective`: keys of taps in stays, or ("", manual_id)."""
    rows = list(named)
    draft.load_findings(
        findings.c.step == "correction",
        evidence.among(findings.c.finding_id, [without_effect(row, directory).finding_id for row in rows]),
    )
    for row in rows:
        finding = without_effect(row, directory)
        key: tuple[str, int | str] = (
            (row.kom_device_id, row.kom_seq) if row.kom_seq is not None else ("", row.manual_id)
        )
        draft.replace_findings("correction", [finding.finding_id], () if key in effective else (finding,))


def _derive_stretch(
    draft: Draft, stretch: Stretch, corrections: Corrections, directory: Directory, book: PolicyBook
) -> None:
    span, staff_id = stretch.span, stretch.staff_id
    made: list[Visit] = []
    about: list[Finding] = []
    for stay in stretch.pairing.stays:
        of_stay, its = visits_of_stay(stay, corrections, directory, book)
        made.extend(of_stay)
        about.extend(its)
    old = [visit for visit in draft.of("paired", staff_id) if span.from_at <= _first_at(visit) < span.to_at]
    ids = {visit.visit_id for visit in (*old, *made)}
    replace_visits(draft, old, made, staff_id)
    draft.replace_findings("visit", draft.findings_of_visits(ids), about)
    tapped = [
        finding.finding_id
        for finding in draft.findings_of("staff", staff_id, "tap")
        if span.from_at <= finding.at < span.to_at
    ]
    draft.replace_findings("tap", tapped, stretch.pairing.findings)


def derive_manuals(draft: Draft, manual_ids: Collection[str], book: PolicyBook, registry: DirectoryReader) -> None:
    """Stage B of manual visits: by hand, so without pairing."""
    if not manual_ids:
        return
    draft.load(evidence.among(visits.c.manual_id, manual_ids))
    manuals = evidence.load_manual_visits(draft.connection, manual_ids=manual_ids)
    named = evidence.load_corrections(draft.connection, manual_ids=manual_ids)
    staff = {row.staff_id for row in manuals} | {row.new_staff_id for row in named if row.new_staff_id}
    clients = {row.client_id for row in manuals} | {row.new_client_id for row in named if row.new_client_id}
    directory = registry.load(clients=clients, staff=staff)
    corrections = Corrections.of(named)
    made: list[Visit] = []
    about: list[Finding] = []
    for manual in manuals:
        of_manual, its = visits_of_manual(manual, corrections, directory, book)
        made.extend(of_manual)
        about.extend(its)
    old = [visit for visit in draft.visits.values() if visit.manual_id in manual_ids]
    replace_visits(draft, old, made, "")
    ids = {visit.visit_id for visit in (*old, *made)}
    draft.replace_findings("visit", draft.findings_of_visits(ids), [one for one in about if one.visit_id])
    outside = [ids_of("unknown_staff", manual_id) for manual_id in manual_ids]
    draft.load_findings(findings.c.step == "manual", evidence.among(findings.c.finding_id, outside))
    draft.replace_findings("manual", outside, [one for one in about if not one.visit_id])
    judge_named(draft, named, {("", row.manual_id) for row in manuals}, directory)


def replace_visits(draft: Draft, old: Iterable[Visit], made: Sequence[Visit], paired_staff_id: str) -> None:
    """What was there goes, what was made comes; one that only later steps have changed stays as it is."""
    by_id = {visit.visit_id: visit for visit in made}
    for visit in old:
        if visit.visit_id not in by_id:
            draft.take_away(visit.visit_id)
    for visit in made:
        before = draft.visits.get(visit.visit_id)
        if before is None or base_of(before) != base_of(visit) or draft.paired.get(visit.visit_id) != paired_staff_id:
            draft.put(visit, paired_staff_id)


def base_of(visit: Visit) -> Visit:
    """The visit as stage B made it, before plans, declines, findings."""
    return changed(
        visit,
        service=visit.stated_service or "care",
        status=visit.stated_status,
        planned_id="",
        decline_id="",
        holds=(),
        findings=(),
    )


def _first_at(visit: Visit) -> datetime:
    """When the visit's first tap was; manual ones have none and are never asked."""
    first = visit.kom or visit.gick
    return first.at if first is not None else visit.at
