"""Exact fractions inside, decimals at the edge."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from fractions import Fraction

_TEN_DIGITS = 10**10


def ratio(part: int | Fraction, whole: int | Fraction) -> Fraction | None:
    """part / whole; None, not 0, where the whole is nothing."""
    return Fraction(part, whole) if whole else None


def mean_of(values: Sequence[int | Fraction]) -> Fraction | None:
    """The arithmetic mean; None of nothing."""
    return Fraction(sum(values)) / len(values) if values else None


def mean_of_parts(parts: Iterable[tuple[int, int]]) -> Fraction | None:
    """The exact mean of (part, whole) shares, those with whole 0 left out; None of nothing.

    Parts of one whole are added first: a city's clients share some hundred wholes.
    """
    by_whole: dict[int, int] = defaultdict(int)
    count = 0
    for part, whole in parts:
        if whole:
            by_whole[whole] += part
            count += 1
    return sum((Fraction(part, whole) for whole, part in by_whole.items()), Fraction(0)) / count if count else None


def sum_of(values: Iterable[Fraction]) -> Fraction:
    """The exact sum; those with one denominator are added first, as whole numbers."""
    by_denominator: dict[int, int] = defaultdict(int)
    for value in values:
        by_denominator[value.denominator] += value.numerator
    return sum((Fraction(part, whole) for whole, part in by_denominator.items()), Fraction(0))


def median_of(values: Sequence[int | Fraction]) -> Fraction | None:
    """The middle value, or the mean of the two middle ones; None of nothing."""
    if not values:
        return None
    ordered, middle = sorted(values), len(values) // 2
    if len(ordered) % 2:
        return Fraction(ordered[middle])
    return Fraction(ordered[middle - 1] + ordered[middle]) / 2


def decimal(value: Fraction | int | float | None, digits: int = 10) -> float | None:
    """The decimal with that many digits nearest to an exact value (half to even), for JSON; None stays None."""
    if value is None:
        return None
    if isinstance(value, float):
        return round(value, digits)
    scale = _TEN_DIGITS if digits == 10 else 10**digits
    return _half_even(value.numerator * scale, value.denominator) / scale


def decimal_of_parts(part: int, whole: int) -> float | None:
    """`decimal(ratio(part, whole))`, without the fraction in between."""
    return _half_even(part * _TEN_DIGITS, whole) / _TEN_DIGITS if whole else None


def percent(value: Fraction | None, digits: int = 10) -> float | None:
    """A share as percent."""
    return None if value is None else decimal(value * 100, digits)


def half_up(value: Fraction) -> int:
    """The nearest whole number, half upwards: how öre are rounded (DOMAIN.md 5)."""
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


def swedish(value: Fraction | int | None, digits: int = 1) -> str:
    """A number for people: decimal comma, no digits where it is whole; a dash where undefined."""
    if value is None:
        return "–"
    if Fraction(value).denominator == 1:
        return str(int(value))
    scale = 10**digits
    return f"{half_up(Fraction(value) * scale) / scale:.{digits}f}".replace(".", ",")


def _half_even(numerator: int, denominator: int) -> int:
    whole, rest = divmod(numerator, denominator)
    if 2 * rest > denominator or (2 * rest == denominator and whole % 2):
        return whole + 1
    return whole
