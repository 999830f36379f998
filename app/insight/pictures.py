"""Pictures for print: continuity per unit, its trend, every fortnight, executed against ordered, shadow differences.

The same figures give the same bytes. Colours are Okabe and Ito's, told apart by every eye, and no meaning hangs on
colour alone: lines differ in dash and marker, values stand beside bars. Labels are Swedish.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, ScalarFormatter

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#5F5F5F"
_COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P")
_MOST_BARS = 40
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "svg.hashsalt": "komgick",
    "svg.fonttype": "path",
}
Found = Mapping[str, Any]


def draw_picture(name: str, found: Found, file: Path) -> None:
    """Draw a command's result into an .svg or .png. OSError when the file cannot be written."""
    # one call at a time changes matplotlib's settings, for as long as it draws
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(9, 6), dpi=120, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        _PICTURES[name](axes, found)
        _swedish_numbers(axes)
        metadata: dict[str, Any] = {"Date": None} if file.suffix == ".svg" else {"Software": None}
        figure.savefig(file, metadata=metadata)


def _continuity(axes: Axes, found: Found) -> None:
    """Bars per group, the municipality as a line."""
    rows = [row for row in found.get("groups", []) if row["mean"] is not None]
    rows = sorted(rows, key=lambda row: (row["mean"], row["group"]))
    note = ""
    if len(rows) > _MOST_BARS:
        note = f" ({_MOST_BARS // 2} lägsta och {_MOST_BARS // 2} högsta av {len(rows)})"
        rows = [*rows[: _MOST_BARS // 2], *rows[-_MOST_BARS // 2 :]]
    places = range(len(rows))
    bars = axes.barh(places, [row["mean"] for row in rows], color=BLUE, height=0.6)
    behind = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
    axes.bar_label(bars, [_number(row["mean"]) for row in rows], padding=4, fontsize=8, bbox=behind, zorder=4)
    axes.set_yticks(places, [row.get("name") or row["group"] for row in rows], fontsize=8)
    if found["mean"] is not None:
        label = f"hela kommunen: {_number(found['mean'])}"
        axes.axvline(found["mean"], color=ORANGE, linestyle="--", linewidth=1.5, label=label)
        axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.1))
        axes.margins(x=0.08)
    axes.set_xlabel("Antal olika personer en brukare möter, medelvärde")
    axes.set_title(f"Personalkontinuitet per enhet{note}\n{found['from_on']} – {found['to_on']}, {found['measure']}")
    if not rows:
        _nothing(axes, "Ingen enhet har minst fem brukare i underlaget")


def _trend(axes: Axes, found: Found) -> None:
    rows = found.get("trend", [])
    _lines(axes, [row["month"] for row in rows], rows)
    axes.set_title(f"Personalkontinuitet månad för månad, {found['measure']}")


def _fortnights(axes: Axes, found: Found) -> None:
    """Every fortnight, the official one marked."""
    rows = found["fortnights"]
    _lines(axes, [row["from_on"][5:] for row in rows], rows)
    for place, row in enumerate(rows):
        if row["official"]:
            axes.axvline(place, color=GREY, linestyle=":", linewidth=2)
            # at the foot: the axis begins at 0, so no line runs there
            axes.annotate("officiell mätperiod", (place, 0.02), xycoords=("data", "axes fraction"), rotation=90,
                          ha="right", va="bottom", fontsize=8)  # fmt: skip
    axes.set_title(f"Personalkontinuitet, alla 14-dagarsperioder {found['year']}, {found['measure']}")
    axes.set_xlabel("Periodens första dag")


