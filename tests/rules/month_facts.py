"""Short ways to state a month in tests: local times in, stays, orders, declines and reasons out."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

from app.core.localtime import instant_of
from app.core.month import Month
from app.facts import DeclineOutcome, ExcessReason, Order, Share
from app.facts.accounts import AccountInput, AccountResult, Stay, epoch_minute
from app.months.rules.reporting_limit import month_account
from app.policies import DatedValue, PolicyBook

BOOK = PolicyBook.built_in()


def book(**values: Any) -> PolicyBook:
    return BOOK.with_overrides([DatedValue(key, value) for key, value in values.items()])


def local(text: str) -> datetime:
    """`2026-10-05 08:00` local -> instant."""
    stamp = datetime.fromisoformat(text)
    return instant_of(stamp.date(), stamp.time())


def stay(
    visit_id: str, start: str, minutes: int, *, service: str = "care", held: bool = False, second: bool = False,
    unit_id: str = "unit1", share: Share | None = None,
) -> Stay:  # fmt: skip
    first = epoch_minute(local(start))
    return Stay(visit_id, first, first + minutes, service, held, second, unit_id, share)


def order(
    start: str, end: str | None, per_month: int | None = None, *, per_day: int | None = None, order_id: str = "o1",
    unit_id: str = "unit1", service: str = "care", district: str = "north", cost_code: str = "c1",
) -> Order:  # fmt: skip
    valid_to = date.fromisoformat(end) if end else None
    return Order(
        order_id, "bo", "p1", unit_id, district, date.fromisoformat(start), valid_to, per_month, per_day, 1, service,
        cost_code,
    )  # fmt: skip


def reason(
    minutes: int, decision: str = "approved", submitted: str = "2017-04-03", *, approved: int | None = None,
    month: str = "2017-03", reason_id: str = "r1",
) -> ExcessReason:  # fmt: skip
    return ExcessReason(
        reason_id, "bo", "p1", Month.parse(month), minutes, "illness", "", date.fromisoformat(submitted),
        decision, approved,  # type: ignore[arg-type]
    )  # fmt: skip


def outcome(
    decline_id: str, start: str, minutes: int, *, notice: str = "at_door", executed: int = 0, made_up: int = 0,
    made_up_on: str | None = None, policies: PolicyBook = BOOK,
) -> DeclineOutcome:  # fmt: skip
    at = local(start)
    shares = policies.on(date.fromisoformat(start[:10])).decline_shares
    percent = next((row.percent for row in shares if row.notice == notice and not row.care_service), 0)
    return DeclineOutcome(
        decline_id, "bo", "p1", at, notice, (), minutes, executed, percent,
        max(minutes - executed, 0) * percent // 100, made_up,
        date.fromisoformat(made_up_on) if made_up_on else None,
    )  # fmt: skip


def account(month: str, *, policies: PolicyBook = BOOK, **facts: Any) -> AccountResult:
    return month_account(AccountInput(Month.parse(month), "bo", "p1", **facts), policies)


def vector_input(month: str, vector: dict[str, Any]) -> dict[str, Any]:
    """The input of a rule vector as facts: visits from 08:00, declines at 13:00."""
    stays = [
        stay(f"{row['date']}-{number}", f"{row['date']} 08:00", row["minutes"])
        for row in vector.get("executed", ())
        for number in range(row.get("staff", 1))
    ]
    orders = [
        order(row["from"], row["to"], _per_month(row, month), per_day=row.get("minutes_per_day"), order_id=f"o{i}")
        for i, row in enumerate(vector["order_periods"])
    ]
    declines = [
        outcome(
            f"d{i}", f"{row['planned_date']} 13:00", row["minutes"], notice=row["notice"],
            made_up=row.get("made_up_minutes", 0), made_up_on=row.get("made_up_on"),
        )
        for i, row in enumerate(vector.get("declines", ()))
    ]  # fmt: skip
    reasons = [
        reason(row["minutes"], row["decision"], row["submitted"], month=month, reason_id=f"r{i}")
        for i, row in enumerate(vector.get("reasons", ()))
    ]
    return {
        "stays": tuple(stays), "orders": tuple(orders), "declines": tuple(declines), "reasons": tuple(reasons),
    }  # fmt: skip


def _per_month(row: dict[str, Any], month: str) -> int | None:
    if "minutes" not in row:
        return None
    whole = Month.parse(month)
    assert (row["from"], row["to"]) == (str(whole.first_on), str(whole.last_on))
    return int(row["minutes"])


def at(on: date, hour: int, minute: int = 0) -> datetime:
    return instant_of(on, time(hour, minute))


def ended(start: datetime, minutes: int) -> datetime:
    return start + timedelta(minutes=minutes)
