"""The explanation's sentences, Swedish and English, in the words of a provider's clerk."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from app.facts.accounts import Block
from app.facts.derived import JsonObject

Language = Literal["sv", "en"]
LANGUAGES: tuple[Language, ...] = ("sv", "en")

HELD_BY: dict[str, tuple[str, str, str]] = {
    "overlap": ("2.1 row 20", "samma person har ett annat besök samtidigt", "the same person has another visit then"),
    "grade_d": ("2.3", "tidpunkten går inte att lita på (grad D)", "the time is not proved (grade D)"),
    "visit_in_absence": ("2.2 row 35", "brukaren var frånvarande", "the client was absent"),
    "client_disputes": ("2.2 row 38", "brukaren eller en anhörig säger att det är fel", "the client disputes it"),
    "revoked_device": ("2.1 row 25", "enheten var spärrad", "the device was revoked"),
    "tag_level": ("2.3", "taggen har för låg säkerhetsnivå", "the tag is below the required level"),
    "unconfirmed": ("2.2 row 33", "en andra person måste bekräfta registreringen", "a second person must confirm it"),
    "too_long": ("2.1 row 11", "besöket är längre än 16 timmar", "the visit is longer than 16 hours"),
    "released_since": (
        "2.3, 3",
        "väntade på åtgärd när månaden stängdes; godtaget sedan dess, ersätts som justering i en senare månad",
        "held when the month closed; accepted since, paid as an adjustment of a later month",
    ),
    "removed_since": (
        "2.3, 3",
        "väntade på åtgärd när månaden stängdes; borttaget sedan dess",
        "held when the month closed; removed since",
    ),
}
_FATES: dict[str, tuple[str, str]] = {
    "free": ("inom taket: ersätts", "within the ceiling: paid"),
    "approved": (
        "över taket, orsaken godkänd: ersätts nästa månad",
        "over the ceiling, reason approved: paid next month",
    ),
    "pending": ("över taket, väntar på beslut", "over the ceiling, waits for a decision"),
    "unpaid": ("över taket utan godkänd orsak: ersätts inte", "over the ceiling without an approved reason: not paid"),
    "flat": (
        "ligger utanför 110 %-regeln, betalas per besök eller månad",
        "outside the 110 % rule, paid per visit or month",
    ),
    "flat_unpaid": (
        "besök utan beställning och utan godkänd orsak: ersätts inte",
        "visit without an order or an approved reason: not paid",
    ),
}
_OUTSIDE: dict[str, tuple[str, str]] = {
    "approved": (
        "dag utan beställning, orsaken godkänd: ersätts nästa månad",
        "day without an order, reason approved: paid next month",
    ),
    "pending": ("dag utan beställning, väntar på beslut", "day without an order, waits for a decision"),
    "unpaid": (
        "dag utan beställning och utan godkänd orsak: ersätts inte",
        "day without an order and without an approved reason: not paid",
    ),
}
_CUTS = {
    "midnight": ("delat vid midnatt", "split at midnight"),
    "band": ("delat där dag- eller nattpriset börjar", "split where the day or night price begins"),
    "limit": ("delat där taket eller beslutet tar slut", "split where the ceiling or the decision ends"),
}
_WHY_NOT = {
    "cancelled": ("borttaget genom en rättelse", "removed by a correction"),
    "incomplete": (
        "KOM eller GICK saknas: 0 minuter tills det rättas",
        "KOM or GICK is missing: 0 minutes until corrected",
    ),
    "declined": ("avböjt vid dörren, ingen utförd tid", "declined at the door, no executed time"),
    "role": ("personen var inte där som omsorgspersonal", "the person was not there as a carer"),
    "unordered_second_staff": ("en andra person var inte beställd", "a second person was not ordered"),
    "class_held": (
        "besöket är inte godtaget och slaget räknas inte i månaden",
        "not accepted, and its class does not count",
    ),
    "later_known": (
        "blev känt efter att månaden stängdes, eller gav inga minuter",
        "known after the close, or without minutes",
    ),
}
_BANDS = {"day": ("dag", "day"), "night": ("natt", "night")}
_NOTICES = {
    "at_door": ("nej vid dörren", "no at the door"),
    "in_advance": ("nej i förväg", "no in advance"),
    "absent": ("öppnar inte", "nobody opens"),
}
_DECISIONS = {
    "approved": ("godkänd", "approved"),
    "rejected": ("avslagen", "rejected"),
    "pending": ("väntar på beslut", "waits for a decision"),
}


def number(value: int, language: Language) -> str:
    """1 320 in Swedish, 1,320 in English."""
    text = f"{value:,}"
    return text.replace(",", " ").replace("-", "−") if language == "sv" else text


def paragraph(block: Block, holds: Iterable[str]) -> str:
    """The paragraph of DOMAIN.md that decided a row."""
    if block.fate == "held":
        return "DOMAIN.md " + ", ".join(HELD_BY[code][0] if code in HELD_BY else "2.3" for code in holds)
    if block.fate in ("flat", "flat_unpaid"):
        return "DOMAIN.md 2.4, 5"
    if block.of == "decline":
        return "DOMAIN.md 3, 4"
    return "DOMAIN.md 2.1 row 18, 3" if block.outside else "DOMAIN.md 3"


def row(facts: JsonObject, language: Language) -> str:
    """One row of the ledger."""
    index = LANGUAGES.index(language)
    word = ("avböjt besök", "declined visit")[index] if facts["of"] == "decline" else ("besök", "visit")[index]
    when = f"{facts['on']} {_clock(facts['from'])}"
    if facts["of"] == "visit":
        when += f"–{_clock(facts['to'])}"
    unit = ("minuter", "minutes")[index]
    text = f"{when} {word}, {number(facts['minutes'], language)} {unit} ({_BANDS[facts['band']][index]}): "
    text += _fate(facts, index)
    if facts["is_shared"]:
        text += ("; hushållets minuter är delade", "; the household's minutes are shared")[index]
    for cut in facts["cuts"]:
        text += f"; {_CUTS[cut['why']][index]} {_clock(cut['at'])}"
    return text + _tap_words(facts, index) + "."


def decline(facts: JsonObject, language: Language) -> str:
    """One declined visit."""
    index = LANGUAGES.index(language)
    when = f"{facts['planned_start_at'][:10]} {_clock(facts['planned_start_at'])}"
    notice = _NOTICES.get(facts["notice"], (facts["notice"],) * 2)[index]
    values = [number(facts[name], language) for name in ("planned_minutes", "executed_minutes", "compensated_minutes")]
    offset = facts["made_up_offset_minutes"]
    if language == "sv":
        text = (
            f"{when} avböjt ({notice}): {values[0]} planerade minuter, {values[1]} utförda, regeln för dagen ger "
            f"{facts['share_percent']} %: {values[2]} minuter ersätts"
        )
        return text + (f", {number(offset, language)} är redan betalda som igentagen tid." if offset else ".")
    text = (
        f"{when} declined ({notice}): {values[0]} planned minutes, {values[1]} executed, the day's rule gives "
        f"{facts['share_percent']} %: {values[2]} minutes are paid"
    )
    return text + (f", {number(offset, language)} are already paid as made-up time." if offset else ".")


def not_counted(facts: JsonObject, language: Language) -> str:
    """One visit that gave no minutes."""
    index = LANGUAGES.index(language)
    word = ("besök räknas inte", "visit does not count")[index]
    return (
        f"{facts['at'][:10]} {_clock(facts['at'])} {word}: {_WHY_NOT[facts['why']][index]}{_tap_words(facts, index)}."
    )


def reason(facts: JsonObject, language: Language) -> str:
    """One reason for excess."""
    index = LANGUAGES.index(language)
    decision = _DECISIONS[facts["decision"]][index]
    minutes, granted = number(facts["minutes"], language), number(facts["approved_minutes"], language)
    if language == "sv":
        text = f"Orsak inlämnad {facts['submitted_on']} för {minutes} minuter: {decision}"
        text += f" ({granted} minuter)" if facts["decision"] == "approved" else ""
        return text + ("." if facts["in_time"] else f"; för sent, sista dag var {facts['deadline']}: ersätts inte.")
    text = f"Reason submitted {facts['submitted_on']} for {minutes} minutes: {decision}"
    text += f" ({granted} minutes)" if facts["decision"] == "approved" else ""
    return text + ("." if facts["in_time"] else f"; too late, the last day was {facts['deadline']}: not paid.")


def adjustment(facts: JsonObject, language: Language) -> str:
    """What a closed month's later change gives or takes."""
    free = number(facts["adjustment_free_minutes"], language)
    approved = number(facts["adjustment_approved_excess_minutes"], language)
    causes = ", ".join(facts["causes"]) or "-"
    carried = facts["approved_settles_as"] == "carried_in"
    if language == "sv":
        how = "från tidigare månad" if carried else "justering"
        due = " (bokas i den öppna månaden)" if facts["is_due"] else ""
        return (
            f"Stängd månad {facts['origin_month']}: {free} minuter justeras inom taket, {approved} minuter godkänd "
            f"överskjutande tid ({how}){due}. Orsak: {causes}."
        )
    how = "carried in" if carried else "adjustment"
    due = " (booked in the open month)" if facts["is_due"] else ""
    return (
        f"Closed month {facts['origin_month']}: {free} minutes adjusted within the ceiling, {approved} minutes of "
        f"approved excess ({how}){due}. Cause: {causes}."
    )


