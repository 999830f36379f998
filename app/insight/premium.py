"""The quality premium as a rule over a model file (DOMAIN.md 6; tests/vectors/rules.json `premium_vectors`).

A model names indicators with their thresholds and how many must be met: all, k of n, or each for itself. Fractions are
compared exactly, never rounded ones. A threshold may be required from whoever asks: Stockholm 2022 published none for
continuity, so the model has none, and without one there is no verdict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from app.insight.numbers import ratio
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


def education_by_time(verdict: Verdict) -> bool | None:
    """The education indicator's outcome by time with clients instead of headcount; None where either is unknown."""
    if "education" not in verdict.judged or verdict.figures["trained_time_share"] is None:
        return None
    by_time = {"trained_share": "trained_time_share", "usk_share": "usk_time_share"}
    turned = [
        Judged(row.condition, verdict.figures[by_time.get(row.condition.figure, row.condition.figure)])
        for row in verdict.judged["education"]
    ]
    return all(row.met for row in turned)
