"""`komgick verify BUNDLE`: checks an export offline, without a database; exit 1 where anything is wrong."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from app.cli.context import FormatOption
from app.cli.output import Format, emit


def verify(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="An export: a folder, or a .zip.")],
    server_key: Annotated[
        str, typer.Option("--server-key", metavar="THUMBPRINT", help="The server's key as the city publishes it.")
    ] = "",
    fmt: FormatOption = Format.TABLE,
) -> None:
    """Check signatures, order, chains and receipts, recompute visits and sums, and compare. One line a check.

    Needs no database and no network. Everything found is named with file and line; then the exit status is 1.
    """
    from app.verify.bundle import NotABundle  # noqa: PLC0415 -- `--help` needs no cryptography
    from app.verify.flow import verify as checks  # noqa: PLC0415 -- likewise

    rows = []
    failed = 0
    try:
        for check in checks(bundle, server_key):
            failed += len(check.wrong)
            if fmt is Format.TABLE:
                state = f"{len(check.wrong)} WRONG" if check.wrong else "ok"
                sys.stdout.write(f"{check.name}: {state} ({check.looked_at})\n")
                sys.stdout.writelines(f"  {one}\n" for one in check.wrong)
                sys.stdout.writelines(f"  note: {note}\n" for note in check.notes)
                sys.stdout.flush()
            rows += [{"check": check.name, "file": one.file, "line": one.line, "what": one.what} for one in check.wrong]
    except NotABundle as error:
        sys.stderr.write(f"bundle_refused: {error}\n")
        raise typer.Exit(1) from error
    if fmt is Format.JSON:
        sys.stdout.write(json.dumps(rows, ensure_ascii=False) + "\n")
    elif fmt is Format.CSV:
        emit(rows, fmt, ("check", "file", "line", "what"))
    if failed:
        sys.stderr.write(f"verify_failed: {failed} findings\n")
        raise typer.Exit(1)
