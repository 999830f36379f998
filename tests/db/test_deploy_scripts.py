"""deploy/backup.sh and deploy/restore.sh, run as an operator runs them, on embedded databases of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.test_review_months import town
from tests.flows.bundles import write

ROOT = Path(__file__).parents[2]


@pytest.fixture
def komgick(tmp_path: Path) -> Path:
    """The installed command, whatever environment the tests run in."""
    command = tmp_path / "komgick"
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m app.cli "$@"\n', "utf-8")
    command.chmod(0o755)
    return command


def run(data: Path, komgick: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "KOMGICK": str(komgick), "KOMGICK_DATA": str(data)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_last_night_is_brought_back_with_its_keys_and_old_nights_go(tmp_path: Path, komgick: Path) -> None:
    first, second, nights = tmp_path / "first", tmp_path / "second", tmp_path / "nights"
    bundle = write(tmp_path / "town", town())
    imported = run(first, komgick, str(komgick), "import", str(bundle))
    assert imported.returncode == 0, imported.stderr
    (first / "secrets").mkdir(mode=0o700, exist_ok=True)
    (first / "secrets" / "sun_keys.json").write_text("{}", "utf-8")
    nights.mkdir()
    old = [nights / f"komgick-2026-01-0{day}T023000Z.backup" for day in (1, 2, 3)]
    other = nights / "komgick-notes.txt"
    for file in (*old, other):
        file.write_text("", "utf-8")

    saved = run(first, komgick, str(ROOT / "deploy/backup.sh"), str(nights), "2")
    assert saved.returncode == 0, saved.stderr
    kept = sorted(nights.glob("komgick-*.backup"))
    assert kept[0] == old[2]
    assert len(kept) == 2
    assert other.exists(), "only our own names are removed"
    (secrets,) = nights.glob("secrets-*.tar.gz")

    words = (str(ROOT / "deploy/restore.sh"), str(kept[1]), str(secrets))
    restored = run(second, komgick, *words)
    assert restored.returncode == 0, restored.stderr
    assert (second / "secrets" / "sun_keys.json").read_text("utf-8") == "{}"
    shown = [
        run(data, komgick, str(komgick), "visits", "--month", "2026-01", "--format", "csv") for data in (first, second)
    ]
    assert shown[1].stdout == shown[0].stdout
    assert shown[0].stdout.count("\n") == 2
    again = run(second, komgick, *words)
    assert again.returncode == 1
    assert "exists: restore into an empty data folder" in again.stderr
