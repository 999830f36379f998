"""A run that dies in the middle leaves the month open, and the next one closes it as if nothing had been."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import psycopg
import pytest
from sqlalchemy import func, select

from app.billing.tables import billing_lines, closed_fee_lines
from app.db.callers import Caller
from app.db.engine import Database
from app.evidence.tables import closes
from app.months.tables import closed_accounts, month_accounts
from tests.db.processes import wait_until
from tests.flows.month_town import close, frozen, tell
from tests.flows.test_close_copied import NOW, OCTOBER, STORY, told
from tests.flows.test_month_accounts import EMPTY

RUN = [sys.executable, "-m", "app.cli", "month", "close", "2026-10", "--on", "2026-11-06"]


@contextmanager
def blocked(database: Database, table: str) -> Iterator[Callable[[], bool]]:
    """Nobody writes the table meanwhile; gives whether someone waits for it."""
    url = database.url.render_as_string(hide_password=False).replace("+psycopg", "")
    with psycopg.connect(url) as holder, psycopg.connect(url, autocommit=True) as watcher:
        holder.execute(f"LOCK TABLE {database.schema}.{table} IN SHARE MODE")
        waiting = "SELECT count(*) FROM pg_locks WHERE relation = %s::regclass AND NOT granted"

        def is_waited_for() -> bool:
            row = watcher.execute(waiting, [f"{database.schema}.{table}"]).fetchone()
            return row is not None and row[0] > 0

        yield is_waited_for


def counts(database: Database) -> dict[str, int]:
    """What a run leaves, in numbers."""
    with database.transaction(Caller.batch(), read_only=True) as connection:
        found = {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (closes, closed_accounts, closed_fee_lines)
        }
        for table in (billing_lines, month_accounts):
            shut = select(func.count()).where(table.c.state.in_(("settled", "closed")))
            found[table.name] = connection.execute(shut).scalar_one()
    return found


_SLOW = [pytest.param(table, marks=pytest.mark.slow) for table in ("billing_lines", "closes")]


@pytest.mark.parametrize("table", ["closed_fee_lines", *_SLOW])
def test_a_run_killed_in_the_middle_is_run_again(
    make_database: Callable[..., Database], cli_environment: Mapping[str, str], table: str
) -> None:
    town, other = make_database(), make_database()
    for database in (town, other):
        tell(database, EMPTY, told(STORY), NOW)
    expected = close(other, OCTOBER, NOW)
    url = town.url.render_as_string(hide_password=False).replace("+psycopg", "")
    environment = {**cli_environment, "KOMGICK_DATABASE_URL": url}
    with blocked(town, table) as is_waited_for:
        run = subprocess.Popen(RUN, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        wait_until(is_waited_for, 60)
        run.send_signal(signal.SIGKILL)
        run.communicate()
    wait_until(lambda: not is_held(town), 30)
    assert set(counts(town).values()) == {0}, "nothing of the half run is left"
    done = subprocess.run(RUN, env=environment, capture_output=True, text=True, check=True)
    assert expected.hash in done.stderr
    assert [one.account_hash for one in frozen(town, OCTOBER)] == [one.account_hash for one in frozen(other, OCTOBER)]
    assert counts(town) == counts(other)
    again = subprocess.run(RUN, env=environment, capture_output=True, text=True, check=False)
    assert (again.returncode, again.stderr.partition(":")[0]) == (1, "month_closed")


def is_held(database: Database) -> bool:
    """Whether the dead run's transaction still stands in the server."""
    with database.transaction(Caller.batch(), read_only=True) as connection:
        found = connection.exec_driver_sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
        return bool(found.scalar_one())
