"""Every command of CONTRACT.md 1 can be said as it stands there."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "words",
    [
        ["month", "show"], ["month", "attest"], ["month", "close"], ["billing", "export"], ["billing", "statement"],
        ["fees", "export"], ["policy", "show"], ["db", "prepare"], ["db", "check"],
    ],
)  # fmt: skip
def test_a_command_of_two_words_is_one(words: list[str]) -> None:
    asked = subprocess.run(
        [sys.executable, "-m", "app.cli", *words, "--help"], capture_output=True, text=True, check=False
    )
    assert asked.returncode == 0
    assert f"komgick {' '.join(words)} " in asked.stdout
