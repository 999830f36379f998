"""Commands by name, imported when called; refusals become exit status 1."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.refusals import Refused


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a command lies ("module:object", a function or a typer.Typer) and its line in `komgick --help`."""

    target: str
    summary: str


def run(commands: Mapping[str, Entry], arguments: Sequence[str]) -> int:
    """Run the command that `arguments` name; its exit status: 0 done, 1 refused or differing, 2 wrong usage.

    A refusal goes to stderr as `code: reason`. Anything else that is raised is a bug and shows its traceback.
    """
    try:
        if arguments and arguments[0] in commands:
            return _call(arguments[0], commands[arguments[0]], arguments[1:])
        if not arguments or arguments[0] in {"--help", "-h"}:
            sys.stdout.write(_overview(commands))
            return 0 if arguments else 2
        if arguments[0] == "--version":
            from importlib.metadata import version  # noqa: PLC0415 -- rarely asked, and slow to import

            sys.stdout.write(f"komgick {version('komgick')}\n")
            return 0
        sys.stderr.write(f"komgick: no such command: {arguments[0]}\nTry 'komgick --help'.\n")
        return 2
    except Refused as refused:
        sys.stderr.write(f"{refused.code}: {refused.detail}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    except BrokenPipeError:  # the reader (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def load(entry: Entry) -> Any:
    """The command's typer application; a single function becomes one."""
    import typer  # noqa: PLC0415 -- the reason for this module: nothing is imported before a command is called

    module, _, name = entry.target.partition(":")
    found = getattr(importlib.import_module(module), name)
    if isinstance(found, typer.Typer):
        return found
    application = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    application.command(help=entry.summary if not found.__doc__ else None)(found)
    return application


def _call(name: str, entry: Entry, arguments: Sequence[str]) -> int:
    application = load(entry)
    application.pretty_exceptions_enable = False
    try:
        application(args=list(arguments), prog_name=f"komgick {name}")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _overview(commands: Mapping[str, Entry]) -> str:
    width = max(len(name) for name in commands)
    lines = [f"  {name:<{width}}  {entry.summary}" for name, entry in commands.items()]
    return "\n".join(
        [
            "Usage: komgick COMMAND ARGUMENTS [--data DIR] [--format table|json|csv]",
            "",
            "From a tag on the door to the month's invoice basis.",
            "",
            *lines,
            "",
            "Every command: --data DIR (or KOMGICK_DATA, default ./var) holds the embedded database;",
            "KOMGICK_DATABASE_URL names a server instead. 'komgick COMMAND --help' tells the rest.",
            "",
        ]
    )
