"""What runs have frozen, as files of an export beside closes.csv: a copy of an installation loses nothing by them.

closed_accounts.csv (figures, days, adjustments and every block of minutes; JSON in cells), billing_lines.csv (settled
lines) and fee_lines.csv are written and read whole. On the way in every account's seal and every month's hash are
computed again: what does not fit is refused, and so is other content for what is frozen here already.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date

import psycopg
from sqlalchemy import Connection, Table, Text, select, text

from app.billing import store as lines_store
from app.billing.tables import billing_lines, closed_fee_lines
from app.core.month import Month
from app.db.partitions import ensure_months
from app.evidence.imports import Extra
from app.evidence.tables import closes
from app.facts import BillingLine
from app.facts.accounts import ClosedMonth
from app.months import store
from app.months.rules.closing import account_hash, month_hash
from app.months.store import StoredAccount
from app.months.tables import closed_accounts
from app.registry.bundle.source import Source
from app.registry.bundle.staging import Run
from app.registry.bundle.storing import Counts

ACCOUNTS, LINES, FEES = "closed_accounts.csv", "billing_lines.csv", "fee_lines.csv"
_TABLES: Mapping[str, tuple[Table, str]] = {
    ACCOUNTS: (closed_accounts, "true"),
    LINES: (billing_lines, "t.state = 'settled'"),
    FEES: (closed_fee_lines, "true"),
}
_AT_ONCE = 500


def queries(month: Month | None) -> dict[str, str]:
    """The SQL of each file; with a month only what it and the month before have frozen, as closes.csv has them."""
    found = {}
    for name, (table, where) in _TABLES.items():
        wanted = f" AND t.month_on IN ('{month.previous.first_on}', '{month.first_on}')" if month else ""
        cells = ", ".join(f't."{column.name}"' for column in table.columns)
        keys = ", ".join(f't."{column.name}"' for column in table.primary_key.columns)
        found[name] = f"SELECT {cells} FROM {table.name} t WHERE {where}{wanted} ORDER BY {keys}"  # noqa: S608 -- from the tables
    return found


def readers() -> dict[str, Extra]:
    """What reads each file back, in the order in which they must be read."""
    return {ACCOUNTS: _read_accounts, LINES: _read_lines, FEES: _read_fees}


def _read_accounts(run: Run, source: Source) -> Counts:
    counts = _stage(run, source, ACCOUNTS)
    if counts is None:
        return Counts()
    for one in _staged_accounts(run.connection):
        if account_hash(one.account, one.ledger) != one.account_hash:
            who = f"{one.account.month} {one.account.client_id} {one.account.provider_id}"
            run.errors.add(ACCOUNTS, 0, "account_hash", who, "the account that the hash seals")
    if run.errors.found:
        return Counts()
    _insert(run.connection, ACCOUNTS)
    return counts


def _read_lines(run: Run, source: Source) -> Counts:
    """The settled lines; with them the accounts stand as closed, and the months' hashes can be compared."""
    counts = _stage(run, source, LINES)
    if counts is None or run.errors.found:
        return Counts()
    connection = run.connection
    months = [
        Month.of(on) for on in connection.execute(text("SELECT DISTINCT month_on FROM stage_closed_accounts")).scalars()
    ]
    if months:
        ensure_months(connection, ("month_accounts", "billing_lines"), min(months).first_on, max(months).first_on)
    connection.execute(
        text(
            "DELETE FROM billing_lines l USING stage_billing_lines s "
            "WHERE l.month_on = s.month_on AND l.line_id = s.line_id AND l.state = 'provisional'"
        )
    )
    _insert(connection, LINES)
    for month in sorted(months):
        _close(run, month)
    return counts


def _read_fees(run: Run, source: Source) -> Counts:
    counts = _stage(run, source, FEES)
    if counts is None or run.errors.found:
        return Counts()
    _insert(run.connection, FEES)
    return counts


def _close(run: Run, month: Month) -> None:
    """Put a month's accounts as its run left them, where they came with this bundle; compare its hash."""
    connection = run.connection
    row = connection.execute(
        select(closes.c.at, closes.c.hash).where(closes.c.month == str(month)).order_by(closes.c.version.desc())
    ).first()
    if row is None:
        run.errors.add(ACCOUNTS, 0, "month_on", str(month), "a month of closes.csv")
        return
    lines: dict[store.Key, list[BillingLine]] = defaultdict(list)
    c = billing_lines.c
    for line in lines_store.load_lines(connection, c.month_on == month.first_on, c.state == "settled"):
        lines[line.client_id, line.provider_id].append(line)
    frozen = store.load_frozen(connection, month)
    sealed = month_hash(
        replace(one, ledger=(), lines=tuple(lines[one.account.client_id, one.account.provider_id])) for one in frozen
    )
    if sealed != row.hash:
        run.errors.add(LINES, 0, "month_on", str(month), f"the lines that the month's hash {row.hash[:8]}... seals")
        return
    standing = {
        (one.account.client_id, one.account.provider_id)
        for one in store.load_current(connection, *store.closed_in(month))
    }
    new = [one for one in frozen if (one.account.client_id, one.account.provider_id) not in standing]
    store.put(connection, [StoredAccount(one.account, one.order_days, ()) for one in new], (), row.at)
    provisional = lines_store.load_lines(connection, c.month_on == month.first_on, c.state == "provisional")
    lines_store.empty_lines(connection, provisional, row.at)


