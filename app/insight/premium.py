"""The quality premium as a rule over a model file (DOMAIN.md 6; tests/vectors/rules.json `premium_vectors`).

A model names indicators with their thresholds and how many must be met: all, k of n, or each for itself. Fractions are
compared exactly, never rounded ones. A threshold may be required from whoever asks: Stockholm 2022 published none for
continuity, so the model has none, and without one there is no verdict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from app.insight.numbers import decimal, ratio, swedish
from app.insight.premium_model import Condition, PremiumModel
from app.insight.staffing import TRAINED
from app.refusals import Invalid

FIGURES = (
    "continuity", "hourly_share", "trained_share", "usk_share", "trained_time_share", "usk_time_share",
    "client_time_share", "executed_share",
)  # fmt: skip
"""What a condition may name. Shares are fractions of one."""


@dataclass(frozen=True, slots=True)
class StaffFigure:
    """One employment of a carer: `minutes` worked (any unit of time, the same for all), `client_minutes` of them.

    `head` false: another employment of somebody who is counted already; persons are counted, not accounts.
    """

    employment: str
    education: str
    minutes: int
    client_minutes: int = 0
    has_document: bool = True
    head: bool = True


@dataclass(frozen=True, slots=True)
class Applicant:
    """A provider's (or unit's) period: what the indicators follow from, and what only warns."""

    name: str
    staff: Sequence[StaffFigure]
    continuity: Fraction | None
    clients: int | None = None
    """None: not known, so a floor cannot be judged."""
    client_time_share: Fraction | None = None
    executed_share: Fraction | None = None
    leavers_registered: int = 0
    """Carers still registered without a visit or an hour in the period."""
    catalogue_mismatches: int = 0
    long_weeks: int = 0
    """Staff-weeks above 48 hours."""
    ordered_per_client: Fraction | None = None
    ordered_per_client_municipality: Fraction | None = None
    """Case mix: ordered minutes a client, here and in the whole municipality."""
    provider_id: str = ""

    @property
    def heads(self) -> int:
        return sum(row.head for row in self.staff)

    def figures(self) -> dict[str, Fraction | None]:
        """Every figure a condition may name."""
        heads = self.heads
        hours = sum(row.minutes for row in self.staff)
        with_clients = sum(row.client_minutes for row in self.staff)
        trained = [row for row in self.staff if row.education in TRAINED]
        usk = [row for row in self.staff if row.education == "usk"]
        return {
            "continuity": self.continuity,
            "hourly_share": ratio(sum(row.minutes for row in self.staff if row.employment == "hourly"), hours),
            "trained_share": ratio(sum(row.head for row in trained), heads),
            "usk_share": ratio(sum(row.head for row in usk), heads),
            "trained_time_share": ratio(sum(row.client_minutes for row in trained), with_clients),
            "usk_time_share": ratio(sum(row.client_minutes for row in usk), with_clients),
            "client_time_share": self.client_time_share,
            "executed_share": self.executed_share,
        }


@dataclass(frozen=True, slots=True)
class Judged:
    """One condition with its number: None where undefined, which is never met."""

    condition: Condition
    value: Fraction | None

    @property
    def met(self) -> bool:
        threshold = self.condition.threshold
        if self.value is None or threshold is None:
            return False
        return self.value <= threshold if self.condition.at_most else self.value >= threshold


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the model says about an applicant, with every number behind it."""

    model: PremiumModel
    applicant: Applicant
    judged: Mapping[str, tuple[Judged, ...]]
    figures: Mapping[str, Fraction | None]

    @property
    def indicators(self) -> dict[str, bool]:
        return {name: all(row.met for row in rows) for name, rows in self.judged.items()}

    @property
    def met(self) -> int:
        return sum(self.indicators.values())

    @property
    def enough_clients(self) -> bool:
        floor = self.model.minimum_clients
        return floor == 0 or (self.applicant.clients is not None and self.applicant.clients >= floor)

    @property
    def premium(self) -> bool:
        """Whether anything is paid."""
        return self.enough_clients and self.met >= self.model.needed

    @property
    def amount_ore(self) -> int:
        """The premium: whole where the rule is met, a part for each indicator under `per_criterion`."""
        if not self.premium:
            return 0
        if self.model.rule != "per_criterion":
            return self.model.amount_ore
        return sum(self.model.amounts_ore.get(name, 0) for name, met in self.indicators.items() if met)