def sentences(told: JsonObject, language: Language) -> list[str]:
    """The whole explanation, the answer first."""
    parts = ("declines", "reasons", "adjustments", "rows", "not_counted")
    return [*_summary(told, language), *(one[language] for part in parts for one in told[part])]


def _summary(told: JsonObject, language: Language) -> list[str]:
    account = told["account"]
    value = {name: number(amount, language) for name, amount in account.items() if name.endswith("_minutes")}
    percent = next(step["formula"] for step in told["steps"] if step["name"] == "ceiling_minutes").split()[2]
    lines = [_answer(told, value, percent, language)]
    if account["excess_minutes"]:
        lines.append(_excess(value, language))
    if account["unpaid_minutes"]:
        last = told["reason_deadline"]
        lines.append(
            f"Det som inte ersätts hade behövt en orsak, inlämnad senast {last}, och att den godkänns."
            if language == "sv"
            else f"What is not paid needs a reason, submitted by {last}, and its approval."
        )
    if account["held_minutes"]:
        lines.append(
            f"{value['held_minutes']} minuter är inte godtagna och väntar på åtgärd; de ingår inte."
            if language == "sv"
            else f"{value['held_minutes']} minutes are held until someone acts; they are not included."
        )
    if account["carried_in_minutes"] or account["adjustment_minutes"]:
        lines.append(
            f"Utbetalas: {value['free_minutes']} + {value['carried_in_minutes']} från föregående månad + "
            f"{value['adjustment_minutes']} justering = {value['settled_minutes']} minuter."
            if language == "sv"
            else f"Settled: {value['free_minutes']} + {value['carried_in_minutes']} carried in + "
            f"{value['adjustment_minutes']} adjustment = {value['settled_minutes']} minutes."
        )
    return lines


