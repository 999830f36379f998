"""What the rules about irregularities ask about taps: phones of many, tags of one. Reads only."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from sqlalchemy import Connection, text

from app.core.localtime import STOCKHOLM, month_bounds
from app.core.month import Month
from app.insight.irregularity import MANY_PERSONS, READS, DeviceMonth, LoneTag

_SHARED_KINDS = ["reader", "shared", "imported"]
"""Kinds of device that several persons are meant to use, or whose kind is unknown."""

_DEVICES = text("""
    SELECT device_id, min(provider_id), count(*), min(staff_id) <> max(staff_id) AND NOT EXISTS (
        SELECT FROM devices d WHERE d.device_id = taps.device_id AND d.kind = ANY(:shared)) FROM taps
    WHERE at >= :from_at AND at < :to_at GROUP BY device_id ORDER BY device_id""")
_DAYS = text("""
    SELECT device_id, count(*), count(*) FILTER (WHERE persons >= :many)
    FROM (SELECT t.device_id, count(DISTINCT t.staff_id) AS persons FROM taps t
          WHERE t.at >= :from_at AND t.at < :to_at AND t.device_id = ANY(:devices)
          GROUP BY t.device_id, (t.at AT TIME ZONE :zone)::date) AS days
    GROUP BY device_id""")
# A tag that changes hands within the month may have one reader under one holder and many under another.
_LONE_CANDIDATES = """
    SELECT tag_uid FROM taps WHERE at >= :from_at AND at < :to_at
    GROUP BY tag_uid HAVING min(staff_id) = max(staff_id) AND count(*) >= :reads
    UNION SELECT tag_uid FROM tags
    WHERE (valid_from_at > :from_at AND valid_from_at < :to_at) OR (valid_to_at > :from_at AND valid_to_at < :to_at)"""
_READERS = text(f"""
    WITH asked AS MATERIALIZED (
        SELECT DISTINCT every.tag_uid FROM ({_LONE_CANDIDATES}) AS lone JOIN tags USING (tag_uid)
        JOIN tags every ON every.client_id = tags.client_id)
    SELECT coalesce((SELECT min(h.client_id) FROM tags h WHERE h.tag_uid = t.tag_uid AND h.valid_from_at <= t.at
                     AND (h.valid_to_at IS NULL OR h.valid_to_at > t.at)), '') AS holder,
           t.tag_uid, t.staff_id, min(t.provider_id), count(*)
    FROM asked JOIN taps t ON t.tag_uid = asked.tag_uid
    WHERE t.at >= :from_at AND t.at < :to_at GROUP BY 1, 2, 3""")  # noqa: S608 -- constants of this module


def load_devices(connection: Connection, month: Month) -> list[DeviceMonth]:
    """Every device that tapped; days are counted where several persons use what is not meant to be shared."""
    bounds = _bounds(month)
    rows = list(connection.execute(_DEVICES, {**bounds, "shared": _SHARED_KINDS}))
    asked = {"devices": [row[0] for row in rows if row[3]], "zone": STOCKHOLM.key}
    found = connection.execute(_DAYS, {**bounds, **asked, "many": MANY_PERSONS}) if asked["devices"] else ()
    days = {device_id: (every, crowded) for device_id, every, crowded in found}
    return [DeviceMonth(device, provider, taps, *days.get(device, (0, 0))) for device, provider, taps, _ in rows]


def load_lone_tags(connection: Connection, month: Month) -> list[LoneTag]:
    """Tags that only one person reads, of clients whose tags several persons read."""
    reads: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    of_client: dict[str, set[str]] = defaultdict(set)
    provider: dict[str, str] = {}
    for holder, tag_uid, staff_id, provider_id, count in connection.execute(
        _READERS, {**_bounds(month), "reads": READS}
    ):
        reads[holder, tag_uid][staff_id] += count
        of_client[holder].add(staff_id)
        provider[tag_uid] = provider_id
    return [
        LoneTag(tag_uid, provider[tag_uid], readers.total())
        for (holder, tag_uid), readers in sorted(reads.items())
        if holder and len(readers) == 1 and readers.total() >= READS and len(of_client[holder]) > 1
    ]


def _bounds(month: Month) -> dict[str, Any]:
    from_at, to_at = month_bounds(month)
    return {"from_at": from_at, "to_at": to_at}
