"""The simulated bundle has the form that CONTRACT.md section 2 promises."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from app.core.month import Month
from app.simulation import BUNDLE_COLUMNS, BUNDLE_KEYS, datapackage, town_of, write_month
from tests.simulation.conftest import OCTOBER, Written

# Written out from CONTRACT.md section 2, line by line, so that a slip in the code's list cannot hide.
CONTRACT = """
providers: provider_id name operation minimum_tag_level minimum_tag_level_from
units: unit_id provider_id name phone alert_to
staff: staff_id valid_from valid_to person_key unit_id name employment education education_document in_training role badge_uid
clients: client_id name birth_date site_id address entry_note protected_identity target_group
contacts: client_id provider_id kind valid_from valid_to staff_id
tag_refusals: client_id valid_from valid_to
tags: tag_uid client_id valid_from_at valid_to_at kind
orders: order_id client_id provider_id unit_id district valid_from valid_to minutes_per_month minutes_per_day max_staff service cost_code
order_services: order_id care_service care_area times per standard_minutes proof
devices: device_id provider_id kind public_jwk enrolled_at revoked_at replaces
taps: device_id seq act tag_uid staff_id tapped_at received_at sun service jws
planned_visits: planned_id client_id provider_id staff_id start_at end_at service staff_count withdrawn_at
declines: decline_id client_id provider_id planned_start_at planned_end_at staff_count notice noticed_at made_up_minutes made_up_on
manual_visits: manual_id client_id provider_id staff_id start_at end_at service care_service reason note made_by approved_by
corrections: correction_id made_at kind kom_device_id kom_seq manual_id device_id from_at to_at new_start_at new_end_at new_staff_id new_client_id reason note made_by approved_by
disputes: dispute_id client_id on_date stated_at stated_by text state
excess_reasons: reason_id client_id provider_id month minutes reason note submitted_on decision approved_minutes decided_on decided_by decision_note
absences: client_id from_on kind to_on
outages: outage_id provider_id from_at to_at reason
staff_hours: staff_id worked_on kind minutes
services_done: client_id staff_id done_at care_service count
prices: operation band service unit valid_from amount_ore
catalogue: unit_id name provider_name
external_indicators: unit_id indicator period value n response_rate source
"""  # noqa: E501 -- one file a line, as in the contract


def test_columns_are_those_of_the_contract(october: Written) -> None:
    for line in CONTRACT.strip().splitlines():
        file, _, columns = line.partition(": ")
        header = (october.folder / f"{file}.csv").read_text(encoding="utf-8").split("\n", 1)[0]
        assert header.split(",") == columns.split(), file
    assert len(BUNDLE_COLUMNS) == len(CONTRACT.strip().splitlines())


def test_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two", "one.zip", "two.zip"):
        write_month(town_of(40, 7), OCTOBER, tmp_path / name)
    for file in sorted(path.name for path in (tmp_path / "one").iterdir()):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    write_month(town_of(40, 8), OCTOBER, tmp_path / "other")
    assert (tmp_path / "one" / "taps.csv").read_bytes() != (tmp_path / "other" / "taps.csv").read_bytes()


def test_every_file_of_a_town_has_rows(october: Written) -> None:
    assert [file for file, rows in october.rows.items() if not rows] == []


def test_keys_are_unique_and_filled(october: Written) -> None:
    for file, key in BUNDLE_KEYS.items():
        found = [tuple(row[column] for column in key) for row in october[file]]
        assert len(found) == len(set(found)), file


def test_references_exist(october: Written) -> None:
    known = {
        column: {row[column] for row in october[file]}
        for file, column in (
            ("providers", "provider_id"), ("units", "unit_id"), ("clients", "client_id"), ("orders", "order_id"),
            ("staff", "staff_id"), ("devices", "device_id"),
        )
    }  # fmt: skip
    for file, rows in october.rows.items():
        for column in set(known) & set(BUNDLE_COLUMNS[file]) - ({"staff_id", "device_id"} if file == "taps" else set()):
            missing = {row[column] for row in rows if row[column]} - known[column]
            assert not missing, (file, column, missing)
    assert {row["replaces"] for row in october["devices"]} - {""} <= known["device_id"]
    assert {row["new_client_id"] for row in october["corrections"]} - {""} <= known["client_id"]
    assert {row["new_staff_id"] for row in october["corrections"]} - {""} <= known["staff_id"]
    taps = {(row["device_id"], row["seq"]) for row in october["taps"]}
    named = {(row["kom_device_id"], row["kom_seq"]) for row in october["corrections"] if row["kom_seq"]}
    assert named
    assert named <= taps


@pytest.mark.parametrize(
    ("file", "whose", "begins", "ends"),
    [
        ("staff", ("staff_id",), "valid_from", "valid_to"),
        ("orders", ("client_id", "provider_id", "service"), "valid_from", "valid_to"),
        ("contacts", ("client_id", "provider_id", "kind"), "valid_from", "valid_to"),
    ],
)
def test_dated_rows_of_one_thing_do_not_overlap(
    october: Written, file: str, whose: tuple[str, ...], begins: str, ends: str
) -> None:
    periods = defaultdict(list)
    for row in october[file]:
        start, end = date.fromisoformat(row[begins]), date.fromisoformat(row[ends] or "9999-12-31")
        assert start <= end, row
        periods[tuple(row[column] for column in whose)].append((start, end))
    for key, found in periods.items():
        found.sort()
        assert all(before[1] < after[0] for before, after in pairwise(found)), key


def test_a_tag_is_at_one_door_at_a_time_and_each_door_has_one(october: Written) -> None:
    by_pair, by_client = defaultdict(list), defaultdict(list)
    for row in october["tags"]:
        assert re.fullmatch(r"04[0-9A-F]{12}", row["tag_uid"])
        period = (row["valid_from_at"], row["valid_to_at"] or "9999")
        assert period[0] < period[1]
        by_pair[row["tag_uid"], row["client_id"]].append(period)
        by_client[row["client_id"]].append(period)
    for periods in (*by_pair.values(), *by_client.values()):
        periods.sort()
        assert all(before[1] <= after[0] for before, after in pairwise(periods))
    assert any(len(periods) == 2 for periods in by_client.values()), "somebody's tag was replaced"


def test_taps_of_a_device_are_numbered_in_order_of_time(october: Written) -> None:
    last: dict[str, tuple[int, datetime]] = {}
    for row in october["taps"]:
        seq, at = int(row["seq"]), datetime.fromisoformat(row["tapped_at"])
        assert datetime.fromisoformat(row["received_at"]) > at
        if row["device_id"] in last:
            before, earlier = last[row["device_id"]]
            assert seq == before + 1
            assert at >= earlier
        last[row["device_id"]] = (seq, at)


def test_no_id_looks_like_a_personnummer(october: Written) -> None:
    looks = re.compile(r"(?<!\d)(\d{6}|\d{8})[-+]?\d{4}(?!\d)")
    for file, rows in october.rows.items():
        for column in BUNDLE_COLUMNS[file]:
            if column.endswith(("_id", "_uid", "_key", "name", "address", "_note", "phone", "note", "by")):
                assert [row[column] for row in rows if looks.search(row[column])] == [], (file, column)


def test_the_datapackage_describes_every_file(october: Written) -> None:
    package = json.loads((october.folder / "datapackage.json").read_text(encoding="utf-8"))
    assert package == datapackage(f"komgick-300-1-{OCTOBER}")
    assert package["profile"] == "tabular-data-package"
    for resource in package["resources"]:
        assert (october.folder / resource["path"]).is_file()
        fields = {field["name"]: field for field in resource["schema"]["fields"]}
        assert tuple(fields) == BUNDLE_COLUMNS[resource["name"]]
        assert tuple(resource["schema"]["primaryKey"]) == BUNDLE_KEYS[resource["name"]]
        for row in october[resource["name"]][:2000]:
            for name, field in fields.items():
                _fits(row[name], field)


def _fits(text: str, field: dict[str, object]) -> None:
    constraints = field.get("constraints", {})
    assert isinstance(constraints, dict)
    if not text:
        assert not constraints.get("required"), field
        return
    assert text in map(str, constraints.get("enum", [text])), field
    if field["type"] == "integer":
        int(text)
    elif field["type"] == "date":
        date.fromisoformat(text)
    elif field["type"] == "datetime":
        assert datetime.fromisoformat(text).tzinfo is not None
    elif field["type"] == "yearmonth":
        Month.parse(text)