def _lines(axes: Axes, labels: Sequence[str], rows: Sequence[Found]) -> None:
    for index, (key, label) in enumerate((("mean", "medelvärde"), ("median", "median"))):
        places = [place for place, row in enumerate(rows) if row[key] is not None]
        axes.plot(
            places, [rows[place][key] for place in places], color=_COLOURS[index], marker=_MARKERS[index],
            linestyle=("-", "--")[index], label=label, markersize=5,
        )  # fmt: skip
    step = max(1, len(labels) // 13)
    axes.set_xticks(range(0, len(labels), step), labels[::step], fontsize=8)
    highest = max((row[key] for row in rows for key in ("mean", "median") if row[key] is not None), default=1)
    axes.set_ylim(0, highest * 1.15)
    axes.set_ylabel("Antal olika personer")
    axes.legend(frameon=False)
    if all(row["mean"] is None for row in rows):
        _nothing(axes, "Inga mätvärden")


def _executed(axes: Axes, found: Found) -> None:
    """Executed against ordered hours per unit, with the lines of 100 and 110 percent."""
    rows = [row for row in found["groups"] if row["level"] == "unit" and row["ordered_minutes"]]
    ordered = [row["ordered_minutes"] / 60 for row in rows]
    executed = [row["executed_minutes"] / 60 for row in rows]
    axes.scatter(ordered, executed, color=BLUE, marker="o", s=28, alpha=0.8, label="enhet", zorder=3)
    far = max([*ordered, *executed, 1.0]) * 1.05
    axes.plot([0, far], [0, far], color=GREY, linewidth=1, label="100 % av beställd tid")
    axes.plot([0, far], [0, far * 1.1], color=ORANGE, linestyle="--", linewidth=1.5, label="110 %: taket")
    axes.set_xlim(0, far)
    axes.set_ylim(0, far * 1.1)
    axes.set_xlabel("Beställda timmar")
    axes.set_ylabel("Utförda timmar")
    axes.set_title(f"Utförd tid mot beställd tid per enhet, {found['month']}")
    axes.legend(frameon=False, loc="upper left")
    if not rows:
        _nothing(axes, "Ingen enhet har beställd tid")


def _shadow(axes: Axes, found: Found) -> None:
    """Each model's difference from the paid one, per provider, in percent."""
    months = set(found["months"])
    other = [row["model"] for row in found["models"] if not row["paid"]]
    titles = {row["model"]: row["title_sv"] for row in found["models"]}
    names = {row["provider_id"]: row.get("name", row["provider_id"]) for row in found["per_provider"]}
    sums: dict[str, dict[str, int]] = {}
    for row in found["per_provider"]:
        if row["month"] in months:
            mine = sums.setdefault(row["provider_id"], dict.fromkeys([found["paid_model"], *other], 0))
            for name, amount in row["amounts_ore"].items():
                mine[name] += amount
    paid = {name: row[found["paid_model"]] for name, row in sums.items()}
    shown = sorted((name for name in sums if paid[name]), key=lambda name: (paid[name], name))[-_MOST_BARS:]
    height = 0.8 / max(len(other), 1)
    for index, model in enumerate(other):
        places = [place + (index - (len(other) - 1) / 2) * height for place in range(len(shown))]
        values = [100 * (sums[name][model] - paid[name]) / paid[name] for name in shown]
        bars = axes.barh(
            places, values, height=height * 0.9, color=_COLOURS[index % len(_COLOURS)], label=titles[model],
            hatch=("", "//", "..", "xx")[index % 4], edgecolor="white",
        )  # fmt: skip
        if len(shown) * len(other) <= _MOST_BARS:
            axes.bar_label(bars, [f"{_number(value)} %" for value in values], padding=3, fontsize=8)
    axes.axvline(0, color=GREY, linewidth=1)
    axes.set_yticks(range(len(shown)), [names[name] for name in shown], fontsize=8)
    axes.margins(x=0.12)
    axes.set_xlabel(f"Skillnad mot den modell som betalas ({titles[found['paid_model']]}), procent")
    axes.set_title(f"Skuggkörning per utförare, {', '.join(found['months'])}")
    if other:
        axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2)
    if not shown or not other:
        _nothing(axes, "Inget att jämföra")


def _swedish_numbers(axes: Axes) -> None:
    """Decimal comma on number axes; names keep theirs."""
    for axis in (axes.xaxis, axes.yaxis):
        if isinstance(axis.get_major_formatter(), ScalarFormatter):
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace(".", ",").replace("-", "−")))


def _nothing(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY)


def _number(value: float) -> str:
    return f"{value:.1f}".replace(".", ",").replace("-", "−")


_PICTURES: Mapping[str, Callable[[Axes, Found], None]] = {
    "continuity": _continuity,
    "trend": _trend,
    "fortnights": _fortnights,
    "executed": _executed,
    "shadow": _shadow,
}
