"""Month accounts: rows to facts and back; the account as known now, and as known on a day."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Date,
    Row,
    Select,
    Text,
    bindparam,
    cast,
    delete,
    func,
    literal,
    null,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, distinct_on
from sqlalchemy.dialects.postgresql import insert as insert_or

from app.core.month import Month
from app.db.copy_text import copy_line, raw_connection
from app.db.rows import upsert
from app.evidence.store import among
from app.facts import MonthAccount, Share
from app.facts.accounts import AccountInput, AccountResult, Adjustment, Block, ClosedMonth
from app.months.rules.closing import cells_of
from app.months.tables import FIGURES, closed_accounts, month_accounts, reopened_accounts

Key = tuple[str, str]
_COLUMNS = ("unit_id", "district", *FIGURES, "policy_version", "state")


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """An account with what its forecast needs."""

    account: MonthAccount
    order_days: tuple[date, ...]
    reported_by_day: tuple[int, ...]

    @classmethod
    def of(cls, result: AccountResult) -> StoredAccount:
        """What is stored of a computed account."""
        return cls(result.account, result.order_days, result.reported_by_day)

    def as_result(self) -> AccountResult:
        """The part of an `AccountResult` that a forecast reads; the ledger is not stored with open accounts."""
        account = self.account
        return AccountResult(
            data=AccountInput(account.month, account.client_id, account.provider_id),
            account=account,
            findings=(),
            declines=(),
            order_days=self.order_days,
            order_days_now=self.order_days,
            reported_by_day=self.reported_by_day,
            write_ledger=tuple,
        )


def stored_from_row(row: Row[Any]) -> StoredAccount:
    """The stored account of a row."""
    return StoredAccount(account_from_row(row), tuple(row.order_days), tuple(row.reported_by_day))


def account_from_row(row: Row[Any]) -> MonthAccount:
    """The account of a row of month_accounts."""
    values = {name: getattr(row, name) for name in _COLUMNS}
    return MonthAccount(
        month=Month.of(row.month_on),
        client_id=row.client_id,
        provider_id=row.provider_id,
        known_at=row.known_at,
        **values,
    )


def load_current(connection: Connection, *conditions: Any) -> list[StoredAccount]:
    """The accounts as known now under the conditions (expressions over `month_accounts`), by client and provider."""
    c = month_accounts.c
    query = select(month_accounts).where(c.superseded_at.is_(None), c.gone == 0, *conditions)
    return [stored_from_row(row) for row in connection.execute(query.order_by(c.month_on, c.client_id, c.provider_id))]


def closed_in(month: Month) -> tuple[Any, ...]:
    """The conditions for the accounts of a month that stand as its run left them."""
    return month_accounts.c.month_on == month.first_on, month_accounts.c.state == "closed"


@dataclass(frozen=True, slots=True)
class AccountPlace:
    """Where a page of accounts ended. `known_at` in lists by time of change."""

    client_id: str
    provider_id: str
    known_at: datetime | None = None


def load_page(
    connection: Connection,
    month: Month,
    conditions: Sequence[Any],
    limit: int,
    *,
    after: AccountPlace | None = None,
    changed_since: datetime | None = None,
) -> list[StoredAccount]:
    """At most `limit` accounts after a place, by client and provider; with `changed_since` by when they changed, and
    also those that are no more, with nothing in them."""
    c = month_accounts.c
    order: tuple[Any, ...] = (c.client_id, c.provider_id)
    query = select(month_accounts).where(c.month_on == month.first_on, c.superseded_at.is_(None), *conditions)
    if changed_since is None:
        query = query.where(c.gone == 0)
    else:
        order = (c.known_at, *order)
        query = query.where(c.known_at >= changed_since)
    if after is not None:
        place = (after.client_id, after.provider_id)
        query = query.where(tuple_(*order) > tuple_(*((after.known_at, *place) if changed_since else place)))
    return [stored_from_row(row) for row in connection.execute(query.order_by(*order).limit(limit))]


def has_account(connection: Connection, month: Month, conditions: Sequence[Any]) -> bool:
    """Whether the month has an account under the conditions, as known now."""
    c = month_accounts.c
    query = select(c.gone).where(c.month_on == month.first_on, c.superseded_at.is_(None), c.gone == 0, *conditions)
    return connection.execute(query.limit(1)).first() is not None


def load_known_on(connection: Connection, month: Month, before: datetime) -> list[StoredAccount]:
    """The month's accounts as they were known just before an instant."""
    c = month_accounts.c
    latest = (
        select(month_accounts)
        .ext(distinct_on(c.client_id, c.provider_id))
        .where(c.month_on == month.first_on, c.known_at < before)
        .order_by(c.client_id, c.provider_id, c.known_at.desc())
    )
    return [stored_from_row(row) for row in connection.execute(latest) if not row.gone]


