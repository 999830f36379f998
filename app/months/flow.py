"""Keep month accounts in step with visits, orders, declines and reasons; appended whenever they change.

Accounts of a month with nothing but an order are made when the month is asked for (`complete_month`): an open-ended
order has no last month.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cache
from typing import Any, Literal

from sqlalchemy import Connection, Date, Select, between, bindparam, exists, or_, select

from app.core.localtime import month_bounds
from app.core.month import Month
from app.evidence.store import among
from app.evidence.tables import closes
from app.facts import MonthAccount
from app.facts.accounts import AccountResult
from app.findings import store as finding_store
from app.findings.tables import findings
from app.months import store
from app.months.loading import Books, Key, active_months, load_books, made_up_links
from app.months.misfit import note_misfits
from app.months.restating import restate
from app.months.rules.chain import Chain, account_in_chain
from app.months.rules.closing import adjusting_month, is_as_frozen
from app.months.store import StoredAccount
from app.months.tables import month_accounts
from app.policies import PolicyBook
from app.registry.store import DirectoryReader, load_policy_book
from app.registry.tables import orders
from app.visits.draft import AccountSpan

CLIENTS_AT_ONCE = 400
Kind = Literal["changed", "gone"]


@dataclass(frozen=True, slots=True)
class Computed:
    """Chains of some accounts, and what they were computed from: what the lines follow from."""

    books: Books
    chains: tuple[Chain, ...]
    altered: tuple[tuple[Kind, MonthAccount], ...] = ()
    """The accounts that were stored otherwise; not those made for the first time, as any month's are when it is asked
    for."""


def refresh(
    connection: Connection, spans: Collection[AccountSpan], now: datetime, registry: DirectoryReader | None
) -> Iterable[Computed]:
    """Compute the accounts the spans touch, and those after them that settle for them; append what has changed.

    `registry`: as a derivation of these clients has read it.
    """
    wanted: dict[Key, list[AccountSpan]] = defaultdict(list)
    for span in spans:
        if span.client_id and span.provider_id:
            wanted[span.client_id, span.provider_id].append(span)
    book = load_policy_book(connection)
    parts = list(parts_of(sorted(wanted)))
    for keys in parts:
        links = made_up_links(connection, keys)
        linked = {key: _linked(wanted[key], links.get(key, ())) for key in keys}
        named = [(span.first, span.last.next) for key in keys for span in wanted[key]]
        named += [(month, month.next) for its in linked.values() for month in its]
        active = active_months(connection, keys, min(first for first, _ in named), max(last for _, last in named))
        months = {key: _touched(wanted[key], active.get(key, set()), linked[key]) for key in keys}
        # What a reader was asked it reads again when it is asked for more: many parts read their own.
        yield _compute(connection, months, (book, registry if len(parts) == 1 else None), now)


def _linked(spans: Collection[AccountSpan], links: Collection[tuple[Month, date]]) -> set[Month]:
    """The months of declines that are linked to a day of the months touched, or to the same day as a decline of them.

    Links of other months are none of the change's: a client who made something up a year ago costs no more today."""
    days = {
        on
        for month, on in links
        if any(s.first <= month <= s.last.next or s.first <= Month.of(on) <= s.last for s in spans)
    }
    return {month for month, on in links if on in days}


def _touched(spans: Collection[AccountSpan], active: set[Month], linked: Collection[Month]) -> set[Month]:
    """The months with an account that may differ: those of the spans, the one after, into which they may be carried,
    and the linked ones likewise."""
    touched = {month for month in active if any(span.first <= month <= span.last.next for span in spans)}
    return touched.union(*({month, month.next} & active for month in linked))


def shut_again(connection: Connection, computed: Computed, corrected: Collection[tuple[Key, Month]]) -> None:
    """Forget closed months that were touched but are as their run left them; `corrected` are those that lines correct.

    What fees follow from besides the ledger (declines, absences, fixed minutes of meals) keeps a month open to them.
    """
    same = []
    for chain in computed.chains:
        account = chain.result.account
        key = (account.client_id, account.provider_id)
        history = computed.books.history.get(key, {})
        for origin in chain.origins:
            month = origin.account.month
            if (key, month) not in corrected and not origin.declines and is_as_frozen(origin, history.get(month)):
                same.append((key, month))
    store.shut(connection, same)


def complete_month(
    connection: Connection, month: Month, now: datetime, *, client_id: str = "", provider_id: str = ""
) -> Iterable[Computed]:
    """Make the accounts of a month that nothing but an order calls for: all, or those of a client, of a provider."""
    keys = ordered_only(connection, month, client_id=client_id, provider_id=provider_id)
    if not keys:
        return
    book = load_policy_book(connection)
    for part in parts_of(keys):
        yield _compute(connection, {key: {month} for key in part}, (book, None), now)


def ordered_only(connection: Connection, month: Month, *, client_id: str = "", provider_id: str = "") -> list[Key]:
    """The accounts of an open month that an order calls for and that are not stored yet; none of a closed month."""
    whose = {"client_id": client_id, "provider_id": provider_id}
    named = tuple(name for name, value in whose.items() if value)
    values = {"month": str(month), "first_on": month.first_on, "last_on": month.last_on} | whose
    return sorted((row.client_id, row.provider_id) for row in connection.execute(_ordered_only(named), values))


