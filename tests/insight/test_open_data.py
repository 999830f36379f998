"""Open data: nothing about anybody, and nothing that subtraction would give."""

from __future__ import annotations

import csv
import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.insight.open_data import COLUMNS, FEWEST, hidden_groups, open_rows
from app.insight.table_files import Column, Package, TableFile, new_folder, write_tables
from app.refusals import Conflict


def _group(level: str, name: str, clients: int, staff: int = 20, operation: str | None = "private") -> dict[str, Any]:
    figures = {"executed_minutes": 10 * clients, "ordered_minutes": 200, "client_time_share": 0.5}
    figures |= {"executed_share": 0.5, "hourly_share": 0.1, "start_spread_minutes": 3.0}
    named = {"level": level, "id": name, "name": name, "operation": operation, "clients": clients, "staff": staff}
    return {**named, **figures, "education": None}


def _hidden(*groups: dict[str, Any]) -> set[str]:
    return {name for _, name in hidden_groups(groups)}


def test_a_small_group_is_hidden_and_another_with_it_so_that_it_cannot_be_subtracted() -> None:
    groups = [_group("provider", "tiny", 2, 1), _group("provider", "small", 7), _group("provider", "big", 100)]
    assert _hidden(_group("municipality", "", 109), *groups) == {"tiny", "small"}


def test_two_hidden_groups_that_together_are_small_need_a_third() -> None:
    groups = [_group("provider", "a", 2), _group("provider", "b", 2), _group("provider", "c", 9)]
    assert _hidden(*groups, _group("provider", "d", 50)) == {"a", "b", "c"}
    assert _hidden(_group("district", "x", 2, 0), _group("district", "y", 4, 0), _group("district", "z", 9, 0)) == {
        "x",
        "y",
    }


def test_the_only_hidden_provider_of_an_operation_is_not_told_by_the_operations_own_row() -> None:
    providers = [
        _group("provider", "city-a", 3, operation="municipal"), _group("provider", "city-b", 60, operation="municipal"),
        _group("provider", "co-a", 4), _group("provider", "co-b", 70),
    ]  # fmt: skip
    whole = [_group("operation", "municipal", 63, operation="municipal"), _group("operation", "private", 74)]
    assert _hidden(*providers) == {"city-a", "co-a"}, "together they are seven clients"
    assert _hidden(*providers, *whole) == {"city-a", "city-b", "co-a", "co-b"}


_PROVIDERS = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 12), st.sampled_from(["municipal", "private"])), min_size=1, max_size=8
)


@given(_PROVIDERS)
def test_no_whole_less_its_shown_parts_is_a_small_group(made: list[tuple[int, int, str]]) -> None:
    providers = [_group("provider", f"p{n}", c, s, operation) for n, (c, s, operation) in enumerate(made)]
    operations = [
        _group(
            "operation", name, sum(c for c, _, o in made if o == name), sum(s for _, s, o in made if o == name), name
        )
        for name in sorted({o for _, _, o in made})
    ]
    hidden = _hidden(*providers, *operations)
    wholes = [providers, operations, *(
        [p for p in providers if p["operation"] == whole["id"]] for whole in operations if whole["id"] not in hidden
    )]  # fmt: skip
    for parts in wholes:
        left = [part for part in parts if part["id"] in hidden]
        shown = [part for part in parts if part["id"] not in hidden]
        assert all(part["clients"] >= FEWEST and part["staff"] >= FEWEST for part in shown)
        if left and shown:
            assert len(left) > 1
            assert sum(part["clients"] for part in left) >= FEWEST
            assert sum(part["staff"] for part in left) >= FEWEST


def test_rows_have_no_unit_and_a_hidden_one_has_no_figure_at_all() -> None:
    groups = [_group("provider", "tiny", 2), _group("provider", "b", 7), _group("provider", "c", 9)]
    quality = {"month": "2026-10", "groups": [*groups, _group("unit", "u1", 100)]}
    rows = open_rows(quality, {("provider", "tiny"): {"mean": 3.0}, ("provider", "c"): {"mean": 2.5, "median": 2.0}})
    assert [row["id"] for row in rows] == ["tiny", "b", "c"]
    named = {"month": "2026-10", "level": "provider", "id": "tiny", "name": "tiny", "suppressed": True}
    assert {name: value for name, value in rows[0].items() if value is not None} == named
    assert (rows[2]["executed_minutes"], rows[2]["continuity_mean"], rows[2]["suppressed"]) == (90, 2.5, False)
    persons = {"client_id", "staff_id", "person", "unit_id"}
    assert all(column.name not in persons for column in COLUMNS)
    for one, other in combinations(COLUMNS, 2):
        assert one.name != other.name


def test_csv_and_parquet_hold_the_same_rows_and_the_package_describes_them(tmp_path: Path) -> None:
    columns = (Column("name", "string", "Namn", "Name"), Column("n", "integer", "Antal", "Count"),
               Column("yes", "boolean", "Ja", "Yes"))  # fmt: skip
    rows: list[dict[str, Any]] = [{"name": "=1+1", "n": 3, "yes": True}, {"name": None, "n": None, "yes": False}]
    with new_folder(tmp_path / "out") as folder:
        counts = write_tables(folder, Package("p", "P", "about"), [TableFile("t", columns, rows, ("name",))])
    assert counts == {"t": 2}
    with (tmp_path / "out" / "t.csv").open(encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["name", "n", "yes"], ["'=1+1", "3", "true"], ["", "", "false"]]
    assert pq.read_table(tmp_path / "out" / "t.parquet").to_pylist() == rows
    described = json.loads((tmp_path / "out" / "datapackage.json").read_text(encoding="utf-8"))
    assert [resource["path"] for resource in described["resources"]] == ["t.csv", "t.parquet"]
    assert [field["type"] for field in described["resources"][0]["schema"]["fields"]] == [
        "string",
        "integer",
        "boolean",
    ]


def test_a_folder_appears_whole_or_not_at_all_and_never_over_another(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), new_folder(tmp_path / "out") as folder:
        (folder / "half.csv").write_text("x", encoding="utf-8")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("x", encoding="utf-8")
    with pytest.raises(Conflict), new_folder(tmp_path / "out"):
        pass
