"""The smallest town in which the main job can be seen: one provider, three carers with badges, three tagged doors."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

TAGS = {"ntag213": "04A1B2C3D4E580", "ntag424": "04DE5F1EACC040", "felica": "03FEFFE011223344"}
BADGES = {"s_1": "04BADBADBADB01", "s_2": "04BADBADBADB02", "s_3": "04BADBADBADB03"}
_SINCE = "2020-01-01"


def write_town(folder: Path) -> Path:
    """The bundle. Client `c_KIND` has a tag of that kind and an order of 1,200 minutes a month."""
    staff = {"valid_from": _SINCE, "unit_id": "u_1", "employment": "monthly", "education": "usk", "role": "carer"}
    order = {"provider_id": "p_1", "unit_id": "u_1", "valid_from": _SINCE, "minutes_per_month": 1200, "max_staff": 1}
    tag = {"valid_from_at": f"{_SINCE}T00:00:00+01:00"}
    files: dict[str, list[dict[str, Any]]] = {
        "providers": [{"provider_id": "p_1", "name": "Utföraren", "operation": "private"}],
        "units": [{"unit_id": "u_1", "provider_id": "p_1", "name": "Enheten"}],
        "staff": [{"staff_id": one, "name": one, "badge_uid": uid, **staff} for one, uid in BADGES.items()],
        "clients": [{"client_id": f"c_{kind}", "name": kind} for kind in TAGS],
        "tags": [
            {"tag_uid": uid, "client_id": f"c_{kind}", "kind": "sun" if kind == "ntag424" else "uid", **tag}
            for kind, uid in TAGS.items()
        ],
        "orders": [
            {"order_id": f"o_{kind}", "client_id": f"c_{kind}", "service": "hemtjanst", **order} for kind in TAGS
        ],
    }
    folder.mkdir()
    for name, found in files.items():
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as out:
            writer = csv.DictWriter(out, list(found[0]))
            writer.writeheader()
            writer.writerows(found)
    return folder
