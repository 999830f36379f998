"""deploy/SECURITY.md names a test for every threat, and each is there."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
TEXT = (TESTS.parent / "deploy" / "SECURITY.md").read_text("utf-8")


def test_every_threat_has_a_test_that_exists() -> None:
    table = [line.split("|") for line in TEXT.splitlines() if line.startswith("| ") and not line.startswith("| Threat")]
    assert len(table) > 20
    for _, threat, _, named, _ in table:
        tests = re.findall(r"`([^`]+)`", named)
        assert tests, f"no test against: {threat}"
        for one in tests:
            file, _, name = one.partition("::")
            assert (TESTS / file).is_file(), one
            found = re.findall(r"^def (test_\w+)", (TESTS / file).read_text("utf-8"), re.MULTILINE)
            assert [each for each in found if each.startswith(name)], one
