"""From which tap to which tap a staff member's stays must be paired again (ARCHITECTURE.md "Re-deriving").

From the last closed point before the change until, after it, the old derivation and the new one are closed together.
A point is closed when nothing earlier can still meet a later tap; that is known from the stored visits alone
(`rules.stay.quiet_at`), so a change costs what it touches, not what came before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.core.localtime import local_date
from app.facts import Visit
from app.policies import PolicyBook

BEGINNING = datetime.min.replace(tzinfo=UTC)
END = datetime.max.replace(tzinfo=UTC)
MARGIN = timedelta(hours=50)
"""Looked at after a change first: twice the 24 hours within which two taps may meet, and a little."""
NEAR = timedelta(hours=3)
"""Looked at before a change first; the few visits before that which reach into it are looked for by themselves."""
FAR = timedelta(hours=76)
"""Nothing reaches further: the most that policies allow between KOM and GICK, and a little."""


@dataclass(frozen=True, slots=True)
class Span:
    """A closed interval of time; BEGINNING and END where it is open."""

    from_at: datetime = BEGINNING
    to_at: datetime = END

    def wider(self, by: timedelta) -> Span:
        """The span with a margin on each side."""
        from_at = self.from_at - by if self.from_at - BEGINNING > by else BEGINNING
        return Span(from_at, self.to_at + by if END - self.to_at > by else END)


def merged(spans: Iterable[Span], gap: timedelta) -> list[Span]:
    """The spans joined where they lie at most `gap` apart, in order."""
    result: list[Span] = []
    for span in sorted(spans, key=lambda one: one.from_at):
        last = result[-1] if result else None
        if last is not None and (END - last.to_at <= gap or span.from_at <= last.to_at + gap):
            result[-1] = Span(last.from_at, max(last.to_at, span.to_at))
        else:
            result.append(span)
    return result


def reaches(visits: Sequence[Visit], book: PolicyBook) -> list[Span]:
    """Of stored tapped visits: from the first tap until the last instant at which a later tap may meet it."""
    spans = []
    for visit in visits:
        kom, gick = visit.kom, visit.gick
        first = kom or gick
        if first is None:
            continue
        policy = book.on(local_date(first.at))
        touch = timedelta(seconds=max(policy.repeat_s, policy.move_s))
        if kom is None or gick is None:
            quiet = first.at + max(touch, timedelta(hours=max(policy.pair_limit_h, policy.open_until_h)))
        else:
            quiet = gick.at + touch
            if gick.at - kom.at <= timedelta(minutes=policy.auto_retry_min):
                quiet = max(quiet, kom.at + timedelta(hours=policy.pair_limit_h))
        spans.append(Span(first.at, quiet))
    return spans


def closed_before(at: datetime, spans: Sequence[Span]) -> datetime:
    """The latest instant <= `at` in no span: pairing may begin with the first tap from there on."""
    point = at
    for span in sorted(spans, key=lambda one: one.from_at, reverse=True):
        if span.from_at < point <= span.to_at:
            point = span.from_at
    return _settled(point, spans)


def _settled(point: datetime, spans: Sequence[Span]) -> datetime:
    """Go on to the left while a span that began earlier still covers the point."""
    while True:
        covering = [span.from_at for span in spans if span.from_at < point <= span.to_at]
        if not covering:
            return point
        point = min(covering)


def is_closed(at: datetime, spans: Sequence[Span]) -> bool:
    """Whether no span that began before the instant reaches it."""
    return not any(span.from_at < at <= span.to_at for span in spans)
