"""The files of a bundle as the generator writes them (CONTRACT.md section 2): columns, keys, references, types.

The generator may not import the registry's reader, so the list stands here once; a test reads both and compares.
"""

from __future__ import annotations

from typing import Any

from app.facts.statements import CORRECTION_REASONS, EXCESS_REASONS, MANUAL_REASONS, VISIT_CLASSES

BUNDLE_COLUMNS: dict[str, tuple[str, ...]] = {
    "providers": ("provider_id", "name", "operation", "minimum_tag_level", "minimum_tag_level_from"),
    "units": ("unit_id", "provider_id", "name", "phone", "alert_to"),
    "staff": (
        "staff_id", "valid_from", "valid_to", "person_key", "unit_id", "name", "employment", "education",
        "education_document", "in_training", "role", "badge_uid",
    ),
    "clients": (
        "client_id", "name", "birth_date", "site_id", "address", "entry_note", "protected_identity", "target_group",
    ),
    "contacts": ("client_id", "provider_id", "kind", "valid_from", "valid_to", "staff_id"),
    "tag_refusals": ("client_id", "valid_from", "valid_to"),
    "tags": ("tag_uid", "client_id", "valid_from_at", "valid_to_at", "kind"),
    "orders": (
        "order_id", "client_id", "provider_id", "unit_id", "district", "valid_from", "valid_to", "minutes_per_month",
        "minutes_per_day", "max_staff", "service", "cost_code",
    ),
    "order_services": ("order_id", "care_service", "care_area", "times", "per", "standard_minutes", "proof"),
    "devices": ("device_id", "provider_id", "kind", "public_jwk", "enrolled_at", "revoked_at", "replaces"),
    "taps": (
        "device_id", "seq", "act", "tag_uid", "staff_id", "tapped_at", "received_at", "sun", "service", "jws",
    ),
    "planned_visits": (
        "planned_id", "client_id", "provider_id", "staff_id", "start_at", "end_at", "service", "staff_count",
        "withdrawn_at",
    ),
    "declines": (
        "decline_id", "client_id", "provider_id", "planned_start_at", "planned_end_at", "staff_count", "notice",
        "noticed_at", "made_up_minutes", "made_up_on",
    ),
    "manual_visits": (
        "manual_id", "client_id", "provider_id", "staff_id", "start_at", "end_at", "service", "care_service", "reason",
        "note", "made_by", "approved_by",
    ),
    "corrections": (
        "correction_id", "made_at", "kind", "kom_device_id", "kom_seq", "manual_id", "device_id", "from_at", "to_at",
        "new_start_at", "new_end_at", "new_staff_id", "new_client_id", "reason", "note", "made_by", "approved_by",
    ),
    "disputes": ("dispute_id", "client_id", "on_date", "stated_at", "stated_by", "text", "state"),
    "excess_reasons": (
        "reason_id", "client_id", "provider_id", "month", "minutes", "reason", "note", "submitted_on", "decision",
        "approved_minutes", "decided_on", "decided_by", "decision_note",
    ),
    "absences": ("client_id", "from_on", "kind", "to_on"),
    "outages": ("outage_id", "provider_id", "from_at", "to_at", "reason"),
    "staff_hours": ("staff_id", "worked_on", "kind", "minutes"),
    "services_done": ("client_id", "staff_id", "done_at", "care_service", "count"),
    "prices": ("operation", "band", "service", "unit", "valid_from", "amount_ore"),
    "catalogue": ("unit_id", "name", "provider_name"),
    "external_indicators": ("unit_id", "indicator", "period", "value", "n", "response_rate", "source"),
}  # fmt: skip

BUNDLE_KEYS: dict[str, tuple[str, ...]] = {
    "providers": ("provider_id",),
    "units": ("unit_id",),
    "staff": ("staff_id", "valid_from"),
    "clients": ("client_id",),
    "contacts": ("client_id", "provider_id", "kind", "valid_from"),
    "tag_refusals": ("client_id", "valid_from"),
    "tags": ("tag_uid", "client_id", "valid_from_at"),
    "orders": ("order_id",),
    "order_services": ("order_id", "care_service"),
    "devices": ("device_id",),
    "taps": ("device_id", "seq"),
    "planned_visits": ("planned_id",),
    "declines": ("decline_id",),
    "manual_visits": ("manual_id",),
    "corrections": ("correction_id",),
    "disputes": ("dispute_id",),
    "excess_reasons": ("reason_id",),
    "absences": ("client_id", "from_on", "kind"),
    "outages": ("outage_id",),
    "staff_hours": ("staff_id", "worked_on", "kind"),
    "services_done": ("client_id", "staff_id", "done_at", "care_service"),
    "prices": ("operation", "band", "service", "unit", "valid_from"),
    "catalogue": ("unit_id",),
    "external_indicators": ("unit_id", "indicator", "period"),
}

