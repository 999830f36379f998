"""A measure's answer as the object CONTRACT.md 4 fixes, by group, over time, and every fortnight of a year."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np

from app.core.month import Month
from app.insight.indices import EXACT_INDICES
from app.insight.measure import Grouping, Measure, Measured, Source, compute, compute_groups
from app.insight.numbers import decimal, decimal_of_parts, percent, ratio
from app.insight.stays import Ints, Stays, different_with_counts
from app.insight.windows import Window, fortnights
from app.refusals import Invalid

NO_VARIANT = "none"
MINIMUM_CLIENTS = 5
"""A group with fewer included clients shows no figure: the mean would tell about persons."""


def window_for(measure: Measure, month: Month | None, from_on: date | None) -> Window:
    """The window of a month or from a day.

    A measure of days, asked for a month, takes its official period where that begins in the month, else the one that
    begins on the month's first Monday. A measure of a month, asked from a day, takes the month that begins there.
    Invalid unless exactly one is given.
    """
    days = measure.window_days
    if from_on is not None and month is None:
        return Window.of_days(from_on, days) if days else Window(from_on, _month_later(from_on))
    if month is None or from_on is not None:
        raise Invalid("give either --month or --from")
    if days is None:
        return Window.of_month(month)
    official = measure.official_from(month.year)
    if official and Month.of(official) == month:
        return Window.of_days(official, days)
    return Window.of_days(month.first_on + timedelta(days=-month.first_on.weekday() % 7), days)


def chosen_variants(measure: Measure, names: Iterable[str], on: date) -> frozenset[str]:
    """The variants of those names, `none` for none; without a name those the municipality decided for that day.

    Invalid with the known ones otherwise.
    """
    variants = frozenset(names)
    if not variants:
        return measure.standing_variants(on)
    if variants == {NO_VARIANT}:
        return frozenset()
    if not variants <= measure.variants.keys():
        known = ", ".join(measure.variants) or "none"
        raise Invalid(f"{measure.name} has no variant {', '.join(sorted(variants - measure.variants.keys()))}: {known}")
    return variants


def measured_object(measured: Measured) -> dict[str, Any]:
    """CONTRACT.md 4, Continuity: exact fractions printed as decimals with 10 digits."""
    measure = measured.measure
    official = measure.official_from(measured.window.from_on.year)
    return {
        "measure": measure.name,
        "version": measure.version,
        "variants": sorted(measured.variants),
        "definition": {"sv": measure.definition_sv, "en": measure.definition_en},
        "population": {"sv": measure.population_sv, "en": measure.population_en},
        "from_on": measured.window.from_on.isoformat(),
        "to_on": measured.window.to_on.isoformat(),
        "official": official == measured.window.from_on,
        **_figures(measured),
        "clients_excluded": [{"client_id": client_id, "why": why} for client_id, why in measured.excluded],
        "data_quality": _quality_object(measured),
        "per_client": [
            {
                "client_id": client.client_id,
                "distinct_staff": client.indices.distinct_staff,
                "visits": client.indices.meetings,
                "upc": decimal_of_parts(*client.indices.parts("upc")),
                "coc_bice_boxerman": decimal_of_parts(*client.indices.parts("coc")),
                "hi": decimal_of_parts(*client.indices.parts("hi")),
                "secon": decimal_of_parts(*client.indices.parts("secon")),
                "k": decimal_of_parts(*client.indices.parts("k")),
                "mmci": decimal_of_parts(*client.indices.parts("mmci")),
                "visit_entropy_bits": decimal(client.indices.entropy_bits),
                "contact_share": decimal_of_parts(*client.contact_minutes),
            }
            for client in measured.clients
        ],
    }


def by_group(
    measure: Measure, source: Source, window: Window, variants: frozenset[str], grouping: Grouping
) -> list[dict[str, Any]]:
    """The measure per unit, provider, ... by their own visits; small groups show their size and no figure."""
    return [
        {"group": name, **_shown(measured)}
        for name, measured in compute_groups(measure, source, window, variants, grouping).items()
    ]


def trend(
    measure: Measure, source: Source, months: Sequence[Month], variants: frozenset[str], names: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The measure month by month: the municipality, each unit (by name where it has one) and each included client."""
    rows = []
    for month in months:
        window = window_for(measure, month, None)
        measured = compute(measure, source, window, variants)
        units = by_group(measure, source, window, variants, lambda stays: by_code("unit", stays))
        rows.append(
            {
                "month": str(month),
                **_figures(measured),
                "units": {
                    row["group"]: {"name": names.get(row["group"], row["group"]), "mean": row["mean"],
                                   "mean_coc": row["mean_coc"], "clients_included": row["clients_included"]}
                    for row in units
                },
                "distinct_staff": {client.client_id: client.indices.distinct_staff for client in measured.clients},
            }
        )  # fmt: skip
    return rows