def _stage(run: Run, source: Source, name: str) -> Counts | None:
    """The file in a temporary table shaped like its own; None with an error noted. Nothing frozen may differ."""
    table, _ = _TABLES[name]
    connection, stage = run.connection, f"stage_{table.name}"
    run.progress(name, 0)
    connection.execute(text(f"DROP TABLE IF EXISTS {stage}"))
    connection.execute(text(f"CREATE TEMP TABLE {stage} (LIKE {table.name} INCLUDING DEFAULTS) ON COMMIT DROP"))
    columns = [column.name for column in table.columns]
    with source.lines(name) as lines:
        header = lines.readline().rstrip("\r\n").split(",")
        if sorted(header) != sorted(columns):
            run.errors.add(name, 1, "", ",".join(header), ",".join(columns))
            return None
        listed = ", ".join(f'"{column}"' for column in header)
        texts = ", ".join(f'"{column.name}"' for column in table.columns if isinstance(column.type, Text))
        # Whoever wrote the file again may not have quoted empty texts.
        form = f"FORMAT csv, FORCE_NOT_NULL ({texts})"
        # A savepoint: a cell that the database does not take is an error of the bundle, not of the transaction.
        savepoint = connection.begin_nested()
        try:
            with run.raw.cursor() as cursor, cursor.copy(f"COPY {stage} ({listed}) FROM STDIN ({form})") as copy:
                while chunk := lines.read(1 << 16):
                    copy.write(chunk)
        except (psycopg.DataError, psycopg.IntegrityError, UnicodeEncodeError) as error:
            savepoint.rollback()
            where = getattr(getattr(error, "diag", None), "context", None) or ""
            run.errors.add(name, 0, "", where, "a row as an export writes it")
            return None
        savepoint.commit()
    return _compared(run, name)


def _compared(run: Run, name: str) -> Counts:
    """How much is new; an error for what is frozen here with other content."""
    table, frozen = _TABLES[name]
    same = " AND ".join(f't."{column.name}" = s."{column.name}"' for column in table.primary_key.columns)
    mine = ", ".join(f't."{column.name}"' for column in table.columns)
    theirs = ", ".join(f's."{column.name}"' for column in table.columns)
    row = run.connection.execute(
        text(
            f"SELECT count(*) AS every, count(t.month_on) AS known, "  # noqa: S608 -- from the tables
            f"count(t.month_on) FILTER (WHERE ROW({mine}) IS DISTINCT FROM ROW({theirs})) AS other "
            f"FROM stage_{table.name} s LEFT JOIN {table.name} t ON {same} AND {frozen}"
        )
    ).one()
    if row.other:
        run.errors.add(name, 0, "", f"{row.other} rows", "what is frozen here: a closed month never changes")
    return Counts(added=row.every - row.known, unchanged=row.known)


def _insert(connection: Connection, name: str) -> None:
    table, _ = _TABLES[name]
    listed = ", ".join(f'"{column.name}"' for column in table.columns)
    connection.execute(
        text(f"INSERT INTO {table.name} ({listed}) SELECT {listed} FROM stage_{table.name} ON CONFLICT DO NOTHING")  # noqa: S608 -- from the tables
    )


def _staged_accounts(connection: Connection) -> Iterator[ClosedMonth]:
    """The accounts of the file that are not here yet, some at a time."""
    after: tuple[date, str, str] = (date.min, "", "")
    while True:
        rows = connection.execute(
            text(
                "SELECT * FROM stage_closed_accounts WHERE (month_on, client_id, provider_id) > "
                "(:on, :client, :provider) ORDER BY month_on, client_id, provider_id LIMIT :most"
            ),
            {"on": after[0], "client": after[1], "provider": after[2], "most": _AT_ONCE},
        ).all()
        if not rows:
            return
        for row in rows:
            yield store.closed_from_row(row)
        last = rows[-1]
        after = (last.month_on, last.client_id, last.provider_id)
