"""A payment model's file (TOML) for shadow runs (DOMAIN.md 5): what time, visits, care services and declines give.

name = "utford_tid"        title_sv = "..."          source = "..."
paid = true                # the one that is really paid; the others are compared with it
[time]                     # absent: time gives nothing
rates = "price_list"       # the municipality's prices by operation, band and date; or:
hour_ore = 48000           #   one price an hour, with night_hour_ore or night_visit_ore for 22-07
cap = "none"               # none | ordered | ceiling: time above it gives nothing
uplift_percent = "2.0"     # raises what time gives
[visit]
fee_ore = 4000             # per carried-out visit
[care_service]             # per carried-out care service
dusch = 15000
[declines]                 # percent of declined minutes that counts as time
at_door = 100
[fee]
basis = "client_minutes"   # client_minutes | standard_minutes | none: what client fees would rest on
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from app.refusals import Invalid

CAPS = ("none", "ordered", "ceiling")
FEE_BASES = ("client_minutes", "standard_minutes", "none")
NOTICES = ("at_door", "in_advance", "absent")
_TIME = {"rates", "hour_ore", "night_hour_ore", "night_visit_ore", "cap", "uplift_percent"}


@dataclass(frozen=True, slots=True)
class TimeRates:
    """What time gives. `price_list` true: the municipality's prices; else one price, the night's if it has its own."""

    price_list: bool = False
    hour_ore: int = 0
    night_hour_ore: int | None = None
    night_visit_ore: int | None = None
    cap: str = "none"
    uplift: Fraction = Fraction(0)
    """A share: 2.0 % is 1/50."""


@dataclass(frozen=True, slots=True)
class ShadowModel:
    """A payment model as read from its file."""

    name: str
    title_sv: str = ""
    source: str = ""
    paid: bool = False
    time: TimeRates | None = None
    visit_fee_ore: int = 0
    care_service_ore: Mapping[str, int] = field(default_factory=dict)
    decline_percent: Mapping[str, int] = field(default_factory=dict)
    fee_basis: str = "client_minutes"


def read_shadow_model(text: str) -> ShadowModel:
    """The model of a TOML text; Invalid with what is wrong."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Invalid(f"the shadow model is not TOML: {error}") from error
    known = {"name", "title_sv", "source", "paid", "time", "visit", "care_service", "declines", "fee"}
    unknown = content.keys() - known
    if unknown or not isinstance(content.get("name"), str):
        raise Invalid(f"a shadow model has a name and {', '.join(sorted(known))}; not {', '.join(sorted(unknown))}")
    declines = content.get("declines", {})
    if not declines.keys() <= set(NOTICES):
        raise Invalid(f"declines are {', '.join(NOTICES)}")
    basis = content.get("fee", {}).get("basis", "client_minutes")
    if basis not in FEE_BASES:
        raise Invalid(f"fee basis is one of {', '.join(FEE_BASES)}")
    return ShadowModel(
        name=content["name"],
        title_sv=str(content.get("title_sv", content["name"])),
        source=str(content.get("source", "")),
        paid=content.get("paid") is True,
        time=_time(content["time"]) if "time" in content else None,
        visit_fee_ore=_ore(content.get("visit", {}), "fee_ore") or 0,
        care_service_ore={name: _ore(content["care_service"], name) or 0 for name in content.get("care_service", {})},
        decline_percent={name: _ore(declines, name) or 0 for name in declines},
        fee_basis=basis,
    )


def _time(content: Mapping[str, Any]) -> TimeRates:
    if not content.keys() <= _TIME:
        raise Invalid(f"[time] has {', '.join(sorted(_TIME))}")
    cap = content.get("cap", "none")
    if cap not in CAPS:
        raise Invalid(f"cap is one of {', '.join(CAPS)}")
    from_list = content.get("rates") == "price_list"
    if from_list == ("hour_ore" in content):
        raise Invalid('[time] has either rates = "price_list" or hour_ore')
    uplift = content.get("uplift_percent", 0)
    if isinstance(uplift, bool) or not isinstance(uplift, (int, str)):
        raise Invalid("uplift_percent is a whole number or an exact text such as '2.0'")
    try:
        share = Fraction(uplift) / 100
    except (ValueError, ZeroDivisionError) as error:
        raise Invalid(f"uplift_percent: {uplift!r} is not a number") from error
    return TimeRates(
        from_list, _ore(content, "hour_ore") or 0, _ore(content, "night_hour_ore"), _ore(content, "night_visit_ore"),
        cap, share,
    )  # fmt: skip


def _ore(content: Mapping[str, Any], name: str) -> int | None:
    value = content.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Invalid(f"{name} is a whole number")
    return value