def stored_months(clients: Collection[str], *conditions: Any) -> Select[Any]:
    """(client_id, provider_id, month_on, NULL) of the stored accounts of clients under the conditions."""
    c = month_accounts.c
    return select(c.client_id, c.provider_id, c.month_on, null()).where(
        c.superseded_at.is_(None), among(c.client_id, clients), *conditions
    )


def put(
    connection: Connection, accounts: Sequence[StoredAccount], gone: Sequence[StoredAccount], now: datetime
) -> None:
    """Append accounts that have changed, known from `now` on; what was known before stays as history."""
    rows = [_to_row(account, now, 0) for account in accounts] + [_to_row(account, now, 1) for account in gone]
    if not rows:
        return
    c = month_accounts.c
    by_month: dict[date, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_month[row["month_on"]].append(row)
    for on, its in by_month.items():
        same = func.unnest(
            cast(literal([row["client_id"] for row in its]), ARRAY(Text)),
            cast(literal([row["provider_id"] for row in its]), ARRAY(Text)),
        ).table_valued("client_id", "provider_id", name="same").render_derived()  # fmt: skip
        mine = (c.month_on == on, c.client_id == same.c.client_id, c.provider_id == same.c.provider_id)
        # Twice within one instant: the later knowledge stands.
        connection.execute(delete(month_accounts).where(*mine, c.known_at >= now))
        connection.execute(update(month_accounts).where(*mine, c.superseded_at.is_(None)).values(superseded_at=now))
        upsert(connection, month_accounts, its, ("month_on", "client_id", "provider_id", "known_at"))


def load_closed(
    connection: Connection, clients: Collection[str], months: Collection[Month] | None = None
) -> dict[Key, dict[Month, ClosedMonth]]:
    """What runs froze for these clients, in all months or these, by client and provider; without billing lines."""
    found: dict[Key, dict[Month, ClosedMonth]] = defaultdict(dict)
    values: dict[str, Any] = {"clients": list(clients)}
    if months is not None:
        values["months"] = [month.first_on for month in months]
    for row in connection.execute(_CLOSED if months is None else _CLOSED_IN, values).all():
        found[row.client_id, row.provider_id][Month.of(row.month_on)] = closed_from_row(row)
    return found


_CLOSED = select(closed_accounts).where(
    closed_accounts.c.client_id == func.any(bindparam("clients", type_=ARRAY(Text)))
)
_CLOSED_IN = _CLOSED.where(closed_accounts.c.month_on == func.any(bindparam("months", type_=ARRAY(Date))))


def load_frozen(connection: Connection, month: Month, *conditions: Any) -> list[ClosedMonth]:
    """The accounts a month's run froze, by client and provider."""
    c = closed_accounts.c
    query = select(closed_accounts).where(c.month_on == month.first_on, *conditions)
    return [closed_from_row(row) for row in connection.execute(query.order_by(c.client_id, c.provider_id))]


def freeze(connection: Connection, lines: Iterable[bytes]) -> None:
    """Store what a run froze: `closed_line` of each account."""
    raw = raw_connection(connection)
    statement = f"COPY closed_accounts ({', '.join(column.name for column in closed_accounts.columns)}) FROM STDIN"
    with raw.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        copy.write(b"".join(lines))


def closed_line(frozen: ClosedMonth) -> bytes:
    """The row of a frozen account as a line of COPY: JSON with months and dates as text."""
    account, before = frozen.account, frozen.excess_before
    parts = [
        [str(part.origin_month), part.free_minutes, part.approved_minutes, part.causes] for part in frozen.adjustments
    ]
    cells = {
        "month_on": account.month.first_on.isoformat(),
        "client_id": account.client_id,
        "provider_id": account.provider_id,
        "account": _json({**_values(account), "month": str(account.month), "known_at": _text_of(account.known_at)}),
        "account_hash": frozen.account_hash,
        "order_days": _array(on.isoformat() for on in frozen.order_days),
        "adjustments": _json([dict(zip(_ADJUSTMENT, part, strict=True)) for part in parts]),
        "ledger": json.dumps([cells_of(block) for block in frozen.ledger], ensure_ascii=False, default=_share_to_json),
        "run_on": None if frozen.run_on is None else frozen.run_on.isoformat(),
        "excess_before": None if before is None else _array(map(str, before)),
    }
    return copy_line([cells[column.name] for column in closed_accounts.columns])


_ADJUSTMENT = ("origin_month", "free_minutes", "approved_minutes", "causes")


def _values(account: MonthAccount) -> dict[str, Any]:
    return {field.name: getattr(account, field.name) for field in fields(account)}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _array(values: Iterable[str]) -> str:
    return "{" + ",".join(values) + "}"


def _share_to_json(value: Any) -> list[Any]:
    """A household's share as [position, weights]."""
    if not isinstance(value, Share):
        raise TypeError(f"not a share: {value!r}")
    return [value.position, value.weights]


def reopen(connection: Connection, keys: Iterable[tuple[Key, Month]]) -> None:
    """Note closed months that something has touched since."""
    rows = [
        {"client_id": client_id, "provider_id": provider_id, "month_on": month.first_on}
        for (client_id, provider_id), month in keys
    ]
    if rows:
        connection.execute(insert_or(reopened_accounts).on_conflict_do_nothing(), rows)


def shut(connection: Connection, keys: Iterable[tuple[Key, Month]]) -> None:
    """Forget that closed months were touched: they are as they were."""
    c = reopened_accounts.c
    for (client_id, provider_id), month in keys:
        mine = (c.client_id == client_id, c.provider_id == provider_id, c.month_on == month.first_on)
        connection.execute(delete(reopened_accounts).where(*mine))


def closed_from_row(row: Any) -> ClosedMonth:
    """The frozen account of a row."""
    account: Mapping[str, Any] = row.account
    known_at = account["known_at"]
    return ClosedMonth(
        account=MonthAccount(
            **{
                **account,
                "month": Month.parse(account["month"]),
                "known_at": datetime.fromisoformat(known_at) if known_at else None,
            }
        ),
        account_hash=row.account_hash,
        order_days=tuple(row.order_days),
        adjustments=tuple(
            Adjustment(
                Month.parse(part["origin_month"]),
                part["free_minutes"],
                part["approved_minutes"],
                tuple(part["causes"]),
            )
            for part in row.adjustments
        ),
        ledger=tuple(_block_from_json(one) for one in row.ledger),
        run_on=row.run_on,
        excess_before=tuple(row.excess_before) if row.excess_before is not None else None,
    )


def _block_from_json(cells: Sequence[Any]) -> Block:
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


def _to_row(stored: StoredAccount, now: datetime, gone: int) -> dict[str, Any]:
    account = stored.account
    values = _values(account)
    values |= {"order_days": list(stored.order_days), "reported_by_day": list(stored.reported_by_day)}
    month: Month = values.pop("month")
    return {**values, "month_on": month.first_on, "known_at": now, "gone": gone}


def _text_of(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()
