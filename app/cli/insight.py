"""`komgick continuity`, `quality`, `shadow`, `client-sheet`: what the visits show."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.context import DataOption, FormatOption
from app.cli.output import Format, Lang, emit, emit_object
from app.cli.reading import counted, day_of, derived_reading, draw, month_of, values_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from app.core.month import Month
    from app.insight.measure import Grouping, Measured

MonthArgument = Annotated[str, typer.Argument(metavar="M", help="The month, YYYY-MM.")]
PlotOption = Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="Also draw it: .svg or .png.")]


def continuity(
    measure: Annotated[str, typer.Option("--measure", metavar="NAME", help="stockholm_month, kolada_14d, ...")],
    month: Annotated[str, typer.Option("--month", metavar="YYYY-MM", help="The month.")] = "",
    from_on: Annotated[str, typer.Option("--from", metavar="YYYY-MM-DD", help="First day of the period.")] = "",
    *,
    variant: Annotated[
        list[str] | None, typer.Option("--variant", help="A variant of the measure; repeatable; none: as published.")
    ] = None,
    by: Annotated[str, typer.Option("--by", help="Also per unit, provider, operation or district.")] = "",
    trend: Annotated[int, typer.Option("--trend", min=0, max=36, help="Also so many months up to this one.")] = 0,
    year: Annotated[int, typer.Option("--year", min=0, max=9998, help="Every fortnight of this year instead.")] = 0,
    plot: PlotOption = None,
    data: DataOption = None,
    fmt: FormatOption = Format.TABLE,
) -> None:
    """A continuity measure with its definition, who is counted, who is left out and why, and its data quality."""
    from app.insight import continuity as rules  # noqa: PLC0415 -- `--help` needs no numpy
    from app.insight.figures_store import load_names  # noqa: PLC0415 -- likewise
    from app.insight.measure import compute  # noqa: PLC0415 -- likewise
    from app.insight.measures import measure_named  # noqa: PLC0415 -- likewise
    from app.insight.store import DatabaseSource  # noqa: PLC0415 -- likewise
    from app.registry.store import load_policy_book  # noqa: PLC0415 -- likewise

    when = month_of(month, "--month") if month else None
    first = day_of(from_on, "--from") if from_on else None
    if year == 0 and (when is None) == (first is None):
        raise typer.BadParameter("give either --month or --from", param_hint="--month")
    if year and (when or first or by or trend):
        raise typer.BadParameter("a year goes without --month, --from, --by and --trend", param_hint="--year")
    if trend and when is None:
        raise typer.BadParameter("a trend ends with a month: give --month", param_hint="--trend")
    with derived_reading(data) as connection:
        chosen, source = measure_named(measure, load_policy_book(connection)), DatabaseSource(connection)
        if year:
            variants = rules.chosen_variants(chosen, variant or (), date(year, 1, 1))
            rows = list(counted(rules.every_fortnight(chosen, source, year, variants), "fortnights", 53))
            found: dict[str, Any] = {"measure": measure, "version": chosen.version, "year": year, "fortnights": rows}
            draw(plot, "fortnights", found)
            emit_object(found, fmt) if fmt is Format.JSON else emit(rows, fmt)
            return
        window = rules.window_for(chosen, when, first)
        variants = rules.chosen_variants(chosen, variant or (), window.from_on)
        measured = compute(chosen, source, window, variants)
        found = rules.measured_object(measured)
        if by:
            groups = rules.by_group(chosen, source, window, variants, _grouping(connection, by, measured))
            found["groups"] = _named(connection, by, groups)
        if trend and when is not None:
            months = [when.plus(back) for back in range(1 - trend, 1)]
            names = {key: name for (level, key), name in load_names(connection).items() if level == "unit" and name}
            found["trend"] = rules.trend(chosen, source, months, variants, names)
        if plot is not None and not by:
            grouping = _grouping(connection, "unit", measured)
            groups = rules.by_group(chosen, source, window, variants, grouping)
            found["groups"] = _named(connection, "unit", groups)
    if not measured.quality.visits:
        sys.stderr.write(f"no counted visit from {window.from_on} to {window.to_on}\n")
    draw(plot, "trend" if trend else "continuity", found)
    _show_continuity(found, fmt)


def quality(
    month: MonthArgument,
    *,
    premium: Annotated[str, typer.Option("--premium", metavar="MODEL", help="A premium model: name or file.")] = "",
    provider: Annotated[str, typer.Option("--provider", help="Only this provider (with --premium).")] = "",
    threshold: Annotated[
        list[str] | None, typer.Option("--threshold", metavar="FIGURE=VALUE", help="A threshold the model leaves open.")
    ] = None,
    other_reading: Annotated[str, typer.Option("--reading", help="Another reading of the model's indicators.")] = "",
    lang: Annotated[Lang, typer.Option("--lang", help="Language of the verdict.")] = Lang.SV,
    trend: Annotated[int, typer.Option("--trend", min=0, max=36, help="Also so many months up to this one.")] = 0,
    plot: PlotOption = None,
    data: DataOption = None,
    fmt: FormatOption = Format.TABLE,
) -> None:
    """Figures of quality per unit, provider, district and municipality; with --premium who would get one, and why."""
    from app.insight.figures_store import load_quality  # noqa: PLC0415 -- `--help` needs no numpy
    from app.insight.quality import quality_object  # noqa: PLC0415 -- likewise

    when = month_of(month)
    if premium:
        if trend or plot:
            raise typer.BadParameter("a verdict has neither --trend nor --plot", param_hint="--premium")
        limits = values_of(threshold or (), "--threshold")
        _premium(when, premium, limits, (other_reading, provider, lang.value), (data, fmt))
        return
    if threshold or other_reading or provider:
        raise typer.BadParameter(
            "--threshold, --reading and --provider go with it: name a model", param_hint="--premium"
        )
    with derived_reading(data) as connection:
        found = quality_object(load_quality(connection, when))
        earlier = [when.plus(back) for back in range(1 - trend, 0)]
        groups = {
            str(at): quality_object(load_quality(connection, at))["groups"] for at in counted(earlier, "months", trend)
        }
    if trend:
        every = {**groups, str(when): found["groups"]}
        found["trend"] = [{"month": at, **row} for at, rows in every.items() for row in rows]
    draw(plot, "executed", found)
    if fmt is Format.JSON:
        emit_object(found, fmt)
    else:
        names = ("level", "id", "name", "clients", "staff", "client_time_share", "executed_share", "hourly_share")
        columns = (*names, "start_spread_minutes", "hours_to_resolve_findings", "small_group")
        emit(found["trend"] if trend else found["groups"], fmt, ("month", *columns) if trend else columns)


def shadow(
    months: Annotated[list[str], typer.Argument(metavar="M [M2 ...]", help="The months, YYYY-MM.")],
    *,
    model: Annotated[list[str], typer.Option("--model", metavar="FILE", help="A model: name or file; repeatable.")],
    plot: PlotOption = None,
    data: DataOption = None,
    fmt: FormatOption = Format.TABLE,
) -> None:
    """Several payment models over the same months, one of them paid: amounts, differences, neutral uplift, fees."""
    from app.facts.prices import PriceList  # noqa: PLC0415 -- `--help` needs no numpy
    from app.insight.figures_store import load_names, load_shadow  # noqa: PLC0415 -- likewise
    from app.insight.models import model_names, model_text  # noqa: PLC0415 -- likewise
    from app.insight.shadow_model import read_shadow_model  # noqa: PLC0415 -- likewise
    from app.insight.shadow_report import shadow_object  # noqa: PLC0415 -- likewise
    from app.insight.shadow_rows import account_months  # noqa: PLC0415 -- likewise
    from app.registry.store import load_prices  # noqa: PLC0415 -- likewise

    # `--model FILE...`: what follows the first file arrives among the arguments
    files = [word for word in months if word.endswith(".toml") or word in model_names()]
    chosen = [month_of(word) for word in months if word not in files]
    models = [read_shadow_model(model_text(name)) for name in (*model, *files)]
    if not chosen:
        raise typer.BadParameter("give at least one month", param_hint="M")
    with derived_reading(data) as connection:
        accounts = [
            row
            for when in counted(chosen, "months", len(chosen))
            for row in account_months(load_shadow(connection, when))
        ]
        names = {key: name for (level, key), name in load_names(connection).items() if level == "provider" and name}
        found = shadow_object(models, accounts, PriceList(load_prices(connection)), names)
    draw(plot, "shadow", found)
    if fmt is Format.JSON:
        emit_object(found, fmt)
    else:
        emit(found["models"] if fmt is Format.TABLE else found["per_client"], fmt)


def _premium(
    month: Month,
    name: str,
    thresholds: Mapping[str, Fraction],
    chosen: tuple[str, str, str],
    output: tuple[Path | None, Format],
) -> None:
    from app.insight.applicants import applicant_named, load_applicants  # noqa: PLC0415 -- `--help` needs no numpy
    from app.insight.models import model_text  # noqa: PLC0415 -- likewise
    from app.insight.premium import FIGURES, judge, require_thresholds, with_choices  # noqa: PLC0415 -- likewise
    from app.insight.premium_model import read_premium_model  # noqa: PLC0415 -- likewise
    from app.insight.premium_text import verdict_lines, verdict_object  # noqa: PLC0415 -- likewise
    from app.refusals import NotFound  # noqa: PLC0415 -- likewise

    (other_reading, provider, lang), (data, fmt) = chosen, output
    model = with_choices(read_premium_model(model_text(name), FIGURES), thresholds, other_reading or None)
    require_thresholds(model)
    with derived_reading(data) as connection:
        applicants = load_applicants(connection, month, model.measure)
    if provider:
        own = applicant_named(applicants, provider)
        if own is None:
            raise NotFound(f"no figures of {provider} in {month}")
        applicants = [own]
    verdicts = [judge(model, applicant) for applicant in applicants]
    if fmt is Format.TABLE:
        sys.stdout.write("\n\n".join("\n".join(verdict_lines(verdict, lang)) for verdict in verdicts) + "\n")
    elif fmt is Format.JSON:
        objects = [verdict_object(verdict) for verdict in verdicts]
        emit_object({"month": str(month), "model": model.name, "verdicts": objects}, fmt)
    else:
        emit([verdict_object(verdict) for verdict in verdicts], fmt)


def _show_continuity(found: Mapping[str, Any], fmt: Format) -> None:
    if fmt is Format.JSON:
        emit_object(found, fmt)
        return
    if fmt is Format.CSV:
        emit(found["per_client"], fmt)
        return
    left_out: dict[str, int] = {}
    for row in found["clients_excluded"]:
        left_out[row["why"]] = left_out.get(row["why"], 0) + 1
    shown = {name: value for name, value in found.items() if not isinstance(value, list)}
    emit_object({**shown, "clients_excluded": left_out}, fmt)
    for part in ("groups", "trend"):
        if found.get(part):
            emit(({k: v for k, v in row.items() if not isinstance(v, dict)} for row in found[part]), fmt)


def _named(connection: Connection, by: str, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    from app.insight.figures_store import load_names  # noqa: PLC0415 -- `--help` needs no numpy

    names = load_names(connection)
    return [{"group": row["group"], "name": names.get((by, row["group"]), row["group"]), **row} for row in groups]


def _grouping(connection: Connection, by: str, measured: Measured) -> Grouping:
    from app.insight import continuity as rules  # noqa: PLC0415 -- `--help` needs no numpy
    from app.insight.store import load_districts, load_operations  # noqa: PLC0415 -- likewise

    if by in ("unit", "provider"):
        return lambda stays: rules.by_code(by, stays)
    if by == "operation":
        operations = load_operations(connection)
        return lambda stays: rules.by_label("provider", operations, stays)
    if by == "district":
        districts = load_districts(connection, measured.window)
        return lambda stays: rules.by_label("client", districts, stays)
    raise typer.BadParameter("unit, provider, operation or district", param_hint="--by")


def client_sheet(
    month: MonthArgument,
    *,
    client: Annotated[str, typer.Option("--client", metavar="C", help="The client_id.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE.html", help="Where the sheet is written.")],
    data: DataOption = None,
    fmt: FormatOption = Format.TABLE,
) -> None:
    """Mina besök: one readable sheet for the client, 14 points, one page to print."""
    from app.insight.client_sheet import render_sheet, shown_visits  # noqa: PLC0415 -- `--help` needs no template
    from app.insight.sheet_store import load_sheet  # noqa: PLC0415 -- likewise

    when = month_of(month)
    with derived_reading(data) as connection:
        facts = load_sheet(connection, when, client)
    try:
        out.write_text(render_sheet(facts), encoding="utf-8")
    except OSError as error:
        sys.stderr.write(f"cannot_write: {error.strerror}: {error.filename or out}\n")
        raise typer.Exit(1) from error
    emit([{"client_id": client, "month": str(when), "visits": len(shown_visits(facts)), "file": str(out)}], fmt)
