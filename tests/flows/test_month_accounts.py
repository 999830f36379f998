"""Accounts and lines kept step by step are those computed from nothing; a closed month never changes (DOMAIN.md 3)."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from sqlalchemy import select

from app.billing.formats.lines_out import write_lines_csv
from app.billing.store import load_lines
from app.billing.tables import billing_lines
from app.core.month import Month
from app.db.callers import Caller
from app.db.engine import Database
from app.facts import BillingLine
from app.facts.accounts import ClosedMonth
from app.months.tables import closed_accounts
from app.pipeline_derive import rebuild
from tests.flows.month_town import accounts, close, frozen, plain, tell
from tests.scenarios.random_months import MONTHS, START, steps
from tests.scenarios.story import Story, Told

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
EMPTY = Told(*Story().story())


class Both:
    """The same story in a database and in memory."""

    def __init__(self, database: Database) -> None:
        self.database, self.story, self.now, self.told = database, Story(), NOW, EMPTY

    def read(self, *lines: str) -> None:
        """Lines that become known at once."""
        for line in lines:
            self.story.read(line)
        self.now += timedelta(minutes=1)
        told = self.story.told()
        tell(self.database, self.told, told, self.now)
        self.told = told

    def close(self, month: Month) -> None:
        """The payment run in both."""
        self.now += timedelta(minutes=1)
        close(self.database, month, self.now)
        self.story.read(f"close {month}")

    def lines(self, month: Month) -> list[BillingLine]:
        """The month's lines as stored."""
        with self.database.transaction(Caller.batch(), read_only=True) as connection:
            return load_lines(connection, billing_lines.c.month_on == month.first_on)

    def export(self, month: Month) -> str:
        """The billing export and every frozen row, as texts."""
        out = io.StringIO()
        write_lines_csv(self.lines(month), out)
        with self.database.transaction(Caller.batch(), read_only=True) as connection:
            rows = connection.execute(select(closed_accounts).where(closed_accounts.c.month_on == month.first_on))
            return out.getvalue() + "\n".join(sorted(map(repr, rows.all())))

    def check(self, month: Month) -> None:
        """Stored and computed from nothing are the same; lines sum to accounts."""
        town = self.story.town
        stored = accounts(self.database, month, self.now)
        if month in town.closed:
            assert {key: town.shown(self.told, key, month) for key in self._frozen(month)} == stored
            before = {key: its[month] for key, its in town.history.items() if month in its}
            assert {key: one.account_hash for key, one in self._frozen(month).items()} == {
                key: one.account_hash for key, one in before.items()
            }
        else:
            assert stored == {key: result.account for key, result in town.accounts(self.told, month).items()}
        lines = self.lines(month)
        assert plain(lines) == plain(town.lines(self.told, month))
        for key, account in stored.items():
            assert (
                sum(one.minutes for one in lines if (one.client_id, one.provider_id) == key) == account.settled_minutes
            )

    def _frozen(self, month: Month) -> dict[tuple[str, str], ClosedMonth]:
        return {(one.account.client_id, one.account.provider_id): one for one in frozen(self.database, month)}


@pytest.mark.parametrize("seed", range(3))
def test_step_by_step_is_as_from_nothing(make_database: Callable[..., Database], seed: int) -> None:
    chance = Random(seed)
    both = Both(make_database())
    both.read(*START)
    exports: dict[Month, str] = {}
    for step in steps(chance, 16):
        if step[0] == "close":
            month = MONTHS[len(exports)]
            both.close(month)
            exports[month] = both.export(month)
        else:
            both.read(*step)
        if chance.random() < 0.3:
            both.check(chance.choice(MONTHS))
    for month in MONTHS:
        both.check(month)
    for month, export in exports.items():
        assert both.export(month) == export
    if seed == 0:
        rebuild(both.database, both.now + timedelta(minutes=1))
        for month in MONTHS:
            both.check(month)
        assert all(both.export(month) == export for month, export in exports.items())
    both.database.close()


@pytest.mark.parametrize("later", ["", " made_up=30@2026-06-21"])
def test_a_link_taken_back_frees_its_minutes_for_a_decline_of_another_month(
    make_database: Callable[..., Database], later: str
) -> None:
    """DOMAIN.md 4: each minute is linked once, earlier declines first. The later decline waited for these minutes."""
    both = Both(make_database())
    both.read(
        """policy decline_shares '[{"notice": "in_advance", "percent": 100}]'""",
        "staff anna",
        "tag tag-bo bo",
        "order bo P1 2026-03-01.. 600/month",
        "2026-06-20 08:00 KOM anna bo device=d seq=1",
        "2026-06-20 08:30 GICK anna bo device=d seq=2",
        "decline x1 bo 2026-03-10T08:00..08:30 in_advance made_up=30@2026-06-20",
        "decline x2 bo 2026-06-11T08:00..08:45 in_advance made_up=30@2026-06-20",
    )
    june = MONTHS[3]
    assert accounts(both.database, june, both.now)["bo", "P1"].declined_compensated_minutes == 45
    both.read(f"decline x1 bo 2026-03-10T08:00..08:30 in_advance{later}")
    account = accounts(both.database, june, both.now)["bo", "P1"]
    assert (account.made_up_offset_minutes, account.declined_compensated_minutes) == (30, 15)
    for month in MONTHS:
        both.check(month)
    both.database.close()
