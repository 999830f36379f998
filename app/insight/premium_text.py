"""A premium's verdict for people, in Swedish and English: plain lines, every number, the warnings beside them.

Three indicators make ten lines. Nothing here changes a verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from app.insight.numbers import decimal, swedish
from app.insight.premium import Applicant, Judged, Verdict, education_by_time
from app.insight.premium_model import Condition
from app.insight.staffing import TRAINED

LANGUAGES = ("sv", "en")
_FEW = 5

_TEXTS: Mapping[str, Mapping[str, str]] = {
    "sv": {
        "paid": "{name}: premie{amount} enligt {title}.",
        "unpaid": "{name}: ingen premie enligt {title}.",
        "amount": " {kr} kr",
        "rule": "Krav: {rule}; uppfyllda: {met} av {all}.",
        "k_of_n": "minst {k} av {n} indikatorer",
        "per_criterion": "varje indikator ger sin del",
        "continuity": "Kontinuitet", "hourly_share": "Timavlönade", "education": "Utbildning",
        "met": "uppfyllt", "unmet": "inte uppfyllt", "and": " och ", "usk": "undersköterskor ",
        "at_most": "högst", "at_least": "minst",
        "hourly": "Timavlönades andel av arbetad tid: {hourly}.",
        "trained": "Utbildade efter antal: {trained}, varav undersköterskor {usk}; "
                   "efter tid hos brukare: {trained_time} och {usk_time}.",
        "mean": "Kontinuitet: {continuity} personer i medeltal{limit}.",
        "basis": "Underlag: {staff} medarbetare, {clients} brukare; {floor}.",
        "unknown": "okänt antal", "floor": "minst {floor} krävs", "no_floor": "modellen kräver inget minsta antal",
        "warnings": "Att tänka på: {warnings}.", "none": "inget särskilt",
        "few_clients": "bara {n} brukare i underlaget", "few_staff": "bara {n} medarbetare i underlaget",
        "leavers": "{n} registrerade utan besök eller arbetad tid", "documents": "{n} utbildade utan intyg",
        "catalogue": "{n} enheter stämmer inte med katalogen", "long_weeks": "{n} arbetsveckor över 48 timmar",
        "by_time": "utbildning efter tid hos brukare ger ett annat utfall än efter antal",
        "lighter": "brukarna har mindre beställd tid än kommunens genomsnitt ({own} mot {all} timmar)",
    },
    "en": {
        "paid": "{name}: premium{amount} under {title}.",
        "unpaid": "{name}: no premium under {title}.",
        "amount": " of {kr} kr",
        "rule": "Required: {rule}; met: {met} of {all}.",
        "k_of_n": "at least {k} of {n} indicators",
        "per_criterion": "each indicator gives its part",
        "continuity": "Continuity", "hourly_share": "Hourly-paid", "education": "Education",
        "met": "met", "unmet": "not met", "and": " and ", "usk": "assistant nurses ",
        "at_most": "at most", "at_least": "at least",
        "hourly": "Hourly-paid share of worked time: {hourly}.",
        "trained": "Trained by headcount: {trained}, of them assistant nurses {usk}; "
                   "by time with clients: {trained_time} and {usk_time}.",
        "mean": "Continuity: {continuity} persons on average{limit}.",
        "basis": "Basis: {staff} staff, {clients} clients; {floor}.",
        "unknown": "an unknown number of", "floor": "at least {floor} are required",
        "no_floor": "the model requires no smallest number",
        "warnings": "To consider: {warnings}.", "none": "nothing in particular",
        "few_clients": "only {n} clients behind it", "few_staff": "only {n} staff behind it",
        "leavers": "{n} registered without a visit or worked time", "documents": "{n} trained without document",
        "catalogue": "{n} units differ from the catalogue", "long_weeks": "{n} working weeks above 48 hours",
        "by_time": "education by time with clients would give another outcome than by headcount",
        "lighter": "the clients have less ordered time than the municipality's mean ({own} against {all} hours)",
    },
}  # fmt: skip


def verdict_object(verdict: Verdict) -> dict[str, Any]:
    """The verdict for machines: exact fractions as text, decimals beside them; lines and warnings in both languages."""
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
        "warnings_en": warnings_of(verdict, "en"),
        "lines": verdict_lines(verdict),
        "lines_en": verdict_lines(verdict, "en"),
    }


def verdict_lines(verdict: Verdict, lang: str = "sv") -> list[str]:
    """The verdict, every number behind it, and what stands beside it."""
    texts, applicant, figures, model = _TEXTS[lang], verdict.applicant, verdict.figures, verdict.model
    number = _numbers(lang)
    shown = {name: _percent(value, number) for name, value in figures.items()}
    amount = texts["amount"].format(kr=_kronor(verdict.amount_ore, lang)) if verdict.amount_ore else ""
    title = model.title_sv if lang == "sv" else model.title_en
    limits = [row.condition for rows in verdict.judged.values() for row in rows if row.condition.figure == "continuity"]
    warnings = "; ".join(warnings_of(verdict, lang))
    return [
        texts["paid" if verdict.premium else "unpaid"].format(name=applicant.name, amount=amount, title=title),
        texts["rule"].format(rule=_rule_text(verdict, texts), met=verdict.met, all=len(model.indicators)),
        *(_indicator_line(verdict, name, lang) for name in verdict.judged),
        texts["hourly"].format(hourly=shown["hourly_share"]),
        texts["trained"].format(
            trained=shown["trained_share"], usk=shown["usk_share"], trained_time=shown["trained_time_share"],
            usk_time=shown["usk_time_share"],
        ),
        texts["mean"].format(
            continuity=number(figures["continuity"]),
            limit="".join(f", {_limit(condition, texts, number)}" for condition in limits),
        ),
        texts["basis"].format(
            staff=applicant.heads, clients=texts["unknown"] if applicant.clients is None else applicant.clients,
            floor=texts["floor" if model.minimum_clients else "no_floor"].format(floor=model.minimum_clients),
        ),
        texts["warnings"].format(warnings=warnings or texts["none"]),
    ]  # fmt: skip


def warnings_of(verdict: Verdict, lang: str = "sv") -> list[str]:
    """What stands beside a verdict."""
    applicant, texts = verdict.applicant, _TEXTS[lang]
    documents = sum(1 for row in applicant.staff if row.head and row.education in TRAINED and not row.has_document)
    counted = (
        ("few_clients", applicant.clients, applicant.clients is not None and applicant.clients < _FEW),
        ("few_staff", applicant.heads, applicant.heads < _FEW),
        ("leavers", applicant.leavers_registered, applicant.leavers_registered > 0),
        ("documents", documents, documents > 0),
        ("catalogue", applicant.catalogue_mismatches, applicant.catalogue_mismatches > 0),
        ("long_weeks", applicant.long_weeks, applicant.long_weeks > 0),
    )
    found = [texts[name].format(n=count) for name, count, holds in counted if holds]
    by_time = education_by_time(verdict)
    if by_time is not None and by_time != verdict.indicators["education"]:
        found.append(texts["by_time"])
    return [*found, *_lighter_cases(applicant, lang)]


def _lighter_cases(applicant: Applicant, lang: str) -> list[str]:
    """Case mix: less than four fifths of the municipality's ordered time a client."""
    own, everybody = applicant.ordered_per_client, applicant.ordered_per_client_municipality
    if own is None or everybody is None or own * 10 >= everybody * 8:
        return []
    hours = (_numbers(lang)(minutes / 60) for minutes in (own, everybody))
    return [_TEXTS[lang]["lighter"].format(own=next(hours), all=next(hours))]


