"""Which minutes are the excess, and which of those are approved (DOMAIN.md 3).

"Minutes outside any order are excess; of the others the last in time are (declined minutes stand at their planned
start)." The excess keeps its band, price and date. Readings where the text leaves room:
- Of minutes at the same instant (two carers) the later begun visit's is the excess, a decline's before a visit's.
- A decision names no minutes: the approved ones are the earliest of the excess, then the pending ones, then the unpaid.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date

from app.facts.accounts import Block, Fate


def judge(blocks: list[Block], excess: int, approved: int, pending: int, declines_count: bool) -> tuple[Block, ...]:
    """The ledger: the blocks in order of time with their final fates; the minutes given sum to the figures."""
    if not excess:
        # a visit without minutes on a day without an order takes no minute and earns no payment per visit
        for index, block in enumerate(blocks):
            if block.outside and block.fate == "free":
                blocks[index] = block._replace(fate="unpaid")
        return tuple(sorted(blocks, key=_in_time))
    settled, over = [], []
    inside = []
    for block in blocks:
        if block.fate != "free":
            settled.append(block)
        elif block.outside:
            over.append(block)
        elif block.of == "decline" and not declines_count:
            settled.append(block)
        else:
            inside.append(block)
    free, last = _last_in_time(inside, excess - sum(block.minutes for block in over))
    over += last
    return tuple(sorted([*settled, *free, *_fates(over, approved, pending)], key=_in_time))


def judge_again(ledger: tuple[Block, ...], approved: int, pending: int) -> tuple[Block, ...]:
    """A finished ledger with its excess divided anew; the same blocks where the figures are the same."""
    over = [block for block in ledger if block.fate in ("approved", "pending", "unpaid")]
    rest = [block for block in ledger if block.fate not in ("approved", "pending", "unpaid")]
    return tuple(sorted([*rest, *_fates(_whole(over), approved, pending)], key=_in_time))


def _whole(over: Iterable[Block]) -> list[Block]:
    """Blocks that only a decision had cut, in one piece again."""
    joined: list[Block] = []
    for block in sorted(over, key=_in_time):
        last = joined[-1] if joined else None
        if last is not None and _continues(last, block):
            joined[-1] = last._replace(after=block.after, minutes=last.minutes + block.minutes)
        else:
            joined.append(block)
    return joined


def _continues(last: Block, block: Block) -> bool:
    """Does a block go on where another of the same visit or decline, day and band ends?"""
    if block.begins or (last.of, last.cause_id, last.on, last.band) != (block.of, block.cause_id, block.on, block.band):
        return False
    return block.first == last.after


def minutes_from(block: Block, at: int) -> int:
    """How many of a block's minutes lie at or after an epoch minute."""
    if at <= block.first:
        return block.minutes
    if at >= block.after:
        return 0
    if block.share is None:
        return block.after - at
    return block.share.minutes_between(at - block.stay_first, block.after - block.stay_first)


def split(block: Block, head_minutes: int) -> tuple[Block, Block]:
    """The first `head_minutes` of a block and the rest; 0 < head_minutes < minutes."""
    tail_minutes = block.minutes - head_minutes
    if block.of == "decline":
        return block._replace(minutes=head_minutes), block._replace(minutes=tail_minutes, begins=False)
    low, high = block.first, block.after
    while low < high:  # the first instant from which exactly the tail lies ahead
        middle = (low + high) // 2
        if minutes_from(block, middle) <= tail_minutes:
            high = middle
        else:
            low = middle + 1
    head = block._replace(after=low, minutes=head_minutes)
    return head, block._replace(first=low, minutes=tail_minutes, begins=False)


def _in_time(block: Block) -> tuple[int, bool, str, int]:
    return (block.first, block.of == "decline", block.cause_id, block.after)


def _last_in_time(blocks: list[Block], excess: int) -> tuple[list[Block], list[Block]]:
    """(free, excess): the last `excess` minutes of the blocks, cut to the minute."""
    if excess <= 0:
        return blocks, []
    by_day: dict[date, list[Block]] = defaultdict(list)
    for block in blocks:
        by_day[block.on].append(block)
    over: list[Block] = []
    for on in sorted(by_day, reverse=True):
        day = by_day.pop(on)
        minutes = sum(block.minutes for block in day)
        if minutes <= excess:
            over += day
            excess -= minutes
        else:
            free_of_day, over_of_day = _cut_day(day, excess) if excess else (day, [])
            over += over_of_day
            return [*(block for rest in by_day.values() for block in rest), *free_of_day], over
    return [], over


def _cut_day(day: list[Block], excess: int) -> tuple[list[Block], list[Block]]:
    low, high = min(block.first for block in day), max(block.after for block in day) + 1
    while low < high:  # the first instant from which at most the excess lies ahead
        middle = (low + high) // 2
        if sum(minutes_from(block, middle) for block in day) <= excess:
            high = middle
        else:
            low = middle + 1
    rest = excess - sum(minutes_from(block, low) for block in day)
    free, over = [], []
    for block in sorted(day, key=lambda block: (block.of, -block.stay_first, _reversed(block.cause_id))):
        beyond = minutes_from(block, low)
        more = min(minutes_from(block, low - 1) - beyond, rest)
        rest -= more
        beyond += more
        if beyond == block.minutes and (beyond or block.first >= low):
            over.append(block)
        elif not beyond:
            free.append(block)
        else:
            head, tail = split(block, block.minutes - beyond)
            free.append(head)
            over.append(tail)
    return free, over


def _reversed(text: str) -> tuple[int, ...]:
    """Sorts texts backwards."""
    return tuple(-ord(letter) for letter in text)


def _fates(over: Iterable[Block], approved: int, pending: int) -> list[Block]:
    judged: list[Block] = []
    left: list[tuple[Fate, int]] = [("approved", approved), ("pending", pending)]
    for whole in sorted(over, key=_in_time):
        block: Block | None = whole
        while block is not None:
            while left and not left[0][1]:
                left.pop(0)
            fate, minutes = left[0] if left else ("unpaid", block.minutes)
            if block.minutes <= minutes:
                judged.append(block._replace(fate=fate))
                if left:
                    left[0] = (fate, minutes - block.minutes)
                block = None
            else:
                head, block = split(block, minutes)
                judged.append(head._replace(fate=fate))
                left.pop(0)
    return judged
