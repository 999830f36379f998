"""What closes froze, read back: closed_accounts.csv, billing_lines.csv, closes.csv; and whether its hashes hold."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

from app.core.localtime import parse_instant
from app.core.month import Month
from app.facts import BillingLine, MonthAccount, Share
from app.facts.accounts import Adjustment, Block, ClosedMonth
from app.months.rules.closing import account_hash, month_hash
from app.verify.accounts import Key
from app.verify.bundle import Bundle, Wrong
from app.verify.facts import read_facts

ACCOUNTS, LINES, CLOSES = "closed_accounts.csv", "billing_lines.csv", "closes.csv"


@dataclass(frozen=True, slots=True)
class Close:
    """A run: when, and the hash it left."""

    line: int
    month: Month
    at: datetime
    hash: str


@dataclass(slots=True)
class Frozen:
    """What was read, and what is wrong with it."""

    closes: dict[Month, Close] = field(default_factory=dict)
    accounts: dict[Month, dict[Key, tuple[int, ClosedMonth]]] = field(default_factory=lambda: defaultdict(dict))
    lines: list[BillingLine] = field(default_factory=list)
    wrong: list[Wrong] = field(default_factory=list)
    hashed: list[Month] = field(default_factory=list)

    def history_of(self, key: Key) -> dict[Month, ClosedMonth | None]:
        """Every closed month; None where the account did not exist."""
        return {month: self.accounts[month][key][1] if key in self.accounts[month] else None for month in self.closes}

    def adjusted_minutes(self, key: Key, month: Month) -> int | None:
        """Minutes that adjustment lines settle for a closed month; None where there is no such line."""
        found = [
            line.minutes
            for line in self.lines
            if line.kind == "adjustment" and line.origin_month == month and (line.client_id, line.provider_id) == key
        ]
        return sum(found) if found else None


def read_frozen(bundle: Bundle) -> Frozen:
    """Read everything a close left and check its hashes."""
    frozen = Frozen()
    for line, row in bundle.rows(CLOSES):
        try:
            close = Close(line, Month.parse(row["month"]), parse_instant(row["at"]), row.get("hash", ""))
        except (KeyError, ValueError) as error:
            frozen.wrong.append(Wrong(CLOSES, line, f"not a close ({error})"))
            continue
        frozen.closes[close.month] = close
    for line, row in bundle.rows(ACCOUNTS):
        try:
            one = _closed(row)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            frozen.wrong.append(Wrong(ACCOUNTS, line, f"not a frozen account ({error})"))
            continue
        key = (one.account.client_id, one.account.provider_id)
        if key in frozen.accounts[one.account.month]:
            frozen.wrong.append(Wrong(ACCOUNTS, line, f"{'/'.join(key)} {one.account.month}: stands here twice"))
        frozen.accounts[one.account.month][key] = (line, one)
        if one.account_hash != account_hash(one.account, one.ledger):
            frozen.wrong.append(Wrong(ACCOUNTS, line, f"{'/'.join(key)} {one.account.month}: not what its hash seals"))
    frozen.lines = read_facts(
        bundle, LINES, BillingLine, month=_month_of("month"), origin_month=_month_of("origin_month")
    )
    _check_closes(bundle, frozen)
    return frozen


def _month_of(name: str) -> Any:
    def read(row: Mapping[str, str]) -> Month:
        return Month.parse((row.get(name) or row.get(f"{name}_on") or "")[:7])

    return read


def _check_closes(bundle: Bundle, frozen: Frozen) -> None:
    """The hash of each close whose accounts are here, over them and the lines they left."""
    settled: dict[tuple[Month, Key], list[BillingLine]] = defaultdict(list)
    for line in frozen.lines:
        if line.state == "settled":
            settled[line.month, (line.client_id, line.provider_id)].append(line)
    for month in sorted(set(frozen.accounts) - set(frozen.closes)):
        at = min(number for number, _ in frozen.accounts[month].values())
        frozen.wrong.append(Wrong(ACCOUNTS, at, f"accounts of {month}, which {CLOSES} does not know"))
    for close in frozen.closes.values():
        its = frozen.accounts.get(close.month)
        if not its or LINES not in bundle.names:
            continue
        frozen.hashed.append(close.month)
        sealed = month_hash(
            replace(one, lines=tuple(settled.get((close.month, key), ()))) for key, (_, one) in its.items()
        )
        if sealed != close.hash:
            what = f"{close.month}: its hash is not that of {ACCOUNTS} and {LINES}"
            frozen.wrong.append(Wrong(CLOSES, close.line, what))


def _closed(row: Mapping[str, str]) -> ClosedMonth:
    account = dict(json.loads(row["account"]))
    known_at = account.get("known_at")
    account["month"] = Month.parse(account["month"])
    account["known_at"] = parse_instant(known_at) if known_at else None
    order_days = tuple(date.fromisoformat(day) for day in row["order_days"].strip("{}").split(",") if day)
    if any(Month.of(on) != account["month"] for on in order_days):
        raise ValueError("an order day outside its month")
    return ClosedMonth(
        account=MonthAccount(**account),
        account_hash=str(row["account_hash"]),
        order_days=order_days,
        adjustments=tuple(
            Adjustment(
                Month.parse(part["origin_month"]), part["free_minutes"], part["approved_minutes"], tuple(part["causes"])
            )
            for part in json.loads(row["adjustments"])
        ),
        ledger=tuple(_block(cells) for cells in json.loads(row["ledger"])),
        run_on=date.fromisoformat(row["run_on"]) if row.get("run_on") else None,
    )


def _block(cells: Any) -> Block:
    values = dict(zip(Block._fields, cells, strict=True))
    share = values["share"]
    return Block(
        **{
            **values,
            "on": date.fromisoformat(values["on"]),
            "start_on": date.fromisoformat(values["start_on"]),
            "share": Share(share[0], tuple(share[1])) if share else None,
        }
    )
