"""New taps get their stamp, grade, tag level and doubts, and are appended; older readings they doubt are named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from app.core.quick import quick
from app.evidence import device_store as store
from app.evidence.clockwork import Claim, Sample, Stamp, judge, new_claim, settled
from app.evidence.grants import Grant, grant_doubts, load_grants
from app.evidence.keys import Keyring
from app.evidence.rules.statements import TapSaid
from app.evidence.sun import Mirror, SunInvalid, SunRead, check, counter_doubts
from app.facts.registry import TagLevel
from app.policies import Policy

SUN_INVALID = "sun_invalid"
"""A SUN text came along that no key of ours made, or that is another tag's: the tap counts at level uid."""


@dataclass(frozen=True, slots=True)
class NewTap:
    """A verified tap that was not stored before. `first`: the first content of its number, so not a fork."""

    device: store.KnownDevice
    said: TapSaid
    hash: bytes
    document: str
    first: bool


@dataclass(frozen=True, slots=True)
class StampedTap:
    """A tap as it was stored. `quarantined`: nothing is derived from it until a manager confirms the device."""

    device_id: str
    seq: int
    hash: bytes
    staff_id: str
    tag_uid: str
    at: datetime
    grade: str
    doubts: tuple[str, ...]
    first: bool
    quarantined: bool


new_tap, _new_stamped = quick(NewTap), quick(StampedTap)


def stamp_taps(
    connection: Connection,
    taps: Sequence[NewTap],
    heads: Mapping[str, list[Sample]],
    now: datetime,
    trust: tuple[Keyring, Policy],
) -> tuple[list[StampedTap], list[tuple[str, int]]]:
    """Judge and append new taps; (what was stored, keys of older taps whose tag counter is doubted only now).

    `heads`: the clock samples received together with the taps, by device.
    """
    if not taps:
        return [], []
    keyring, policy = trust
    stamps, bounds = _stamps(connection, taps, heads, now, policy)
    grants = load_grants(connection, (tap.said.grant for tap in taps if tap.said.grant), keyring)
    providers = store.load_staff_providers(connection, _unowned(taps, stamps, grants))
    rows, stamped, reads = [], [], []
    for tap, stamp, not_before in zip(taps, stamps, bounds, strict=True):
        said = tap.said
        staff_id = _staff(said, grants)
        level, mirror, doubts = _tag(said, keyring)
        doubts = stamp.doubts + doubts
        if said.grant is not None:
            doubts += grant_doubts(grants.get(said.grant), said.dev, said.staff or "", stamp.at)
        provider_id = tap.device.provider_id or providers.get((staff_id, stamp.at), "")
        rows.append(
            (said.dev, said.seq, tap.hash, provider_id, said.act, said.tag.uid, staff_id, said.staff_by or "",
             said.grant or "", said.service, said.t, stamp.at, now, stamp.estimated_at, not_before, now,
             said.boot, said.mono, stamp.grade, ",".join(doubts), level, said.tag.sun or "", tap.document)
        )  # fmt: skip
        stamped.append(
            _new_stamped(
                said.dev, said.seq, tap.hash, staff_id, said.tag.uid, stamp.at, stamp.grade, doubts, tap.first,
                tap.device.pending,
            )
        )  # fmt: skip
        if mirror is not None and tap.first:
            read = SunRead(said.dev, said.seq, said.tag.uid, mirror.counter, stamp.at, stamp.grade != "D")
            reads.append((read, provider_id))
    store.TAPS.append(connection, rows)
    return _with_counter_doubts(stamped, *note_reads(connection, reads))


def regrade(connection: Connection, device_id: str, policy: Policy) -> dict[tuple[int, bytes], Stamp]:
    """The stamps of a device's signed taps, judged again from the stored heads and first receive times alone."""
    stamps = {}
    for row in store.load_claims(connection, device_id):
        claim = Claim(row.tapped_at, row.boot, row.mono, row.received_at, row.not_before)
        samples = store.load_samples(connection, [(device_id, row.boot, row.mono)], row.received_at)
        together = store.load_samples_at(connection, device_id, row.received_at)
        stamps[row.seq, bytes(row.hash)] = judge(claim, together, policy, samples[device_id, row.boot, row.mono])
    return stamps


