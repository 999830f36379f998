"""Data for a study: chosen variables of visits, accounts and continuity, persons only as the study's pseudonyms.

There is no variable for a name, an id, an address, a birth date, a tag or a phone, nor for any free text: what is not
listed here cannot be chosen. Clients with protected identity are left out and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

from app.core.localtime import local_date, local_time
from app.core.month import Month
from app.facts import Employment
from app.insight.study_keys import Pseudonym
from app.insight.table_files import Column
from app.refusals import Invalid

Row = Mapping[str, Any]
_OLDEST_GROUP = 95
_YOUNGEST_GROUP = 65


@dataclass(frozen=True, slots=True)
class Register:
    """What the variables look up: pseudonyms, and the register as far as a study may see it."""

    pseudonym: Pseudonym
    month: Month
    born: Mapping[str, date | None] = field(default_factory=dict)
    target_groups: Mapping[str, str] = field(default_factory=dict)
    districts: Mapping[str, str] = field(default_factory=dict)
    operations: Mapping[str, str] = field(default_factory=dict)
    employments: Mapping[str, Sequence[Employment]] = field(default_factory=dict)
    """staff_id -> its rows in order of time."""

    def age_group(self, client_id: str) -> str | None:
        """Five years wide on the month's first day; open at both ends."""
        birth = self.born.get(client_id)
        if birth is None:
            return None
        on = self.month.first_on
        age = on.year - birth.year - ((on.month, on.day) < (birth.month, birth.day))
        if age < _YOUNGEST_GROUP:
            return f"0-{_YOUNGEST_GROUP - 1}"
        low = age // 5 * 5
        return f"{_OLDEST_GROUP}-" if low >= _OLDEST_GROUP else f"{low}-{low + 4}"

    def employed(self, row: Row) -> Employment | None:
        """The visit's employment on its day."""
        on = local_date(row["at"])
        held = (e for e in self.employments.get(row["staff_id"], ()) if e.valid_from <= on <= (e.valid_to or date.max))
        return next(held, None)


class Variable(NamedTuple):
    """One choosable column and how a row gives it."""

    column: Column
    of: Callable[[Row, Register], Any]


def _one(name: str, kind: str, texts: tuple[str, str], of: Callable[[Row, Register], Any]) -> Variable:
    return Variable(Column(name, kind, *texts), of)


def _same(name: str, kind: str, sv: str, en: str) -> Variable:
    """The row's own value under its own name; an empty text is no value."""
    return Variable(Column(name, kind, sv, en), lambda row, _: None if row[name] == "" else row[name])


_CLIENT = _one("client", "string", ("Brukare (pseudonym)", "Client, pseudonym of the study"),
               lambda row, seen: seen.pseudonym("client", row["client_id"]))  # fmt: skip
_PROVIDER = _one("provider", "string", ("Utförare (pseudonym)", "Provider, pseudonym of the study"),
                 lambda row, seen: seen.pseudonym("provider", row["provider_id"]))  # fmt: skip
_UNIT = _one("unit", "string", ("Enhet (pseudonym)", "Unit, pseudonym of the study"),
             lambda row, seen: seen.pseudonym("unit", row["unit_id"]))  # fmt: skip
_MONTH = _one("month", "string", ("Månad", "Local month, YYYY-MM"), lambda _, seen: str(seen.month))
_OPERATION = _one("operation", "string", ("Regi", "municipal or private"),
                  lambda row, seen: seen.operations.get(row["provider_id"]))  # fmt: skip
_DISTRICT = _one("district", "string", ("Stadsdel", "District of the client's order"),
                 lambda row, seen: seen.districts.get(row["client_id"]))  # fmt: skip
_AGE = _one("age_group", "string", ("Åldersgrupp", "Client's age on the month's first day, in groups of five years"),
            lambda row, seen: seen.age_group(row["client_id"]))  # fmt: skip
_TARGET = _one("target_group", "string", ("Målgrupp", "Client's target group in the register"),
               lambda row, seen: seen.target_groups.get(row["client_id"]) or None)  # fmt: skip
_OF_CLIENT = (_CLIENT, _MONTH, _DISTRICT, _AGE, _TARGET)

