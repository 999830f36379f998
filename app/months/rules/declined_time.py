"""Declined time: what of a declined visit is compensated, and what of it was made up elsewhere (DOMAIN.md 4).

The share of the planned date and the compensation come with the DeclineOutcome. Readings where the text leaves room:
- A link takes its minutes from the day also where the decline is compensated with less or nothing: "each minute linked
  once, earlier declines first" speaks of the link, not of the offset. Earlier is (planned start, decline_id).
- "Without a link" is: without stated made-up minutes and date. A link that finds no executed minutes is a link.
- A decline in a band paid per visit is paid as one visit, unless its visits executed something and are paid themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from app.core.localtime import local_month
from app.core.month import Month
from app.facts.accounts import Block, DeclinePart, epoch_minute
from app.facts.derived import DeclineOutcome
from app.months.rules.executed_time import Setting
from app.policies import Policy


def decline_parts(
    outcomes: Iterable[DeclineOutcome], month: Month, executed: Mapping[date, int], policy: Policy
) -> tuple[DeclinePart, ...]:
    """The month's declines, earliest first, each with its link and offset.

    `outcomes` may hold those of other months: they take their linked minutes first where they are earlier. `executed`
    has the client's and provider's executed minutes of every day a link names.
    """
    left = dict(executed)
    parts = []
    for outcome in sorted(outcomes, key=lambda row: (row.planned_start_at, row.decline_id)):
        linked = 0
        if outcome.made_up_on is not None and policy.double_compensation_guard:
            linked = max(min(outcome.made_up_minutes, left.get(outcome.made_up_on, 0)), 0)
            left[outcome.made_up_on] = left.get(outcome.made_up_on, 0) - linked
        if local_month(outcome.planned_start_at) == month:
            parts.append(DeclinePart(outcome, linked, min(linked, outcome.compensation_minutes)))
    return tuple(parts)


def blocks_of_declines(parts: Iterable[DeclinePart], setting: Setting) -> list[Block]:
    """Compensated minutes as blocks at their planned start."""
    blocks = []
    for part in parts:
        if not part.compensated_minutes:
            continue
        outcome = part.outcome
        first = epoch_minute(outcome.planned_start_at)
        cell = setting.grid.cell_at(first)
        outside, order_id = setting.ordered.of("care")[cell.day]
        blocks.append(
            Block(
                outcome.decline_id, "decline", "care", cell.on, cell.band, first, first, part.compensated_minutes,
                "free", outside, order_id, cell.on, cell.band, not outcome.executed_minutes, "",
            )
        )  # fmt: skip
    return blocks


def is_possibly_compensated_twice(
    parts: Sequence[DeclinePart], reported_minutes: int, ordered_minutes: int, policy: Policy
) -> bool:
    """A compensated decline without a link and reported above ordered in one month (`possible_double_compensation`)."""
    if not policy.double_compensation_guard or reported_minutes <= ordered_minutes:
        return False
    return any(
        part.compensated_minutes > 0 and not (part.outcome.made_up_on and part.outcome.made_up_minutes)
        for part in parts
    )