def _answer(told: JsonObject, value: dict[str, str], percent: str, language: Language) -> str:
    if language == "sv":
        return (
            f"{told['month']}: {value['free_minutes']} av {value['reported_minutes']} rapporterade minuter ersätts "
            f"utan orsak. Beställd tid är {value['ordered_minutes']} minuter och taket är {percent} % av den, "
            f"{value['ceiling_minutes']} minuter (DOMAIN.md 3, regelversion {told['policy_version']})."
        )
    return (
        f"{told['month']}: {value['free_minutes']} of {value['reported_minutes']} reported minutes are paid without a "
        f"reason. Ordered time is {value['ordered_minutes']} minutes and the ceiling {percent} % of it, "
        f"{value['ceiling_minutes']} minutes (DOMAIN.md 3, policy version {told['policy_version']})."
    )


def _excess(value: dict[str, str], language: Language) -> str:
    if language == "sv":
        return (
            f"{value['excess_minutes']} minuter är överskjutande tid: {value['excess_approved_minutes']} godkända, "
            f"{value['excess_pending_minutes']} väntar på beslut, {value['unpaid_minutes']} ersätts inte."
        )
    return (
        f"{value['excess_minutes']} minutes are excess: {value['excess_approved_minutes']} approved, "
        f"{value['excess_pending_minutes']} wait for a decision, {value['unpaid_minutes']} are not paid."
    )


def _fate(facts: JsonObject, index: int) -> str:
    if facts["fate"] == "held":
        why = [HELD_BY[code][1 + index] if code in HELD_BY else code for code in facts["holds"]]
        return ("inte godtaget: ", "held: ")[index] + ", ".join(why)
    table = _OUTSIDE if facts["outside_order"] and facts["fate"] in _OUTSIDE else _FATES
    return table[facts["fate"]][index]


def _tap_words(facts: JsonObject, index: int) -> str:
    """What a row rests on: its taps, what was registered by hand, whether it was corrected."""
    words = [
        f"{tap['act']} {_clock(tap['at'])} {tap['device_id']}/{tap['seq']} ({('grad', 'grade')[index]} {tap['grade']})"
        for tap in facts["taps"]
    ]
    if facts.get("manual_id"):
        words.append(f"{('registrerat för hand', 'registered by hand')[index]} {facts['manual_id']}")
    if facts.get("source") == "corrected":
        words.append(("rättat", "corrected")[index])
    return f" [{'; '.join(words)}]" if words else ""


def _clock(instant: str) -> str:
    """HH:MM of a local RFC 3339 text."""
    return instant[11:16]
