"""A visit as a line of COPY: a city's month has more than a million of them, so this is `store.to_row` made quick.

`tests/flows/test_visit_lines.py` holds the two against each other.
"""

from __future__ import annotations

import json
from datetime import date, datetime
from functools import lru_cache

from app.db.copy_text import array_cell, copy_line, instant_cell
from app.facts import Visit
from app.visits.rules.spans import local_day
from app.visits.tables import visits

LINE_COLUMNS = ("visit_id", *(c.name for c in visits.columns if c.name not in ("visit_id", "changed_at")))
"""The columns of a line, in its order: all but `changed_at`, which says when this row was written."""


def visit_line(visit: Visit, paired_staff_id: str) -> bytes:
    """The line of a living visit."""
    kom, gick, share = visit.kom, visit.gick, visit.share
    start_at, end_at, at = visit.start_at, visit.end_at, visit.at
    start, end = _instant(start_at), _instant(end_at)
    # Nearly always the visit begins and ends at its taps.
    kom_at = None if kom is None else start if kom.at == start_at else instant_cell(kom.at)
    gick_at = None if gick is None else end if gick.at == end_at else instant_cell(gick.at)
    return copy_line(
        (
            visit.visit_id,
            _month_cell(local_day(at)),
            visit.manual_id,
            visit.client_id,
            visit.provider_id,
            visit.unit_id,
            visit.staff_id,
            visit.person,
            visit.role,
            end if start is None else start,
            start,
            end,
            str(visit.minutes),
            visit.status,
            visit.stated_status,
            visit.source,
            visit.grade,
            visit.service,
            visit.stated_service,
            None if kom is None else kom.device_id,
            None if kom is None else str(kom.seq),
            kom_at,
            None if gick is None else gick.device_id,
            None if gick is None else str(gick.seq),
            gick_at,
            visit.planned_id,
            visit.decline_id,
            visit.replaced_by,
            visit.care_service,
            paired_staff_id,
            kom_at if kom is not None else gick_at,
            array_cell(visit.marks),
            json.dumps(visit.proposal, ensure_ascii=False) if visit.proposal else "[]",
            None if share is None else str(share.position),
            None if share is None else f"{{{','.join(map(str, share.weights))}}}",
            array_cell(visit.holds),
            array_cell(visit.findings),
            "t" if visit.accepted else "f",
            _instant(visit.open_until_at),
            "f",
        )
    )


def _instant(at: datetime | None) -> str | None:
    return None if at is None else instant_cell(at)


@lru_cache(maxsize=4096)
def _month_cell(on: date) -> str:
    return on.replace(day=1).isoformat()
