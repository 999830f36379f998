"""Every file and column of the bundle, once: the reader, the staging tables, the writer and datapackage.json use this.

A column's name is its name in the database too. Order of FILES is the order in which they can be stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.facts.statements import CORRECTION_REASONS, EXCESS_REASONS, MANUAL_REASONS, VISIT_CLASSES

Kind = Literal["text", "int", "decimal", "date", "instant", "month", "flag"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column. An empty cell becomes `default`; without default empty text, or NULL for other kinds.

    `choices` is a closed list. `references` is the file of a registry row that must exist ("clients.csv"); a reference
    that is empty is NULL when `null` is set. `positive`: an int that may not be negative.
    """

    name: str
    kind: Kind = "text"
    key: bool = False
    required: bool = False
    choices: tuple[str, ...] = ()
    default: str = ""
    references: str = ""
    null: bool = False
    positive: bool = True


@dataclass(frozen=True, slots=True)
class Rule:
    """What several cells of a row must satisfy together: `wrong` is SQL over the staged row, true for an error."""

    column: str
    wrong: str
    expected: str


@dataclass(frozen=True, slots=True)
class Period:
    """Rows with the same `same` may not overlap: an exclusion constraint of the table, reported here with its line."""

    same: tuple[str, ...]
    start: str
    end: str
    kind: Literal["daterange", "tstzrange"]


@dataclass(frozen=True, slots=True)
class File:
    """One file: what it is called, where it is stored, its columns and the rules between them.

    `kind`: registry rows are brought up to date; statements get a new version when they change; taps are only added.
    `copied`: columns of the table that are not in the file, as SQL over the staged row `s`. `open_columns`: columns
    that are not listed are kept as text in `details`.
    """

    name: str
    table: str
    kind: Literal["registry", "statement", "tap"]
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...] = ()
    period: Period | None = None
    copied: tuple[tuple[str, str], ...] = ()
    open_columns: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the key's columns."""
        return tuple(column.name for column in self.columns if column.key)

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells two rows apart: the key, and for what providers name themselves the provider (EVIDENCE.md 4)."""
        named_by_providers = self.kind == "statement" and any(
            column.name == "provider_id" and column.required and not column.key for column in self.columns
        )
        return (*self.keys, "provider_id") if named_by_providers else self.keys

    @property
    def defaults(self) -> tuple[str, ...]:
        """Columns that take a default when empty; `defaulted` of a stored row names those that did."""
        return tuple(column.name for column in self.columns if column.default)

    def column(self, name: str) -> Column:
        """The column of that name. Raises KeyError."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


def _key(name: str, kind: Kind = "text", references: str = "", choices: tuple[str, ...] = ()) -> Column:
    return Column(name, kind, key=True, required=True, references=references, choices=choices)


def _need(name: str, kind: Kind = "text", references: str = "", choices: tuple[str, ...] = ()) -> Column:
    return Column(name, kind, required=True, references=references, choices=choices)


def _texts(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name) for name in names)


def _class(default: str = "") -> Column:
    return Column("service", choices=VISIT_CLASSES, default=default, null=not default)


_VALID = (_key("valid_from", "date"), Column("valid_to", "date"))
_VALID_RULE = (Rule("valid_to", "valid_to < valid_from", "a date not before valid_from"),)
_CLIENT = _need("client_id", references="clients.csv")
_PROVIDER = _need("provider_id", references="providers.csv")
_STAFF_PROVIDER = (
    "coalesce((SELECT e.provider_id FROM employments e WHERE e.staff_id = s.staff_id AND e.valid_from <= {on} "
    "AND (e.valid_to IS NULL OR {on} <= e.valid_to) ORDER BY e.valid_from DESC LIMIT 1), '')"
)


def _other_needs_note(column: str = "reason") -> Rule:
    return Rule("note", f"{column} = 'other' AND btrim(note) = ''", f"a note, because {column} is other")


