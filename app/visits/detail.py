"""One visit in depth: its taps, what people have stated about it; and the visits that go on, by client."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, select, tuple_

from app.core.localtime import format_instant, local_date
from app.evidence.store import load_corrections, load_manual_visits, tap_columns, the_tap
from app.evidence.tables import taps
from app.facts import Correction, Tap, Visit
from app.registry.tables import employments
from app.visits.findings_shown import Shown
from app.visits.listing import is_open
from app.visits.tables import visits

_STATED = (
    "kom_device_id", "kom_seq", "manual_id", "device_id", "from_at", "to_at", "new_start_at", "new_end_at",
    "new_staff_id", "new_client_id",
)  # fmt: skip


def taps_of(connection: Connection, visit: Visit) -> list[dict[str, Any]]:
    """The taps the caller may see of those that are the visit's ends, KOM first."""
    keys = [(end.device_id, end.seq) for end in (visit.kom, visit.gick) if end is not None]
    if not keys:
        return []
    query = select(*tap_columns(), taps.c.tapped_at).where(tuple_(taps.c.device_id, taps.c.seq).in_(keys), the_tap())
    found = {}
    for row in connection.execute(query):
        *cells, tapped_at = row
        tap = Tap(*cells)
        found[tap.key] = _tap_fields(tap, tapped_at)
    return [found[key] for key in keys if key in found]


def _tap_fields(tap: Tap, tapped_at: datetime) -> dict[str, Any]:
    return {
        "device_id": tap.device_id,
        "seq": tap.seq,
        "act": tap.act,
        "tag_uid": tap.tag_uid,
        "staff_id": tap.staff_id,
        "tapped_at": format_instant(tapped_at),
        "at": format_instant(tap.at),
        "received_at": format_instant(tap.received_at),
        "grade": tap.grade,
        "doubts": sorted(set(tap.doubts or ())),
        "service": tap.service,
    }


def history_of(connection: Connection, visit: Visit, findings: Iterable[Shown] = ()) -> list[dict[str, Any]]:
    """What people stated: the manual visit itself, corrections as they apply (those of the visit, and those that say
    who used the device of one of its taps then), resolutions of findings; by time."""
    ends = [end for end in (visit.kom, visit.gick) if end is not None]
    manual_ids = [visit.manual_id] if visit.manual_id else []
    stated = load_corrections(
        connection,
        taps_named=[(end.device_id, end.seq) for end in ends],
        manual_ids=manual_ids,
        devices={end.device_id for end in ends},
    )
    about = [
        one for one in stated if one.kind != "set_staff_of_device" or any(one.covers(e.device_id, e.at) for e in ends)
    ]
    entries = [_of_correction(one) for one in about]
    for manual in load_manual_visits(connection, manual_ids=manual_ids) if manual_ids else ():
        entries.insert(0, _entry(format_instant(visit.at), "manual_visit", manual.manual_id, manual))
    for shown in findings:
        if shown.resolution is not None:
            done = shown.resolution
            entries.append(
                {
                    "at": format_instant(done.resolved_at), "kind": "resolution", "id": done.finding_id, "by": done.by,
                    "approved_by": None, "reason": done.reason, "note": "", "stated": {"code": shown.finding.code},
                }
            )  # fmt: skip
    return entries


def _of_correction(one: Correction) -> dict[str, Any]:
    return _entry(format_instant(one.made_at), one.kind, one.correction_id, one)


def _entry(at: str, kind: str, ident: str, said: Any) -> dict[str, Any]:
    values = {name: getattr(said, name, None) for name in (*_STATED, "start_at", "end_at", "care_service")}
    return {
        "at": at,
        "kind": kind,
        "id": ident,
        "by": said.made_by,
        "approved_by": said.approved_by or None,
        "reason": said.reason,
        "note": said.note,
        "stated": {name: _text(value) for name, value in values.items() if value not in (None, "")},
    }


def _text(value: Any) -> str:
    return format_instant(value) if isinstance(value, datetime) else str(value)


def open_visits(
    connection: Connection, now: datetime, conditions: Sequence[ColumnElement[bool]], page: tuple[str, int]
) -> dict[str, list[dict[str, Any]]]:
    """Visits going on, by client_id: at most `page[1]` clients after `page[0]`; names of staff the caller may see."""
    going_on = and_(visits.c.ceased.is_(False), is_open(now), *conditions)
    after, most = page
    clients = select(visits.c.client_id).where(going_on, visits.c.client_id > after)
    chosen = clients.distinct().order_by(visits.c.client_id).limit(most)
    rows = connection.execute(
        select(visits)
        .where(going_on, visits.c.client_id.in_(chosen))
        .order_by(visits.c.client_id, visits.c.at, visits.c.visit_id)
    ).all()
    names = names_of(connection, {row.staff_id for row in rows}, now)
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row.client_id].append(
            {
                "visit_id": row.visit_id,
                "provider_id": row.provider_id,
                "unit_id": row.unit_id,
                "staff_id": row.staff_id,
                "staff_name": names.get(row.staff_id),
                "service": row.service,
                "start_at": format_instant(row.at),
                "open_until_at": format_instant(row.open_until_at),
            }
        )
    return dict(found)


def names_of(connection: Connection, staff_ids: set[str], now: datetime) -> dict[str, str]:
    """Names by staff_id, as last known today; whoever asks decides who may see them."""
    today = local_date(now)
    query = (
        select(employments.c.staff_id, employments.c.name)
        .where(employments.c.staff_id.in_(sorted(staff_ids)), employments.c.valid_from <= today)
        .order_by(employments.c.valid_from)
    )
    return {row.staff_id: row.name for row in connection.execute(query)}
