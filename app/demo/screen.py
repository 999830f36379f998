"""What the demo prints: where to look, and the live visits as they come, with what is left of the client's month."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Table, or_, select

from app.core.localtime import local_date, local_time
from app.core.month import Month
from app.db.callers import Caller
from app.db.engine import Database
from app.facts import Visit
from app.months.presented import accounts_fields
from app.months.store import load_current
from app.months.tables import month_accounts
from app.registry.store import load_policy_book
from app.registry.tables import clients, employments
from app.visits.listing import Asked, load_page
from app.visits.presented import status_at


def headline(address: str, data: str, month: Month, client_id: str, provider_id: str) -> str:
    """Ten lines: what to open and what to try."""
    see, pages = f"--data {data}", address.replace("127.0.0.1", "localhost")  # a cookie belongs to a name
    return "\n".join(
        [
            f"A town of invented people lives at {address} (this machine only). Ctrl-C ends everything.",
            f"  open  {pages}/demo   one click signs you in, as any role; {address}/api/v1/openapi.json for machines",
            "Try in another terminal (with deploy/run before it):",
            f"  komgick visits --day {month.last_on:%Y-%m}-01 {see}            what happened on a day",
            f"  komgick findings --month {month} --lang en {see}      what a person must look at",
            f"  komgick month show {month} --client {client_id} {see}    a client's account, time left",
            f"  komgick explain {month} --client {client_id} --provider {provider_id} --lang en {see}",
            f"  komgick billing export {month.previous} --format csv {see}     last month's lines",
            f"  komgick continuity --measure stockholm_month --month {month.previous} {see}",
            "Below: the live day. Carers lay badge and tag on simulated readers; last month is read in meanwhile.",
        ]
    )


class LiveVisits:
    """Follows the visits of some devices; `news` gives each beginning and each end once, as a line."""

    def __init__(self, database: Database, devices: Collection[str], since: datetime) -> None:
        self._database = database
        self._devices = tuple(devices)
        self._since = since
        self._told: set[tuple[str, str]] = set()

    def news(self, now: datetime) -> Iterator[str]:
        """Lines not given before, oldest first."""
        asked = Asked(now, changed_since=self._since - timedelta(seconds=5), seen_in=self._mine)
        with self._database.transaction(Caller.batch(), read_only=True) as connection:
            for listed in load_page(connection, asked, 200):
                self._since = max(self._since, listed.changed_at)
                if not listed.ceased:
                    yield from self._lines(connection, listed.visit, now)

    def _mine(self, table: Table) -> tuple[ColumnElement[bool]]:
        return (or_(table.c.kom_device_id.in_(self._devices), table.c.gick_device_id.in_(self._devices)),)

    def _lines(self, connection: Connection, visit: Visit, now: datetime) -> Iterator[str]:
        for act, tap in (("KOM ", visit.kom), ("GICK", visit.gick)):
            key = (visit.visit_id, act)
            if tap is None or tap.device_id not in self._devices or key in self._told:
                continue
            self._told.add(key)
            status = f"{visit.minutes} min" if act == "GICK" else status_at(visit, now)
            who = f"{_staff_name(connection, visit.staff_id)} -> {_client_name(connection, visit.client_id)}"
            left = _account_line(connection, visit, now)
            yield f"{local_time(tap.at):%H:%M:%S}  {act}  {who:<52} {status:>9}   {left}"


def _staff_name(connection: Connection, staff_id: str) -> str:
    c = employments.c
    found = select(c.name).where(c.staff_id == staff_id).order_by(c.valid_from.desc()).limit(1)
    return f"{connection.execute(found).scalar() or ''} ({staff_id})"


def _client_name(connection: Connection, client_id: str) -> str:
    found = select(clients.c.name).where(clients.c.client_id == client_id)
    return f"{connection.execute(found).scalar() or ''} ({client_id})"


def _account_line(connection: Connection, visit: Visit, now: datetime) -> str:
    """What the month's account of the client says now."""
    c, month = month_accounts.c, Month.of(local_date(now))
    mine = (c.month_on == month.first_on, c.client_id == visit.client_id, c.provider_id == visit.provider_id)
    book = load_policy_book(connection)
    for account in accounts_fields(connection, load_current(connection, *mine), book, now):
        done, ordered = account["executed_minutes"], account["ordered_minutes"]
        return f"{month}: {hours(done)} of {hours(ordered)} done, {hours(account['time_left_minutes'])} left"
    return ""


def hours(minutes: int | None) -> str:
    """Minutes as a person says them: 3 h 20 min."""
    if minutes is None:
        return "-"
    sign, minutes = ("-" if minutes < 0 else ""), abs(minutes)
    return f"{sign}{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{sign}{minutes} min"
