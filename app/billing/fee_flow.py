"""The basis of client fees: of an open month as known now, of a closed one as its run left it (DOMAIN.md 5)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, select, union

from app.billing import store
from app.billing.rules.fees import FeeInput, fee_adjustments, fee_lines, fixed_minutes
from app.billing.tables import closed_fee_lines
from app.core.month import Month
from app.evidence.store import Wanted, among, load_declines
from app.facts import Decline
from app.facts.accounts import Block, FeeLine
from app.months.flow import CLIENTS_AT_ONCE, Computed, compute_month
from app.months.loading import Books, Key, closed_months
from app.months.rules.closing import adjusting_month
from app.months.tables import month_accounts, reopened_accounts


def fees_of_month(connection: Connection, month: Month) -> list[FeeLine]:
    """All fee lines of a month, by client; an open month takes what changed in closed ones."""
    if month in closed_months(connection):
        return store.load_fee_lines(connection, closed_fee_lines.c.month_on == month.first_on)
    takes = adjusting_month(closed_months(connection)) == month
    keys = keys_of_fees(connection, month)
    clients = sorted({client_id for client_id, _ in keys})
    lines: list[FeeLine] = []
    for start in range(0, len(clients), CLIENTS_AT_ONCE):
        part = set(clients[start : start + CLIENTS_AT_ONCE])
        lines += _lines(connection, month, [key for key in keys if key[0] in part], takes=takes)
    return sorted(lines, key=order_of)


def fees_page(connection: Connection, month: Month, after: tuple[str, int] | None, limit: int) -> list[FeeLine]:
    """At most `limit` fee lines from a place on: (client_id, how many of its lines were read), by client."""
    client_id, skip = after or ("", 0)
    if month in closed_months(connection):
        c = closed_fee_lines.c
        found = store.load_fee_lines(connection, c.month_on == month.first_on, c.client_id >= client_id)
        return sorted(found, key=order_of)[skip : skip + limit]
    takes = adjusting_month(closed_months(connection)) == month
    keys = [key for key in keys_of_fees(connection, month) if key[0] >= client_id]
    clients = sorted({one for one, _ in keys})
    lines: list[FeeLine] = []
    for start in range(0, len(clients), limit):
        part = set(clients[start : start + limit])
        lines += sorted(_lines(connection, month, [key for key in keys if key[0] in part], takes=takes), key=order_of)
        if len(lines) >= skip + limit:
            break
    return lines[skip : skip + limit]


def order_of(line: FeeLine) -> tuple[str, Month, str, str]:
    """How fee lines are listed: by client."""
    return line.client_id, line.origin_month, line.fee_class, line.cause


def keys_of_fees(connection: Connection, month: Month) -> list[Key]:
    """The accounts of the month; where it takes adjustments also those with a changed closed month."""
    c, r = month_accounts.c, reopened_accounts.c
    current = select(c.client_id, c.provider_id).where(
        c.month_on == month.first_on, c.superseded_at.is_(None), c.gone == 0
    )
    rows = connection.execute(union(current, select(r.client_id, r.provider_id)))
    return sorted((row.client_id, row.provider_id) for row in rows)


def _lines(connection: Connection, month: Month, keys: Sequence[Key], *, takes: bool) -> list[FeeLine]:
    return fees_of(connection, month, compute_month(connection, month, keys), takes=takes)


def fees_of(connection: Connection, month: Month, computed: Computed, *, takes: bool) -> list[FeeLine]:
    """The fee lines of some clients, all of whose accounts of the month were computed; `takes`: the month takes what
    changed in closed ones."""
    blocks: dict[str, list[Block]] = defaultdict(list)
    origins: dict[tuple[str, Month], dict[str, Sequence[Block]]] = defaultdict(dict)
    for chain in computed.chains:
        account = chain.result.account
        if chain.result.exists:
            blocks[account.client_id] += chain.result.ledger
        for origin in chain.origins:
            origins[account.client_id, origin.account.month][account.provider_id] = origin.ledger
    clients = {chain.result.account.client_id for chain in computed.chains}
    declines: dict[str, list[Decline]] = defaultdict(list)
    for decline in load_declines(connection, Wanted(clients=clients)):
        declines[decline.client_id].append(decline)
    books = computed.books
    lines = [line for one in sorted(clients) for line in _of_client(books, month, one, blocks[one], declines[one])]
    if takes:
        settled = store.load_fee_lines(connection, among(closed_fee_lines.c.client_id, clients))
        for one in sorted(clients):
            now = {
                origin: _of_client(books, origin, one, _with_frozen(books, one, origin, its), declines[one])
                for (client_id, origin), its in origins.items()
                if client_id == one
            }
            lines += fee_adjustments(month, now, [line for line in settled if line.client_id == one])
    return lines


def _with_frozen(books: Books, client_id: str, origin: Month, now: Mapping[str, Sequence[Block]]) -> list[Block]:
    """A closed month's minutes as known now, by provider; with those frozen with any other provider of the client: fees
    are over all of them."""
    blocks = [block for its in now.values() for block in its]
    for (its_client, provider_id), history in books.history.items():
        if its_client == client_id and origin in history and provider_id not in now:
            blocks += history[origin].ledger
    return blocks


def _of_client(
    books: Books, month: Month, client_id: str, blocks: Collection[Block], declines: Sequence[Decline]
) -> tuple[FeeLine, ...]:
    directory = books.directory
    services = [
        (service.care_area, service.standard_minutes)
        for order in directory.orders_of_client(client_id)
        for service in directory.order_services(order.order_id)
    ]
    return fee_lines(
        FeeInput(
            month=month,
            client_id=client_id,
            blocks=tuple(blocks),
            declines=tuple(declines),
            absences=directory.absences(client_id),
            meal_minutes=fixed_minutes(services),
        ),
        books.book,
    )
