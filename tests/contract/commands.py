"""`komgick` commands on a test's database, in this process: the command line without the seconds of starting it."""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any

from app.cli import COMMANDS
from app.cli.registry import run


class Komgick:
    """Runs commands in the environment of `cli_environment`; one that does not end well fails the test."""

    def __call__(self, *arguments: str) -> str:
        said, complained = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
            status = run(COMMANDS, arguments)
        assert status == 0, f"komgick {' '.join(arguments)}: {status}\n{complained.getvalue()}"
        return said.getvalue()

    def json(self, *arguments: str) -> Any:
        """What the command prints as JSON."""
        return json.loads(self(*arguments, "--format", "json"))

    def explain(self, month: str, client: str, provider: str) -> dict[str, Any]:
        """Every minute of an account."""
        found = self.json("explain", month, "--client", client, "--provider", provider)
        assert isinstance(found, dict)
        return found

    def accounts(self, month: str) -> dict[str, dict[str, Any]]:
        """A month's accounts by client (each has one provider)."""
        return {account["client_id"]: account for account in self.json("month", "show", month)}