# Who a column names. Taps are left out: their references are never checked. Staff has a dated key, which a foreign
# key of the Table Schema cannot express.
_HOME = {"provider_id": "providers", "unit_id": "units", "client_id": "clients", "order_id": "orders"}

_CHOICES: dict[tuple[str, str], tuple[str, ...]] = {
    ("providers", "operation"): ("municipal", "private"),
    ("providers", "minimum_tag_level"): ("uid", "sun"),
    ("staff", "employment"): ("monthly", "hourly"),
    ("staff", "education"): ("usk", "vardbitrade", "600p", "other_higher", "none"),
    ("staff", "education_document"): ("yes", "no"),
    ("staff", "in_training"): ("yes", "no"),
    ("staff", "role"): ("carer", "trainee", "health_care", "admin"),
    ("clients", "protected_identity"): ("yes", "no"),
    ("contacts", "kind"): ("contact", "care_contact"),
    ("tags", "kind"): ("uid", "sun"),
    ("order_services", "per"): ("day", "week", "month"),
    ("order_services", "proof"): ("both", "one_end", "none"),
    ("taps", "act"): ("KOM", "GICK", "AUTO"),
    ("taps", "service"): VISIT_CLASSES,
    ("planned_visits", "service"): VISIT_CLASSES,
    ("declines", "notice"): ("in_advance", "at_door", "absent"),
    ("manual_visits", "service"): VISIT_CLASSES,
    ("manual_visits", "reason"): MANUAL_REASONS,
    ("corrections", "kind"): ("set_times", "cancel_visit", "set_staff", "set_client", "set_staff_of_device"),
    ("corrections", "reason"): CORRECTION_REASONS,
    ("disputes", "state"): ("open", "withdrawn", "rejected", "upheld"),
    ("excess_reasons", "reason"): EXCESS_REASONS,
    ("excess_reasons", "decision"): ("pending", "approved", "rejected"),
    ("absences", "kind"): ("hospital", "away", "dead"),
    ("prices", "operation"): ("municipal", "private"),
    ("prices", "band"): ("day", "night"),
    ("prices", "unit"): ("hour", "visit", "care_service", "month"),
}

_INTEGERS = frozenset({
    "minutes_per_month", "minutes_per_day", "max_staff", "times", "standard_minutes", "seq", "staff_count",
    "made_up_minutes", "kom_seq", "minutes", "approved_minutes", "count", "amount_ore", "n",
})  # fmt: skip
_DATES = frozenset({
    "valid_from", "valid_to", "birth_date", "from_on", "to_on", "on_date", "worked_on", "submitted_on", "decided_on",
    "made_up_on", "minimum_tag_level_from",
})  # fmt: skip


def datapackage(name: str) -> dict[str, Any]:
    """The `datapackage.json` of a bundle: a Frictionless Tabular Data Package with one schema per file."""
    return {
        "profile": "tabular-data-package",
        "name": name,
        "description": "Simulated home care of a fictional town. Every person in it is invented.",
        "resources": [_resource(file) for file in BUNDLE_COLUMNS],
    }


def _resource(file: str) -> dict[str, Any]:
    columns, key = BUNDLE_COLUMNS[file], BUNDLE_KEYS[file]
    references = [
        {"fields": column, "reference": {"resource": _HOME[column], "fields": column}}
        for column in columns
        if column in _HOME and _HOME[column] != file and file not in ("taps", "catalogue")
        and (file, column) not in (("outages", "provider_id"), ("devices", "provider_id"))
    ]  # fmt: skip
    schema: dict[str, Any] = {
        "fields": [_field(file, column, column in key) for column in columns],
        "missingValues": [""],
        "primaryKey": list(key),
    }
    if references:
        schema["foreignKeys"] = references
    return {
        "profile": "tabular-data-resource",
        "name": file,
        "path": f"{file}.csv",
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "schema": schema,
    }


def _field(file: str, column: str, key: bool) -> dict[str, Any]:
    field: dict[str, Any] = {"name": column, "type": "string"}
    if column in _INTEGERS:
        field["type"] = "integer"
    elif column in _DATES:
        field["type"] = "date"
    elif column.endswith("_at"):
        # The Table Schema's own datetime is UTC without offset; RFC 3339 with offset needs a format of its own.
        field |= {"type": "datetime", "format": "any"}
    elif column == "month":
        field["type"] = "yearmonth"
    elif column in ("value", "response_rate"):
        field["type"] = "number"
    constraints: dict[str, Any] = {}
    # The key columns service (empty = care) and kind of worked hours (empty = not split) may be empty.
    if key and (file, column) not in (("prices", "service"), ("staff_hours", "kind")):
        constraints["required"] = True
    if (file, column) in _CHOICES:
        constraints["enum"] = list(_CHOICES[file, column])
    return field | ({"constraints": constraints} if constraints else {})
