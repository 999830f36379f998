"""A town's closed month among late taps and corrections; the city of 16,000 is `python -m tests.bench.closed_city`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from app.db.engine import Database
from tests.bench.closed_city import Town, check


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("clients", [200])
def test_late_taps_and_corrections_settle_in_november_to_the_minute(
    make_database: Callable[..., Database], cli_environment: Mapping[str, str], tmp_path: Path, clients: int
) -> None:
    def town(database: Database) -> Town:
        url = database.url.render_as_string(hide_password=False).replace("+psycopg", "")
        return Town({**cli_environment, "KOMGICK_DATABASE_URL": url})

    found = check(town(make_database()), town(make_database()), tmp_path, clients=clients, late=62, corrections=30)
    assert found.wrong == ()
    assert found.late_taps >= 62
    assert found.corrections == 30
    assert found.changed_accounts > 30