def with_choices(
    model: PremiumModel, thresholds: Mapping[str, Fraction] | None = None, reading: str | None = None
) -> PremiumModel:
    """The model with thresholds given by whoever asks, and one of its named readings of an indicator.

    Invalid for an unknown figure or reading.
    """
    if reading is not None:
        if reading not in model.readings:
            raise Invalid(f"{model.name} has no reading {reading!r}; there are: {', '.join(model.readings)}")
        model = replace(model, indicators={**model.indicators, **model.readings[reading]})
    given = dict(thresholds or {})
    named = {row.figure for rows in model.indicators.values() for row in rows}
    if not given.keys() <= named:
        raise Invalid(f"{model.name} has no figure {', '.join(sorted(given.keys() - named))}")
    return replace(
        model,
        indicators={
            name: tuple(replace(row, threshold=given.get(row.figure, row.threshold)) for row in rows)
            for name, rows in model.indicators.items()
        },
    )


def judge(model: PremiumModel, applicant: Applicant) -> Verdict:
    """The verdict. Invalid where a threshold without default was not given."""
    require_thresholds(model)
    figures = applicant.figures()
    judged = {name: tuple(Judged(row, figures[row.figure]) for row in rows) for name, rows in model.indicators.items()}
    return Verdict(model, applicant, judged, figures)


def require_thresholds(model: PremiumModel) -> None:
    """Invalid where a threshold without default was not given: there is no verdict without it."""
    missing = [row.figure for rows in model.indicators.values() for row in rows if row.threshold is None]
    if missing:
        raise Invalid(
            f"{model.name} has no published threshold for {', '.join(missing)}; give one: "
            + " ".join(f"--threshold {figure}=VALUE" for figure in missing)
        )


def warnings_of(verdict: Verdict) -> list[str]:
    """What stands beside a verdict, in Swedish: nothing here changes it."""
    applicant = verdict.applicant
    documents = sum(1 for row in applicant.staff if row.head and row.education in TRAINED and not row.has_document)
    found = [
        (applicant.clients is not None and applicant.clients < 5, f"bara {applicant.clients} brukare i underlaget"),
        (applicant.heads < 5, f"bara {applicant.heads} medarbetare i underlaget"),
        (applicant.leavers_registered > 0, f"{applicant.leavers_registered} registrerade utan besök eller arbetad tid"),
        (documents > 0, f"{documents} utbildade utan intyg"),
        (applicant.catalogue_mismatches > 0, f"{applicant.catalogue_mismatches} enheter stämmer inte med katalogen"),
        (applicant.long_weeks > 0, f"{applicant.long_weeks} arbetsveckor över 48 timmar"),
        (_by_time_differs(verdict), "utbildning efter tid hos brukare ger ett annat utfall än efter antal"),
        (_lighter_cases(applicant), "brukarna har mindre beställd tid än kommunens genomsnitt"),
    ]
    return [text for holds, text in found if holds]


def verdict_object(verdict: Verdict) -> dict[str, Any]:
    """The verdict for machines: exact fractions as text, decimals beside them."""
    return {
        "provider_id": verdict.applicant.provider_id,
        "name": verdict.applicant.name,
        "model": verdict.model.name,
        "premium": verdict.premium,
        "amount_ore": verdict.amount_ore,
        "met": verdict.met,
        "needed": verdict.model.needed,
        "indicators": verdict.indicators,
        "figures": {name: decimal(value) for name, value in verdict.figures.items()},
        "fractions": {name: None if value is None else str(value) for name, value in verdict.figures.items()},
        "clients": verdict.applicant.clients,
        "staff": verdict.applicant.heads,
        "warnings": warnings_of(verdict),
        "lines": verdict_lines(verdict),
    }


