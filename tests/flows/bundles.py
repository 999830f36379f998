"""Bundles for tests: every file of the contract once, with odd characters, and what is needed to compare them."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

Rows = list[dict[str, str]]
Bundle = dict[str, Rows]

ODD = 'Åsa "Öst", rad ett\nrad två\r\n\\N \\t slut\t;\'= 漢'
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def every_file() -> Bundle:
    """A fresh bundle with rows in every file of CONTRACT.md section 2; some cells left empty on purpose."""
    return {
        "providers.csv": [
            {"provider_id": "p1", "name": ODD, "operation": "municipal", "minimum_tag_level": "",
             "minimum_tag_level_from": ""},
            {"provider_id": "p2", "name": "Hemvård", "operation": "private", "minimum_tag_level": "sun",
             "minimum_tag_level_from": "2026-10-01"},
        ],
        "units.csv": [
            {"unit_id": "u1", "provider_id": "p1", "name": "Ekbacken", "phone": "+46 8 123",
             "alert_to": "x@example.org"},
            {"unit_id": "u2", "provider_id": "p2", "name": "", "phone": "", "alert_to": ""},
        ],
        "staff.csv": [
            {"staff_id": "s1", "valid_from": "2026-01-01", "valid_to": "2026-09-30", "person_key": "k1",
             "unit_id": "u1", "name": "Bo", "employment": "hourly", "education": "usk", "education_document": "yes",
             "in_training": "",
             "role": "", "badge_uid": "0411"},
            {"staff_id": "s1", "valid_from": "2026-10-01", "valid_to": "", "person_key": "k1", "unit_id": "u2",
             "name": "Bo", "employment": "", "education": "none", "education_document": "no", "in_training": "yes",
             "role": "carer", "badge_uid": ""},
            {"staff_id": "s2", "valid_from": "2026-01-01", "valid_to": "", "person_key": "", "unit_id": "u2",
             "name": ODD, "employment": "monthly", "education": "", "education_document": "", "in_training": "no",
             "role": "health_care", "badge_uid": ""},
        ],
        "clients.csv": [
            {"client_id": "c1", "name": ODD, "birth_date": "1940-02-29", "site_id": "e1", "address": "Storgatan 1",
             "entry_note": "portkod 12\n34", "protected_identity": "yes", "target_group": "65+"},
            {"client_id": "c2", "name": "", "birth_date": "", "site_id": "", "address": "", "entry_note": "",
             "protected_identity": "", "target_group": ""},
        ],
        "contacts.csv": [
            {"client_id": "c1", "provider_id": "p1", "kind": "care_contact", "valid_from": "2026-01-01", "valid_to": "",
             "staff_id": "s1"},
        ],
        "tag_refusals.csv": [{"client_id": "c2", "valid_from": "2026-10-01", "valid_to": "2026-10-31"}],
        "tags.csv": [
            {"tag_uid": "04DE5F1EACC040", "client_id": "c1", "valid_from_at": "2026-01-01T00:00:00+01:00",
             "valid_to_at": "2026-10-01T00:00:00+02:00", "kind": "sun"},
            {"tag_uid": "04DE5F1EACC040", "client_id": "c1", "valid_from_at": "2026-10-01T00:00:00+02:00",
             "valid_to_at": "", "kind": ""},
            {"tag_uid": "04DE5F1EACC040", "client_id": "c2", "valid_from_at": "2026-10-01T00:00:00.250+02:00",
             "valid_to_at": "", "kind": "uid"},
        ],
        "orders.csv": [
            {"order_id": "o1", "client_id": "c1", "provider_id": "p1", "unit_id": "", "district": "Östermalm",
             "valid_from": "2026-01-01", "valid_to": "2026-06-30", "minutes_per_month": "1200", "minutes_per_day": "",
             "max_staff": "", "service": "", "cost_code": "7"},
            {"order_id": "o2", "client_id": "c1", "provider_id": "p1", "unit_id": "u1", "district": "Östermalm",
             "valid_from": "2026-07-01", "valid_to": "", "minutes_per_month": "", "minutes_per_day": "40",
             "max_staff": "2", "service": "", "cost_code": ""},
        ],
        "order_services.csv": [
            {"order_id": "o2", "care_service": "dusch", "care_area": "personlig_omvardnad", "times": "2", "per": "week",
             "standard_minutes": "30", "proof": "one_end"},
            {"order_id": "o2", "care_service": "inköp", "care_area": "service", "times": "", "per": "",
             "standard_minutes": "", "proof": ""},
        ],
        "devices.csv": [
            {"device_id": "d1", "provider_id": "p1", "kind": "phone", "public_jwk": '{"kty": "EC"}',
             "enrolled_at": "2026-01-01T08:00:00Z", "revoked_at": "", "replaces": "d0"},
            {"device_id": "d2", "provider_id": "", "kind": "reader", "public_jwk": "", "enrolled_at": "",
             "revoked_at": "", "replaces": ""},
        ],
        "taps.csv": [
            {"device_id": "d1", "seq": "1", "act": "KOM", "tag_uid": "04DE5F1EACC040", "staff_id": "s1",
             "tapped_at": "2026-10-05T08:00:00.480+02:00", "received_at": "2026-10-05T06:00:02Z", "sun": "",
             "service": "meal", "jws": ""},
            {"device_id": "d1", "seq": "2", "act": "GICK", "tag_uid": "04DE5F1EACC040", "staff_id": "s1",
             "tapped_at": "2026-10-05T08:30:00+02:00", "received_at": "", "sun": "ab.cd", "service": "",
             "jws": "aa.bb.cc"},
            {"device_id": "unknown", "seq": "7", "act": "AUTO", "tag_uid": ODD, "staff_id": "nobody",
             "tapped_at": "1970-01-01T00:00:00Z", "received_at": "2031-01-01T00:00:00Z", "sun": "", "service": "",
             "jws": ""},
        ],
        "planned_visits.csv": [
            {"planned_id": "v1", "client_id": "c1", "provider_id": "p1", "staff_id": "s1",
             "start_at": "2026-10-05T08:00:00+02:00", "end_at": "2026-10-05T08:30:00+02:00", "service": "",
             "staff_count": "", "withdrawn_at": ""},
            {"planned_id": "v2", "client_id": "c1", "provider_id": "p2", "staff_id": "",
             "start_at": "2026-10-05T08:00:00+02:00", "end_at": "2026-10-05T08:30:00+02:00", "service": "alarm",
             "staff_count": "2", "withdrawn_at": "2026-10-04T08:00:00+02:00"},
        ],
        "declines.csv": [
            {"decline_id": "n1", "client_id": "c1", "provider_id": "p1",
             "planned_start_at": "2026-10-06T08:00:00+02:00",
             "planned_end_at": "2026-10-06T08:30:00+02:00", "staff_count": "", "notice": "at_door",
             "noticed_at": "2026-10-06T08:02:00+02:00", "made_up_minutes": "", "made_up_on": ""},
        ],
        "manual_visits.csv": [
            {"manual_id": "m1", "client_id": "c1", "provider_id": "p1", "staff_id": "s1",
             "start_at": "2026-10-07T08:00:00+02:00", "end_at": "", "service": "", "care_service": "",
             "reason": "other", "note": ODD, "made_by": "s1", "approved_by": "chef"},
        ],
        "corrections.csv": [
            {"correction_id": "r1", "made_at": "2026-10-08T08:00:00+02:00", "kind": "set_times", "kom_device_id": "d1",
             "kom_seq": "1", "manual_id": "", "device_id": "", "from_at": "", "to_at": "",
             "new_start_at": "2026-10-05T08:05:00+02:00", "new_end_at": "", "new_staff_id": "", "new_client_id": "",
             "reason": "wrong_time", "note": "", "made_by": "s1", "approved_by": ""},
            {"correction_id": "r2", "made_at": "2026-10-08T08:00:00+02:00", "kind": "set_staff_of_device",
             "kom_device_id": "", "kom_seq": "", "manual_id": "", "device_id": "d1",
             "from_at": "2026-10-05T07:00:00+02:00", "to_at": "2026-10-05T12:00:00+02:00", "new_start_at": "",
             "new_end_at": "", "new_staff_id": "s2", "new_client_id": "", "reason": "wrong_grant", "note": ODD,
             "made_by": "a", "approved_by": "b"},
        ],
        "disputes.csv": [
            {"dispute_id": "t1", "client_id": "c1", "on_date": "2026-10-05", "stated_at": "2026-10-09T08:00:00+02:00",
             "stated_by": "dotter", "text": ODD, "state": ""},
        ],
        "excess_reasons.csv": [
            {"reason_id": "x1", "client_id": "c1", "provider_id": "p1", "month": "2026-10", "minutes": "60",
             "reason": "illness", "note": "", "submitted_on": "2026-11-02", "decision": "approved",
             "approved_minutes": "30", "decided_on": "2026-11-03", "decided_by": "h", "decision_note": ODD},
        ],
        "resolutions.csv": [{"finding_id": "f1", "resolved_at": "2026-10-09T08:00:00+02:00", "by": "a", "reason": ODD}],
        "attests.csv": [{"provider_id": "p1", "month": "2026-09", "at": "2026-10-03T08:00:00+02:00", "by": "a"}],
        "closes.csv": [{"month": "2026-09", "at": "2026-10-06T18:00:00+02:00", "by": "a", "hash": "abc"}],
        "absences.csv": [{"client_id": "c2", "from_on": "2026-10-01", "kind": "away", "to_on": "2026-10-03"}],
        "outages.csv": [
            {"outage_id": "g1", "provider_id": "", "from_at": "2026-10-01T08:00:00+02:00",
             "to_at": "2026-10-01T09:00:00+02:00", "reason": "el"},
        ],
        "staff_hours.csv": [
            {"staff_id": "s1", "worked_on": "2026-10-05", "kind": "", "minutes": "480"},
            {"staff_id": "s1", "worked_on": "2026-10-05", "kind": "travel", "minutes": "40"},
        ],
        "services_done.csv": [
            {"client_id": "c1", "staff_id": "s1", "done_at": "2026-10-05T08:10:00+02:00", "care_service": "dusch",
             "count": ""},
        ],
        "prices.csv": [
            {"operation": "municipal", "band": "day", "service": "", "unit": "hour", "valid_from": "2024-01-01",
             "amount_ore": "48500"},
        ],
        "catalogue.csv": [{"unit_id": "u1", "name": "Ekbacken", "provider_name": ODD, "öppettider": "07-22",
             "språk": ""}],
        "external_indicators.csv": [
            {"unit_id": "u1", "indicator": "nöjdhet", "period": "2025", "value": "87.50", "n": "40",
             "response_rate": "0.6", "source": "enkät"},
        ],
    }  # fmt: skip


POLICIES = '[[policy]]\nkey = "ceiling_percent"\nvalue = 115\nvalid_from = 2026-01-01\nsource = "KF § 12"\n'


def write(folder: Path, bundle: Mapping[str, Rows], policies: str = "") -> Path:
    """The bundle as a folder of CSV files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in bundle.items():
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            if rows:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
    if policies:
        (folder / "policies.toml").write_text(policies, "utf-8")
    return folder


def read(folder: Path) -> Bundle:
    """The CSV files of a folder as sorted rows, instants as UTC; cells that are empty are left out."""
    bundle: Bundle = {}
    for path in folder.glob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            rows = ({name: plain(cell) for name, cell in row.items() if cell} for row in csv.DictReader(file))
            bundle[path.name] = by_content(rows)
    return bundle


def by_content(rows: Iterable[dict[str, str]]) -> Rows:
    """Any row order."""
    return sorted(rows, key=lambda row: sorted(row.items()))


def plain(cell: str) -> str:
    """An instant as an instant, anything else as it stands."""
    if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", cell):
        return datetime.fromisoformat(cell).astimezone(UTC).isoformat()
    return cell
