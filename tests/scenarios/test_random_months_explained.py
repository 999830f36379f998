"""However a town's months change and close, every account's explanation sums to it, in figures, lines and öre."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from app.billing.flow import lines_of
from app.core.month import Month
from app.facts.derived import JsonObject
from app.months.rules.chain import Chain
from app.months.rules.explain import explain
from tests.scenarios.random_months import MONTHS, START, steps
from tests.scenarios.story import Story


@pytest.mark.parametrize("seed", range(8))
def test_the_explanation_of_any_month_sums_to_its_account(seed: int) -> None:
    story = _lived(Random(seed))
    found = 0
    for month in MONTHS:
        for chain, told in _explained(story, month):
            account, sums, found = told["account"], told["sums"], found + 1
            assert {name: sums[name] for name in ("free", "approved", "pending", "unpaid", "held")} == {
                "free": account["free_minutes"],
                "approved": account["excess_approved_minutes"],
                "pending": account["excess_pending_minutes"],
                "unpaid": account["unpaid_minutes"],
                "held": account["held_minutes"],
            }
            assert sum(row["minutes"] for row in told["rows"] if row["counts"]) == account["reported_minutes"]
            declined = [row["compensated_minutes"] for row in told["declines"]]
            now = told["known_now"] or account
            assert sum(declined) == now["declined_compensated_minutes"]
            if account["state"] != "closed":
                _settles(told, chain, story)
    assert found > 8


def _lived(chance: Random) -> Story:
    """A story of some weeks: visits, corrections, declines, reasons and runs in any order."""
    story, closed = Story(), 0
    for line in START:
        story.read(line)
    for step in steps(chance, 40):
        if step[0] == "close":
            story.read(f"close {MONTHS[closed]}")
            closed += 1
        else:
            for line in step:
                story.read(line)
    return story


def _explained(story: Story, month: Month) -> Iterator[tuple[Chain, JsonObject]]:
    """The accounts of a month as `komgick explain` tells them."""
    told, town = story.told(), story.town
    books, chains = town.chains(told, month)
    visits = town.derive(told).visits
    for chain in chains:
        if chain.result.exists and (month not in town.closed or month in town.history[_key(chain)]):
            mine = [one for one in visits if (one.client_id, one.provider_id) == _key(chain)]
            yield chain, explain(chain, books.history_of(_key(chain)), mine, told.book)


def _settles(told: JsonObject, chain: Chain, story: Story) -> None:
    """An open month: what it settles is its free time, what is carried in and what its adjustments say."""
    account, parts = told["account"], told["adjustments"]
    adjusted = sum(
        part["adjustment_free_minutes"]
        + (part["adjustment_approved_excess_minutes"] if part["approved_settles_as"] == "adjustment" else 0)
        for part in parts
    )
    assert account["adjustment_minutes"] == adjusted
    assert account["settled_minutes"] == told["sums"]["free"] + told["carried_in"]["minutes"] + adjusted
    books, _ = story.town.chains(story.told(), chain.result.account.month)
    lines = lines_of(books, chain, story.town.settled, {})
    assert sum(line.minutes for line in lines) == account["settled_minutes"]


def _key(chain: Chain) -> tuple[str, str]:
    return chain.result.account.client_id, chain.result.account.provider_id
