"""What changed, expanded to whom it concerns: staff to pair again, clients to settle, single visits to judge."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, Connection, between, func, or_, select, true, union

from app.core.localtime import local_month
from app.core.month import Month
from app.evidence.tables import corrections, declines, excess_reasons, manual_visits, taps
from app.facts import Correction
from app.registry.tables import employments, orders, tags
from app.visits.draft import AccountSpan
from app.visits.pairing_flow import TapReader
from app.visits.queue import Change
from app.visits.stretch import BEGINNING, END, Span
from app.visits.tables import visits

ProviderMonth = tuple[str, date]
_ALL_MONTHS = (Month(1970, 1), Month(2199, 12))


@dataclass(slots=True)
class Work:
    """Whom a drain derives again, and for which stretches of time."""

    staff: dict[str, list[Span]] = field(default_factory=lambda: defaultdict(list))
    clients: dict[str, list[Span]] = field(default_factory=lambda: defaultdict(list))
    persons: dict[str, list[Span]] = field(default_factory=lambda: defaultdict(list))
    manual_ids: set[str] = field(default_factory=set)
    visit_ids: set[str] = field(default_factory=set)
    corrections: set[str] = field(default_factory=set)
    provider_months: set[ProviderMonth] = field(default_factory=set)
    accounts: set[AccountSpan] = field(default_factory=set)
    device_ids: set[str] = field(default_factory=set)


def expand(connection: Connection, changes: Sequence[Change], reader: TapReader) -> Work:
    """Whom the changes concern."""
    work = Work()
    for change in changes:
        _EXPAND[change.kind](connection, change, work)
    _add_real_users(work, reader)
    return work


def _add_real_users(work: Work, reader: TapReader) -> None:
    """Row 24: whose taps a correction says they were, wherever it covers a stretch that is derived again."""
    spans = [span for its in work.staff.values() for span in its]
    for row in reader.device_corrections:
        covered = Span(row.from_at or BEGINNING, row.to_at or END)
        for span in spans:
            if covered.from_at <= span.to_at and span.from_at <= covered.to_at:
                both = Span(max(span.from_at, covered.from_at), min(span.to_at, covered.to_at))
                work.staff[row.new_staff_id].append(both)


def span_of(change: Change) -> Span:
    """The stretch of time a change concerns."""
    return Span(change.from_at or BEGINNING, change.to_at or END)


def _staff(_connection: Connection, change: Change, work: Work) -> None:
    work.staff[change.key].append(span_of(change))


def _tap_users(connection: Connection, change: Change, work: Work) -> None:
    """Everybody who tapped a tag or a device in the stretch, and those a correction says it was."""
    column = taps.c.tag_uid if change.kind == "tag" else taps.c.device_id
    if change.kind == "device":
        c = corrections.c
        named = select(c.correction_id).where(or_(c.kom_device_id == change.key, c.device_id == change.key))
        work.corrections.update(connection.execute(named).scalars())
    span = span_of(change)
    rows = connection.execute(
        select(taps.c.staff_id, func.min(taps.c.at).label("first"), func.max(taps.c.at).label("last"))
        .where(column == change.key, taps.c.at >= span.from_at, taps.c.at <= span.to_at)
        .group_by(taps.c.staff_id)
    )
    for row in rows:
        work.staff[row.staff_id].append(Span(row.first, row.last))
    found = connection.execute(
        select(visits.c.paired_staff_id, func.min(visits.c.tapped_at), func.max(visits.c.tapped_at))
        .where(
            or_(visits.c.kom_device_id == change.key, visits.c.gick_device_id == change.key),
            visits.c.tapped_at >= span.wider(timedelta(days=1)).from_at,
            visits.c.tapped_at <= span.to_at,
        )
        .group_by(visits.c.paired_staff_id)
    ) if change.kind == "device" else ()  # fmt: skip
    for staff_id, first, last in found:
        work.staff[staff_id].append(Span(first, last))


def _client(_connection: Connection, change: Change, work: Work) -> None:
    work.clients[change.key].append(span_of(change))


def _household(connection: Connection, change: Change, work: Work) -> None:
    """Orders, absences, refusals: the client's own visits, and who shares a tag with it."""
    span = span_of(change)
    shared = select(tags.c.tag_uid).where(tags.c.client_id == change.key)
    months = [visits.c.month_on >= local_month(span.from_at).first_on] if span.from_at > BEGINNING else []
    months += [visits.c.month_on <= local_month(span.to_at).first_on] if span.to_at < END else []
    members = connection.execute(select(tags.c.client_id).where(tags.c.tag_uid.in_(shared)).distinct()).scalars().all()
    for client_id in {change.key, *members}:
        work.clients[client_id].append(span)
        rows = connection.execute(
            select(visits.c.visit_id, visits.c.paired_staff_id, visits.c.tapped_at, visits.c.manual_id).where(
                visits.c.client_id == client_id,
                visits.c.at >= span.from_at,
                visits.c.at <= span.to_at,
                *months,
                visits.c.ceased.is_(False),
                true() if len(members) > 1 else visits.c.marks != [],
            )
        )
        for row in rows:
            if row.manual_id:
                work.manual_ids.add(row.manual_id)
            else:
                work.staff[row.paired_staff_id].append(Span(row.tapped_at, row.tapped_at))
    _correcting(connection, corrections.c.new_client_id == change.key, work)
    _all_accounts(connection, change, work)