def _indicator_line(verdict: Verdict, name: str, lang: str) -> str:
    texts, number = _TEXTS[lang], _numbers(lang)
    parts = [f"{_value(row, texts, number)} ({_limit(row.condition, texts, number)})" for row in verdict.judged[name]]
    met = verdict.indicators[name]
    ore = verdict.model.amounts_ore.get(name, 0) if met and verdict.model.rule == "per_criterion" else 0
    amount = f", {_kronor(ore, lang)} kr" if ore else ""
    return f"{texts.get(name, name)}: {texts['and'].join(parts)}: {texts['met' if met else 'unmet']}{amount}."


def _value(row: Judged, texts: Mapping[str, str], number: Callable[[Fraction | None], str]) -> str:
    if row.condition.figure == "continuity":
        return number(row.value)
    return (texts["usk"] if row.condition.figure.startswith("usk") else "") + _percent(row.value, number)


def _limit(condition: Condition, texts: Mapping[str, str], number: Callable[[Fraction | None], str]) -> str:
    word = texts["at_most" if condition.at_most else "at_least"]
    if condition.figure == "continuity":
        return f"{word} {number(condition.threshold)}"
    return f"{word} {_percent(condition.threshold, number)}"


def _rule_text(verdict: Verdict, texts: Mapping[str, str]) -> str:
    model = verdict.model
    if model.rule == "per_criterion":
        return texts["per_criterion"]
    return texts["k_of_n"].format(k=model.needed, n=len(model.indicators))


def _percent(value: Fraction | None, number: Callable[[Fraction | None], str]) -> str:
    return "–" if value is None else f"{number(value * 100)} %"


def _numbers(lang: str) -> Callable[[Fraction | None], str]:
    """Two digits, none where it is whole; decimal comma in Swedish."""
    if lang == "sv":
        return lambda value: swedish(value, 2)
    return lambda value: swedish(value, 2).replace(",", ".")


def _kronor(ore: int, lang: str) -> str:
    """Whole kronor with spaces between thousands, öre where there are any."""
    whole = f"{ore // 100:,}".replace(",", "\N{NO-BREAK SPACE}")
    return whole + (f"{',' if lang == 'sv' else '.'}{ore % 100:02}" if ore % 100 else "")
