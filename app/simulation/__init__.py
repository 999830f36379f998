"""A fictional town and its months, for trying, measuring and showing KomGick.

`town_of(clients, seed)` is the town; `write_month` writes one of its months as a bundle; `plan_of_day` and
`taps_of_day` give one day for a live demo. Everything is a function of the seed: the same arguments, the same bytes.
Owns: the generator. Does not own: reading bundles (registry), any rule.
"""

from app.simulation.bundle import write_month
from app.simulation.columns import BUNDLE_COLUMNS, BUNDLE_KEYS, datapackage
from app.simulation.month import LiveTap, PlannedStop, month_of, plan_of_day, taps_of_day
from app.simulation.town import Town, town_of

__all__ = [
    "BUNDLE_COLUMNS", "BUNDLE_KEYS", "LiveTap", "PlannedStop", "Town", "datapackage", "month_of", "plan_of_day",
    "taps_of_day", "town_of", "write_month",
]  # fmt: skip