def _all_accounts(connection: Connection, change: Change, work: Work) -> None:
    """The client's accounts with the named provider, or with whomever it has an order, a visit, a decline or a reason
    with."""
    first, last = _months_of(span_of(change))
    providers = {change.provider_id} if change.provider_id else set()
    if not providers:
        providers = set(connection.execute(_with("provider_id", "client_id", change.key, first, last)).scalars())
    for provider_id in providers:
        work.accounts.add(AccountSpan(change.key, provider_id, first, last))


def _months_of(span: Span) -> tuple[Month, Month]:
    """The local months from the one to the other end of a stretch."""
    first = local_month(span.from_at) if span.from_at > BEGINNING else _ALL_MONTHS[0]
    return first, local_month(span.to_at) if span.to_at < END else _ALL_MONTHS[1]


def _with(column: str, whose: str, key: str, first: Month, last: Month) -> CompoundSelect[Any]:
    """All that an account of these months can follow from; visits of the two months before may reach into them, and
    what is carried over stands in the month after."""
    mine = (select(table.c[column]).where(table.c[whose] == key) for table in (orders, declines, excess_reasons))
    near = between(visits.c.month_on, first.plus(-2).first_on, last.next.first_on)
    return union(select(visits.c[column]).where(visits.c[whose] == key, near), *mine)


def _manual(_connection: Connection, change: Change, work: Work) -> None:
    work.manual_ids.add(change.key)


def _visit(_connection: Connection, change: Change, work: Work) -> None:
    work.visit_ids.add(change.key)


def _person(connection: Connection, change: Change, work: Work) -> None:
    """All overlaps of the person behind a staff_id: its taps paired again, and whom it may have been."""
    keys = connection.execute(
        select(employments.c.person_key).where(employments.c.staff_id == change.key, employments.c.person_key != "")
    ).scalars()
    for key in keys:
        work.persons[f"person:{key}"].append(span_of(change))
    work.persons[f"staff:{change.key}"].append(span_of(change))
    _staff(connection, change, work)
    stated = select(manual_visits.c.manual_id).where(manual_visits.c.staff_id == change.key)
    work.manual_ids.update(connection.execute(stated.distinct()).scalars())
    _correcting(connection, corrections.c.new_staff_id == change.key, work)


def _correction(connection: Connection, change: Change, work: Work) -> None:
    """Whatever any version of the correction names."""
    work.corrections.add(change.key)
    _correcting(connection, corrections.c.correction_id == change.key, work)


def _correcting(connection: Connection, where: ColumnElement[bool], work: Work) -> None:
    """Whatever the corrections under the condition name, in any version."""
    names = [column for column in corrections.c if column.name in Correction.__dataclass_fields__]
    for row in connection.execute(select(*names).where(where)):
        _named_by(connection, Correction(**row._mapping), work)


def _named_by(connection: Connection, correction: Correction, work: Work) -> None:
    if correction.kind == "set_staff_of_device":
        from_at, to_at = correction.from_at, correction.to_at
        _tap_users(connection, Change("device", correction.device_id, from_at, to_at), work)
        work.staff[correction.new_staff_id].append(Span(from_at or BEGINNING, to_at or END))
    elif correction.kom_seq is not None and correction.kom_device_id:
        key = (correction.kom_device_id, correction.kom_seq)
        where = (taps.c.device_id == key[0], taps.c.seq == key[1])
        for row in connection.execute(select(taps.c.staff_id, taps.c.at).where(*where)):
            work.staff[row.staff_id].append(Span(row.at, row.at))
    elif correction.manual_id:
        work.manual_ids.add(correction.manual_id)


def _provider(connection: Connection, change: Change, work: Work) -> None:
    """All staff of a provider: its tag level, an outage, its own existence has changed."""
    query = select(employments.c.staff_id).distinct()
    if change.key:
        query = query.where(employments.c.provider_id == change.key)
    for staff_id in connection.execute(query).scalars():
        work.staff[staff_id].append(span_of(change))
    span = span_of(change)
    rows = select(visits.c.manual_id).where(visits.c.manual_id != "")
    said = select(declines.c.client_id).where(
        declines.c.noticed_at >= span.from_at, declines.c.noticed_at <= span.to_at
    )
    if change.key:
        rows = rows.where(visits.c.provider_id == change.key)
        said = said.where(declines.c.provider_id == change.key)
    work.manual_ids.update(connection.execute(rows).scalars())
    for client_id in connection.execute(said.distinct()).scalars():
        work.clients[client_id].append(span.wider(timedelta(days=2)))


def _chain(_connection: Connection, change: Change, work: Work) -> None:
    work.device_ids.add(change.key)


def _account(connection: Connection, change: Change, work: Work) -> None:
    _all_accounts(connection, change, work)


def _provider_accounts(connection: Connection, change: Change, work: Work) -> None:
    """Every account of a provider in the stretch: whoever it has an order, a visit, a decline or a reason with."""
    first, last = _months_of(span_of(change))
    for client_id in connection.execute(_with("client_id", "provider_id", change.key, first, last)).scalars():
        work.accounts.add(AccountSpan(client_id, change.key, first, last))


_EXPAND: Mapping[str, Callable[[Connection, Change, Work], None]] = {
    "staff": _staff,
    "tag": _tap_users,
    "device": _tap_users,
    "client": _client,
    "household": _household,
    "manual": _manual,
    "visit": _visit,
    "person": _person,
    "correction": _correction,
    "provider": _provider,
    "account": _account,
    "accounts": _provider_accounts,
    "chain": _chain,
}