def note_reads(
    connection: Connection, reads: Sequence[tuple[SunRead, str]]
) -> tuple[Mapping[tuple[str, int], frozenset[Any]], list[tuple[str, int]]]:
    """Append verified readings (with their provider) and every doubt they cause, over all devices.

    Returns the doubts of these and the readings they meet, and the keys whose doubt is new.
    """
    if not reads:
        return {}, []
    mine = {read.key: (read, provider_id) for read, provider_id in reads}
    met = store.load_conflicting_reads(connection, [read for read, _ in reads])
    known = {**met, **mine}
    store.SUN_READS.append(
        connection, [(r.device_id, r.seq, p, r.tag_uid, r.counter, r.at, r.timed) for r, p in mine.values()]
    )
    doubts = counter_doubts(read for read, _ in known.values())
    rows = [(*key, code, known[key][1]) for key, codes in doubts.items() for code in sorted(codes)]
    fresh = store.TAP_DOUBTS.append(connection, rows)
    return doubts, [(row.device_id, row.seq) for row in fresh]


def _with_counter_doubts(
    stamped: list[StampedTap], doubts: Mapping[tuple[str, int], frozenset[Any]], fresh: list[tuple[str, int]]
) -> tuple[list[StampedTap], list[tuple[str, int]]]:
    if not doubts:
        return stamped, []
    own = {(tap.device_id, tap.seq) for tap in stamped}
    marked = [
        StampedTap(
            tap.device_id, tap.seq, tap.hash, tap.staff_id, tap.tag_uid, tap.at, "D",
            (*tap.doubts, *sorted(doubts[tap.device_id, tap.seq])), tap.first, tap.quarantined,
        )
        if tap.first and (tap.device_id, tap.seq) in doubts
        else tap
        for tap in stamped
    ]  # fmt: skip
    return marked, sorted(set(fresh) - own)


def _stamps(
    connection: Connection, taps: Sequence[NewTap], heads: Mapping[str, list[Sample]], now: datetime, policy: Policy
) -> tuple[list[Stamp], list[datetime | None]]:
    """Of each tap its stamp, and when the receipt was given before which it cannot have been made."""
    acks = store.load_acks(connection, {tap.said.ack for tap in taps if tap.said.ack is not None})
    bounds = [acks.get((tap.said.dev, tap.said.ack or "")) for tap in taps]
    claims = [
        new_claim(tap.said.t, tap.said.boot, tap.said.mono, now, not_before)
        for tap, not_before in zip(taps, bounds, strict=True)
    ]
    together = [heads.get(tap.said.dev, ()) for tap in taps]
    stamps = [judge(claim, samples, policy) for claim, samples in zip(claims, together, strict=True)]
    open_ones = {
        index: (taps[index].said.dev, claims[index].boot, claims[index].mono)
        for index, stamp in enumerate(stamps)
        if not settled(stamp)
    }
    earlier = store.load_samples(connection, open_ones.values(), now)
    for index, clock in open_ones.items():
        stamps[index] = judge(claims[index], together[index], policy, earlier[clock])
    return stamps, bounds


def _staff(said: TapSaid, grants: Mapping[str, Grant]) -> str:
    """The person as stated; else the one the grant names."""
    if said.staff is not None or said.grant is None:
        return said.staff or ""
    grant = grants.get(said.grant)
    return grant.staff_id if grant is not None and grant.genuine and grant.device_id == said.dev else ""


def _tag(said: TapSaid, keyring: Keyring) -> tuple[TagLevel, Mirror | None, tuple[str, ...]]:
    """Level `sun` only for a text that our keys made and that names the tag touched."""
    if said.tag.sun is None or not keyring.sun:
        return "uid", None, ()
    try:
        mirror = check(said.tag.sun, keyring.sun)
    except SunInvalid:
        return "uid", None, (SUN_INVALID,)
    if mirror.uid.hex().upper() != said.tag.uid:
        return "uid", None, (SUN_INVALID,)
    return "sun", mirror, ()


def _unowned(
    taps: Sequence[NewTap], stamps: Sequence[Stamp], grants: Mapping[str, Grant]
) -> Iterable[tuple[str, datetime]]:
    """(staff, time) of taps on devices of no provider: such a tap is the staff member's provider's to see."""
    return [
        (_staff(tap.said, grants), stamp.at)
        for tap, stamp in zip(taps, stamps, strict=True)
        if not tap.device.provider_id
    ]