REGISTRY_FILES = (
    File(
        "providers.csv",
        "providers",
        "registry",
        (
            _key("provider_id"),
            Column("name"),
            _need("operation", choices=("municipal", "private")),
            Column("minimum_tag_level", choices=("uid", "sun"), default="uid"),
            Column("minimum_tag_level_from", "date"),
        ),
    ),
    File("units.csv", "units", "registry", (_key("unit_id"), _PROVIDER, *_texts("name", "phone", "alert_to"))),
    File(
        "staff.csv",
        "employments",
        "registry",
        (
            _key("staff_id"),
            *_VALID,
            Column("person_key"),
            _need("unit_id", references="units.csv"),
            Column("name"),
            Column("employment", choices=("monthly", "hourly"), default="monthly"),
            Column("education", choices=("usk", "vardbitrade", "600p", "other_higher", "none"), default="none"),
            Column("education_document", "flag", default="no"),
            Column("in_training", "flag", default="no"),
            Column("role", choices=("carer", "trainee", "health_care", "admin"), default="carer"),
            Column("badge_uid"),
        ),
        _VALID_RULE,
        Period(("staff_id",), "valid_from", "valid_to", "daterange"),
        (("provider_id", "(SELECT u.provider_id FROM units u WHERE u.unit_id = s.unit_id)"),),
    ),
    File(
        "clients.csv",
        "clients",
        "registry",
        (
            _key("client_id"),
            Column("name"),
            Column("birth_date", "date"),
            *_texts("site_id", "address", "entry_note"),
            Column("protected_identity", "flag", default="no"),
            Column("target_group"),
        ),
    ),
    File(
        "contacts.csv",
        "contacts",
        "registry",
        (
            _key("client_id", references="clients.csv"),
            _key("provider_id", references="providers.csv"),
            _key("kind", choices=("contact", "care_contact")),
            *_VALID,
            _need("staff_id", references="staff.csv"),
        ),
        _VALID_RULE,
    ),
    File(
        "tag_refusals.csv",
        "tag_refusals",
        "registry",
        (_key("client_id", references="clients.csv"), *_VALID),
        _VALID_RULE,
    ),
    File(
        "tags.csv",
        "tags",
        "registry",
        (
            _key("tag_uid"),
            _key("client_id", references="clients.csv"),
            _key("valid_from_at", "instant"),
            Column("valid_to_at", "instant"),
            Column("kind", choices=("uid", "sun"), default="uid"),
        ),
        (Rule("valid_to_at", "valid_to_at < valid_from_at", "a time not before valid_from_at"),),
        Period(("tag_uid", "client_id"), "valid_from_at", "valid_to_at", "tstzrange"),
    ),
    File(
        "orders.csv",
        "orders",
        "registry",
        (
            _key("order_id"),
            _CLIENT,
            _PROVIDER,
            Column("unit_id", references="units.csv", null=True),
            Column("district"),
            _need("valid_from", "date"),
            Column("valid_to", "date"),
            Column("minutes_per_month", "int"),
            Column("minutes_per_day", "int"),
            Column("max_staff", "int", choices=("1", "2"), default="1"),
            *_texts("service", "cost_code"),
        ),
        (
            *_VALID_RULE,
            Rule(
                "minutes_per_month",
                "num_nonnulls(minutes_per_month, minutes_per_day) <> 1",
                "exactly one of minutes_per_month and minutes_per_day",
            ),
        ),
        Period(("client_id", "provider_id", "service"), "valid_from", "valid_to", "daterange"),
    ),
    File(
        "order_services.csv",
        "order_services",
        "registry",
        (
            _key("order_id", references="orders.csv"),
            _key("care_service"),
            Column("care_area"),
            Column("times", "int"),
            Column("per", choices=("day", "week", "month"), null=True),
            Column("standard_minutes", "int"),
            Column("proof", choices=("both", "one_end", "none"), default="both"),
        ),
        copied=(("provider_id", "(SELECT o.provider_id FROM orders o WHERE o.order_id = s.order_id)"),),
    ),
    File(
        "devices.csv",
        "devices",
        "registry",
        (
            _key("device_id"),
            Column("provider_id", references="providers.csv", null=True),
            *_texts("kind", "public_jwk"),
            Column("enrolled_at", "instant"),
            Column("revoked_at", "instant"),
            Column("replaces"),
        ),
    ),
    File(
        "absences.csv",
        "absences",
        "registry",
        (
            _key("client_id", references="clients.csv"),
            _key("from_on", "date"),
            _key("kind", choices=("hospital", "away", "dead")),
            Column("to_on", "date"),
        ),
        (Rule("to_on", "to_on < from_on", "a date not before from_on"),),
    ),
    File(
        "outages.csv",
        "outages",
        "registry",
        (
            _key("outage_id"),
            Column("provider_id", references="providers.csv", null=True),
            _need("from_at", "instant"),
            Column("to_at", "instant"),
            Column("reason"),
        ),
        (Rule("to_at", "to_at < from_at", "a time not before from_at"),),
    ),
    File(
        "staff_hours.csv",
        "staff_hours",
        "registry",
        (
            _key("staff_id", references="staff.csv"),
            _key("worked_on", "date"),
            Column("kind", key=True, choices=("client", "travel", "meeting", "training", "other")),
            _need("minutes", "int"),
        ),
        copied=(("provider_id", _STAFF_PROVIDER.format(on="s.worked_on")),),
    ),
    File(
        "services_done.csv",
        "services_done",
        "registry",
        (
            _key("client_id", references="clients.csv"),
            _key("staff_id", references="staff.csv"),
            _key("done_at", "instant"),
            _key("care_service"),
            Column("count", "int", default="1"),
        ),
        copied=(("provider_id", _STAFF_PROVIDER.format(on="(s.done_at AT TIME ZONE :zone)::date")),),
    ),
    File(
        "prices.csv",
        "prices",
        "registry",
        (
            _key("operation", choices=("municipal", "private")),
            Column("band", key=True, choices=("day", "night")),
            Column("service", key=True),
            _key("unit", choices=("hour", "visit", "care_service", "month")),
            _key("valid_from", "date"),
            _need("amount_ore", "int"),
        ),
    ),
    File(
        "catalogue.csv",
        "catalogue",
        "registry",
        (_key("unit_id"), *_texts("name", "provider_name")),
        open_columns=True,
    ),
    File(
        "external_indicators.csv",
        "external_indicators",
        "registry",
        (
            _key("unit_id"),
            _key("indicator"),
            _key("period"),
            Column("value", "decimal", positive=False),
            Column("n", "int"),
            Column("response_rate", "decimal"),
            Column("source"),
        ),
    ),
)