@cache
def _ordered_only(named: tuple[str, ...]) -> Select[Any]:
    """Of whom is named; made once."""
    c, o = month_accounts.c, orders.c
    first_on, last_on = bindparam("first_on", type_=Date), bindparam("last_on", type_=Date)
    stored = exists().where(
        c.month_on == first_on, c.superseded_at.is_(None), c.client_id == o.client_id, c.provider_id == o.provider_id
    )
    return (
        select(o.client_id, o.provider_id)
        .where(
            o.valid_from <= last_on, or_(o.valid_to.is_(None), o.valid_to >= first_on), ~stored,
            ~exists().where(closes.c.month == bindparam("month")), *(o[name] == bindparam(name) for name in named),
        )
        .distinct()
    )  # fmt: skip


def compute_month(connection: Connection, month: Month, keys: Collection[Key]) -> Computed:
    """The chains of a month's accounts as known now, without storing anything."""
    books = load_books(connection, keys, {month}, load_policy_book(connection))
    return Computed(books, tuple(chain_of(books, key, month) for key in keys))


def parts_of(keys: Sequence[Key]) -> Iterable[list[Key]]:
    """Keys of at most so many clients at a time, a client's together."""
    part: list[Key] = []
    clients: set[str] = set()
    for key in keys:
        if len(clients) >= CLIENTS_AT_ONCE and key[0] not in clients:
            yield part
            part, clients = [], set()
        part.append(key)
        clients.add(key[0])
    if part:
        yield part


def _compute(
    connection: Connection,
    months: Mapping[Key, set[Month]],
    context: tuple[PolicyBook, DirectoryReader | None],
    now: datetime,
) -> Computed:
    every = {month for its in months.values() for month in its}
    books = load_books(connection, months.keys(), every, *context, whole_history=False)
    takes = adjusting_month(books.closed)
    reopened = {(key, month) for key, its in months.items() for month in its if month in books.closed}
    chains: list[Chain] = []
    if reopened:
        store.reopen(connection, reopened)
        books = load_books(
            connection, months.keys(), every | ({takes} if takes else set()), *context, whole_history=False
        )
    for key, its in months.items():
        opened = {month for month in its if month not in books.closed}
        if takes is not None and any((key, month) in reopened for month in its):
            opened.add(takes)
        chains += [chain_of(books, key, month) for month in sorted(opened)]
    altered = _store(connection, chains, now)
    altered += [("changed", account) for account in restate(connection, books, months, now)]
    note_misfits(connection, months, context[0], now)
    return Computed(books, tuple(chains), tuple(altered))


def chain_of(books: Books, key: Key, month: Month) -> Chain:
    """The account of a month with the months it settles for."""
    history = books.history_of(key)
    inputs = {month: books.input_of(key, month)}
    before = books.input_of(key, month.previous)
    # A closed month that nothing has touched since owes nothing; what is carried over needs a reason.
    if before.reasons:
        inputs[month.previous] = before
    for origin in books.reopened.get(key, ()):
        if origin in history:
            inputs[origin] = books.input_of(key, origin)
    return account_in_chain(month, inputs, history, books.book)


def _store(connection: Connection, chains: Sequence[Chain], now: datetime) -> list[tuple[Kind, MonthAccount]]:
    """Append accounts that differ from what is known, and replace their findings; which of the known they are."""
    by_place = {
        (chain.result.account.month, chain.result.account.client_id, chain.result.account.provider_id): chain.result
        for chain in chains
    }
    if not by_place:
        return []
    clients = {client_id for _, client_id, _ in by_place}
    months = {month for month, _, _ in by_place}
    c = month_accounts.c
    known = {
        (one.account.month, one.account.client_id, one.account.provider_id): one
        for one in store.load_current(
            connection, among(c.client_id, clients), c.month_on.in_([month.first_on for month in months])
        )
    }
    changed: list[StoredAccount] = []
    gone: list[StoredAccount] = []
    for place, result in by_place.items():
        before = known.get(place)
        if not result.exists:
            if before is not None:
                gone.append(StoredAccount.of(result))
        elif before is None or _unknown(before) != _unknown(StoredAccount.of(result)):
            changed.append(StoredAccount.of(result))
    store.put(connection, changed, gone, now)
    # A closed account keeps its figures, but what a person must look at is as known now: an order lowered after the
    # close, a reason that came after it.
    origins = {
        (origin.account.month, origin.account.client_id, origin.account.provider_id): origin
        for chain in chains
        for origin in chain.origins
    }
    _store_findings(connection, origins | by_place, now)
    places = [(one.account.month, one.account.client_id, one.account.provider_id) for one in changed]
    altered: list[tuple[Kind, MonthAccount]] = [("gone", one.account) for one in gone]
    return altered + [("changed", one.account) for one, at in zip(changed, places, strict=True) if at in known]


def _unknown(stored: StoredAccount) -> StoredAccount:
    """Without when it became known."""
    return replace(stored, account=replace(stored.account, known_at=None))


def _store_findings(
    connection: Connection, by_place: Mapping[tuple[Month, str, str], AccountResult], now: datetime
) -> None:
    clients = {client_id for _, client_id, _ in by_place}
    months = [month for month, _, _ in by_place]
    from_at, to_at = month_bounds(min(months))[0], month_bounds(max(months))[1]
    stored = {
        finding.finding_id: finding
        for _, finding in finding_store.load(
            connection,
            findings.c.step == "account",
            among(findings.c.client_id, clients),
            between(findings.c.at, from_at, to_at),
        )
        if (Month.parse(finding.fact("month")), finding.client_id, finding.provider_id) in by_place
        and finding.code != "order_misfit"
    }
    made = {finding.finding_id: finding for result in by_place.values() if result.exists for finding in result.findings}
    finding_store.drop(connection, [one for one in stored if one not in made])
    changed = [finding for finding_id, finding in made.items() if stored.get(finding_id) != finding]
    finding_store.put(connection, "account", changed, now)
