"""What an import promises: all or nothing, idempotent, every error with its place; statements superseded."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from app.db.callers import Caller
from app.db.engine import Database
from app.evidence.enrolment import revoke
from app.evidence.imports import import_bundle
from app.evidence.rules.signatures import jwk_text
from app.evidence.store import load_declines, load_planned_visits
from app.refusals import BundleRefused
from app.registry.bundle.storing import Counts
from app.registry.store import load_directory, load_policy_book
from tests.evidence.devices import START, Device, register, rows
from tests.flows.bundles import NOW, POLICIES, Bundle, every_file, read, write
from tests.flows.test_bundle_round_trip import give_out, take_in


def count(database: Database, table: str) -> int:
    with database.transaction(Caller.batch()) as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def errors_of(database: Database, path: Path) -> list[str]:
    report = take_in(database, path)
    assert report.errors
    assert count(database, "providers") == 0, "nothing may be imported"
    return [str(error) for error in report.errors]


def test_the_same_bundle_again_changes_nothing(database: Database, tmp_path: Path) -> None:
    path = write(tmp_path / "in", every_file(), POLICIES)
    first = take_in(database, path)
    again = take_in(database, path)
    for name, counts in again.counts.items():
        assert counts == Counts(0, 0, first.counts[name].added), name
    assert all(rows == [] for rows in again.touched.rows.values())
    assert again.touched.taps == {}
    assert again.touched.devices == ()


@pytest.mark.parametrize("key", [b"p1\x00", b"p1\xb2"])
def test_a_key_that_cannot_be_stored_is_an_error_of_its_row(database: Database, tmp_path: Path, key: bytes) -> None:
    path = write(tmp_path / "in", {"providers.csv": [{"provider_id": "p1", "name": "", "operation": "private"}]})
    file = path / "providers.csv"
    file.write_bytes(file.read_bytes().replace(b"p1", key))
    [found] = errors_of(database, path)
    assert found.startswith("providers.csv, line 2, provider_id")


@pytest.mark.parametrize("uid", ["08A1B2C3", "08:a1:b2:c3", "08 A1 B2 C3"])
def test_a_random_uid_is_nobodys_tag_and_nobodys_badge(database: Database, tmp_path: Path, uid: str) -> None:
    bundle = every_file()
    bundle["tags.csv"][0]["tag_uid"] = bundle["staff.csv"][1]["badge_uid"] = uid
    found = errors_of(database, write(tmp_path / "in", bundle))
    assert [one.split(":")[0] for one in found] == ["staff.csv, line 3, badge_uid", "tags.csv, line 2, tag_uid"]


def test_a_uid_of_seven_bytes_may_begin_with_08(database: Database, tmp_path: Path) -> None:
    bundle = every_file()
    bundle["tags.csv"][0]["tag_uid"] = "08A1B2C3D4E5F6"
    assert take_in(database, write(tmp_path / "in", bundle)).errors == []


def test_a_list_of_devices_takes_no_key_back_and_trusts_no_revoked_device_again(
    database: Database, tmp_path: Path
) -> None:
    device = Device("d_read")
    register(database, device, provider_id="p1")
    with database.transaction(Caller.batch()) as connection:
        revoke(connection, "d_read", "stolen", NOW)
    row = {"device_id": "d_read", "provider_id": "p1", "kind": "phone"}
    for number in range(2):
        path = write(tmp_path / str(number), {"devices.csv": [row]})
        counts = take_in(database, path).counts["devices.csv"]
        assert counts == Counts(0, 1 - number, number), "the kind was another once"
    [stored] = rows(
        database, "SELECT public_jwk, enrolled_at, revoked_at, kind FROM devices WHERE device_id = 'd_read'"
    )
    assert stored == (jwk_text(device.jwk), START, NOW, "phone")
    stolen = jwk_text(Device("d_thief").jwk)
    report = take_in(database, write(tmp_path / "thief", {"devices.csv": [{**row, "public_jwk": stolen}]}))
    assert [(one.file, one.line, one.column) for one in report.errors] == [("devices.csv", 2, "public_jwk")]


def test_a_dry_run_counts_the_same_and_stores_nothing(database: Database, tmp_path: Path) -> None:
    path = write(tmp_path / "in", every_file(), POLICIES)
    dry = take_in(database, path, dry_run=True)
    assert count(database, "providers") == count(database, "taps") == 0
    assert dry.counts == take_in(database, path).counts


def test_a_later_bundle_updates_the_registry_and_forgets_nothing(database: Database, tmp_path: Path) -> None:
    take_in(database, write(tmp_path / "in", every_file()))
    report = take_in(
        database,
        write(
            tmp_path / "later", {"clients.csv": [{"client_id": "c1", "name": "Ny"}, {"client_id": "c9", "name": "Nio"}]}
        ),
    )
    assert report.counts == {"clients.csv": Counts(1, 1, 0)}
    assert report.touched.values("clients.csv", "client_id") == {"c1", "c9"}
    with database.transaction(Caller.batch()) as connection:
        directory = load_directory(connection)
    assert set(directory.clients) == {"c1", "c2", "c9"}
    assert directory.clients["c1"].name == "Ny"
    assert directory.clients["c1"].address == "", "a missing column is empty"


def test_a_changed_statement_is_a_new_version_and_the_old_one_stays(database: Database, tmp_path: Path) -> None:
    bundle = every_file()
    take_in(database, write(tmp_path / "in", bundle))
    bundle["declines.csv"][0]["notice"] = "in_advance"
    report = take_in(database, write(tmp_path / "changed", bundle))
    assert report.counts["declines.csv"] == Counts(0, 1, 0)
    with database.transaction(Caller.batch()) as connection:
        (decline,) = load_declines(connection)
        versions = connection.execute(text("SELECT version, notice FROM declines ORDER BY 1")).all()
    assert decline.notice == "in_advance"
    assert [tuple(row) for row in versions] == [(1, "at_door"), (2, "in_advance")]
    assert give_out(database, tmp_path / "out")["declines.csv"] == read(tmp_path / "changed")["declines.csv"]


def test_a_plan_given_to_another_provider_is_that_providers_alone(database: Database, tmp_path: Path) -> None:
    bundle = every_file()
    take_in(database, write(tmp_path / "in", bundle))
    bundle["planned_visits.csv"][0]["provider_id"] = "p2"
    report = take_in(database, write(tmp_path / "moved", bundle))
    assert report.counts["planned_visits.csv"] == Counts(0, 1, 1)
    with database.transaction(Caller.batch()) as connection:
        plans = load_planned_visits(connection)
    assert [(plan.planned_id, plan.provider_id) for plan in plans] == [("v1", "p2"), ("v2", "p2")]
    bundle["planned_visits.csv"][0]["provider_id"] = "p1"
    take_in(database, write(tmp_path / "back", bundle))
    with database.transaction(Caller.batch()) as connection:
        plans = load_planned_visits(connection)
    assert [(plan.planned_id, plan.provider_id) for plan in plans] == [("v1", "p1"), ("v2", "p2")]


@pytest.mark.parametrize(
    ("column", "value"),
    [("act", "GICK"), ("tapped_at", "2026-10-05T08:00:01+02:00"), ("staff_id", "s2"), ("service", "")],
)
def test_a_known_tap_with_other_content_refuses_the_bundle(
    database: Database, tmp_path: Path, column: str, value: str
) -> None:
    bundle = every_file()
    take_in(database, write(tmp_path / "in", bundle))
    bundle["taps.csv"][0][column] = value
    bundle["clients.csv"][1]["name"] = "must not come"
    report = take_in(database, write(tmp_path / "other", bundle))
    assert [(error.file, error.line, error.value) for error in report.errors] == [("taps.csv", 2, "d1/1")]
    with database.transaction(Caller.batch()) as connection:
        assert load_directory(connection).clients["c2"].name == ""


def test_a_seq_may_be_as_large_as_a_device_counts(database: Database, tmp_path: Path) -> None:
    bundle = every_file()
    bundle["taps.csv"][2]["seq"] = "9223372036854775808"
    assert [one.split(":")[0] for one in errors_of(database, write(tmp_path / "more", bundle))] == [
        "taps.csv, line 4, seq"
    ]
    bundle["taps.csv"][2]["seq"] = "9223372036854775807"
    assert take_in(database, write(tmp_path / "in", bundle)).counts["taps.csv"] == Counts(3, 0, 0)


def test_one_tap_twice_in_a_file_is_one_tap_and_with_two_contents_an_error(database: Database, tmp_path: Path) -> None:
    bundle = every_file()
    bundle["taps.csv"].append(dict(bundle["taps.csv"][0]))
    assert take_in(database, write(tmp_path / "in", bundle), dry_run=True).counts["taps.csv"] == Counts(3, 0, 1)
    bundle["taps.csv"][-1]["act"] = "GICK"
    assert errors_of(database, write(tmp_path / "two", bundle)) == [
        "taps.csv, line 7, seq: got 'd1/1', expected one content per device_id and seq; line 2 has another"
    ]


def test_an_unknown_device_tag_and_staff_are_stored(database: Database, tmp_path: Path) -> None:
    report = take_in(database, write(tmp_path / "in", every_file()))
    assert report.touched.devices == ("unknown",)
    with database.transaction(Caller.batch()) as connection:
        device = load_directory(connection).devices["unknown"]
        grades = connection.execute(text("SELECT DISTINCT grade FROM taps")).scalars().all()
    assert (device.kind, device.provider_id) == ("imported", "")
    assert grades == ["C"]


def test_one_wrong_cell_in_line_40000_refuses_everything(database: Database, tmp_path: Path) -> None:
    bundle = every_file()
    tap = {**bundle["taps.csv"][0], "service": "", "received_at": ""}
    bundle["taps.csv"] = [{**tap, "seq": str(number)} for number in range(1, 40_001)]
    bundle["taps.csv"][39_998]["tapped_at"] = "2026-10-05T08:00:00"
    (error,) = errors_of(database, write(tmp_path / "in", bundle))
    assert error.startswith("taps.csv, line 40000, tapped_at: got '2026-10-05T08:00:00', expected a time with offset")
    assert count(database, "taps") == 0


def test_up_to_a_hundred_errors_come_at_once(database: Database, tmp_path: Path) -> None:
    bundle = every_file()
    bundle["clients.csv"] = [{"client_id": f"c{number}", "birth_date": "31/12/1940"} for number in range(1, 300)]
    errors = errors_of(database, write(tmp_path / "in", bundle))
    assert len(errors) == 100
    assert errors[0] == "clients.csv, line 2, birth_date: got '31/12/1940', expected a date YYYY-MM-DD"


def set_cell(file: str, row: int, **cells: str) -> Callable[[Bundle], None]:
    def change(bundle: Bundle) -> None:
        bundle[file][row].update(cells)

    return change


def add_row(file: str, **cells: str) -> Callable[[Bundle], None]:
    def change(bundle: Bundle) -> None:
        bundle[file].append({**bundle[file][-1], **cells})

    return change


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (set_cell("orders.csv", 0, minutes_per_day="5"), "orders.csv, line 2, minutes_per_month"),
        (set_cell("orders.csv", 0, minutes_per_month=""), "orders.csv, line 2, minutes_per_month"),
        (set_cell("orders.csv", 1, max_staff="3"), "orders.csv, line 3, max_staff"),
        (set_cell("orders.csv", 0, minutes_per_month="12.5"), "orders.csv, line 2, minutes_per_month"),
        (set_cell("orders.csv", 0, minutes_per_month="-1"), "orders.csv, line 2, minutes_per_month"),
        (set_cell("orders.csv", 0, client_id="nobody"), "orders.csv, line 2, client_id"),
        (set_cell("orders.csv", 0, valid_to="2025-12-31"), "orders.csv, line 2, valid_to"),
        (set_cell("orders.csv", 0, valid_to="2026-07-01"), "orders.csv, line 3, valid_from"),
        (set_cell("staff.csv", 0, valid_to="2026-10-01"), "staff.csv, line 3, valid_from"),
        (add_row("staff.csv"), "staff.csv, line 7, staff_id"),  # the row before it holds three lines
        (set_cell("tags.csv", 0, valid_to_at=""), "tags.csv, line 3, valid_from_at"),
        (set_cell("tags.csv", 0, client_id=""), "tags.csv, line 2, client_id"),
        (set_cell("staff.csv", 0, unit_id="u9"), "staff.csv, line 2, unit_id"),
        (set_cell("staff.csv", 0, role="boss"), "staff.csv, line 2, role"),
        (set_cell("clients.csv", 1, protected_identity="maybe"), "clients.csv, line 6, protected_identity"),
        (set_cell("manual_visits.csv", 0, note=" "), "manual_visits.csv, line 2, note"),
        (set_cell("manual_visits.csv", 0, start_at=""), "manual_visits.csv, line 2, start_at"),
        (set_cell("manual_visits.csv", 0, reason="lazy"), "manual_visits.csv, line 2, reason"),
        (set_cell("excess_reasons.csv", 0, month="2026-13"), "excess_reasons.csv, line 2, month"),
        (set_cell("excess_reasons.csv", 0, reason="other", note=""), "excess_reasons.csv, line 2, note"),
        (set_cell("taps.csv", 0, act="IN"), "taps.csv, line 2, act"),
        (set_cell("taps.csv", 0, seq="-1"), "taps.csv, line 2, seq"),
        (set_cell("taps.csv", 0, tapped_at="2026-02-30T08:00:00Z"), "taps.csv, line 2, tapped_at"),
        (set_cell("taps.csv", 1, tag_uid="a\0b"), "taps.csv, line 3, tag_uid"),
        (set_cell("prices.csv", 0, amount_ore="485,00"), "prices.csv, line 2, amount_ore"),
        (set_cell("services_done.csv", 0, staff_id="s9"), "services_done.csv, line 2, staff_id"),
        (
            set_cell("declines.csv", 0, planned_end_at="2026-10-06T07:00:00+02:00"),
            "declines.csv, line 2, planned_end_at",
        ),
        (set_cell("catalogue.csv", 0, unit_id=""), "catalogue.csv, line 2, unit_id"),
    ],
)
def test_a_wrong_cell_is_named(
    database: Database, tmp_path: Path, change: Callable[[Bundle], None], where: str
) -> None:
    bundle = every_file()
    change(bundle)
    errors = errors_of(database, write(tmp_path / "in", bundle))
    assert [error.split(":")[0] for error in errors] == [where]


def test_an_overlap_with_a_stored_row_is_named_with_its_line(database: Database, tmp_path: Path) -> None:
    take_in(database, write(tmp_path / "in", every_file()))
    order = {**every_file()["orders.csv"][0], "order_id": "o3", "valid_from": "2026-12-01", "valid_to": ""}
    report = take_in(database, write(tmp_path / "more", {"orders.csv": [order]}))
    (error,) = report.errors
    assert (error.file, error.line, error.column, error.value) == ("orders.csv", 2, "valid_from", "2026-12-01")
    assert error.expected.endswith("client_id, provider_id, service (it overlaps a stored row)")


def test_a_period_may_be_cut_and_followed_in_one_bundle(database: Database, tmp_path: Path) -> None:
    bundle = every_file()
    take_in(database, write(tmp_path / "in", bundle))
    old = bundle["orders.csv"][1]
    bundle["orders.csv"] = [{**old, "order_id": "o3", "valid_from": "2026-11-01"}, {**old, "valid_to": "2026-10-31"}]
    report = take_in(database, write(tmp_path / "cut", bundle))
    assert report.errors == []
    assert report.counts["orders.csv"] == Counts(1, 1, 0)


def test_who_refers_to_a_wrong_row_is_not_an_error_of_its_own(database: Database, tmp_path: Path) -> None:
    bundle = every_file()
    bundle["units.csv"][0]["provider_id"] = ""
    bundle["clients.csv"][0]["birth_date"] = "x"
    errors = errors_of(database, write(tmp_path / "in", bundle))
    assert [error.split(":")[0] for error in errors] == [
        "clients.csv, line 2, birth_date",
        "units.csv, line 2, provider_id",
    ]


def test_unknown_files_and_columns_are_named(database: Database, tmp_path: Path) -> None:
    bundle = every_file()
    bundle["clients.csv"][0]["personnummer"] = "x"
    path = write(tmp_path / "in", bundle)
    (path / "visits.csv").write_text("a\n1\n", "utf-8")
    (path / "datapackage.json").write_text("not read", "utf-8")
    errors = errors_of(database, path)
    assert [error.split(":")[0] for error in errors] == ["clients.csv, line 1, personnummer", "visits.csv"]


def test_bytes_that_are_not_utf_8_are_named(database: Database, tmp_path: Path) -> None:
    path = write(tmp_path / "in", every_file())
    (path / "units.csv").write_bytes(b"unit_id,provider_id,name\nu1,p1,Eken\nu2,p2,Bj\xf6rken\n")
    assert errors_of(database, path) == ["units.csv, line 3, name: got 'Bj?rken', expected text in UTF-8"]


def test_a_quote_that_never_ends_is_named(database: Database, tmp_path: Path) -> None:
    path = write(tmp_path / "in", every_file())
    (path / "units.csv").write_text('unit_id,provider_id,name\nu1,p1,Eken\nu2,p2,"Björken\n', "utf-8")
    (error,) = [error for error in errors_of(database, path) if error.startswith("units.csv")]
    assert error.startswith("units.csv, line 3: ")


def test_a_byte_order_mark_and_missing_columns_are_fine(database: Database, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "providers.csv").write_text("\ufeffprovider_id,operation\np1,private\n\n", "utf-8")
    report = take_in(database, tmp_path / "in")
    assert report.errors == []
    assert report.counts == {"providers.csv": Counts(1, 0, 0)}


def test_reasons_without_an_id_get_the_same_one_again(database: Database, tmp_path: Path) -> None:
    bundle = every_file()
    reason = {**bundle["excess_reasons.csv"][0], "reason_id": ""}
    bundle["excess_reasons.csv"] = [reason, dict(reason), {**reason, "minutes": "5"}]
    path = write(tmp_path / "in", bundle)
    assert take_in(database, path).counts["excess_reasons.csv"] == Counts(3, 0, 0)
    assert take_in(database, path).counts["excess_reasons.csv"] == Counts(0, 0, 3)


def test_policies_are_stored_and_wrong_ones_refuse_the_bundle(database: Database, tmp_path: Path) -> None:
    errors = errors_of(database, write(tmp_path / "wrong", every_file(), "ceiling_percentt = 1\n"))
    assert errors[0].startswith("policies.toml: ")
    report = take_in(database, write(tmp_path / "in", every_file(), POLICIES))
    assert report.counts["policies.toml"] == Counts(1, 0, 0)
    assert report.touched.policies
    with database.transaction(Caller.batch()) as connection:
        book = load_policy_book(connection)
    assert book.on(NOW.date()).ceiling_percent == 115


def test_a_reason_added_by_policy_is_known(database: Database, tmp_path: Path) -> None:
    bundle = every_file()
    bundle["manual_visits.csv"][0]["reason"] = "snowstorm"
    policies = 'extra_manual_reasons = ["snowstorm"]\n'
    assert take_in(database, write(tmp_path / "in", bundle, policies)).errors == []


def test_a_provider_brings_only_what_is_its_own(database: Database, tmp_path: Path) -> None:
    take_in(database, write(tmp_path / "in", every_file()))
    plan = every_file()["planned_visits.csv"][0]
    own_plan = {**plan, "planned_id": "v1", "provider_id": "p2", "staff_id": ""}
    own = write(tmp_path / "own", {"planned_visits.csv": [own_plan]})
    not_its_client = take_in(database, own, provider_id="p2")
    assert [error.column for error in not_its_client.errors] == ["client_id"]
    order = {**every_file()["orders.csv"][1], "order_id": "o3", "provider_id": "p2", "unit_id": ""}
    take_in(database, write(tmp_path / "ordered", {"orders.csv": [order]}))
    assert take_in(database, own, provider_id="p2").errors == []
    with database.transaction(Caller.batch()) as connection:
        plans = load_planned_visits(connection)
    assert sorted((p.planned_id, p.provider_id) for p in plans) == [("v1", "p1"), ("v1", "p2"), ("v2", "p2")]
    foreign = take_in(database, write(tmp_path / "foreign", {"planned_visits.csv": [plan]}), provider_id="p2")
    assert [str(error).split(":")[0] for error in foreign.errors] == ["planned_visits.csv, line 2, provider_id"]
    prices = take_in(database, write(tmp_path / "prices", {"prices.csv": every_file()["prices.csv"]}), provider_id="p2")
    assert [error.file for error in prices.errors] == ["prices.csv"]


def test_there_must_be_a_bundle(database: Database, tmp_path: Path) -> None:
    (tmp_path / "broken.zip").write_bytes(b"PK not a zip")
    for path in (tmp_path / "nowhere", tmp_path / "broken.zip"):
        with database.transaction(Caller.batch()) as connection, pytest.raises(BundleRefused):
            import_bundle(connection, path, now=datetime(2026, 11, 22, tzinfo=UTC))
