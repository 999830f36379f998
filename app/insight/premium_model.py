"""A quality premium's model file (TOML): indicators, thresholds, rule, amount, period.

name = "stockholm_2022"
title_sv = "..."           title_en = "..."          source = "..."
rule = "k_of_n"            # all | k_of_n | per_criterion
k = 2                      # with k_of_n
period = "month"           # what the figures are taken over
measure = "stockholm_month"
amount_ore = 0             # per_criterion: amount_ore inside each indicator
minimum_clients = 0

[indicator.education]      # all conditions of an indicator must hold
conditions = [{figure = "trained_share", at_least_percent = 80}, {figure = "usk_share", at_least_percent = 20}]
[indicator.continuity]
conditions = [{figure = "continuity", at_most = "required"}]
[reading."60_total_and_20_usk".education]   # another reading of an indicator, chosen by name
conditions = [...]
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from app.refusals import Invalid

RULES = ("all", "k_of_n", "per_criterion")
_LIMITS = ("at_most", "at_least", "at_most_percent", "at_least_percent")
REQUIRED = "required"
"""A threshold without default: whoever asks must give it."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A figure and its threshold; None: required from whoever asks. Inclusive both ways [D]: 'högst 22 %'."""

    figure: str
    threshold: Fraction | None
    at_most: bool


Indicators = Mapping[str, tuple[Condition, ...]]


@dataclass(frozen=True, slots=True)
class PremiumModel:
    """A model as read from its file."""

    name: str
    title_sv: str
    title_en: str
    source: str
    rule: str
    needed: int
    """How many indicators must be met."""
    indicators: Indicators
    measure: str = "stockholm_month"
    period: str = "month"
    amount_ore: int = 0
    amounts_ore: Mapping[str, int] = field(default_factory=dict)
    """Per indicator, under `per_criterion`."""
    minimum_clients: int = 0
    readings: Mapping[str, Indicators] = field(default_factory=dict)


def read_premium_model(text: str, figures: tuple[str, ...]) -> PremiumModel:
    """The model of a TOML text; Invalid with what is wrong. `figures` are the names a condition may use."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Invalid(f"the premium model is not TOML: {error}") from error
    rule = content.get("rule")
    if rule not in RULES:
        raise Invalid(f"rule is one of {', '.join(RULES)}, not {rule!r}")
    indicators = _indicators(content.get("indicator"), figures)
    if not indicators:
        raise Invalid("a premium model has at least one [indicator.NAME]")
    return PremiumModel(
        name=str(content.get("name", "")),
        title_sv=str(content.get("title_sv", content.get("name", ""))),
        title_en=str(content.get("title_en", content.get("name", ""))),
        source=str(content.get("source", "")),
        rule=rule,
        needed=_needed(rule, content.get("k"), len(indicators)),
        indicators=indicators,
        measure=str(content.get("measure", "stockholm_month")),
        period=str(content.get("period", "month")),
        amount_ore=_whole(content, "amount_ore"),
        amounts_ore={name: _whole(row, "amount_ore") for name, row in content["indicator"].items()},
        minimum_clients=_whole(content, "minimum_clients"),
        readings={name: _indicators(rows, figures) for name, rows in content.get("reading", {}).items()},
    )


def _needed(rule: str, k: Any, count: int) -> int:
    if rule == "all":
        return count
    if rule == "per_criterion":
        return 1
    if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= count:
        raise Invalid(f"k is a whole number from 1 to {count}")
    return k


def _indicators(content: Any, figures: tuple[str, ...]) -> Indicators:
    if not isinstance(content, dict):
        raise Invalid("indicators are tables with conditions")
    return {name: _conditions(name, row, figures) for name, row in content.items()}


def _conditions(name: str, row: Any, figures: tuple[str, ...]) -> tuple[Condition, ...]:
    listed = row.get("conditions") if isinstance(row, dict) else None
    if not isinstance(listed, list) or not listed:
        raise Invalid(f"indicator {name} has no conditions")
    return tuple(_condition(name, entry, figures) for entry in listed)


def _condition(name: str, entry: Any, figures: tuple[str, ...]) -> Condition:
    figure = entry.get("figure") if isinstance(entry, dict) else None
    if figure not in figures:
        raise Invalid(f"indicator {name}: figure is one of {', '.join(figures)}, not {figure!r}")
    limits = [key for key in entry if key in _LIMITS]
    if len(limits) != 1 or len(entry) != 2:
        raise Invalid(f"indicator {name}: a condition has a figure and one of {', '.join(_LIMITS)}")
    value = entry[limits[0]]
    if value == REQUIRED:
        return Condition(figure, None, limits[0].startswith("at_most"))
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise Invalid(f"indicator {name}: a threshold is a whole number, an exact text such as '12.5', or 'required'")
    try:
        threshold = Fraction(value)
    except (ValueError, ZeroDivisionError) as error:
        raise Invalid(f"indicator {name}: {value!r} is not a number") from error
    return Condition(
        figure, threshold / 100 if limits[0].endswith("percent") else threshold, limits[0].startswith("at_most")
    )


def _whole(content: Mapping[str, Any], name: str) -> int:
    value = content.get(name, 0)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Invalid(f"{name} is a whole number")
    return value