_VISITS = (
    *_OF_CLIENT,
    _one("staff", "string", ("Medarbetare (pseudonym)", "Person, one pseudonym for all her employments"),
         lambda row, seen: seen.pseudonym("person", row["person"])),
    _PROVIDER, _UNIT, _OPERATION,
    _same("start_at", "datetime", "KOM", "Arrival, UTC"),
    _same("end_at", "datetime", "GICK", "Departure, UTC"),
    _one("on", "date", ("Dag", "Local day of the start, else end"), lambda row, _: local_date(row["at"])),
    _one("weekday", "integer", ("Veckodag, 1 är måndag", "1 is Monday"),
         lambda row, _: local_date(row["at"]).isoweekday()),
    _one("start_hour", "integer", ("Starttimme", "Local hour of arrival"),
         lambda row, _: None if row["start_at"] is None else local_time(row["start_at"]).hour),
    _same("minutes", "integer", "Utförda minuter", "Minutes of the visit"),
    _same("planned_start_at", "datetime", "Planerad start", "Planned start of the matched plan, UTC"),
    _same("planned_end_at", "datetime", "Planerat slut", "Planned end of the matched plan, UTC"),
    _same("status", "string", "Status", "complete, incomplete or declined"),
    _same("service", "string", "Besöksslag", "care, meal, alarm, night_patrol, digital or phone"),
    _same("source", "string", "Källa", "taps, manual or corrected"),
    _same("grade", "string", "Säkerhet i tidpunkten", "How well the times are proved, A to D"),
    _same("accepted", "boolean", "Godtaget", "Its minutes are executed time"),
    _same("role", "string", "Roll", "carer, trainee, health_care or admin"),
    _one("employment", "string", ("Anställningsform", "monthly or hourly, on the day"),
         lambda row, seen: e.employment if (e := seen.employed(row)) else None),
    _one("education", "string", ("Utbildning", "usk, vardbitrade, 600p, other_higher or none"),
         lambda row, seen: e.education if (e := seen.employed(row)) else None),
)  # fmt: skip
_ACCOUNTS = (
    *_OF_CLIENT, _PROVIDER, _UNIT, _OPERATION,
    _same("ordered_minutes", "integer", "Beställda minuter", "Ordered minutes"),
    _same("executed_minutes", "integer", "Utförda minuter", "Executed minutes"),
    _same("held_minutes", "integer", "Minuter som väntar på granskning", "Minutes of held visits"),
    _same("declined_compensated_minutes", "integer", "Ersatta avböjda minuter", "Compensated declined minutes"),
    _same("reported_minutes", "integer", "Rapporterade minuter", "Reported minutes"),
    _same("excess_minutes", "integer", "Överskjutande minuter", "Minutes above the ceiling"),
    _same("settled_minutes", "integer", "Utbetalade minuter", "Settled minutes"),
    _same("visits", "integer", "Godtagna besök", "Accepted visits"),
)  # fmt: skip
_CONTINUITY = (
    *_OF_CLIENT,
    _same("distinct_staff", "integer", "Olika personer", "Different staff met"),
    _same("visits", "integer", "Möten", "Meetings"),
    _same("upc", "number", "UPC", "Largest share of meetings with one person"),
    _same("coc_bice_boxerman", "number", "COC", "Bice-Boxerman, pairs of meetings"),
    _same("secon", "number", "SECON", "Consecutive meetings that share a person"),
    _same("hi", "number", "HI", "Herfindahl index over person-meetings"),
    _same("k", "number", "K", "K index"),
    _same("mmci", "number", "MMCI", "Modified modified continuity index"),
    _same("visit_entropy_bits", "number", "Entropi, bitar", "Entropy over person-meetings, bits"),
    _same("contact_share", "number", "Kontaktpersonens andel av tiden", "The contact's share of minutes"),
)  # fmt: skip

TABLES: Mapping[str, Mapping[str, Variable]] = {
    table: {variable.column.name: variable for variable in variables}
    for table, variables in (("visits", _VISITS), ("accounts", _ACCOUNTS), ("continuity", _CONTINUITY))
}
"""Table -> variable -> how it is made: one row a visit, an account (client x provider x month), a client's month."""


def chosen_variables(words: Iterable[str]) -> dict[str, list[Variable]]:
    """TABLE.VARIABLE words (several may stand in one, with commas) as the variables of each table, in their order.

    Invalid for none or an unknown one, with the known ones.
    """
    chosen: dict[str, list[Variable]] = {}
    for word in [part.strip() for text in words for part in text.split(",") if part.strip()]:
        table, _, name = word.partition(".")
        variable = TABLES.get(table, {}).get(name)
        if variable is None:
            known = ", ".join(TABLES[table]) if table in TABLES else ", ".join(f"{table}.NAME" for table in TABLES)
            raise Invalid(f"there is no variable {word!r}; there are: {known}")
        if variable not in chosen.setdefault(table, []):
            chosen[table].append(variable)
    if not chosen:
        raise Invalid("choose the variables the study needs, no more: --variable visits.client,visits.start_at,...")
    return chosen