# `of`: an imported correction belongs to the provider of what it names, as far as that is known.
_CORRECTION_PROVIDER = (
    "coalesce("
    "(SELECT m.provider_id FROM manual_visits m WHERE s.manual_id <> '' AND m.manual_id = s.manual_id LIMIT 1), "
    "(SELECT t.provider_id FROM taps t WHERE t.device_id = s.kom_device_id AND t.seq = s.kom_seq LIMIT 1), "
    "(SELECT d.provider_id FROM devices d WHERE d.device_id = s.device_id), '')"
)

TAPS_FILE = File(
    "taps.csv",
    "taps",
    "tap",
    (
        _key("device_id"),
        _key("seq", "int"),
        _need("act", choices=("KOM", "GICK", "AUTO")),
        _need("tag_uid"),
        Column("staff_id"),
        _need("tapped_at", "instant"),
        Column("received_at", "instant"),
        Column("sun"),
        _class(),
        Column("jws"),
    ),
)

# Other contents of a key that is in taps.csv: in exports only, so that a copy loses no evidence.
FORKS_FILE = File("forks.csv", "taps", "tap", TAPS_FILE.columns)

STATEMENT_FILES = (
    File(
        "planned_visits.csv",
        "planned_visits",
        "statement",
        (
            _key("planned_id"),
            _CLIENT,
            _PROVIDER,
            Column("staff_id"),
            _need("start_at", "instant"),
            _need("end_at", "instant"),
            _class("care"),
            Column("staff_count", "int", default="1"),
            Column("withdrawn_at", "instant"),
        ),
        (Rule("end_at", "end_at < start_at", "a time not before start_at"),),
    ),
    File(
        "declines.csv",
        "declines",
        "statement",
        (
            _key("decline_id"),
            _CLIENT,
            _PROVIDER,
            _need("planned_start_at", "instant"),
            _need("planned_end_at", "instant"),
            Column("staff_count", "int", default="1"),
            _need("notice", choices=("in_advance", "at_door", "absent")),
            _need("noticed_at", "instant"),
            Column("made_up_minutes", "int", default="0"),
            Column("made_up_on", "date"),
        ),
        (Rule("planned_end_at", "planned_end_at < planned_start_at", "a time not before planned_start_at"),),
    ),
    File(
        "manual_visits.csv",
        "manual_visits",
        "statement",
        (
            _key("manual_id"),
            _CLIENT,
            _PROVIDER,
            Column("staff_id"),
            Column("start_at", "instant"),
            Column("end_at", "instant"),
            _class(),
            Column("care_service"),
            # May be empty: in an outage the visit carries that reason by itself (DOMAIN.md 2.2 row 37).
            Column("reason", choices=MANUAL_REASONS),
            *_texts("note", "made_by", "approved_by"),
        ),
        (
            Rule("start_at", "start_at IS NULL AND end_at IS NULL", "a start or an end"),
            Rule("end_at", "end_at < start_at", "a time not before start_at"),
            _other_needs_note(),
        ),
    ),
    File(
        "corrections.csv",
        "corrections",
        "statement",
        (
            _key("correction_id"),
            _need("made_at", "instant"),
            _need("kind", choices=("set_times", "cancel_visit", "set_staff", "set_client", "set_staff_of_device")),
            Column("kom_device_id"),
            Column("kom_seq", "int"),
            *_texts("manual_id", "device_id"),
            Column("from_at", "instant"),
            Column("to_at", "instant"),
            Column("new_start_at", "instant"),
            Column("new_end_at", "instant"),
            *_texts("new_staff_id", "new_client_id"),
            _need("reason", choices=CORRECTION_REASONS),
            *_texts("note", "made_by", "approved_by"),
        ),
        (_other_needs_note(),),
        copied=(("provider_id", _CORRECTION_PROVIDER),),
    ),
    File(
        "disputes.csv",
        "disputes",
        "statement",
        (
            _key("dispute_id"),
            _CLIENT,
            _need("on_date", "date"),
            _need("stated_at", "instant"),
            *_texts("stated_by", "text"),
            Column("state", choices=("open", "withdrawn", "rejected", "upheld"), default="open"),
        ),
    ),
    File(
        "excess_reasons.csv",
        "excess_reasons",
        "statement",
        (
            Column("reason_id", key=True),  # computed where it is empty
            _CLIENT,
            _PROVIDER,
            _need("month", "month"),
            _need("minutes", "int"),
            _need("reason", choices=EXCESS_REASONS),
            Column("note"),
            _need("submitted_on", "date"),
            Column("decision", choices=("pending", "approved", "rejected"), default="pending"),
            Column("approved_minutes", "int"),
            Column("decided_on", "date"),
            *_texts("decided_by", "decision_note"),
        ),
        (_other_needs_note(),),
    ),
    File(
        "resolutions.csv",
        "resolutions",
        "statement",
        (_key("finding_id"), _need("resolved_at", "instant"), *_texts("by", "reason", "provider_id")),
    ),
    File(
        "attests.csv",
        "attests",
        "statement",
        (_key("provider_id", references="providers.csv"), _key("month", "month"), _need("at", "instant"), Column("by")),
    ),
    File(
        "closes.csv",
        "closes",
        "statement",
        (_key("month", "month"), _need("at", "instant"), *_texts("by", "hash")),
    ),
)

FILES: tuple[File, ...] = (*REGISTRY_FILES, TAPS_FILE, FORKS_FILE, *STATEMENT_FILES)
BY_NAME = {file.name: file for file in FILES}
# Beside the CSV files: the description (ignored when read), dated policies, what only `verify` and a full copy need.
DESCRIPTION, POLICIES, RECEIPTS = "datapackage.json", "policies.toml", "receipts.jsonl"