def verdict_lines(verdict: Verdict) -> list[str]:
    """The verdict in ten plain lines of Swedish, every number behind it and the warnings beside it."""
    applicant, figures, model = verdict.applicant, verdict.figures, verdict.model
    thresholds = {row.condition.figure: row.condition for rows in verdict.judged.values() for row in rows}
    warnings = warnings_of(verdict)
    floor = model.minimum_clients
    return [
        f"{applicant.name}: {'premie' if verdict.premium else 'ingen premie'} enligt {model.title_sv}.",
        f"Krav: {_rule_text(model)}; uppfyllda: {verdict.met} av {len(model.indicators)}.",
        *(_indicator_line(name, rows) for name, rows in verdict.judged.items()),
        f"Timavlönades andel av arbetad tid: {_percent(figures['hourly_share'])}.",
        (
            f"Utbildade efter antal: {_percent(figures['trained_share'])}, varav undersköterskor "
            f"{_percent(figures['usk_share'])}; efter tid hos brukare: {_percent(figures['trained_time_share'])} och "
            f"{_percent(figures['usk_time_share'])}."
        ),
        f"Kontinuitet: {swedish(figures['continuity'], 2)} personer i medeltal"
        + (f", högst {swedish(thresholds['continuity'].threshold, 2)}." if "continuity" in thresholds else "."),
        f"Underlag: {applicant.heads} medarbetare, "
        f"{'okänt antal' if applicant.clients is None else applicant.clients} brukare; "
        + (f"minst {floor} krävs." if floor else "modellen kräver inget minsta antal."),
        "Att tänka på: " + ("; ".join(warnings) if warnings else "inget särskilt") + ".",
    ]


def _indicator_line(name: str, rows: tuple[Judged, ...]) -> str:
    parts = [f"{_value(row)} ({_limit(row.condition)})" for row in rows]
    met = "uppfyllt" if all(row.met for row in rows) else "inte uppfyllt"
    return f"{_NAMES_SV.get(name, name)}: {' och '.join(parts)}: {met}."


_NAMES_SV = {"continuity": "Kontinuitet", "hourly_share": "Timavlönade", "education": "Utbildning"}


def _value(row: Judged) -> str:
    if row.condition.figure == "continuity":
        return swedish(row.value, 2)
    kind = "undersköterskor " if row.condition.figure.startswith("usk") else ""
    return kind + _percent(row.value)


def _limit(condition: Condition) -> str:
    word = "högst" if condition.at_most else "minst"
    if condition.figure == "continuity":
        return f"{word} {swedish(condition.threshold, 2)}"
    return f"{word} {_percent(condition.threshold)}"


def _rule_text(model: PremiumModel) -> str:
    if model.rule == "per_criterion":
        return "varje indikator ger sin del"
    return f"minst {model.needed} av {len(model.indicators)} indikatorer"


def _percent(value: Fraction | None) -> str:
    return "–" if value is None else f"{swedish(value * 100, 2)} %"


def _by_time_differs(verdict: Verdict) -> bool:
    """Education by time with clients would have turned the indicator."""
    if "education" not in verdict.judged or verdict.figures["trained_time_share"] is None:
        return False
    by_time = {"trained_share": "trained_time_share", "usk_share": "usk_time_share"}
    turned = [
        Judged(row.condition, verdict.figures[by_time.get(row.condition.figure, row.condition.figure)])
        for row in verdict.judged["education"]
    ]
    return all(row.met for row in turned) != verdict.indicators["education"]


def _lighter_cases(applicant: Applicant) -> bool:
    own, everybody = applicant.ordered_per_client, applicant.ordered_per_client_municipality
    return own is not None and everybody is not None and own * 10 < everybody * 8
