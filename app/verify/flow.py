"""The checks in their order, each with one line of result and everything it found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from app.core.localtime import parse_instant
from app.core.month import Month
from app.facts import Directory
from app.facts.accounts import AccountResult
from app.policies import PolicyBook, read_policies
from app.verify.accounts import (
    Books,
    Key,
    World,
    as_known_at,
    changed_since,
    differences,
    open_books,
    totals,
)
from app.verify.bundle import Bundle, Wrong, open_export
from app.verify.evidence import Evidence, read_evidence
from app.verify.facts import read_registry, read_statements
from app.verify.frozen import ACCOUNTS, Frozen, read_frozen
from app.verify.seal import Seal, check_seal

POLICIES = "policies.toml"


@dataclass(frozen=True, slots=True)
class Check:
    """One check: what it looked at in a few words, and what is wrong. `notes` are worth knowing and not wrong."""

    name: str
    looked_at: str
    wrong: tuple[Wrong, ...] = ()
    notes: tuple[str, ...] = ()


def verify(path: Path, published: str = "") -> Iterator[Check]:
    """Every check of the export at `path`. `published`: the thumbprint of the server's key as the city publishes it.

    NotABundle where there is nothing to check. A check's wrongs are in order of file and line.
    """
    with open_export(path) as bundle:
        seal = check_seal(bundle)
        yield _check("seal", f"{seal.files} files, sealed {seal.sealed_at or 'never'}", seal.wrong, seal.notes)
        yield _server_key(seal, published)
        registry = read_registry(bundle)
        directory = Directory(registry)
        evidence = read_evidence(bundle, directory.devices, seal.keys, whole=seal.month is None)
        yield from _evidence_checks(evidence)
        said = read_statements(bundle)
        book, unreadable = _policies(bundle)
        world = World(directory, book, evidence.taps, said, _stored(bundle))
        frozen = read_frozen(bundle)
        yield _check("form", f"{len(bundle.names)} files read", [*bundle.wrong, *evidence.forms, *unreadable])
        yield _check("closes", f"hashes of {len(frozen.hashed)} of {len(frozen.closes)} closes", frozen.wrong)
        yield from _recomputed(world, frozen, seal.month)


def _check(name: str, looked_at: str, wrong: Iterable[Wrong] = (), notes: tuple[str, ...] = ()) -> Check:
    return Check(name, looked_at, tuple(sorted(set(wrong))), notes)


def _server_key(seal: Seal, published: str) -> Check:
    shown = ", ".join(seal.thumbprints) or "none"
    wrong = []
    if published and published not in seal.thumbprints:
        wrong.append(Wrong("datapackage.json", 0, f"the server's key is {shown}, the published one is {published}"))
    notes = () if published else (f"compare the server's key {shown} with the one the city publishes (--server-key)",)
    return _check("server key", shown, wrong, notes)


def _evidence_checks(evidence: Evidence) -> Iterator[Check]:
    held = (f"{evidence.quarantined} taps of unconfirmed devices are left out",) if evidence.quarantined else ()
    late = (f"{evidence.after_revocation} taps came after a revocation and are held",)
    looked_at = f"{evidence.signed} signed taps, {evidence.documents} documents, {evidence.unsigned} taps unsigned"
    yield _check("signatures", looked_at, evidence.signatures, held)
    yield _check("contents", "rows against their documents", evidence.contents)
    yield _check("chain", "numbers and prev of every device", evidence.chain)
    yield _check("receipts", f"{evidence.receipts_seen} receipts", evidence.receipts)
    yield _check("revocation", "devices.csv", (), late if evidence.after_revocation else ())


def _policies(bundle: Bundle) -> tuple[PolicyBook, list[Wrong]]:
    text = bundle.text(POLICIES)
    try:
        return PolicyBook.built_in().with_overrides(read_policies(text or "")), []
    except Exception as error:  # noqa: BLE001 -- whatever a changed file makes the reader raise is the finding
        return PolicyBook.built_in(), [Wrong(POLICIES, 0, str(error))]


def _stored(bundle: Bundle) -> Mapping[tuple[str, str], tuple[datetime, int]]:
    found = {}
    for _, row in bundle.objects("receipts.jsonl"):
        if row.get("table") == "stored":
            try:
                found[str(row["file"]), str(row["id"])] = (parse_instant(row["stored_at"]), int(row["version"]))
            except (KeyError, TypeError, ValueError):
                continue
    return found


def _recomputed(world: World, frozen: Frozen, month: Month | None) -> Iterator[Check]:
    books = open_books(world)
    yield _check("visits", f"{books.visits} visits recomputed from {len(world.taps)} taps")
    for closed in sorted(frozen.closes):
        if not frozen.accounts.get(closed) or (month is not None and closed not in (month, month.previous)):
            continue
        yield _compared(books, frozen, closed)


def _compared(books: Books, frozen: Frozen, month: Month) -> Check:
    """A closed month's accounts as the rules give them now; else as they gave them at the close."""
    results: dict[Key, AccountResult] = {}
    doubtful: dict[Key, list[str]] = {}
    its = frozen.accounts[month]
    for key in sorted(its.keys() | books.keys(month)):
        result = results[key] = books.account(key, month, frozen.history_of(key))
        found = differences(its[key][1] if key in its else None, result)
        if found:
            doubtful[key] = found
    wrong, notes = _judged(books, frozen, month, (results, doubtful))
    sums = ", ".join(f"{name} {value}" for name, value in totals(list(results.values())))
    return _check(f"month {month}", f"{len(its)} frozen accounts recomputed: {sums}", wrong, tuple(notes))


def _judged(
    books: Books,
    frozen: Frozen,
    month: Month,
    found: tuple[Mapping[Key, AccountResult], Mapping[Key, list[str]]],
) -> tuple[list[Wrong], list[str]]:
    """Of accounts that differ: changed since the close and settled or dated so, or wrong."""
    results, doubtful = found
    if not doubtful:
        return [], []
    at = frozen.closes[month].at
    then = open_books(as_known_at(books.world, at))
    wrong, notes = [], []
    for key, said in doubtful.items():
        line, closed = frozen.accounts[month].get(key, (0, None))
        name = "/".join(key)
        if not differences(closed, then.account(key, month, frozen.history_of(key))):
            notes.append(f"{name} {month}: as frozen when closed; changed since: {'; '.join(said)}")
        elif _settled(frozen, key, month, results[key]) or changed_since(books.world, key, at):
            notes.append(f"{name} {month}: changed since the close and settled after it: {'; '.join(said)}")
        else:
            wrong.append(Wrong(ACCOUNTS, line, f"{name} {month}: {'; '.join(said)}"))
    return wrong, notes


def _settled(frozen: Frozen, key: Key, month: Month, result: AccountResult) -> bool:
    """Whether adjustment lines settle exactly what the account differs by."""
    minutes = frozen.adjusted_minutes(key, month)
    closed = frozen.accounts[month].get(key)
    then = closed[1].account if closed else None
    free = result.account.free_minutes - (then.free_minutes if then else 0)
    approved = result.account.excess_approved_minutes - (then.excess_approved_minutes if then else 0)
    return minutes is not None and minutes in (free, free + approved)
