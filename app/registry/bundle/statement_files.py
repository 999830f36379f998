"""The files of statements: taps, and what people say."""

from __future__ import annotations

from app.facts.statements import CORRECTION_REASONS, EXCESS_REASONS, MANUAL_REASONS
from app.registry.bundle.parts import (
    CLIENT,
    PROVIDER,
    Column,
    File,
    Rule,
    key_column,
    needed,
    other_needs_note,
    texts,
    visit_class,
)

# An imported correction belongs to the provider of what it names, as far as that is known.
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
        key_column("device_id"),
        key_column("seq", "int"),
        needed("act", choices=("KOM", "GICK", "AUTO")),
        needed("tag_uid"),
        Column("staff_id"),
        needed("tapped_at", "instant"),
        Column("received_at", "instant"),
        Column("sun"),
        visit_class(),
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
            key_column("planned_id"),
            CLIENT,
            PROVIDER,
            Column("staff_id"),
            needed("start_at", "instant"),
            needed("end_at", "instant"),
            visit_class("care"),
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
            key_column("decline_id"),
            CLIENT,
            PROVIDER,
            needed("planned_start_at", "instant"),
            needed("planned_end_at", "instant"),
            Column("staff_count", "int", default="1"),
            needed("notice", choices=("in_advance", "at_door", "absent")),
            needed("noticed_at", "instant"),
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
            key_column("manual_id"),
            CLIENT,
            PROVIDER,
            Column("staff_id"),
            Column("start_at", "instant"),
            Column("end_at", "instant"),
            visit_class(),
            Column("care_service"),
            # May be empty: in an outage the visit carries that reason by itself (DOMAIN.md 2.2 row 37).
            Column("reason", choices=MANUAL_REASONS),
            *texts("note", "made_by", "approved_by"),
        ),
        (
            Rule("start_at", "start_at IS NULL AND end_at IS NULL", "a start or an end"),
            Rule("end_at", "end_at < start_at", "a time not before start_at"),
            other_needs_note(),
        ),
    ),
    File(
        "corrections.csv",
        "corrections",
        "statement",
        (
            key_column("correction_id"),
            needed("made_at", "instant"),
            needed("kind", choices=("set_times", "cancel_visit", "set_staff", "set_client", "set_staff_of_device")),
            Column("kom_device_id"),
            Column("kom_seq", "int"),
            *texts("manual_id", "device_id"),
            Column("from_at", "instant"),
            Column("to_at", "instant"),
            Column("new_start_at", "instant"),
            Column("new_end_at", "instant"),
            *texts("new_staff_id", "new_client_id"),
            needed("reason", choices=CORRECTION_REASONS),
            *texts("note", "made_by", "approved_by"),
        ),
        (other_needs_note(),),
        copied=(("provider_id", _CORRECTION_PROVIDER),),
    ),
    File(
        "disputes.csv",
        "disputes",
        "statement",
        (
            key_column("dispute_id"),
            CLIENT,
            needed("on_date", "date"),
            needed("stated_at", "instant"),
            *texts("stated_by", "text"),
            Column("state", choices=("open", "withdrawn", "rejected", "upheld"), default="open"),
        ),
    ),
    File(
        "excess_reasons.csv",
        "excess_reasons",
        "statement",
        (
            Column("reason_id", key=True),  # computed where it is empty
            CLIENT,
            PROVIDER,
            needed("month", "month"),
            needed("minutes", "int"),
            needed("reason", choices=EXCESS_REASONS),
            Column("note"),
            needed("submitted_on", "date"),
            Column("decision", choices=("pending", "approved", "rejected"), default="pending"),
            Column("approved_minutes", "int"),
            Column("decided_on", "date"),
            *texts("decided_by", "decision_note"),
        ),
        (other_needs_note(),),
    ),
    File(
        "resolutions.csv",
        "resolutions",
        "statement",
        (key_column("finding_id"), needed("resolved_at", "instant"), *texts("by", "reason", "provider_id")),
    ),
    File(
        "attests.csv",
        "attests",
        "statement",
        (
            key_column("provider_id", references="providers.csv"),
            key_column("month", "month"),
            needed("at", "instant"),
            Column("by"),
        ),
    ),
    File(
        "closes.csv",
        "closes",
        "statement",
        (key_column("month", "month"), needed("at", "instant"), *texts("by", "hash")),
    ),
)
