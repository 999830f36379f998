"""Random months for properties: stays over borders, shares, declines, orders with gaps, reasons in every state.

A world is made from one drawn number: hypothesis chooses and shrinks the number, a generator fills the month. Drawing
every field by itself costs fifty times as much.
"""

from __future__ import annotations

from datetime import timedelta
from random import Random

from hypothesis import strategies as st

from app.core.month import Month
from app.facts import DeclineOutcome, ExcessReason, Order, Share
from app.facts.accounts import AccountInput, Stay
from tests.rules.month_facts import local, outcome, reason, stay

MONTHS = ("2016-12", "2017-03", "2017-10")
SHARES = (None, None, None, Share(0, (1, 1)), Share(1, (1, 1)), Share(0, (3, 2)))
CLASSES = ("care", "care", "care", "night_patrol", "meal", "phone", "alarm")


def stays(chance: Random, month: str, name: str = "v", most: int = 12) -> tuple[Stay, ...]:
    whole = Month.parse(month)
    month_first = int(local(f"{month}-01 00:00").timestamp()) // 60
    made = []
    offsets = [chance.randint(-1, whole.day_count - 1) for _ in range(3)]  # few days, so that stays meet
    for number in range(chance.randint(0, most)):
        on = whole.first_on + timedelta(days=chance.choice(offsets))
        one = stay(
            f"{name}{number}",
            f"{on} {chance.randint(0, 23):02d}:{chance.choice((0, 1, 30, 59)):02d}",
            chance.choice((0, 1, 2, 30, 45, 200, 700)),
            service=chance.choice(CLASSES),
            held=chance.random() < 0.2,
            share=chance.choice(SHARES),
        )
        if one.after > month_first or one.first >= month_first:
            made.append(one)
    return tuple(made)


def orders(chance: Random, month: str) -> tuple[Order, ...]:
    whole = Month.parse(month)
    made = []
    for number in range(chance.randint(0, 3)):
        start = whole.first_on + timedelta(days=chance.randint(-10, 25))
        end = chance.choice((None, start + timedelta(days=chance.randint(0, 30))))
        per_month, per_day = chance.choice(((0, None), (301, None), (1200, None), (None, 7), (None, 40)))
        made.append(
            Order(
                f"o{number}", "bo", "p1", "unit1", "north", start, end, per_month, per_day, 1,
                chance.choice(("care", "meal")), "c1",
            )
        )  # fmt: skip
    return tuple(made)


def declines(chance: Random, month: str, name: str = "d") -> tuple[DeclineOutcome, ...]:
    days = Month.parse(month).days()
    return tuple(
        outcome(
            f"{name}{number}", f"{chance.choice(days)} {chance.randint(0, 23):02d}:30", chance.choice((15, 30, 60)),
            notice=chance.choice(("at_door", "at_door", "in_advance")), executed=chance.choice((0, 10)),
            made_up=chance.choice((0, 20, 60)), made_up_on=chance.choice((None, str(chance.choice(days)))),
        )
        for number in range(chance.randint(0, 3))
    )  # fmt: skip


def reasons(chance: Random, month: str) -> tuple[ExcessReason, ...]:
    whole = Month.parse(month)
    return tuple(
        reason(
            chance.randint(1, 200), chance.choice(("approved", "approved", "pending", "rejected")),
            str(chance.choice((whole.next.last_on, whole.next.last_on, whole.next.next.first_on))),
            approved=chance.choice((None, None, 5)), month=month, reason_id=f"r{number}",
        )
        for number in range(chance.randint(0, 3))
    )  # fmt: skip


def input_of(chance: Random, month: str) -> AccountInput:
    return AccountInput(
        Month.parse(month), "bo", "p1", orders=orders(chance, month), stays=stays(chance, month),
        declines=declines(chance, month), reasons=reasons(chance, month),
    )  # fmt: skip


def inputs() -> st.SearchStrategy[AccountInput]:
    return st.builds(
        lambda number, month: input_of(Random(number), month), st.integers(0, 2**32), st.sampled_from(MONTHS)
    )
