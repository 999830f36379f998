"""From the taps of one staff_id to stays (DOMAIN.md 2.1 rows 1-11, 15-17, 21).

One walk over the sorted taps. What can still meet a later tap is pending: the open KOM, the last kept tap (row 7), the
kept taps of the last minute (row 21), KOMs that a KOM elsewhere ended (row 5), a pair of AUTO that may have been a
retry (row 9), a single GICK (row 10). Each has an instant at which it ends; after the latest of them the walk forgets
everything (a closed point), so a stretch between closed points gives by itself what it gives in the whole.

Readings chosen where DOMAIN.md leaves a doubt:
- the same client = the two tags' holders have a member in common (a household that loses a member stays the same);
- the fold (row 7) looks at the stated act and is judged before employment: a repeat is the same touch as the kept one;
- a single GICK at another client than the open KOM is `wrong_client_gick` instead of `gick_without_kom`;
- the KOM elsewhere is the proposed end only within `pair_limit`; row 10's 16 h is `open_until_h`;
- limits are those of the policy on the local day of the earlier tap (rows 7, 21: of the later one).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from app.core import ids
from app.core.localtime import day_bounds, instant_of
from app.core.quick import quick
from app.facts import Directory, Finding, Tap
from app.policies import Policy, PolicyBook
from app.visits.rules.spans import hours, local_day, seconds
from app.visits.rules.stay import Pairing, Stay, is_retry, same_place

_NEVER = datetime.min.replace(tzinfo=UTC)

new_stay = quick(Stay)


def pair_taps(taps: Sequence[Tap], directory: Directory, book: PolicyBook) -> Pairing:
    """The stays of one staff_id, and the findings about taps outside any.

    `taps` are all of one staff_id (after `restaff`), sorted by `Tap.order`, from a closed point or the beginning.
    """
    walk = _Walk(directory, book)
    for tap in taps:
        walk.take(tap)
    walk.forget()
    stays = tuple(stay for stay in walk.stays if stay is not None)
    return Pairing(stays, tuple(walk.findings), tuple(walk.closed))


class _Kept(NamedTuple):
    """A kept tap with whose tag it was, where its stay stands in the list, and until when a later tap may meet it
    (pairing for a KOM, reversal for a single GICK)."""

    tap: Tap
    clients: tuple[str, ...]
    slot: int
    until: datetime


class _Walk:
    """The state of one walk over one staff_id's taps."""

    def __init__(self, directory: Directory, book: PolicyBook) -> None:
        self.directory, self.book = directory, book
        self.stays: list[Stay | None] = []
        self.findings: list[Finding] = []
        self.closed: list[int] = []
        self.position = 0
        self.day_from = self.day_to = _NEVER
        self.policy: Policy
        self.open: _Kept | None = None
        self.last: _Kept | None = None
        self.recent: list[_Kept] = []
        self.ended: dict[str, _Kept] = {}
        self.retry: _Kept | None = None
        self.retried: _Kept | None = None
        self.lone: _Kept | None = None
        self.reversing: _Kept | None = None
        self.moved: list[Tap] = []
        self.quiet = _NEVER

    def take(self, tap: Tap) -> None:
        """Give the next tap its role."""
        at = tap.at
        if at > self.quiet:
            if self.position:
                self.closed.append(self.position)
            self.forget()
        self.position += 1
        clients = self.holders(tap)
        if not self.day_from <= at < self.day_to:
            self.enter_day(tap)
        if not clients:
            self.outside("unknown_tag", tap, clients)
            return
        last = self.last
        if (
            last is not None
            and last.tap.act == tap.act
            and at - last.tap.at <= self.repeat
            and same_place(last.clients, clients)
        ):
            self.fold(tap, last, clients)
        elif tap.act == "KOM":
            self.arrive(tap, clients)
        elif tap.act == "GICK":
            self.go(tap, clients)
        elif (opened := self.open) is not None and self.auto_ends(opened, tap, clients):
            self.leave(tap, clients, opened)
        else:
            self.arrive(tap, clients)

    def holders(self, tap: Tap) -> tuple[str, ...]:
        """Row 16: whose tag it was at the tap's time."""
        at = tap.at
        for to_at, client_ids in self.directory.holdings(tap.tag_uid):
            if to_at is None or at < to_at:
                return client_ids
        return ()

    def enter_day(self, tap: Tap) -> None:
        """Policy and employment are looked up once a local day."""
        on = local_day(tap.at)
        self.day_from, self.day_to = day_bounds(on)
        policy = self.policy = self.book.on(on)
        employment = self.directory.employment_on(tap.staff_id, on)
        self.employed = employment is not None
        self.staff_provider = employment.provider_id if employment else ""
        self.repeat = seconds(policy.repeat_s)
        self.move = seconds(policy.move_s)
        self.touch = max(self.repeat, self.move)
        self.open_until = hours(policy.open_until_h)
        self.pair_limit = hours(policy.pair_limit_h)

    def outside(self, code: str, tap: Tap, clients: tuple[str, ...]) -> None:
        """Rows 15, 17: the tap is outside any visit, and not seen by what follows."""
        device = self.directory.devices.get(tap.device_id)
        self.findings.append(
            Finding(
                finding_id=ids.finding_id(code, tap.device_id, str(tap.seq)),
                code=code,
                at=tap.at,
                client_id=clients[0] if clients else "",
                staff_id=tap.staff_id,
                provider_id=self.staff_provider or (device.provider_id if device else ""),
                taps=(tap.key,),
                facts=(("act", tap.act), ("tag_uid", tap.tag_uid), ("staff_id", tap.staff_id)),
            )
        )

    def fold(self, tap: Tap, kept: _Kept, clients: tuple[str, ...]) -> None:
        """Row 7: the same touch once more; its first kept tap stands."""
        self.findings.append(
            Finding(
                finding_id=ids.finding_id("repeated_tap", tap.device_id, str(tap.seq)),
                code="repeated_tap",
                at=tap.at,
                client_id=clients[0],
                staff_id=tap.staff_id,
                provider_id=self.staff_provider,
                taps=(tap.key,),
                facts=(
                    ("act", tap.act),
                    ("kept_device_id", kept.tap.device_id),
                    ("kept_seq", str(kept.tap.seq)),
                    ("seconds", str(int((tap.at - kept.tap.at).total_seconds()))),
                ),
                born_resolved=True,
            )
        )

    def arrive(self, tap: Tap, clients: tuple[str, ...]) -> None:
        """A KOM, or an AUTO that ends nothing: it opens a stay and ends the one before (rows 2, 4, 5)."""
        if not self.employed:
            self.outside("unknown_staff", tap, clients)
            return
        opened, retry, lone = self.open, self.retry, self.lone
        if opened is not None:
            elsewhere = tap.at <= opened.until and not same_place(opened.clients, clients)
            self.stay_single(opened, tap if elsewhere else None)
            if elsewhere:
                self.ended.update(dict.fromkeys(opened.clients, opened))
        kept = self.keep(tap, clients, self.pair_limit)
        self.open = kept
        if retry is not None and tap.act == "AUTO" and self.auto_ends(retry, tap, clients):
            self.retried = retry
        if lone is not None and tap.at <= lone.until and same_place(lone.clients, clients):
            self.reversing = lone
        self.quiet = max(self.quiet, kept.until)

    def go(self, tap: Tap, clients: tuple[str, ...]) -> None:
        """A GICK: the end of the open stay at the same client (row 1), else a single one (rows 3, 5, 6)."""
        opened = self.open
        if opened is not None and tap.at <= opened.until and same_place(opened.clients, clients):
            self.leave(tap, clients, opened)
            return
        if not self.employed:
            self.outside("unknown_staff", tap, clients)
            return
        if opened is not None and tap.at > opened.until:
            self.stay_single(opened, None)
            self.open = opened = None
        left = self.take_ended(tap, clients) if self.ended else None
        code = "gick_without_kom" if left is not None or opened is None else "wrong_client_gick"
        kept = self.keep(tap, clients, max(self.open_until, self.touch))
        self.lone = kept
        self.stays[kept.slot] = Stay(
            tap.staff_id, None, tap, clients, code, left=left.tap if left else None, moves=self.moves_of(tap)
        )
        self.quiet = max(self.quiet, kept.until)

    def leave(self, tap: Tap, clients: tuple[str, ...], opened: _Kept) -> None:
        """The end of the open stay; a third AUTO that was not alone and a reversed act are known by now."""
        if self.ended:
            self.take_ended(tap, clients)
        if self.retried is not None:
            self.point(self.retried, opened.tap, single=False)
        kept = self.keep(tap, clients, self.touch, slot=opened.slot)
        self.open = self.reversing = self.retried = None
        self.stays[opened.slot] = new_stay(
            tap.staff_id, opened.tap, tap, opened.clients, moves=self.moves_of(opened.tap, tap) if self.moved else ()
        )
        quiet = kept.until
        for pending in self.ended.values():
            quiet = max(quiet, pending.until)
        if is_retry(opened.tap, tap, self.policy.auto_retry_min):
            self.retry = opened
            quiet = max(quiet, opened.until)
        self.quiet = quiet

    def keep(self, tap: Tap, clients: tuple[str, ...], pending: timedelta, slot: int | None = None) -> _Kept:
        """Remember the tap as the last kept one; rows 7, 9 and 10 look no further back than that."""
        if self.recent:
            since = tap.at - self.move
            self.recent = [kept for kept in self.recent if kept.tap.at >= since]
            if self.recent:
                self.look_for_moves(tap, clients)
        if slot is None:
            slot = len(self.stays)
            self.stays.append(None)
        self.last = kept = _Kept(tap, clients, slot, tap.at + pending)
        self.recent.append(kept)
        self.retry = self.lone = None
        return kept

    def look_for_moves(self, tap: Tap, clients: tuple[str, ...]) -> None:
        """Row 21: a kept tap at another site so short a time before."""
        sites = self.sites(clients)
        if any(sites.isdisjoint(self.sites(kept.clients)) for kept in self.recent):
            self.moved.append(tap)

    def sites(self, clients: tuple[str, ...]) -> set[str]:
        known = self.directory.clients
        return {known[client].site if client in known else f"client:{client}" for client in clients}

    def moves_of(self, *taps: Tap) -> tuple[Tap, ...]:
        return tuple(tap for tap in taps if tap in self.moved)

    def auto_ends(self, opened: _Kept, tap: Tap, clients: tuple[str, ...]) -> bool:
        """Row 8: would this AUTO end that KOM?"""
        kom_at, at = opened.tap.at, tap.at
        if at > opened.until or not same_place(opened.clients, clients):
            return False
        on = local_day(kom_at)
        policy = self.book.on(on)
        if at - kom_at <= hours(policy.auto_short_h):
            return True
        if at - kom_at > hours(policy.auto_max_h):
            return False
        day_break = instant_of(on, policy.auto_day_break)
        while day_break <= kom_at:
            on += timedelta(days=1)
            day_break = instant_of(on, policy.auto_day_break)
        return at <= day_break

    def take_ended(self, tap: Tap, clients: tuple[str, ...]) -> _Kept | None:
        """Row 5: the KOM here that a KOM elsewhere ended, for the first GICK here within `pair_limit`."""
        found = [kept for client in clients if (kept := self.ended.pop(client, None)) is not None]
        return next((kept for kept in found if tap.at <= kept.until), None)

    def stay_single(self, opened: _Kept, elsewhere: Tap | None) -> None:
        """Rows 2, 4, 5: nothing ended this KOM. Rows 9 and 10 wait for that."""
        self.stays[opened.slot] = Stay(
            opened.tap.staff_id, opened.tap, None, opened.clients, "kom_without_gick", elsewhere,
            moves=self.moves_of(opened.tap),
        )  # fmt: skip
        if self.retried is not None:
            self.point(self.retried, opened.tap, single=True)
        if self.reversing is not None:
            self.point(self.reversing, opened.tap, single=True)
        self.retried = self.reversing = None

    def point(self, earlier: _Kept, tap: Tap, *, single: bool) -> None:
        """Let an earlier stay point at the tap that explains it."""
        stay = self.stays[earlier.slot]
        if stay is not None:
            self.stays[earlier.slot] = replace(stay, next_tap=tap, next_single=single)

    def forget(self) -> None:
        """Nothing pending any more: a later tap meets an empty state, as at the very beginning."""
        if self.open is not None:
            self.stay_single(self.open, None)
        self.open = self.last = self.retry = self.retried = self.lone = self.reversing = None
        self.recent, self.moved, self.ended = [], [], {}
