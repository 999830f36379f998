"""The closed table of codes, the rules that make them, the texts that say them, the policy that holds by them."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter
from typing import get_args

import pytest

import app
from app.evidence.clockwork import CLOCK_DOUBT
from app.evidence.grants import GRANT_EXPIRED, GRANT_INVALID
from app.evidence.sun import CounterDoubt
from app.evidence.timing import SUN_INVALID
from app.facts import Finding
from app.findings.codes import CODES
from app.findings.texts import _TEXTS, finding_text
from app.policies import HOLDS, MAY_HOLD
from tests.diary import derived, moment, only

RULES = Path(app.__file__).parent
MAKES = r"finding_id\(|about_visit\(\s*visit,\s*|outside\(|account_finding\(|_finding\(report, |code="


def made_in_code() -> set[str]:
    """Every code that a rule makes a finding of."""
    found = set()
    for file in RULES.glob("*/rules/*.py"):
        text = file.read_text(encoding="utf-8")
        found |= set(re.findall(rf'(?:{MAKES})"(\w+)"', text))
    return found


def test_every_code_a_rule_makes_is_in_the_table() -> None:
    made = made_in_code()
    assert {"unknown_tag", "overlap", "visit_missed", "notice_contradicted"} <= made
    assert made <= set(CODES)
    assert {"seq_fork", "seq_gap", "chain_broken"} <= made


def test_every_doubt_about_a_tap_is_in_the_table_since_it_becomes_a_finding_about_the_visit() -> None:
    assert {CLOCK_DOUBT, GRANT_EXPIRED, GRANT_INVALID, SUN_INVALID, *get_args(CounterDoubt)} <= set(CODES)


def test_every_code_has_both_texts_and_no_text_is_without_code() -> None:
    assert set(_TEXTS) == set(CODES)


def test_what_can_hold_is_what_the_policy_knows() -> None:
    assert {row.code for row in CODES.values() if row.can_hold} == set(HOLDS)
    assert set(MAY_HOLD) <= set(CODES) - set(HOLDS)


@pytest.mark.parametrize("code", sorted(CODES))
@pytest.mark.parametrize("language", ["sv", "en"])
def test_a_text_is_readable_without_any_fact(code: str, language: str) -> None:
    text = finding_text(Finding("id", code, moment("2026-01-05T08:00")), language)  # type: ignore[arg-type]
    assert text
    assert not any(name for _, name, _, _ in Formatter().parse(text) if name)


def test_a_finding_says_its_times_locally_and_what_is_proposed() -> None:
    derivation = derived("2026-07-05 08:00 KOM anna bo\n2026-07-05 09:00 KOM anna cia\n2026-07-05 09:30 GICK anna cia")
    finding = only(derivation, "kom_without_gick")
    assert finding_text(finding) == "KOM 2026-07-05 08:00 utan GICK. Förslag: slut 2026-07-05 09:00."
    assert finding_text(finding, "en") == "KOM 2026-07-05 08:00 without GICK. Proposal: end at 2026-07-05 09:00."


def test_a_gick_after_a_kom_elsewhere_is_linked_to_the_kom_it_belongs_to() -> None:
    story = """2026-07-05 08:00 KOM anna bo seq=1
        2026-07-05 09:00 KOM anna cia seq=2
        2026-07-05 09:10 GICK anna bo seq=3
        2026-07-05 09:30 GICK anna cia seq=4"""
    finding = only(derived(story), "gick_without_kom")
    assert finding.taps == (("phone-anna", 1), ("phone-anna", 3))
    assert finding_text(finding, "en") == (
        "GICK 2026-07-05 09:10 without KOM. The KOM there at 2026-07-05 08:00 was ended by a KOM elsewhere."
    )
    alone = only(derived("2026-07-05 09:10 GICK anna bo"), "gick_without_kom")
    assert (len(alone.taps), finding_text(alone)) == (1, "GICK 2026-07-05 09:10 utan KOM.")


def test_reversed_acts_name_both_taps() -> None:
    finding = only(derived("2026-07-05 08:00 GICK anna bo\n2026-07-05 09:00 KOM anna bo"), "acts_reversed")
    assert finding.taps == (("phone-anna", 1), ("phone-anna", 2))


def test_the_installation_chooses_its_word_for_the_client() -> None:
    finding = only(derived("2026-07-05 08:00 KOM anna tag:nobodys"), "unknown_tag")
    assert finding_text(finding, "sv", "kund") == "Taggen nobodys hörde inte till någon kund då."


def test_a_code_of_a_newer_version_is_shown_as_it_is() -> None:
    assert finding_text(Finding("id", "code_to_come", moment("2026-01-05T08:00"))) == "code_to_come"
