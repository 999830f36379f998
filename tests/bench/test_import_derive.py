"""What is measured of a city's month, in miniature: every step runs, nothing differs after a rebuild, targets stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import import_derive
from tests.bench.world import MINIATURE, World


@pytest.mark.slow
def test_a_month_is_stored_derived_rebuilt_counted_and_closed_and_each_is_measured(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    figures = {figure.name: figure for figure in import_derive.measure(World(MINIATURE, tmp_path))}
    targets = {
        "import_storing_wall": 90, "import_deriving_wall": 120, "import_memory": 1024, "rebuild_wall": 120,
        "rebuild_memory": 1024, "month_accounts_wall": 5, "close_wall": 60,
    }  # fmt: skip
    assert {name: figures[name].target for name in targets} == targets
    for name in targets:
        assert figures[name].value > 0, name
    parts = figures["import_storing_cpu"].value + figures["import_deriving_cpu"].value
    assert 0 < parts <= figures["import_cpu"].value
