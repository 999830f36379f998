"""The operators' door: quick, quiet, and with the exit status of the contract."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime
from fractions import Fraction
from pathlib import Path

import pytest

from app.cli import COMMANDS
from app.cli.output import Format, emit, emit_object
from app.cli.registry import Entry, run
from app.refusals import Conflict

ROOT = Path(__file__).parents[2]


def refuse() -> None:
    """Refuse."""
    raise Conflict("it is there already")


def komgick(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "app.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=env, check=False)


def test_help_lists_every_command_and_imports_none() -> None:
    script = "import sys; from app.cli import main\ntry: main()\nexcept SystemExit: print(sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script, "--help"], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert all(f"  {name} " in done.stdout for name in COMMANDS)
    assert not {"'typer'", "'sqlalchemy'", "'pydantic'", "'rich'"} & set(done.stdout.replace(",", " ").split())


def test_wrong_usage_ends_with_2() -> None:
    assert komgick().returncode == 2
    assert komgick("no-such-command").returncode == 2
    assert komgick("db", "check", "--no-such-option").returncode == 2
    assert komgick("db", "check", "--format", "xml").returncode == 2
    assert komgick("db").returncode == 2


def test_a_refusal_ends_with_1_and_says_code_and_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert run({"try": Entry(f"{__name__}:refuse", "Refuse.")}, ["try"]) == 1
    assert capsys.readouterr().err == "conflict: it is there already\n"


def test_data_and_format_are_accepted_after_the_arguments(cli_environment: Mapping[str, str], tmp_path: Path) -> None:
    done = komgick("db", "check", "--data", str(tmp_path), "--format", "json", env=cli_environment)
    assert (done.returncode, done.stdout.strip().replace("\n", "")) == (0, "[]"), done.stderr


def test_json_is_an_array_of_rows_with_instants_in_utc() -> None:
    out = io.StringIO()
    at = datetime(2026, 3, 29, 3, 30, tzinfo=UTC)
    emit([{"at": at, "on": date(2026, 3, 29), "minutes": 30, "none": None}], Format.JSON, out=out)
    assert json.loads(out.getvalue()) == [
        {"at": "2026-03-29T03:30:00Z", "on": "2026-03-29", "minutes": 30, "none": None}
    ]
    out = io.StringIO()
    emit([], Format.JSON, out=out)
    assert json.loads(out.getvalue()) == []
    out = io.StringIO()
    emit_object({"mean": Fraction(1, 3)}, Format.JSON, out=out)
    assert json.loads(out.getvalue()) == {"mean": 0.3333333333}


def test_csv_has_a_header_and_no_formula() -> None:
    out = io.StringIO()
    emit([{"name": "=1+1", "minutes": -5, "ok": True}], Format.CSV, ("name", "minutes", "ok"), out=out)
    assert list(csv.reader(io.StringIO(out.getvalue()))) == [["name", "minutes", "ok"], ["'=1+1", "-5", "yes"]]


def test_a_table_shows_everything_also_through_a_pipe() -> None:
    out = io.StringIO()
    emit([{"text": "Åsa [bold] " + "x" * 120, "n": 1}], Format.TABLE, out=out)
    assert "Åsa [bold] " + "x" * 120 in out.getvalue()
    assert "1 rows" in out.getvalue()


def test_the_newest_revision_read_from_the_files_is_the_one_alembic_finds() -> None:
    from alembic.script import ScriptDirectory

    from app.db.migrate import head, migrations_folder

    assert head() == ScriptDirectory(str(migrations_folder())).get_current_head()


def test_opening_a_database_does_not_import_alembic() -> None:
    script = "import app.db.opening, sys; print('alembic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "False"