def every_fortnight(measure: Measure, source: Source, year: int, variants: frozenset[str]) -> Iterator[dict[str, Any]]:
    """Every period of the year, the official one marked: none can be chosen to please [S1]. Lazy: a year is long."""
    if measure.window_days is None or measure.official is None:
        raise Invalid(f"{measure.name} is a measure of calendar months; give --month")
    official = measure.official_from(year)
    for window in fortnights(year):
        figures = _figures(compute(measure, source, window, variants))
        yield {
            "from_on": window.from_on.isoformat(),
            "to_on": window.to_on.isoformat(),
            "official": window.from_on == official,
            **figures,
        }


def by_code(codes: str, stays: Stays) -> dict[str, Ints]:
    """Rows per unit or provider (`codes` is the column's name)."""
    column: Ints = getattr(stays, codes)
    names: Sequence[str] = getattr(stays, f"{codes}s")
    order = np.argsort(column, kind="stable")
    present, sizes = different_with_counts(column)
    parts = np.split(order, np.cumsum(sizes)[:-1]) if len(present) else []
    return {names[code]: rows for code, rows in zip(present.tolist(), parts, strict=True)}


def by_label(codes: str, labels: Mapping[str, str], stays: Stays) -> dict[str, Ints]:
    """Rows per label of a column's names: operation of a provider, district of a client. Unlabelled ones left out."""
    column: Ints = getattr(stays, codes)
    names: Sequence[str] = getattr(stays, f"{codes}s")
    different = sorted({label for label in labels.values() if label})
    place = {label: index for index, label in enumerate(different)}
    label_of = np.array([place.get(labels.get(name, ""), -1) for name in names], dtype=np.int64)
    rows = label_of[column] if len(column) else column
    return {label: np.flatnonzero(rows == index) for index, label in enumerate(different)}


def _figures(measured: Measured) -> dict[str, Any]:
    # the distinct count alone does not see concentration: always shown together (DOMAIN.md 6)
    means = {f"mean_{name}": decimal(measured.mean_index(name)) for name in EXACT_INDICES}
    return {
        "mean": decimal(measured.mean),
        "median": decimal(measured.median),
        "share_over_20_percent": percent(measured.share_over_20),
        "clients_included": len(measured.clients),
        **means,
    }


def _shown(measured: Measured) -> dict[str, Any]:
    included = len(measured.clients)
    if included >= MINIMUM_CLIENTS:
        return {**_figures(measured), "suppressed": None}
    empty = dict.fromkeys(_figures(replace(measured, clients=())))
    return {**empty, "clients_included": included, "suppressed": f"fewer than {MINIMUM_CLIENTS} clients"}


def _quality_object(measured: Measured) -> dict[str, Any]:
    quality = measured.quality
    return {
        "visits": quality.visits,
        "manual_share": decimal(ratio(quality.manual, quality.visits)),
        "corrected_share": decimal(ratio(quality.corrected, quality.visits)),
        "incomplete_share": decimal(ratio(quality.incomplete, quality.visits)),
        "unknown_share": decimal(ratio(quality.unknown_taps, quality.visits + quality.unknown_taps)),
        "unknown_taps": quality.unknown_taps,
    }


def _month_later(on: date) -> date:
    following = Month.of(on).next
    return date(following.year, following.number, min(on.day, following.day_count)) - timedelta(days=1)
