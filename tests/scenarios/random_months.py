"""Random steps of a small town over four months, as diary lines: what can happen to an account, in any order."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from random import Random

from app.core.month import Month

MONTHS = tuple(Month.parse(text) for text in ("2026-03", "2026-04", "2026-05", "2026-06"))
START = (
    "staff anna",
    "staff bea",
    "staff dan provider=P2",
    "tag tag-bo bo",
    "tag tag-cia cia",
    "tag couple bo,cia",
    "order bo P1 2026-03-01..2026-05-20 300/month id=o1",
    "order bo P2 2026-03-10.. 4/day id=o2",
    "order cia P1 2026-04-05..2026-06-10 240/month id=o3 max_staff=2",
    """policy decline_shares '[{"notice": "at_door", "percent": 100}, {"notice": "in_advance", "percent": 50}]'""",
    "price day care hour 51600",
    "price night care visit 26000",
    "price day meal visit 4500",
    "price day alarm month 19700",
)


class _Steps:
    def __init__(self, chance: Random) -> None:
        self.chance, self.count, self.taps, self.closed = chance, 0, 0, 0

    def day(self) -> date:
        return MONTHS[0].first_on + timedelta(days=self.chance.choice((3, 30, 31, 33, 40, 60, 61, 70, 91, 100)))

    def visit(self) -> tuple[str, ...]:
        chance, on = self.chance, self.day()
        staff, client = chance.choice(("anna", "bea", "dan")), chance.choice(("bo", "bo", "cia", "tag:couple"))
        start = chance.choice((0, 7 * 60, 8 * 60, 8 * 60, 12 * 60, 21 * 60 + 50, 23 * 60 + 40))
        length = chance.choice((1, 20, 45, 90, 200, 500))
        ends = [(start, "KOM"), (start + length, "GICK")]
        kept = ends if chance.random() < 0.85 else [chance.choice(ends)]
        service = chance.choice(("", "", "", " service=meal", " service=alarm"))
        lines = []
        for minute, act in kept:
            self.taps += 1
            at = on + timedelta(days=minute // 1440)
            clock = f"{minute % 1440 // 60:02d}:{minute % 60:02d}"
            lines.append(f"{at} {clock} {act} {staff} {client} device=d seq={self.taps}{service}")
        return tuple(lines)

    def reason(self) -> tuple[str, ...]:
        chance = self.chance
        month = chance.choice(MONTHS)
        submitted = chance.choice((month.next.last_on, month.next.last_on, month.next.next.first_on))
        decision = chance.choice(("pending", "approved", "approved part=40", "rejected"))
        which = chance.randint(1, 3)  # the same id again is a later decision
        client = ("bo", "cia", "bo")[which - 1]
        month = MONTHS[which % 3]
        what, _, part = decision.partition(" ")
        return (f"reason r{which} {client} P1 {month} {chance.choice((60, 100))} {what} submitted={submitted} {part}",)

    def correction(self) -> tuple[str, ...]:
        chance = self.chance
        if not self.taps:
            return self.visit()
        on, self.count = self.day(), self.count + 1
        what = chance.choice(
            ("cancel", "client=cia", "client=bo", "staff=bea", f"end={on}T{chance.choice((9, 12, 18)):02d}:30")
        )
        return (f"correct c{self.count % 4} d/{chance.randint(1, self.taps)} {what} by=anna ok=chef",)

    def decline(self) -> tuple[str, ...]:
        on, self.count = self.day(), self.count + 1
        made_up = self.chance.choice(("", f" made_up=30@{self.day()}"))
        notice = self.chance.choice(("at_door", "in_advance", "absent"))
        return (f"decline x{self.count % 3} bo {on}T08:00..08:45 {notice} noticed={on}T08:10{made_up}",)

    def plan(self) -> tuple[str, ...]:
        on, self.count = self.day(), self.count + 1
        return (f"plan p{self.count} {self.chance.choice(('bo', 'cia'))} anna {on}T08:00..09:00",)

    def manual(self) -> tuple[str, ...]:
        on, self.count = self.day(), self.count + 1
        return (f"manual m{self.count} bo bea {on}T10:00..11:00 forgot_both by=bea ok=chef",)

    def registry(self) -> tuple[str, ...]:
        chance = self.chance
        minutes = chance.choice((100, 300, 600))
        return (
            chance.choice(
                (
                    f"order bo P1 2026-03-01..{chance.choice(('2026-03-20', '2026-05-20', ''))} {minutes}/month id=o1",
                    f"order cia P1 2026-04-05..2026-06-10 {minutes}/month id=o3 max_staff={chance.choice((1, 2))}",
                    f"absence bo hospital {self.day()}..2026-05-10",
                    f"price day care hour {chance.choice((50000, 51600, 52000))} from=2026-04-15",
                    f"attest P1 {chance.choice(MONTHS)}",
                    "operation P2 " + chance.choice(("municipal", "private")),
                )
            ),
        )

    def dispute(self) -> tuple[str, ...]:
        return (f"dispute q1 bo {self.day()} {self.chance.choice(('open', 'withdrawn', 'upheld'))}",)

    def resolution(self) -> tuple[str, ...]:
        code = self.chance.choice(("too_long", "client_disputes", "kom_without_gick", "no_order", "too_short"))
        return (f"resolve {code}",)


def steps(chance: Random, count: int) -> Iterator[tuple[str, ...]]:
    """So many steps; ("close",) stands for the run of the next month, at most three of them."""
    made = _Steps(chance)
    ordinary = [made.visit] * 8 + [
        made.reason, made.reason, made.correction, made.correction, made.decline, made.plan, made.manual,
        made.registry, made.registry, made.dispute, made.resolution,
    ]  # fmt: skip
    closes = sorted(chance.sample(range(6, count), 3))
    for number in range(count):
        yield ("close",) if number in closes else chance.choice(ordinary)()
